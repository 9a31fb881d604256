//! Template cards: 文本通知 and 图文展示 (WeCom documents 90236 and 101032).

use super::limit::LengthLimit::{Bytes, Chars};
use super::limit::MAX_MEDIA_ID_BYTES;
use super::object_reader::Requirement::{Optional, Required};
use super::object_reader::{NEEDS_CALLBACKS, ObjectReader, Requirement, quote};
use super::{ContentReader, MAX_TASK_ID_BYTES};

pub(super) fn read_card(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    let Some(word) = object.take_text("card_type", true, &mut reader.errors) else { return };
    let is_news = match word.as_str() {
        "text_notice" => false,
        "news_notice" => true,
        "button_interaction" | "vote_interaction" | "multiple_interaction" => {
            let known = "text_notice and news_notice are";
            return reader
                .errors
                .add(object.path_of("card_type"), format!("{word} {NEEDS_CALLBACKS}; {known}"));
        }
        other => {
            let problem = format!("{} is neither text_notice nor news_notice", quote(other));
            return reader.errors.add(object.path_of("card_type"), problem);
        }
    };
    object.insert_text("card_type", &word);
    object.nested("source", reader, read_source);
    object.not_in_this_version("action_menu", reader);
    let title = if is_news { Required } else { Optional };
    // A field that is wrong must not be reported as missing as well.
    let before = reader.errors.count();
    object.nested("main_title", reader, |object, reader| read_main_title(object, title, reader));
    let has_title = object.has_within("main_title", "title");
    if is_news {
        if reader.errors.count() == before && !has_title {
            reader.errors.add(object.path_of("main_title.title"), "is missing");
        }
        let before = reader.errors.count();
        object.nested("card_image", reader, read_card_image);
        object.nested("image_text_area", reader, read_image_text_area);
        if reader.errors.count() == before && !object.has("card_image") && !object.has("image_text_area") {
            reader.errors.add(object.path_of("card_image"), "is missing, and so is image_text_area");
        }
        object.list("vertical_content_list", (0, 4), reader, |object, reader| {
            object.text("title", Required, Chars(38), reader);
            object.text("desc", Optional, Chars(160), reader);
        });
    } else {
        object.nested("emphasis_content", reader, |object, reader| {
            object.text("title", Optional, Chars(14), reader);
            object.text("desc", Optional, Chars(22), reader);
        });
        object.text("sub_title_text", Optional, Chars(160), reader);
        if reader.errors.count() == before && !has_title && !object.has("sub_title_text") {
            reader.errors.add(object.path_of("main_title.title"), "is missing, and so is sub_title_text");
        }
    }
    object.nested("quote_area", reader, |object, reader| {
        read_jump(object, Some(0), reader);
        object.text("title", Optional, Bytes(MAX_QUOTE_BYTES), reader);
        object.text("quote_text", Optional, Bytes(MAX_QUOTE_BYTES), reader);
    });
    object.list("horizontal_content_list", (0, 6), reader, read_horizontal_item);
    object.list("jump_list", (0, 3), reader, |object, reader| {
        read_jump(object, Some(0), reader);
        object.text("title", Required, Chars(18), reader);
    });
    let before = reader.errors.count();
    object.nested("card_action", reader, read_card_action);
    if reader.errors.count() == before && !object.has("card_action") {
        reader.errors.add(object.path_of("card_action"), "is missing");
    }
    read_task_id(object, reader);
}

/// The length of a quotation. WeCom names no limit; this is far more than it shows.
const MAX_QUOTE_BYTES: usize = 2048;

fn read_source(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    object.picture("icon_url", Optional, reader);
    object.text("desc", Optional, Chars(20), reader);
    object.choice("desc_color", &[0, 1, 2, 3], Some(0), reader);
}

fn read_main_title(object: &mut ObjectReader, title: Requirement, reader: &mut ContentReader<'_>) {
    object.text("title", title, Chars(36), reader);
    object.text("desc", Optional, Chars(44), reader);
}

fn read_card_image(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    object.picture("url", Required, reader);
    object.number("aspect_ratio", 1.3, 2.25, reader);
}

fn read_image_text_area(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    read_jump(object, Some(0), reader);
    object.text("title", Optional, Bytes(MAX_QUOTE_BYTES), reader);
    object.text("desc", Optional, Bytes(MAX_QUOTE_BYTES), reader);
    object.picture("image_url", Required, reader);
}

/// Reads what a part of a card opens: nothing, a URL, or a page of a mini program.
fn read_jump(object: &mut ObjectReader, usual: Option<u64>, reader: &mut ContentReader<'_>) {
    let kind = object.choice("type", &[0, 1, 2], usual, reader);
    read_jump_target(object, kind, reader);
}

fn read_jump_target(object: &mut ObjectReader, kind: Option<u64>, reader: &mut ContentReader<'_>) {
    object.link("url", if kind == Some(1) { Required } else { Optional }, reader);
    object.id("appid", if kind == Some(2) { Required } else { Optional }, Bytes(128), reader);
    object.id("pagepath", Optional, Bytes(1024), reader);
}

/// Reads the action of the whole card, which every notice must have.
fn read_card_action(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    let kind = object.choice("type", &[1, 2], None, reader);
    read_jump_target(object, kind, reader);
}

fn read_horizontal_item(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    let kind = object.choice("type", &[0, 1, 2, 3], Some(0), reader);
    let need = |wanted: u64| if kind == Some(wanted) { Required } else { Optional };
    object.text("keyname", Required, Chars(5), reader);
    // For a file the value is its name.
    object.text("value", need(2), Chars(30), reader);
    object.link("url", need(1), reader);
    object.id("media_id", need(2), Bytes(MAX_MEDIA_ID_BYTES), reader);
    object.id("userid", need(3), Bytes(64), reader);
}

fn read_task_id(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    object.id("task_id", Optional, Bytes(MAX_TASK_ID_BYTES), reader);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@');
    if object.made_text("task_id").is_some_and(|id| !id.chars().all(fits)) {
        reader.errors.add(object.path_of("task_id"), "has other characters than 0-9, A-Z, a-z, _, - and @");
    }
}
