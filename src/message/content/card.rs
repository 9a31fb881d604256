//! Template cards: 文本通知 and 图文展示 (WeCom documents 90236 and 101032).

use super::kinds::MEDIA_ID;
use super::limit::Limit::{Bytes, Chars};
use super::part::Need::{Optional, Required};
use super::part::{Need, Part, quoted};
use super::{Desk, TASK_ID};

/// Why a card that is pressed is refused.
pub(super) const NEEDS_CALLBACKS: &str =
    "is not in this version: it needs callbacks, which WeCom would send to us";

/// Reads a card.
pub(super) fn read(part: &mut Part, desk: &mut Desk<'_>) {
    let Some(word) = part.given_text("card_type", true, &mut desk.findings) else { return };
    let is_news = match word.as_str() {
        "text_notice" => false,
        "news_notice" => true,
        "button_interaction" | "vote_interaction" | "multiple_interaction" => {
            let known = "text_notice and news_notice are";
            return desk.findings.add(part.at("card_type"), format!("{word} {NEEDS_CALLBACKS}; {known}"));
        }
        other => {
            let problem = format!("{} is neither text_notice nor news_notice", quoted(other));
            return desk.findings.add(part.at("card_type"), problem);
        }
    };
    part.keep("card_type", &word);
    part.part("source", desk, source);
    part.not_in_this_version("action_menu", desk);
    let title = if is_news { Required } else { Optional };
    let before = desk.findings.count();
    part.part("main_title", desk, |part, desk| main_title(part, title, desk));
    let has_title = part.has_within("main_title", "title");
    if is_news {
        if desk.findings.count() == before && !has_title {
            desk.findings.add(part.at("main_title.title"), "is missing");
        }
        let before = desk.findings.count();
        part.part("card_image", desk, card_image);
        part.part("image_text_area", desk, image_text_area);
        if desk.findings.count() == before && !part.has("card_image") && !part.has("image_text_area") {
            desk.findings.add(part.at("card_image"), "is missing, and so is image_text_area");
        }
        part.list("vertical_content_list", (0, 4), desk, |part, desk| {
            part.text("title", Required, Chars(38), desk);
            part.text("desc", Optional, Chars(160), desk);
        });
    } else {
        part.part("emphasis_content", desk, |part, desk| {
            part.text("title", Optional, Chars(14), desk);
            part.text("desc", Optional, Chars(22), desk);
        });
        part.text("sub_title_text", Optional, Chars(160), desk);
        if desk.findings.count() == before && !has_title && !part.has("sub_title_text") {
            desk.findings.add(part.at("main_title.title"), "is missing, and so is sub_title_text");
        }
    }
    part.part("quote_area", desk, |part, desk| {
        opens(part, Some(0), desk);
        part.text("title", Optional, Bytes(QUOTE), desk);
        part.text("quote_text", Optional, Bytes(QUOTE), desk);
    });
    part.list("horizontal_content_list", (0, 6), desk, horizontal);
    part.list("jump_list", (0, 3), desk, |part, desk| {
        opens(part, Some(0), desk);
        part.text("title", Required, Chars(18), desk);
    });
    let before = desk.findings.count();
    part.part("card_action", desk, card_action);
    if desk.findings.count() == before && !part.has("card_action") {
        desk.findings.add(part.at("card_action"), "is missing");
    }
    task_id(part, desk);
}

/// The length of a quotation; WeCom names none, and this is far beyond what it shows.
const QUOTE: usize = 2048;

fn source(part: &mut Part, desk: &mut Desk<'_>) {
    part.picture("icon_url", Optional, desk);
    part.text("desc", Optional, Chars(20), desk);
    part.choice("desc_color", &[0, 1, 2, 3], Some(0), desk);
}

fn main_title(part: &mut Part, title: Need, desk: &mut Desk<'_>) {
    part.text("title", title, Chars(36), desk);
    part.text("desc", Optional, Chars(44), desk);
}

fn card_image(part: &mut Part, desk: &mut Desk<'_>) {
    part.picture("url", Required, desk);
    part.number("aspect_ratio", 1.3, 2.25, desk);
}

fn image_text_area(part: &mut Part, desk: &mut Desk<'_>) {
    opens(part, Some(0), desk);
    part.text("title", Optional, Bytes(QUOTE), desk);
    part.text("desc", Optional, Bytes(QUOTE), desk);
    part.picture("image_url", Required, desk);
}

/// What a part opens: nothing, a URL, or a page of a mini program.
fn opens(part: &mut Part, usual: Option<u64>, desk: &mut Desk<'_>) {
    let kind = part.choice("type", &[0, 1, 2], usual, desk);
    target(part, kind, desk);
}

fn target(part: &mut Part, kind: Option<u64>, desk: &mut Desk<'_>) {
    part.link("url", if kind == Some(1) { Required } else { Optional }, desk);
    part.id("appid", if kind == Some(2) { Required } else { Optional }, Bytes(128), desk);
    part.id("pagepath", Optional, Bytes(1024), desk);
}

/// A notice opens something wherever it is pressed.
fn card_action(part: &mut Part, desk: &mut Desk<'_>) {
    let kind = part.choice("type", &[1, 2], None, desk);
    target(part, kind, desk);
}

fn horizontal(part: &mut Part, desk: &mut Desk<'_>) {
    let kind = part.choice("type", &[0, 1, 2, 3], Some(0), desk);
    let need = |wanted: u64| if kind == Some(wanted) { Required } else { Optional };
    part.text("keyname", Required, Chars(5), desk);
    // Of a file the value is its name.
    part.text("value", need(2), Chars(30), desk);
    part.link("url", need(1), desk);
    part.id("media_id", need(2), Bytes(MEDIA_ID), desk);
    part.id("userid", need(3), Bytes(64), desk);
}

fn task_id(part: &mut Part, desk: &mut Desk<'_>) {
    part.id("task_id", Optional, Bytes(TASK_ID), desk);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@');
    if part.made_text("task_id").is_some_and(|id| !id.chars().all(fits)) {
        desk.findings.add(part.at("task_id"), "has other characters than 0-9, A-Z, a-z, _, - and @");
    }
}
