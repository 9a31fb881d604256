//! A message as the phone shows it: reads each kind into the fields of its template.

use std::time::Duration;

use serde_json::Value;

use super::index::WorldView;
use super::mailbox::InboxMessage;
use super::markup::{MarkupLine, Span, parse_description, parse_markdown, parse_text, safe_link};
use super::media::MediaStore;

/// The content of a message bubble.
#[derive(Debug)]
pub(super) enum Bubble {
    Text(Vec<Span>),
    Markdown(Vec<MarkupLine>),
    Textcard { title: String, lines: Vec<MarkupLine>, url: String, button: String },
    News(Vec<Article>),
    Image { id: String },
    File { id: String, name: String, word: &'static str, size: String, description: String },
    Card(Box<Card>),
}

/// An entry of `news`, or a quote or picture area of a card.
#[derive(Debug, Default)]
pub(super) struct Article {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) url: String,
    pub(super) picture: String,
}

/// A template card.
#[derive(Debug, Default)]
pub(super) struct Card {
    pub(super) icon: String,
    pub(super) source: String,
    pub(super) source_class: &'static str,
    pub(super) image: String,
    pub(super) title: String,
    pub(super) desc: String,
    pub(super) emphasis: String,
    pub(super) emphasis_desc: String,
    pub(super) quote: Option<Article>,
    pub(super) picture_text: Option<Article>,
    /// Title and text.
    pub(super) paragraphs: Vec<(String, String)>,
    pub(super) sub_title: String,
    pub(super) rows: Vec<CardRow>,
    /// Title and URL.
    pub(super) jumps: Vec<(String, String)>,
    /// The labels of the buttons. They do nothing in the simulator.
    pub(super) buttons: Vec<String>,
    /// The URL that a tap on the card opens; may be empty.
    pub(super) url: String,
}

/// An entry of `horizontal_content_list`.
#[derive(Debug)]
pub(super) struct CardRow {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) link: String,
}

impl Bubble {
    pub(super) fn from_message(
        message: &InboxMessage,
        view: WorldView,
        medias: &MediaStore,
        now: Duration,
    ) -> Self {
        let c = &message.content;
        match message.kind.as_str() {
            "text" => Self::Text(parse_text(&text_field(c, "content"))),
            "markdown" => Self::Markdown(parse_markdown(&text_field(c, "content"))),
            "textcard" => Self::Textcard {
                title: text_field(c, "title"),
                lines: parse_description(&text_field(c, "description")),
                url: safe_link(&text_field(c, "url")),
                button: Some(text_field(c, "btntxt"))
                    .filter(|b| !b.is_empty())
                    .unwrap_or_else(|| "详情".to_owned()),
            },
            "news" => Self::News(list_field(c, "articles").iter().map(parse_article).collect()),
            "image" => Self::Image { id: text_field(c, "media_id") },
            "template_card" => Self::Card(Box::new(parse_card(c, view))),
            kind => {
                let id = text_field(c, "media_id");
                let stored = medias.get(&id, now);
                let own = stored.map_or_else(|| "文件已过期".to_owned(), |m| m.name.clone());
                Self::File {
                    name: Some(text_field(c, "title")).filter(|t| !t.is_empty()).unwrap_or(own),
                    word: match kind {
                        "voice" => "语音",
                        "video" => "视频",
                        _ => "文件",
                    },
                    size: stored.map_or_else(String::new, |m| format_size(m.bytes.len())),
                    description: text_field(c, "description"),
                    // Without an id the page shows no link to an expired file.
                    id: stored.map_or_else(String::new, |_| id),
                }
            }
        }
    }

