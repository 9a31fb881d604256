//! The fields of a `template_card` and what WeCom says to those that are missing or too long (docs 90236, 90313).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::api::Refusal;
use super::content::{Against, BAD_MEDIA, link, text};
use super::media::Kind;

const NO_TITLE: Refusal = Refusal(42033, "Template_Card title missing");
const NO_LINK: Refusal = Refusal(42028, "Template_Card url missing");
const NO_APP: Refusal = Refusal(42030, "Template_Card appid missing");
const BAD_ACTION: Refusal = Refusal(42045, "Template_Card.card_action missing or invalid");
const BAD_IMAGE: Refusal = Refusal(42044, "Template_Card.card_image.url missing or invalid");
const TOO_LONG: Refusal = Refusal(40058, "invalid Request Parameter, too long");

type Fields = Map<String, Value>;

/// What is to be known of a card that is good.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) answers: bool,
    pub(super) task_id: Option<String>,
}

/// # Errors
/// 42031 for an unknown card, 43012 for one that needs a callback URL the application has not, 42014 to 42051
/// for a field that is missing or wrong, 40058 for a text that is too long.
pub(super) fn check(card: &Fields, against: Against) -> Result<Checked, Refusal> {
    let kind = text(card, "card_type").unwrap_or_default();
    let interactive = match kind.as_str() {
        "text_notice" | "news_notice" => false,
        "button_interaction" | "vote_interaction" | "multiple_interaction" => true,
        _ => return Err(Refusal(42031, "Template_Card.card_type invalid")),
    };
    let menu = object(card, "action_menu");
    let answers = interactive || menu.is_some();
    if answers && against.app.callback_url.is_empty() {
        return Err(Refusal(43012, "require callback url"));
    }
    let task_id = task(card, answers)?;
    if let Some(menu) = menu {
        action_menu(menu)?;
    }
    let title = head(card)?;
    lists(card, against)?;
    action(card, interactive)?;
    match kind.as_str() {
        "text_notice" if title.is_none() && text(card, "sub_title_text").is_none() => Err(NO_TITLE),
        "text_notice" => Ok(()),
        "vote_interaction" => vote(card),
        _ if title.is_none() => Err(NO_TITLE),
        "news_notice" => news_notice(card),
        "button_interaction" => buttons(card),
        _ => multiple(card),
    }?;
    Ok(Checked { answers, task_id })
}

fn task(card: &Fields, needed: bool) -> Result<Option<String>, Refusal> {
    let bad = Refusal(42014, "invalid task_id");
    match text(card, "task_id") {
        None if needed => Err(bad),
        Some(id)
            if id.len() > 128 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-@".contains(&b)) =>
        {
            Err(bad)
        }
        id => Ok(id),
    }
}

/// Source, titles, emphasis and quote; gives the main title.
fn head(card: &Fields) -> Result<Option<String>, Refusal> {
    short(object(card, "source"), "desc", 20)?;
    let main = object(card, "main_title");
    short(main, "title", 36)?;
    short(main, "desc", 44)?;
    let emphasis = object(card, "emphasis_content");
    short(emphasis, "title", 14)?;
    short(emphasis, "desc", 22)?;
    short(Some(card), "sub_title_text", 160)?;
    if let Some(quote) = object(card, "quote_area") {
        leads(quote)?;
    }
    Ok(main.and_then(|m| text(m, "title")))
}

fn lists(card: &Fields, against: Against) -> Result<(), Refusal> {
    for row in objects(card, "horizontal_content_list", 0, 6, 42035)? {
        if text(row, "keyname").is_none() {
            return Err(Refusal(42027, "Template_Card.horizontal_content_list.keyname missing"));
        }
        short(Some(row), "keyname", 5)?;
        short(Some(row), "value", 30)?;
        match number(row, "type") {
            0 => {}
            1 => link(&text(row, "url").ok_or(NO_LINK)?)?,
            2 => {
                let id = text(row, "media_id").ok_or(Refusal(42029, "Template_Card media_id missing"))?;
                let medium = against.medias.get(&id, against.now);
                medium.filter(|m| m.kind == Kind::File).ok_or(BAD_MEDIA)?;
            }
            3 if text(row, "userid").is_some() => {}
            3 => {
                return Err(Refusal(
                    42050,
                    "Template_Card.horizontal_content_list.userid missing or invalid",
                ));
            }
            _ => return Err(Refusal(40058, "invalid Request Parameter, horizontal_content_list.type")),
        }
    }
    for row in objects(card, "vertical_content_list", 0, 4, 42036)? {
        text(row, "title").ok_or(NO_TITLE)?;
        short(Some(row), "title", 38)?;
        short(Some(row), "desc", 160)?;
    }
    for row in objects(card, "jump_list", 0, 3, 42042)? {
        text(row, "title").ok_or(NO_TITLE)?;
        short(Some(row), "title", 18)?;
        leads(row)?;
    }
    Ok(())
}

/// `card_action`: a notice leads somewhere, an interactive card may.
fn action(card: &Fields, interactive: bool) -> Result<(), Refusal> {
    match object(card, "card_action") {
        None if interactive => Ok(()),
        None => Err(BAD_ACTION),
        Some(action) => match number(action, "type") {
            0 if interactive => Ok(()),
            1 | 2 => leads(action),
            _ => Err(BAD_ACTION),
        },
    }
}

