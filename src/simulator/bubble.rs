//! A message as the phone shows it: each kind read into what its place in the page needs.

use std::time::Duration;

use serde_json::Value;

use super::index::View;
use super::markup::{Line, Span, description, link, markdown, text};
use super::media::Medias;
use super::post::Letter;

/// What a bubble has in it.
#[derive(Debug)]
pub(super) enum Shown {
    Text(Vec<Span>),
    Markdown(Vec<Line>),
    Textcard { title: String, lines: Vec<Line>, url: String, button: String },
    News(Vec<Article>),
    Image { id: String },
    File { id: String, name: String, word: &'static str, size: String, description: String },
    Card(Box<Card>),
}

/// One of `news`, or the picture with text in a card.
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
    pub(super) rows: Vec<Row>,
    /// Title and where it leads.
    pub(super) jumps: Vec<(String, String)>,
    /// What the buttons read; they do nothing here.
    pub(super) buttons: Vec<String>,
    /// Where a tap on the card leads; empty: nowhere.
    pub(super) url: String,
}

/// One of `horizontal_content_list`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) link: String,
}

impl Shown {
    pub(super) fn of(letter: &Letter, view: View, medias: &Medias, now: Duration) -> Self {
        let c = &letter.content;
        match letter.kind.as_str() {
            "text" => Self::Text(text(&say(c, "content"))),
            "markdown" => Self::Markdown(markdown(&say(c, "content"))),
            "textcard" => Self::Textcard {
                title: say(c, "title"),
                lines: description(&say(c, "description")),
                url: link(&say(c, "url")),
                button: Some(say(c, "btntxt")).filter(|b| !b.is_empty()).unwrap_or_else(|| "详情".to_owned()),
            },
            "news" => Self::News(list(c, "articles").iter().map(article).collect()),
            "image" => Self::Image { id: say(c, "media_id") },
            "template_card" => Self::Card(Box::new(card(c, view))),
            kind => {
                let id = say(c, "media_id");
                let stored = medias.get(&id, now);
                let own = stored.map_or_else(|| "文件已过期".to_owned(), |m| m.name.clone());
                Self::File {
                    name: Some(say(c, "title")).filter(|t| !t.is_empty()).unwrap_or(own),
                    word: match kind {
                        "voice" => "语音",
                        "video" => "视频",
                        _ => "文件",
                    },
                    size: stored.map_or_else(String::new, |m| size(m.bytes.len())),
                    description: say(c, "description"),
                    id: stored.map_or_else(String::new, |_| id),
                }
            }
        }
    }

    /// A line of it for the home screen.
    pub(super) fn summary(letter: &Letter) -> String {
        let c = &letter.content;
        let title = |part: &Value| say(part, "title");
        let first = match letter.kind.as_str() {
            "text" => text(&say(c, "content")).into_iter().map(|s| s.text).collect(),
            "markdown" => markdown(&say(c, "content"))
                .into_iter()
                .flat_map(|l| l.spans)
                .map(|s| s.text)
                .collect::<Vec<_>>()
                .join(" "),
            "textcard" => title(c),
            "news" => list(c, "articles").first().map(title).unwrap_or_default(),
            "template_card" => {
                let main = c.get("main_title").map(title).unwrap_or_default();
                if main.is_empty() { say(c, "sub_title_text") } else { main }
            }
            "image" => "[图片]".to_owned(),
            "voice" => "[语音]".to_owned(),
            "video" => "[视频]".to_owned(),
            _ => "[文件]".to_owned(),
        };
        first.chars().take(60).collect()
    }
}

fn article(value: &Value) -> Article {
    Article {
        title: say(value, "title"),
        description: say(value, "description"),
        url: link(&say(value, "url")),
        picture: link(&say(value, "picurl")),
    }
}

fn card(c: &Value, view: View) -> Card {
    let part = |name: &str| c.get(name).unwrap_or(&Value::Null);
    let (source, main, emphasis) = (part("source"), part("main_title"), part("emphasis_content"));
    let quote = c.get("quote_area").map(|q| Article {
        title: say(q, "title"),
        description: say(q, "quote_text"),
        url: target(q),
        picture: String::new(),
    });
    let picture_text = c.get("image_text_area").map(|a| Article {
        title: say(a, "title"),
        description: say(a, "desc"),
        url: target(a),
        picture: link(&say(a, "image_url")),
    });
    let buttons = list(c, "button_list").iter().chain(c.get("submit_button"));
    Card {
        icon: link(&say(source, "icon_url")),
        source: say(source, "desc"),
        source_class: match source.get("desc_color").and_then(Value::as_i64) {
            Some(1) => "black",
            Some(2) => "red",
            Some(3) => "green",
            _ => "grey",
        },
        image: link(&say(part("card_image"), "url")),
        title: say(main, "title"),
        desc: say(main, "desc"),
        emphasis: say(emphasis, "title"),
        emphasis_desc: say(emphasis, "desc"),
        quote,
        picture_text,
        paragraphs: list(c, "vertical_content_list")
            .iter()
            .map(|p| (say(p, "title"), say(p, "desc")))
            .collect(),
        sub_title: say(c, "sub_title_text"),
        rows: list(c, "horizontal_content_list").iter().map(|r| row(r, view)).collect(),
        jumps: list(c, "jump_list").iter().map(|j| (say(j, "title"), target(j))).collect(),
        buttons: buttons.map(|b| say(b, "text")).filter(|t| !t.is_empty()).collect(),
        url: target(part("card_action")),
    }
}

fn row(value: &Value, view: View) -> Row {
    let said = say(value, "value");
    let (shown, link) = match value.get("type").and_then(Value::as_i64) {
        Some(1) => (said, link(&say(value, "url"))),
        Some(2) => (said, format!("/phone/media/{}", urlencoding::encode(&say(value, "media_id")))),
        Some(3) => {
            let name = view.member(&say(value, "userid")).map(|m| m.name.clone());
            (if said.is_empty() { name.unwrap_or_default() } else { said }, String::new())
        }
        _ => (said, String::new()),
    };
    Row { key: say(value, "keyname"), value: shown, link }
}

/// Where a part of type 1 leads; a mini program cannot be opened here.
fn target(part: &Value) -> String {
    if part.get("type").and_then(Value::as_i64) == Some(1) { link(&say(part, "url")) } else { String::new() }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn say(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn size(bytes: usize) -> String {
    let tenths = |unit: usize| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", tenths(1024)),
        _ => format!("{} MB", tenths(1_048_576)),
    }
}
