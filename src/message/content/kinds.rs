//! Which fields each kind of message has, and their limits (WeCom document 90236).
//!
//! `safe`, `enable_id_trans` and what else stands beside a content in WeCom's request is not part of an order.

use serde_json::{Map, Value};

use super::Desk;
use super::card;
use super::limit::Limit::{Bytes, Chars};
use super::markup::Markup;
use super::part::Need::{Optional, Required};
use super::part::Part;
use crate::message::Kind;

/// The length of a media_id that nobody has exceeded; WeCom names none.
pub(super) const MEDIA_ID: usize = 512;

/// Reads the content of a message of that kind, and makes what WeCom gets.
pub(super) fn read(kind: Kind, part: Part, desk: &mut Desk<'_>) -> Map<String, Value> {
    part.finish(desk, |part, desk| match kind {
        Kind::Text => part.marked_up("content", Required, Bytes(2048), Markup::Html, desk),
        Kind::Markdown => part.marked_up("content", Required, Bytes(2048), Markup::Markdown, desk),
        Kind::Textcard => {
            part.text("title", Required, Bytes(128), desk);
            part.marked_up("description", Required, Bytes(512), Markup::Html, desk);
            part.link("url", Required, desk);
            part.text("btntxt", Optional, Chars(4), desk);
        }
        Kind::News => part.list("articles", (1, 8), desk, article),
        Kind::TemplateCard => card::read(part, desk),
        Kind::Image | Kind::File => part.id("media_id", Required, Bytes(MEDIA_ID), desk),
    })
}

/// An article opens a URL or a page of a mini program.
fn article(part: &mut Part, desk: &mut Desk<'_>) {
    part.text("title", Required, Bytes(128), desk);
    part.text("description", Optional, Bytes(512), desk);
    let before = desk.findings.count();
    part.link("url", Optional, desk);
    part.picture("picurl", Optional, desk);
    part.id("appid", Optional, Bytes(128), desk);
    part.id("pagepath", Optional, Bytes(128), desk);
    let opens_page = part.has("appid") && part.has("pagepath");
    if part.has("appid") != part.has("pagepath") {
        desk.findings.add(part.path(), "appid and pagepath belong together");
    } else if desk.findings.count() == before && !part.has("url") && !opens_page {
        desk.findings.add(part.at("url"), "is missing, and so are appid and pagepath");
    }
}
