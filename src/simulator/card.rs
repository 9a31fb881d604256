//! Checks the fields of a `template_card` and refuses missing or oversized ones as WeCom does (docs
//! 90236, 90313).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::call::SimulatedRefusal;
use super::content_fields::{ContentContext, check_link, text_field};
use super::media::{BAD_MEDIA, UploadKind};

const NO_TITLE: SimulatedRefusal = SimulatedRefusal(42033, "Template_Card title missing");
const NO_LINK: SimulatedRefusal = SimulatedRefusal(42028, "Template_Card url missing");
const NO_APP: SimulatedRefusal = SimulatedRefusal(42030, "Template_Card appid missing");
const BAD_ACTION: SimulatedRefusal = SimulatedRefusal(42045, "Template_Card.card_action missing or invalid");
const BAD_IMAGE: SimulatedRefusal =
    SimulatedRefusal(42044, "Template_Card.card_image.url missing or invalid");
const TEXT_TOO_LONG: SimulatedRefusal = SimulatedRefusal(40058, "invalid Request Parameter, too long");

type CardFields = Map<String, Value>;

/// What the caller needs from a valid card.
#[derive(Debug)]
pub(super) struct CheckedCard {
    pub(super) answers: bool,
    pub(super) task_id: Option<String>,
}

/// Checks a card.
///
/// # Errors
/// 42031 for an unknown card, 43012 for a card that needs a callback URL if the application has
/// none, 42014 to 42051 for a field that is missing or wrong, 40058 for a text that is too long.
pub(super) fn check_card(
    card: &CardFields,
    context: ContentContext,
) -> Result<CheckedCard, SimulatedRefusal> {
    let kind = text_field(card, "card_type").unwrap_or_default();
    let interactive = match kind.as_str() {
        "text_notice" | "news_notice" => false,
        "button_interaction" | "vote_interaction" | "multiple_interaction" => true,
        _ => return Err(SimulatedRefusal(42031, "Template_Card.card_type invalid")),
    };
    let menu = object_field(card, "action_menu");
    let answers = interactive || menu.is_some();
    if answers && context.app.callback_url.is_empty() {
        return Err(SimulatedRefusal(43012, "require callback url"));
    }
    let task_id = check_task_id(card, answers)?;
    if let Some(menu) = menu {
        check_action_menu(menu)?;
    }
    let title = check_head(card)?;
    check_lists(card, context)?;
    check_action(card, interactive)?;
    match kind.as_str() {
        "text_notice" if title.is_none() && text_field(card, "sub_title_text").is_none() => Err(NO_TITLE),
        "text_notice" => Ok(()),
        // A vote needs no title.
        "vote_interaction" => check_vote(card),
        _ if title.is_none() => Err(NO_TITLE),
        "news_notice" => check_news_notice(card),
        "button_interaction" => check_buttons(card),
        _ => check_multiple(card),
    }?;
    Ok(CheckedCard { answers, task_id })
}

fn check_task_id(card: &CardFields, needed: bool) -> Result<Option<String>, SimulatedRefusal> {
    let bad = SimulatedRefusal(42014, "invalid task_id");
    match text_field(card, "task_id") {
        None if needed => Err(bad),
        Some(id)
            if id.len() > 128 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-@".contains(&b)) =>
        {
            Err(bad)
        }
        id => Ok(id),
    }
}

/// Checks source, titles, emphasis and quote. Returns the main title.
fn check_head(card: &CardFields) -> Result<Option<String>, SimulatedRefusal> {
    check_length(object_field(card, "source"), "desc", 20)?;
    let main = object_field(card, "main_title");
    check_length(main, "title", 36)?;
    check_length(main, "desc", 44)?;
    let emphasis = object_field(card, "emphasis_content");
    check_length(emphasis, "title", 14)?;
    check_length(emphasis, "desc", 22)?;
    check_length(Some(card), "sub_title_text", 160)?;
    if let Some(quote) = object_field(card, "quote_area") {
        check_jump(quote)?;
    }
    Ok(main.and_then(|m| text_field(m, "title")))
}

