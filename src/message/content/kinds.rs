//! The fields of each kind of message, and their limits (WeCom document 90236).
//!
//! A request cannot set `safe`, `enable_id_trans` or anything else that stands beside the content
//! in WeCom's request.

use serde_json::{Map, Value};

use super::ContentReader;
use super::card;
use super::limit::LengthLimit::{Bytes, Chars};
use super::limit::MAX_MEDIA_ID_BYTES;
use super::markup::Markup;
use super::object_reader::ObjectReader;
use super::object_reader::Requirement::{Optional, Required};
use crate::message::MessageKind;

/// Reads the content of a message of this kind and returns what WeCom gets.
pub(super) fn read_content(
    kind: MessageKind,
    object: ObjectReader,
    reader: &mut ContentReader<'_>,
) -> Map<String, Value> {
    object.finish(reader, |object, reader| match kind {
        MessageKind::Text => object.marked_up("content", Required, Bytes(2048), Markup::Html, reader),
        MessageKind::Markdown => object.marked_up("content", Required, Bytes(2048), Markup::Markdown, reader),
        MessageKind::Textcard => {
            object.text("title", Required, Bytes(128), reader);
            object.marked_up("description", Required, Bytes(512), Markup::Html, reader);
            object.link("url", Required, reader);
            object.text("btntxt", Optional, Chars(4), reader);
        }
        MessageKind::News => object.list("articles", (1, 8), reader, read_article),
        MessageKind::TemplateCard => card::read_card(object, reader),
        MessageKind::Image | MessageKind::File => {
            object.id("media_id", Required, Bytes(MAX_MEDIA_ID_BYTES), reader);
        }
    })
}

/// Reads an article, which opens a URL or a page of a mini program.
fn read_article(object: &mut ObjectReader, reader: &mut ContentReader<'_>) {
    object.text("title", Required, Bytes(128), reader);
    object.text("description", Optional, Bytes(512), reader);
    // A field that is wrong must not be reported as missing as well.
    let before = reader.errors.count();
    object.link("url", Optional, reader);
    object.picture("picurl", Optional, reader);
    object.id("appid", Optional, Bytes(128), reader);
    object.id("pagepath", Optional, Bytes(128), reader);
    let opens_page = object.has("appid") && object.has("pagepath");
    if object.has("appid") != object.has("pagepath") {
        reader.errors.add(object.path(), "appid and pagepath belong together");
    } else if reader.errors.count() == before && !object.has("url") && !opens_page {
        reader.errors.add(object.path_of("url"), "is missing, and so are appid and pagepath");
    }
}
