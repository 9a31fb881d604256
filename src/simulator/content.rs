//! What a message says: the fields of each msgtype, refused or cut as WeCom does (doc 90236).

use std::time::Duration;

use serde_json::{Map, Value};

use super::api::Refusal;
use super::card;
use super::media::{Kind, Medias};
use super::world::App;

/// Bytes of a text or a markdown message.
const TEXT_MAX: usize = 2048;
const TITLE_MAX: usize = 128;
const DESCRIPTION_MAX: usize = 512;
const URL_MAX: usize = 2048;
const ARTICLES_MAX: usize = 8;
/// Characters of the button of a textcard.
const BUTTON_MAX: usize = 4;

pub(super) const NO_URL: Refusal = Refusal(41010, "missing url");
const NO_TITLE: Refusal = Refusal(41016, "missing title");
const NO_TEXT: Refusal = Refusal(44004, "empty content");
pub(super) const BAD_MEDIA: Refusal = Refusal(40007, "invalid media_id");
const NO_CONTENT: Refusal = Refusal(40063, "some parameters are empty");

/// What a content is checked against.
#[derive(Clone, Copy)]
pub(super) struct Against<'w> {
    pub(super) app: &'w App,
    pub(super) medias: &'w Medias,
    pub(super) now: Duration,
}

/// A message as the members get it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) kind: &'static str,
    /// The object below the msgtype, cut where WeCom cuts.
    pub(super) fields: Value,
    /// Whether the answer has a `response_code`, with which the card can be changed later.
    pub(super) answers: bool,
    /// The task of a card; an application uses each id once.
    pub(super) task_id: Option<String>,
    pub(super) confidential: bool,
}

impl Content {
    /// # Errors
    /// 40008 for a msgtype this WeCom does not know, and what each of them refuses.
    pub(super) fn read(body: &Value, against: Against) -> Result<Self, Refusal> {
        let kind = kind(body.get("msgtype").and_then(Value::as_str).unwrap_or_default())?;
        let mut fields = body.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut content =
            Self { kind, fields: Value::Null, answers: false, task_id: None, confidential: false };
        let safe = flag(body, "safe")?;
        match kind {
            "text" => {
                let text = text(&fields, "content").ok_or(NO_TEXT)?;
                put(&mut fields, "content", cut(&text, TEXT_MAX));
            }
            "markdown" => {
                let text = text(&fields, "content").ok_or(NO_TEXT)?;
                if text.len() > TEXT_MAX {
                    return Err(Refusal(45002, "content size out of limit"));
                }
            }
            "image" | "voice" | "file" => against.medium(&fields, kind)?,
            "video" => {
                against.medium(&fields, kind)?;
                cut_if_there(&mut fields, "title", TITLE_MAX);
                cut_if_there(&mut fields, "description", DESCRIPTION_MAX);
            }
            "textcard" => textcard(&mut fields)?,
            "news" => {
                if safe {
                    return Err(Refusal(40074, "invalid msg type, news cannot be confidential"));
                }
                news(&mut fields)?;
            }
            _ => {
                if fields.is_empty() {
                    return Err(NO_CONTENT);
                }
                let checked = card::check(&fields, against)?;
                (content.answers, content.task_id) = (checked.answers, checked.task_id);
            }
        }
        // textcard, markdown and cards have no such field: it is ignored
        content.confidential = safe && matches!(kind, "text" | "image" | "voice" | "video" | "file");
        content.fields = Value::Object(fields);
        Ok(content)
    }
}

impl Against<'_> {
    /// # Errors
    /// 40007 unless the `media_id` is there, of that kind and younger than three days.
    fn medium(&self, fields: &Map<String, Value>, kind: &str) -> Result<(), Refusal> {
        let kind = Kind::named(kind).ok_or(BAD_MEDIA)?;
        let id = text(fields, "media_id").ok_or(BAD_MEDIA)?;
        if self.medias.get(&id, self.now).is_some_and(|m| m.kind == kind) { Ok(()) } else { Err(BAD_MEDIA) }
    }
}

fn kind(name: &str) -> Result<&'static str, Refusal> {
    let known = ["text", "image", "file", "voice", "video", "textcard", "news", "markdown", "template_card"];
    known.into_iter().find(|k| *k == name).ok_or(Refusal(40008, "invalid message type"))
}

fn textcard(fields: &mut Map<String, Value>) -> Result<(), Refusal> {
    let title = text(fields, "title").ok_or(NO_TITLE)?;
    let description = text(fields, "description").ok_or(Refusal(41033, "missing description"))?;
    link(&text(fields, "url").ok_or(NO_URL)?)?;
    put(fields, "title", cut(&title, TITLE_MAX));
    put(fields, "description", cut(&description, DESCRIPTION_MAX));
    if let Some(button) = text(fields, "btntxt") {
        put(fields, "btntxt", button.chars().take(BUTTON_MAX).collect());
    }
    Ok(())
}

fn news(fields: &mut Map<String, Value>) -> Result<(), Refusal> {
    let count = Refusal(45008, "article size out of limit");
    let articles = fields.get_mut("articles").and_then(Value::as_array_mut).ok_or(count)?;
    if articles.is_empty() || articles.len() > ARTICLES_MAX {
        return Err(Refusal(45008, "article size out of limit"));
    }
    for article in articles {
        let article = article.as_object_mut().ok_or(NO_CONTENT)?;
        let title = text(article, "title").ok_or(NO_TITLE)?;
        put(article, "title", cut(&title, TITLE_MAX));
        cut_if_there(article, "description", DESCRIPTION_MAX);
        match text(article, "url") {
            Some(url) => link(&url)?,
            None if text(article, "appid").is_some() && text(article, "pagepath").is_some() => {}
            None => return Err(NO_URL),
        }
        if let Some(picture) = text(article, "picurl") {
            link(&picture)?;
        }
    }
    Ok(())
}

/// # Errors
/// 40039 for a URL that is too long, 45034 for one without `http://` or `https://`.
pub(super) fn link(url: &str) -> Result<(), Refusal> {
    if url.len() > URL_MAX {
        return Err(Refusal(40039, "invalid url size"));
    }
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => Ok(()),
        _ => Err(Refusal(45034, "url must have a protocol header")),
    }
}

/// A text that is there and not empty.
pub(super) fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

/// A switch, 0 or 1.
///
/// # Errors
/// 40035 for anything else.
pub(super) fn flag(body: &Value, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(n) if n.as_i64() == Some(0) => Ok(false),
        Some(n) if n.as_i64() == Some(1) => Ok(true),
        Some(_) => Err(Refusal(40035, "invalid parameter, a switch is 0 or 1")),
    }
}

/// The first so many bytes, and no half character.
fn cut(text: &str, bytes: usize) -> String {
    let mut text = text.to_owned();
    text.truncate(text.floor_char_boundary(bytes));
    text
}

fn cut_if_there(fields: &mut Map<String, Value>, name: &str, bytes: usize) {
    if let Some(there) = text(fields, name) {
        put(fields, name, cut(&there, bytes));
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: String) {
    fields.insert(name.to_owned(), Value::String(value));
}