fn check_lists(card: &CardFields, context: ContentContext) -> Result<(), SimulatedRefusal> {
    for row in object_list(card, "horizontal_content_list", 0, 6, 42035)? {
        if text_field(row, "keyname").is_none() {
            return Err(SimulatedRefusal(42027, "Template_Card.horizontal_content_list.keyname missing"));
        }
        check_length(Some(row), "keyname", 5)?;
        check_length(Some(row), "value", 30)?;
        match number_field(row, "type") {
            0 => {}
            1 => check_link(&text_field(row, "url").ok_or(NO_LINK)?)?,
            2 => {
                let id = text_field(row, "media_id")
                    .ok_or(SimulatedRefusal(42029, "Template_Card media_id missing"))?;
                let medium = context.medias.get(&id, context.now);
                medium.filter(|m| m.kind == UploadKind::File).ok_or(BAD_MEDIA)?;
            }
            3 if text_field(row, "userid").is_some() => {}
            3 => {
                return Err(SimulatedRefusal(
                    42050,
                    "Template_Card.horizontal_content_list.userid missing or invalid",
                ));
            }
            _ => {
                return Err(SimulatedRefusal(
                    40058,
                    "invalid Request Parameter, horizontal_content_list.type",
                ));
            }
        }
    }
    for row in object_list(card, "vertical_content_list", 0, 4, 42036)? {
        text_field(row, "title").ok_or(NO_TITLE)?;
        check_length(Some(row), "title", 38)?;
        check_length(Some(row), "desc", 160)?;
    }
    for row in object_list(card, "jump_list", 0, 3, 42042)? {
        text_field(row, "title").ok_or(NO_TITLE)?;
        check_length(Some(row), "title", 18)?;
        check_jump(row)?;
    }
    Ok(())
}

/// Checks `card_action`: a notice needs one, an interactive card does not.
fn check_action(card: &CardFields, interactive: bool) -> Result<(), SimulatedRefusal> {
    match object_field(card, "card_action") {
        None if interactive => Ok(()),
        None => Err(BAD_ACTION),
        Some(action) => match number_field(action, "type") {
            0 if interactive => Ok(()),
            1 | 2 => check_jump(action),
            _ => Err(BAD_ACTION),
        },
    }
}

fn check_news_notice(card: &CardFields) -> Result<(), SimulatedRefusal> {
    let (image, area) = (object_field(card, "card_image"), object_field(card, "image_text_area"));
    if image.is_none() && area.is_none() {
        return Err(BAD_IMAGE);
    }
    if let Some(image) = image {
        check_link(&text_field(image, "url").ok_or(BAD_IMAGE)?)?;
        // Without a ratio WeCom uses 1.3.
        let ratio = image.get("aspect_ratio").map_or(Some(1.3), Value::as_f64);
        if !ratio.is_some_and(|r| (1.3..=2.25).contains(&r)) {
            return Err(BAD_IMAGE);
        }
    }
    if let Some(area) = area {
        check_link(&text_field(area, "image_url").ok_or(BAD_IMAGE)?)?;
        check_jump(area)?;
    }
    Ok(())
}

fn check_buttons(card: &CardFields) -> Result<(), SimulatedRefusal> {
    for button in object_list(card, "button_list", 1, 6, 42038)? {
        require_text(
            button,
            "text",
            10,
            SimulatedRefusal(42038, "Template_Card.button_list.text missing or invalid"),
        )?;
        if number_field(button, "type") == 1 {
            check_link(&text_field(button, "url").ok_or(NO_LINK)?)?;
        } else {
            require_key(
                button,
                "key",
                1024,
                SimulatedRefusal(42039, "Template_Card.button_list.key missing or invalid"),
            )?;
        }
    }
    object_field(card, "button_selection").map_or(Ok(()), |question| check_options(question, 10, 16))
}

fn check_vote(card: &CardFields) -> Result<(), SimulatedRefusal> {
    check_options(object_field(card, "checkbox").ok_or(NO_QUESTION)?, 20, 17)?;
    check_submit_button(card)
}

fn check_multiple(card: &CardFields) -> Result<(), SimulatedRefusal> {
    for question in object_list(card, "select_list", 1, 3, 42047)? {
        check_options(question, 10, 16)?;
    }
    check_submit_button(card)
}

const NO_QUESTION: SimulatedRefusal =
    SimulatedRefusal(42043, "Template_Card.question_key missing or invalid");