fn news_notice(card: &Fields) -> Result<(), Refusal> {
    let (image, area) = (object(card, "card_image"), object(card, "image_text_area"));
    if image.is_none() && area.is_none() {
        return Err(BAD_IMAGE);
    }
    if let Some(image) = image {
        link(&text(image, "url").ok_or(BAD_IMAGE)?)?;
        let ratio = image.get("aspect_ratio").map_or(Some(1.3), Value::as_f64);
        if !ratio.is_some_and(|r| (1.3..=2.25).contains(&r)) {
            return Err(BAD_IMAGE);
        }
    }
    if let Some(area) = area {
        link(&text(area, "image_url").ok_or(BAD_IMAGE)?)?;
        leads(area)?;
    }
    Ok(())
}

fn buttons(card: &Fields) -> Result<(), Refusal> {
    for button in objects(card, "button_list", 1, 6, 42038)? {
        named(button, "text", 10, Refusal(42038, "Template_Card.button_list.text missing or invalid"))?;
        if number(button, "type") == 1 {
            link(&text(button, "url").ok_or(NO_LINK)?)?;
        } else {
            key(button, "key", 1024, Refusal(42039, "Template_Card.button_list.key missing or invalid"))?;
        }
    }
    object(card, "button_selection").map_or(Ok(()), |question| options(question, 10, 16))
}

fn vote(card: &Fields) -> Result<(), Refusal> {
    options(object(card, "checkbox").ok_or(NO_QUESTION)?, 20, 17)?;
    submit(card)
}

fn multiple(card: &Fields) -> Result<(), Refusal> {
    for question in objects(card, "select_list", 1, 3, 42047)? {
        options(question, 10, 16)?;
    }
    submit(card)
}

const NO_QUESTION: Refusal = Refusal(42043, "Template_Card.question_key missing or invalid");

fn options(question: &Fields, most: usize, chars: usize) -> Result<(), Refusal> {
    text(question, "question_key").ok_or(NO_QUESTION)?;
    for option in objects(question, "option_list", 1, most, 42037)? {
        key(option, "id", 128, Refusal(42040, "Template_Card.option_list.id missing or invalid"))?;
        named(option, "text", chars, Refusal(42041, "Template_Card.option_list.text missing or invalid"))?;
    }
    Ok(())
}

fn submit(card: &Fields) -> Result<(), Refusal> {
    let no_text = Refusal(42049, "Template_Card.submit_button.text missing or invalid");
    let Some(button) = object(card, "submit_button") else { return Err(no_text) };
    named(button, "text", 10, no_text)?;
    key(button, "key", 1024, Refusal(42046, "Template_Card.submit_button.key missing or invalid"))
}

fn action_menu(menu: &Fields) -> Result<(), Refusal> {
    let mut keys = HashSet::new();
    for action in objects(menu, "action_list", 1, 3, 40058)? {
        named(action, "text", usize::MAX, Refusal(42020, "action name missing"))?;
        key(action, "key", 1024, Refusal(42019, "action key missing"))?;
        if !keys.insert(text(action, "key")) {
            return Err(Refusal(42051, "Template_Card.action_menu.action_list.key conflict"));
        }
    }
    Ok(())
}

/// Type 1 leads to a page, 2 into a mini program, 0 nowhere.
fn leads(part: &Fields) -> Result<(), Refusal> {
    match number(part, "type") {
        1 => link(&text(part, "url").ok_or(NO_LINK)?),
        2 if text(part, "appid").is_none() => Err(NO_APP),
        _ => Ok(()),
    }
}

fn object<'c>(fields: &'c Fields, name: &str) -> Option<&'c Fields> {
    fields.get(name).and_then(Value::as_object)
}

/// The objects of a list, `errcode` unless there are so many.
fn objects<'c>(
    fields: &'c Fields,
    name: &str,
    least: usize,
    most: usize,
    errcode: i64,
) -> Result<Vec<&'c Fields>, Refusal> {
    let wrong = || Refusal(errcode, "Template_Card list length invalid");
    let list = match fields.get(name) {
        None | Some(Value::Null) => &[],
        Some(list) => list.as_array().ok_or_else(wrong)?.as_slice(),
    };
    if list.len() < least || list.len() > most {
        return Err(wrong());
    }
    list.iter().map(|v| v.as_object().ok_or_else(wrong)).collect()
}

fn number(fields: &Fields, name: &str) -> i64 {
    fields.get(name).map_or(Some(0), Value::as_i64).unwrap_or(-1)
}

/// A text of at most so many characters, if it is there.
fn short(fields: Option<&Fields>, name: &str, chars: usize) -> Result<(), Refusal> {
    let there = fields.and_then(|f| f.get(name)).and_then(Value::as_str).unwrap_or_default();
    if there.chars().count() > chars { Err(TOO_LONG) } else { Ok(()) }
}

/// The same for a text that must be there.
fn named(fields: &Fields, name: &str, chars: usize, wrong: Refusal) -> Result<(), Refusal> {
    match text(fields, name) {
        Some(there) if there.chars().count() <= chars => Ok(()),
        _ => Err(wrong),
    }
}

/// A key of at most so many bytes that must be there.
fn key(fields: &Fields, name: &str, bytes: usize, wrong: Refusal) -> Result<(), Refusal> {
    match text(fields, name) {
        Some(there) if there.len() <= bytes => Ok(()),
        _ => Err(wrong),
    }
}
