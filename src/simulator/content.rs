//! The content of a message: checks or truncates the fields of each msgtype as WeCom does (doc
//! 90236).

use serde_json::{Map, Value};

use super::call::SimulatedRefusal;
use super::card;
use super::content_fields::{
    ContentContext, check_link, parse_flag, set_field, text_field, truncate_field, truncate_text,
};

/// For text and markdown messages.
const MAX_TEXT_BYTES: usize = 2048;
const MAX_TITLE_BYTES: usize = 128;
const MAX_DESCRIPTION_BYTES: usize = 512;
const MAX_ARTICLES: usize = 8;
/// The button of a textcard.
const MAX_BUTTON_CHARS: usize = 4;

const NO_URL: SimulatedRefusal = SimulatedRefusal(41010, "missing url");
const NO_TITLE: SimulatedRefusal = SimulatedRefusal(41016, "missing title");
const NO_TEXT: SimulatedRefusal = SimulatedRefusal(44004, "empty content");
const NO_CONTENT: SimulatedRefusal = SimulatedRefusal(40063, "some parameters are empty");

/// A content as its recipients get it.
#[derive(Debug)]
pub(super) struct CheckedContent {
    pub(super) kind: &'static str,
    /// The object below the msgtype, truncated where WeCom truncates.
    pub(super) fields: Value,
    /// Whether the answer has a `response_code`, with which the card can be updated later.
    pub(super) answers: bool,
    /// The `task_id` of a card. An application can use each id once.
    pub(super) task_id: Option<String>,
    pub(super) confidential: bool,
}

impl CheckedContent {
    /// Checks the content of a request.
    ///
    /// # Errors
    /// 40008 for an unknown msgtype, and the errcodes of each msgtype.
    pub(super) fn parse(body: &Value, context: ContentContext) -> Result<Self, SimulatedRefusal> {
        let kind = parse_msgtype(body.get("msgtype").and_then(Value::as_str).unwrap_or_default())?;
        let mut fields = body.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut content =
            Self { kind, fields: Value::Null, answers: false, task_id: None, confidential: false };
        let safe = parse_flag(body, "safe")?;
        match kind {
            "text" => {
                let text = text_field(&fields, "content").ok_or(NO_TEXT)?;
                set_field(&mut fields, "content", truncate_text(&text, MAX_TEXT_BYTES));
            }
            "markdown" => {
                let text = text_field(&fields, "content").ok_or(NO_TEXT)?;
                // A text is truncated; markdown is refused, because a cut could break its markup.
                if text.len() > MAX_TEXT_BYTES {
                    return Err(SimulatedRefusal(45002, "content size out of limit"));
                }
            }
            "image" | "voice" | "file" => context.check_media(&fields, kind)?,
            "video" => {
                context.check_media(&fields, kind)?;
                truncate_field(&mut fields, "title", MAX_TITLE_BYTES);
                truncate_field(&mut fields, "description", MAX_DESCRIPTION_BYTES);
            }
            "textcard" => check_textcard(&mut fields)?,
            "news" => {
                if safe {
                    return Err(SimulatedRefusal(40074, "invalid msg type, news cannot be confidential"));
                }
                check_news(&mut fields)?;
            }
            _ => {
                if fields.is_empty() {
                    return Err(NO_CONTENT);
                }
                let checked = card::check_card(&fields, context)?;
                (content.answers, content.task_id) = (checked.answers, checked.task_id);
            }
        }
        // WeCom ignores `safe` for textcard, markdown and cards.
        content.confidential = safe && matches!(kind, "text" | "image" | "voice" | "video" | "file");
        content.fields = Value::Object(fields);
        Ok(content)
    }
}

fn parse_msgtype(name: &str) -> Result<&'static str, SimulatedRefusal> {
    let known = ["text", "image", "file", "voice", "video", "textcard", "news", "markdown", "template_card"];
    known.into_iter().find(|k| *k == name).ok_or(SimulatedRefusal(40008, "invalid message type"))
}

fn check_textcard(fields: &mut Map<String, Value>) -> Result<(), SimulatedRefusal> {
    let title = text_field(fields, "title").ok_or(NO_TITLE)?;
    let description =
        text_field(fields, "description").ok_or(SimulatedRefusal(41033, "missing description"))?;
    check_link(&text_field(fields, "url").ok_or(NO_URL)?)?;
    set_field(fields, "title", truncate_text(&title, MAX_TITLE_BYTES));
    set_field(fields, "description", truncate_text(&description, MAX_DESCRIPTION_BYTES));
    if let Some(button) = text_field(fields, "btntxt") {
        set_field(fields, "btntxt", button.chars().take(MAX_BUTTON_CHARS).collect());
    }
    Ok(())
}

fn check_news(fields: &mut Map<String, Value>) -> Result<(), SimulatedRefusal> {
    let count = SimulatedRefusal(45008, "article size out of limit");
    let articles = fields.get_mut("articles").and_then(Value::as_array_mut).ok_or(count)?;
    if articles.is_empty() || articles.len() > MAX_ARTICLES {
        return Err(SimulatedRefusal(45008, "article size out of limit"));
    }
    for article in articles {
        let article = article.as_object_mut().ok_or(NO_CONTENT)?;
        let title = text_field(article, "title").ok_or(NO_TITLE)?;
        set_field(article, "title", truncate_text(&title, MAX_TITLE_BYTES));
        truncate_field(article, "description", MAX_DESCRIPTION_BYTES);
        match text_field(article, "url") {
            Some(url) => check_link(&url)?,
            None if text_field(article, "appid").is_some() && text_field(article, "pagepath").is_some() => {}
            None => return Err(NO_URL),
        }
        if let Some(picture) = text_field(article, "picurl") {
            check_link(&picture)?;
        }
    }
    Ok(())
}
