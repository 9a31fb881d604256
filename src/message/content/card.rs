//! Template cards: 文本通知 and 图文展示 (WeCom documents 90236 and 101032).

use super::kinds::MAX_MEDIA_ID_BYTES;
use super::limit::LengthLimit::{Bytes, Chars};
use super::object_reader::Requirement::{Optional, Required};
use super::object_reader::{ObjectReader, Requirement, quote};
use super::{ContentReader, MAX_TASK_ID_BYTES};

/// Why a card that is pressed is refused.
pub(super) const NEEDS_CALLBACKS: &str =
    "is not in this version: it needs callbacks, which WeCom would send to us";

/// Reads a card.
pub(super) fn read_card(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    let Some(word) = part.take_text("card_type", true, &mut desk.errors) else { return };
    let is_news = match word.as_str() {
        "text_notice" => false,
        "news_notice" => true,
        "button_interaction" | "vote_interaction" | "multiple_interaction" => {
            let known = "text_notice and news_notice are";
            return desk.errors.add(part.path_of("card_type"), format!("{word} {NEEDS_CALLBACKS}; {known}"));
        }
        other => {
            let problem = format!("{} is neither text_notice nor news_notice", quote(other));
            return desk.errors.add(part.path_of("card_type"), problem);
        }
    };
    part.insert_text("card_type", &word);
    part.nested("source", desk, read_source);
    part.not_in_this_version("action_menu", desk);
    let title = if is_news { Required } else { Optional };
    let before = desk.errors.count();
    part.nested("main_title", desk, |part, desk| read_main_title(part, title, desk));
    let has_title = part.has_within("main_title", "title");
    if is_news {
        if desk.errors.count() == before && !has_title {
            desk.errors.add(part.path_of("main_title.title"), "is missing");
        }
        let before = desk.errors.count();
        part.nested("card_image", desk, read_card_image);
        part.nested("image_text_area", desk, read_image_text_area);
        if desk.errors.count() == before && !part.has("card_image") && !part.has("image_text_area") {
            desk.errors.add(part.path_of("card_image"), "is missing, and so is image_text_area");
        }
        part.list("vertical_content_list", (0, 4), desk, |part, desk| {
            part.text("title", Required, Chars(38), desk);
            part.text("desc", Optional, Chars(160), desk);
        });
    } else {
        part.nested("emphasis_content", desk, |part, desk| {
            part.text("title", Optional, Chars(14), desk);
            part.text("desc", Optional, Chars(22), desk);
        });
        part.text("sub_title_text", Optional, Chars(160), desk);
        if desk.errors.count() == before && !has_title && !part.has("sub_title_text") {
            desk.errors.add(part.path_of("main_title.title"), "is missing, and so is sub_title_text");
        }
    }
    part.nested("quote_area", desk, |part, desk| {
        read_jump(part, Some(0), desk);
        part.text("title", Optional, Bytes(MAX_QUOTE_BYTES), desk);
        part.text("quote_text", Optional, Bytes(MAX_QUOTE_BYTES), desk);
    });
    part.list("horizontal_content_list", (0, 6), desk, read_horizontal_item);
    part.list("jump_list", (0, 3), desk, |part, desk| {
        read_jump(part, Some(0), desk);
        part.text("title", Required, Chars(18), desk);
    });
    let before = desk.errors.count();
    part.nested("card_action", desk, read_card_action);
    if desk.errors.count() == before && !part.has("card_action") {
        desk.errors.add(part.path_of("card_action"), "is missing");
    }
    read_task_id(part, desk);
}

/// The length of a quotation; WeCom names none, and this is far beyond what it shows.
const MAX_QUOTE_BYTES: usize = 2048;

fn read_source(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    part.picture("icon_url", Optional, desk);
    part.text("desc", Optional, Chars(20), desk);
    part.choice("desc_color", &[0, 1, 2, 3], Some(0), desk);
}

fn read_main_title(part: &mut ObjectReader, title: Requirement, desk: &mut ContentReader<'_>) {
    part.text("title", title, Chars(36), desk);
    part.text("desc", Optional, Chars(44), desk);
}

fn read_card_image(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    part.picture("url", Required, desk);
    part.number("aspect_ratio", 1.3, 2.25, desk);
}

fn read_image_text_area(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    read_jump(part, Some(0), desk);
    part.text("title", Optional, Bytes(MAX_QUOTE_BYTES), desk);
    part.text("desc", Optional, Bytes(MAX_QUOTE_BYTES), desk);
    part.picture("image_url", Required, desk);
}

/// What a part opens: nothing, a URL, or a page of a mini program.
fn read_jump(part: &mut ObjectReader, usual: Option<u64>, desk: &mut ContentReader<'_>) {
    let kind = part.choice("type", &[0, 1, 2], usual, desk);
    read_jump_target(part, kind, desk);
}

fn read_jump_target(part: &mut ObjectReader, kind: Option<u64>, desk: &mut ContentReader<'_>) {
    part.link("url", if kind == Some(1) { Required } else { Optional }, desk);
    part.id("appid", if kind == Some(2) { Required } else { Optional }, Bytes(128), desk);
    part.id("pagepath", Optional, Bytes(1024), desk);
}

/// A notice opens something wherever it is pressed.
fn read_card_action(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    let kind = part.choice("type", &[1, 2], None, desk);
    read_jump_target(part, kind, desk);
}

fn read_horizontal_item(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    let kind = part.choice("type", &[0, 1, 2, 3], Some(0), desk);
    let need = |wanted: u64| if kind == Some(wanted) { Required } else { Optional };
    part.text("keyname", Required, Chars(5), desk);
    // Of a file the value is its name.
    part.text("value", need(2), Chars(30), desk);
    part.link("url", need(1), desk);
    part.id("media_id", need(2), Bytes(MAX_MEDIA_ID_BYTES), desk);
    part.id("userid", need(3), Bytes(64), desk);
}

fn read_task_id(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    part.id("task_id", Optional, Bytes(MAX_TASK_ID_BYTES), desk);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@');
    if part.made_text("task_id").is_some_and(|id| !id.chars().all(fits)) {
        desk.errors.add(part.path_of("task_id"), "has other characters than 0-9, A-Z, a-z, _, - and @");
    }
}
