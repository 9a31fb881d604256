//! Which fields each kind of message has, and their limits (WeCom document 90236).
//!
//! `safe`, `enable_id_trans` and what else stands beside a content in WeCom's request is not part of an order.

use serde_json::{Map, Value};

use super::ContentReader;
use super::card;
use super::limit::LengthLimit::{Bytes, Chars};
use super::markup::Markup;
use super::object_reader::ObjectReader;
use super::object_reader::Requirement::{Optional, Required};
use crate::message::MessageKind;

/// The length of a media_id that nobody has exceeded; WeCom names none.
pub(super) const MAX_MEDIA_ID_BYTES: usize = 512;

/// Reads the content of a message of that kind, and makes what WeCom gets.
pub(super) fn read_content(
    kind: MessageKind,
    part: ObjectReader,
    desk: &mut ContentReader<'_>,
) -> Map<String, Value> {
    part.finish(desk, |part, desk| match kind {
        MessageKind::Text => part.marked_up("content", Required, Bytes(2048), Markup::Html, desk),
        MessageKind::Markdown => part.marked_up("content", Required, Bytes(2048), Markup::Markdown, desk),
        MessageKind::Textcard => {
            part.text("title", Required, Bytes(128), desk);
            part.marked_up("description", Required, Bytes(512), Markup::Html, desk);
            part.link("url", Required, desk);
            part.text("btntxt", Optional, Chars(4), desk);
        }
        MessageKind::News => part.list("articles", (1, 8), desk, read_article),
        MessageKind::TemplateCard => card::read_card(part, desk),
        MessageKind::Image | MessageKind::File => {
            part.id("media_id", Required, Bytes(MAX_MEDIA_ID_BYTES), desk)
        }
    })
}

/// An article opens a URL or a page of a mini program.
fn read_article(part: &mut ObjectReader, desk: &mut ContentReader<'_>) {
    part.text("title", Required, Bytes(128), desk);
    part.text("description", Optional, Bytes(512), desk);
    let before = desk.errors.count();
    part.link("url", Optional, desk);
    part.picture("picurl", Optional, desk);
    part.id("appid", Optional, Bytes(128), desk);
    part.id("pagepath", Optional, Bytes(128), desk);
    let opens_page = part.has("appid") && part.has("pagepath");
    if part.has("appid") != part.has("pagepath") {
        desk.errors.add(part.path(), "appid and pagepath belong together");
    } else if desk.errors.count() == before && !part.has("url") && !opens_page {
        desk.errors.add(part.path_of("url"), "is missing, and so are appid and pagepath");
    }
}