    /// Returns one line for the home screen.
    pub(super) fn summary(message: &InboxMessage) -> String {
        let c = &message.content;
        let title = |part: &Value| text_field(part, "title");
        let first = match message.kind.as_str() {
            "text" => parse_text(&text_field(c, "content")).into_iter().map(|s| s.text).collect(),
            "markdown" => parse_markdown(&text_field(c, "content"))
                .into_iter()
                .flat_map(|l| l.spans)
                .map(|s| s.text)
                .collect::<Vec<_>>()
                .join(" "),
            "textcard" => title(c),
            "news" => list_field(c, "articles").first().map(title).unwrap_or_default(),
            "template_card" => {
                let main = c.get("main_title").map(title).unwrap_or_default();
                if main.is_empty() { text_field(c, "sub_title_text") } else { main }
            }
            "image" => "[图片]".to_owned(),
            "voice" => "[语音]".to_owned(),
            "video" => "[视频]".to_owned(),
            _ => "[文件]".to_owned(),
        };
        first.chars().take(60).collect()
    }
}

fn parse_article(value: &Value) -> Article {
    Article {
        title: text_field(value, "title"),
        description: text_field(value, "description"),
        url: safe_link(&text_field(value, "url")),
        picture: safe_link(&text_field(value, "picurl")),
    }
}

fn parse_card(c: &Value, view: WorldView) -> Card {
    let part = |name: &str| c.get(name).unwrap_or(&Value::Null);
    let (source, main, emphasis) = (part("source"), part("main_title"), part("emphasis_content"));
    let quote = c.get("quote_area").map(|q| Article {
        title: text_field(q, "title"),
        description: text_field(q, "quote_text"),
        url: link_target(q),
        picture: String::new(),
    });
    let picture_text = c.get("image_text_area").map(|a| Article {
        title: text_field(a, "title"),
        description: text_field(a, "desc"),
        url: link_target(a),
        picture: safe_link(&text_field(a, "image_url")),
    });
    let buttons = list_field(c, "button_list").iter().chain(c.get("submit_button"));
    Card {
        icon: safe_link(&text_field(source, "icon_url")),
        source: text_field(source, "desc"),
        source_class: match source.get("desc_color").and_then(Value::as_i64) {
            Some(1) => "black",
            Some(2) => "red",
            Some(3) => "green",
            _ => "grey",
        },
        image: safe_link(&text_field(part("card_image"), "url")),
        title: text_field(main, "title"),
        desc: text_field(main, "desc"),
        emphasis: text_field(emphasis, "title"),
        emphasis_desc: text_field(emphasis, "desc"),
        quote,
        picture_text,
        paragraphs: list_field(c, "vertical_content_list")
            .iter()
            .map(|p| (text_field(p, "title"), text_field(p, "desc")))
            .collect(),
        sub_title: text_field(c, "sub_title_text"),
        rows: list_field(c, "horizontal_content_list").iter().map(|r| parse_row(r, view)).collect(),
        jumps: list_field(c, "jump_list").iter().map(|j| (text_field(j, "title"), link_target(j))).collect(),
        buttons: buttons.map(|b| text_field(b, "text")).filter(|t| !t.is_empty()).collect(),
        url: link_target(part("card_action")),
    }
}

fn parse_row(value: &Value, view: WorldView) -> CardRow {
    let said = text_field(value, "value");
    let (shown, link) = match value.get("type").and_then(Value::as_i64) {
        Some(1) => (said, safe_link(&text_field(value, "url"))),
        Some(2) => (said, format!("/phone/media/{}", urlencoding::encode(&text_field(value, "media_id")))),
        // A member; without a value the member's name is shown.
        Some(3) => {
            let name = view.member(&text_field(value, "userid")).map(|m| m.name.clone());
            (if said.is_empty() { name.unwrap_or_default() } else { said }, String::new())
        }
        _ => (said, String::new()),
    };
    CardRow { key: text_field(value, "keyname"), value: shown, link }
}

/// Returns the URL of a part of type 1. A mini program (type 2) cannot be opened here.
fn link_target(part: &Value) -> String {
    if part.get("type").and_then(Value::as_i64) == Some(1) {
        safe_link(&text_field(part, "url"))
    } else {
        String::new()
    }
}

fn list_field<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_field(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn format_size(bytes: usize) -> String {
    let tenths = |unit: usize| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", tenths(1024)),
        _ => format!("{} MB", tenths(1_048_576)),
    }
}