fn check_options(question: &CardFields, most: usize, chars: usize) -> Result<(), SimulatedRefusal> {
    text_field(question, "question_key").ok_or(NO_QUESTION)?;
    for option in object_list(question, "option_list", 1, most, 42037)? {
        require_key(
            option,
            "id",
            128,
            SimulatedRefusal(42040, "Template_Card.option_list.id missing or invalid"),
        )?;
        require_text(
            option,
            "text",
            chars,
            SimulatedRefusal(42041, "Template_Card.option_list.text missing or invalid"),
        )?;
    }
    Ok(())
}

fn check_submit_button(card: &CardFields) -> Result<(), SimulatedRefusal> {
    let no_text = SimulatedRefusal(42049, "Template_Card.submit_button.text missing or invalid");
    let Some(button) = object_field(card, "submit_button") else { return Err(no_text) };
    require_text(button, "text", 10, no_text)?;
    require_key(
        button,
        "key",
        1024,
        SimulatedRefusal(42046, "Template_Card.submit_button.key missing or invalid"),
    )
}

fn check_action_menu(menu: &CardFields) -> Result<(), SimulatedRefusal> {
    let mut keys = HashSet::new();
    for action in object_list(menu, "action_list", 1, 3, 40058)? {
        require_text(action, "text", usize::MAX, SimulatedRefusal(42020, "action name missing"))?;
        require_key(action, "key", 1024, SimulatedRefusal(42019, "action key missing"))?;
        if !keys.insert(text_field(action, "key")) {
            return Err(SimulatedRefusal(42051, "Template_Card.action_menu.action_list.key conflict"));
        }
    }
    Ok(())
}

/// Checks where a part leads: type 1 to a page, 2 into a mini program, 0 nowhere.
fn check_jump(part: &CardFields) -> Result<(), SimulatedRefusal> {
    match number_field(part, "type") {
        1 => check_link(&text_field(part, "url").ok_or(NO_LINK)?),
        2 if text_field(part, "appid").is_none() => Err(NO_APP),
        _ => Ok(()),
    }
}

fn object_field<'c>(fields: &'c CardFields, name: &str) -> Option<&'c CardFields> {
    fields.get(name).and_then(Value::as_object)
}

/// Returns the objects of a list; refuses with `errcode` if there are too few or too many.
fn object_list<'c>(
    fields: &'c CardFields,
    name: &str,
    least: usize,
    most: usize,
    errcode: i64,
) -> Result<Vec<&'c CardFields>, SimulatedRefusal> {
    let wrong = || SimulatedRefusal(errcode, "Template_Card list length invalid");
    let list = match fields.get(name) {
        None | Some(Value::Null) => &[],
        Some(list) => list.as_array().ok_or_else(wrong)?.as_slice(),
    };
    if list.len() < least || list.len() > most {
        return Err(wrong());
    }
    list.iter().map(|v| v.as_object().ok_or_else(wrong)).collect()
}

fn number_field(fields: &CardFields, name: &str) -> i64 {
    // -1 is no type, so a value that is no number is refused like an unknown type.
    fields.get(name).map_or(Some(0), Value::as_i64).unwrap_or(-1)
}

/// Checks the length of an optional text, in characters.
fn check_length(fields: Option<&CardFields>, name: &str, chars: usize) -> Result<(), SimulatedRefusal> {
    let there = fields.and_then(|f| f.get(name)).and_then(Value::as_str).unwrap_or_default();
    if there.chars().count() > chars { Err(TEXT_TOO_LONG) } else { Ok(()) }
}

/// Checks a required text of at most `chars` characters.
fn require_text(
    fields: &CardFields,
    name: &str,
    chars: usize,
    wrong: SimulatedRefusal,
) -> Result<(), SimulatedRefusal> {
    match text_field(fields, name) {
        Some(there) if there.chars().count() <= chars => Ok(()),
        _ => Err(wrong),
    }
}

/// Checks a required key of at most `bytes` bytes.
fn require_key(
    fields: &CardFields,
    name: &str,
    bytes: usize,
    wrong: SimulatedRefusal,
) -> Result<(), SimulatedRefusal> {
    match text_field(fields, name) {
        Some(there) if there.len() <= bytes => Ok(()),
        _ => Err(wrong),
    }
}
