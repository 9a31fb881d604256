//! The fragment of a page that was refused (`/#/todo/3`), which no request has: only a script in the browser can carry
//! it on.
//!
//! A browser keeps it over the gate's redirects, on its own. It reaches the scan page, whose script begins anew with it
//! inside the target. Where no page of ours is seen, inside WeCom and on the way of somebody who is signed in already, it
//! would be lost to the fragment of the last Location; so on the hosts of `login.hash_routes` a start first answers a
//! page of one script that does the same.

use axum::response::Response;

use super::entrance::{self, asked};
use super::target::{self, Target};
use super::{Sso, query};
use crate::base::url::encode;
use crate::http::browser::Browser;
use crate::http::visit::Visit;

/// The parameter of a start that the script was asked about already.
const SCRIPT_ASKED: &str = "fragment";

/// What a start keeps when it is made again.
const KEPT_FLAGS: [&str; 3] = ["again", "r", "a"];

impl Sso {
    /// The page that answers a start inside WeCom, where the target may have a fragment.
    ///
    /// A hand-off has none to find: its own host, where the browser was before, has asked.
    pub(super) fn ask_for_fragment(&self, visit: &Visit, target: &Target) -> Option<Response> {
        let wanted = visit.browser == Browser::WeCom && matches!(target, Target::Page(..));
        wanted.then(|| self.hand_on(visit, target)).flatten()
    }

    /// The same on the way of somebody who is signed in already; inside WeCom the start has asked.
    pub(super) fn ask_before_going_on(&self, visit: &Visit, target: &Target) -> Option<Response> {
        (visit.browser != Browser::WeCom).then(|| self.hand_on(visit, target)).flatten()
    }

    fn hand_on(&self, visit: &Visit, target: &Target) -> Option<Response> {
        let page = target.page();
        let unknown = !page.has_fragment() && !visit.query.flag(SCRIPT_ASKED);
        if !unknown || !self.hosts().has_hash_routes(page.origin()) || target::is_own_page(page.path()) {
            return None;
        }
        let more = format!("{}&{SCRIPT_ASKED}=1", kept(visit));
        let next = format!("{}{}", visit.path("login"), query(target, &more));
        Some(self.pages().hand_on(&visit.view, &next, &start_with(visit, target, &more)))
    }
}

/// Where a scan page begins anew with its own fragment; `None` where the target has one.
pub(super) fn scan_start(visit: &Visit, target: &Target) -> Option<String> {
    let more = format!("{}&entrance=qr", flags(visit));
    (!target.page().has_fragment()).then(|| start_with(visit, target, &more))
}

/// A start for `target`, on the host that it is known to by its name, that ends where an encoded fragment can be added.
fn start_with(visit: &Visit, target: &Target, more: &str) -> String {
    let more = more.trim_start_matches('&');
    let joint = if more.is_empty() { "" } else { "&" };
    match target {
        Target::Page(_, text) => format!("{}?{more}{joint}rd={}", visit.path("login"), encode(text)),
        // What is sealed cannot be added to, so the host that sealed it begins again.
        Target::HandOff(_, hand_off) => {
            format!("{}/_gongpai/login?{more}{joint}rd={}", hand_off.origin, encode(hand_off.page.as_str()))
        }
    }
}

/// The parameters of a start besides its target.
fn kept(visit: &Visit) -> String {
    let entrance = visit.query.one("entrance").ok().flatten(); // One that is there twice says nothing.
    let entrance = asked(entrance).map(|e| format!("&entrance={}", entrance::name(e)));
    format!("{}{}", flags(visit), entrance.unwrap_or_default())
}

fn flags(visit: &Visit) -> String {
    KEPT_FLAGS.iter().filter(|flag| visit.query.flag(flag)).map(|flag| format!("&{flag}=1")).collect()
}
