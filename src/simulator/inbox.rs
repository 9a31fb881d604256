//! `/phone/inbox`: the messages of the person who holds the phone.

use std::collections::HashMap;

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

use super::bubble::Bubble;
use super::link_query::append_link_query;
use super::mailbox::{self, InboxMessage};
use super::page::{RefusalPage, SimulatorPage, first_letter, render_page};
use super::phone::{member_cookie_header, phone_holder};
use super::state::SimulatorContext;
use super::world::World;
use super::{MARKER, Simulator};

/// Messages on one page.
const PAGE_MESSAGES: usize = 50;
/// China's offset from UTC.
const CHINA_OFFSET_SECONDS: i32 = 8 * 3600;

/// A message on the page.
#[derive(Debug)]
struct InboxEntry {
    app: String,
    letter: String,
    time: String,
    confidential: bool,
    /// `None` for a recalled message.
    shown: Option<Bubble>,
}

/// The newest messages, oldest first.
#[derive(Debug, Template)]
#[template(path = "simulator/inbox.html", config = "static/askama.toml")]
struct InboxPage {
    marker: &'static str,
    corp: String,
    holder: String,
    version: String,
    entries: Vec<InboxEntry>,
    /// The `?before=` of the link to earlier messages; 0 if there are none.
    earlier: usize,
    /// The page shows the newest messages, so it refreshes itself.
    newest: bool,
}

impl SimulatorPage for InboxPage {
    const PICTURES: bool = true;
}

/// Shows the inbox and marks everything as seen. `?before=N` shows the messages before the `N`th.
pub(super) async fn show_inbox(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let before: Option<usize> = query.get("before").and_then(|n| n.parse().ok());
    let (page, who) = sim.with_world(|i| {
        let who = phone_holder(&headers, i.world).unwrap_or_default();
        let count = i.mailboxes.count(&who);
        let end = before.map_or(count, |n| n.min(count));
        let first = end.saturating_sub(PAGE_MESSAGES);
        let messages = i.mailboxes.messages(&who, first, i.began).into_iter().take(end - first);
        let entries: Vec<InboxEntry> = messages.map(|l| build_entry(l, i)).collect();
        // Only the newest page counts as looking at the inbox.
        if before.is_none() {
            i.mailboxes.mark_seen(&who);
        }
        let page = InboxPage {
            marker: MARKER,
            corp: i.world.corp_name.clone(),
            holder: i.world.name_of(&who).unwrap_or_default().to_owned(),
            version: inbox_version(i, &who),
            entries,
            earlier: first,
            newest: before.is_none(),
        };
        (page, who)
    });
    let mut response = render_page(&page);
    response.headers_mut().extend(member_cookie_header(&who).filter(|_| !who.is_empty()));
    response
}

fn build_entry(
    mailbox::InboxItem { mut message, recalled }: mailbox::InboxItem,
    context: &SimulatorContext,
) -> InboxEntry {
    let app = context.world.apps().find(|app| app.agent_id == message.agent_id);
    if let Some(app) = app.filter(|app| !app.link_query.is_empty()) {
        message.content = append_link_query(&message.content, app);
    }
    let app = app_name(context.world, message.agent_id);
    InboxEntry {
        letter: first_letter(&app),
        app,
        time: format_time(&message),
        confidential: message.confidential,
        shown: (!recalled).then(|| Bubble::from_message(&message, context.view, context.medias, context.now)),
    }
}

/// Answers [`Simulator::inbox`] as JSON: of `?userid=`, else of the person who holds the phone.
///
/// The fields are described in `mod.rs`.
pub(super) async fn answer_inbox_json(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let who = query.get("userid").cloned().or_else(|| sim.with_world(|i| phone_holder(&headers, i.world)));
    let messages = sim.inbox(&who.unwrap_or_default());
    let list: Vec<Value> = sim.read(|world| {
        let one = |l: InboxMessage| {
            json!({
                "msgid": l.msgid,
                "agentid": l.agent_id,
                "app": app_name(world, l.agent_id),
                "msgtype": l.kind,
                "content": l.content,
                "safe": i32::from(l.confidential),
                "at": l.at_ms,
            })
        };
        messages.into_iter().map(one).collect()
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(list)).into_response()
}

/// Answers what the pages poll every second: the number of new messages, and a version that changes
/// with the inbox.
pub(super) async fn answer_unread(Extract(sim): Extract<Simulator>, headers: HeaderMap) -> Response {
    let answer = sim.with_world(|i| {
        let who = phone_holder(&headers, i.world).unwrap_or_default();
        json!({"unread": i.mailboxes.unread(&who).0, "version": inbox_version(i, &who)})
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// Serves an upload by its `media_id`.
pub(super) async fn show_media(Extract(sim): Extract<Simulator>, Path(id): Path<String>) -> Response {
    sim.with_world(|i| i.medias.get(&id, i.now).map(|m| m.answer(true))).unwrap_or_else(|| {
        let gone = RefusalPage::error(40007, "文件已过期", "临时素材只保留三天。");
        (StatusCode::NOT_FOUND, gone).into_response()
    })
}

fn inbox_version(context: &SimulatorContext, who: &str) -> String {
    format!("{who} {}", context.mailboxes.unread(who).1)
}

fn app_name(world: &World, agent_id: i64) -> String {
    world.find_app(agent_id).map_or_else(|| "已删除的应用".to_owned(), |a| a.name.clone())
}

/// Formats the time in China: `11月23日 08:15`.
fn format_time(message: &InboxMessage) -> String {
    let at = i64::try_from(message.at_ms).ok().and_then(DateTime::from_timestamp_millis);
    let zone = FixedOffset::east_opt(CHINA_OFFSET_SECONDS);
    let at = at.zip(zone).map(|(at, zone)| at.with_timezone(&zone));
    at.map(|at| at.format("%-m月%-d日 %H:%M").to_string()).unwrap_or_default()
}
