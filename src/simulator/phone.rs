//! The phone: who holds it, its workbench, and the scans that it may confirm.

use std::collections::HashMap;

use axum::extract::{Form, Json, Query, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

use super::bubble::Bubble;
use super::page::{ConfirmPage, PhonePage, RefusalPage, render_page};
use super::scan::ScanError;
use super::state::{SimulatorContext, SimulatorState};
use super::world::{PhoneHolder, World};
use super::{MEMBER_HEADER, Simulator};

/// The cookie with the person who holds the phone. A browser with this cookie counts as the in-app
/// one.
const MEMBER_COOKIE: &str = "wecom-simulator-member";

/// The person who looks at a page that opens only inside WeCom.
pub(super) enum PhoneUser {
    /// The browser is neither WeCom's by User-Agent, nor was the page opened from the phone page.
    NotWeCom,
    Nobody,
    Cancels,
    /// A userid, openid or `CorpId/userid`.
    Person(String),
}

/// Reads who holds the phone: from the header of a test, the cookie of the phone page, or the
/// world.
pub(super) fn identify_phone_user(headers: &HeaderMap, world: &World) -> PhoneUser {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let agent = text("user-agent").unwrap_or_default().to_ascii_lowercase();
    let in_app = agent.contains("wxwork") || agent.contains("micromessenger");
    // Only with WeCom's User-Agent, so that a test has to look like WeCom's browser.
    if in_app && let Some(who) = text(MEMBER_HEADER) {
        return if who == "cancel" { PhoneUser::Cancels } else { PhoneUser::Person(who.to_owned()) };
    }
    if let Some(who) = member_from_cookie(headers, world) {
        return PhoneUser::Person(who);
    }
    match &world.phone {
        // A browser without the cookie never opened the phone page.
        _ if !in_app => PhoneUser::NotWeCom,
        PhoneHolder::Person(who) => PhoneUser::Person(who.clone()),
        PhoneHolder::Cancels => PhoneUser::Cancels,
        PhoneHolder::Nobody => PhoneUser::Nobody,
    }
}

/// Returns the person of the cookie if the world still has them.
fn member_from_cookie(headers: &HeaderMap, world: &World) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    let pairs = all.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| *name == MEMBER_COOKIE)?;
    let who = urlencoding::decode(value).ok()?.into_owned();
    // A deleted person no longer holds the phone.
    world.name_of(&who).is_some().then_some(who)
}

pub(super) fn member_cookie_header(who: &str) -> Option<(header::HeaderName, HeaderValue)> {
    let text = format!("{MEMBER_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax", urlencoding::encode(who));
    HeaderValue::from_str(&text).ok().map(|v| (header::SET_COOKIE, v))
}

/// Returns who holds the phone page: the person of the cookie, else of the world.
pub(super) fn phone_holder(headers: &HeaderMap, world: &World) -> Option<String> {
    member_from_cookie(headers, world).or_else(|| match &world.phone {
        PhoneHolder::Person(who) => Some(who.clone()),
        PhoneHolder::Cancels | PhoneHolder::Nobody => None,
    })
}

/// Shows the home screen, and turns the browser into the in-app one.
pub(super) async fn show_phone(Extract(sim): Extract<Simulator>, headers: HeaderMap) -> Response {
    let (page, who) = sim.with_world(|i| {
        let who = phone_holder(&headers, i.world);
        let unread =
            who.as_deref().map(|w| (i.mailboxes.unread(w).0, last_message_line(i, w))).unwrap_or_default();
        (PhonePage::new(i.view, who.as_deref(), i.scans.pending(i.now), unread), who)
    });
    let mut response = render_page(&page);
    response.headers_mut().extend(who.as_deref().and_then(member_cookie_header));
    response
}

/// Returns one line of the newest message.
fn last_message_line(context: &SimulatorContext, who: &str) -> String {
    let newest = context.mailboxes.count(who).saturating_sub(1);
    let newest = context.mailboxes.messages(who, newest, context.began).pop();
    newest.map_or_else(String::new, |s| {
        if s.recalled { RECALLED_TEXT.to_owned() } else { Bubble::summary(&s.message) }
    })
}

/// The text in place of a recalled message.
const RECALLED_TEXT: &str = "撤回了一条消息";

/// Hands the phone to another person (form field `member`).
pub(super) async fn choose_member(
    Extract(sim): Extract<Simulator>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let who = form.get("member").map(|who| who.trim()).unwrap_or_default();
    if sim.with_world(|i| i.world.name_of(who).is_none()) {
        return (StatusCode::BAD_REQUEST, RefusalPage::error(0, "没有这个成员", "请返回后重新选择。"))
            .into_response();
    }
    let mut response = Redirect::to("/phone").into_response();
    response.headers_mut().extend(member_cookie_header(who));
    response
}

/// Answers the scans that wait: `[{"id","pairing","state","app"}]`.
pub(super) async fn list_scans(Extract(sim): Extract<Simulator>) -> Response {
    let now = sim.inner.clock.now();
    let SimulatorState { world, scans, .. } = &mut *sim.inner.state.lock();
    let app = |id: i64| world.find_app(id).map(|a| a.name.clone());
    let list: Vec<_> = scans
        .pending(now)
        .into_iter()
        .map(|s| json!({"id": s.id, "pairing": s.pairing, "state": s.state, "app": app(s.agent_id)}))
        .collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(list)).into_response()
}

/// Shows the confirmation after a scan. `?scan=` is an id, a pairing number or a state.
pub(super) async fn show_scan(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let key = query.get("scan").map(String::as_str).unwrap_or_default();
    let now = sim.inner.clock.now();
    let SimulatorState { world, scans, .. } = &mut *sim.inner.state.lock();
    scans.scanned(key, now);
    let Some((scan, progress)) = scans.progress(key, now) else {
        return (
            StatusCode::NOT_FOUND,
            RefusalPage::error(0, "二维码已失效", "请刷新电脑上的二维码后重试。"),
        )
            .into_response();
    };
    let who = phone_holder(&headers, world);
    let mut response = render_page(&ConfirmPage::new(world, who.as_deref(), &scan, &progress));
    response.headers_mut().extend(who.as_deref().and_then(member_cookie_header));
    response
}

/// Confirms or declines a scan.
///
/// Form fields: `scan`, `decision` (`confirm` or `cancel`), and `member` for a caller without the
/// cookie.
pub(super) async fn decide_scan(
    Extract(sim): Extract<Simulator>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let get = |name: &str| form.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let key = get("scan").unwrap_or_default();
    let who =
        get("member").map(str::to_owned).or_else(|| sim.with_world(|i| phone_holder(&headers, i.world)));
    let decided = match (get("decision"), who) {
        (Some("confirm"), Some(who)) => sim.confirm_scan(key, &who),
        (Some("cancel"), _) => sim.cancel_scan(key),
        _ => return StatusCode::BAD_REQUEST.into_response(),
    };
    match decided {
        Err(ScanError::Unknown) => {
            (StatusCode::NOT_FOUND, RefusalPage::error(0, "二维码已失效", "请刷新电脑上的二维码后重试。"))
                .into_response()
        }
        // The confirmation page shows the outcome.
        Ok(_) | Err(ScanError::Expired | ScanError::Decided | ScanError::NotVisible) => {
            Redirect::to(&format!("/phone/confirm?scan={}", urlencoding::encode(key))).into_response()
        }
    }
}
