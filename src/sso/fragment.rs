//! The fragment of a page that was refused (`/#/todo/3`), which no request has: only a script in the browser can carry
//! it on.
//!
//! A browser keeps it over the gate's redirects, on its own. It reaches the scan page, whose script begins anew with it
//! inside the target. Where no page of ours is seen, inside WeCom and on the way of somebody who is signed in already, it
//! would be lost to the fragment of the last Location; so on the hosts of `login.hash_routes` a start first answers a
//! page of one script that does the same.

use axum::response::Response;

use super::entrance::{self, parse_entrance};
use super::target::{self, SignInTarget};
use super::{Sso, target_query};
use crate::base::url::percent_encode;
use crate::http::browser::BrowserKind;
use crate::http::browser_request::BrowserRequest;

/// The parameter of a start that the script was asked about already.
const FRAGMENT_ASKED_PARAMETER: &str = "fragment";

/// What a start keeps when it is made again.
const KEPT_FLAGS: [&str; 3] = ["again", "r", "a"];

impl Sso {
    /// The page that answers a start inside WeCom, where the target may have a fragment.
    ///
    /// A hand-off has none to find: its own host, where the browser was before, has asked.
    pub(super) fn ask_for_fragment(&self, visit: &BrowserRequest, target: &SignInTarget) -> Option<Response> {
        let wanted = visit.browser == BrowserKind::WeCom && matches!(target, SignInTarget::Page(..));
        wanted.then(|| self.hand_on_fragment(visit, target)).flatten()
    }

    /// The same on the way of somebody who is signed in already; inside WeCom the start has asked.
    pub(super) fn ask_before_going_on(
        &self,
        visit: &BrowserRequest,
        target: &SignInTarget,
    ) -> Option<Response> {
        (visit.browser != BrowserKind::WeCom).then(|| self.hand_on_fragment(visit, target)).flatten()
    }

    fn hand_on_fragment(&self, visit: &BrowserRequest, target: &SignInTarget) -> Option<Response> {
        let page = target.page();
        let unknown = !page.has_fragment() && !visit.query.flag(FRAGMENT_ASKED_PARAMETER);
        if !unknown || !self.hosts().has_hash_routes(page.origin()) || target::is_own_page(page.path()) {
            return None;
        }
        let more = format!("{}&{FRAGMENT_ASKED_PARAMETER}=1", kept_parameters(visit));
        let next = format!("{}{}", visit.path("login"), target_query(target, &more));
        Some(self.pages().hand_on(&visit.view, &next, &start_location(visit, target, &more)))
    }
}

/// Where a scan page begins anew with its own fragment; `None` where the target has one.
pub(super) fn scan_start_location(visit: &BrowserRequest, target: &SignInTarget) -> Option<String> {
    let more = format!("{}&entrance=qr", kept_flags(visit));
    (!target.page().has_fragment()).then(|| start_location(visit, target, &more))
}

/// A start for `target`, on the host that it is known to by its name, that ends where an encoded fragment can be added.
fn start_location(visit: &BrowserRequest, target: &SignInTarget, more: &str) -> String {
    let more = more.trim_start_matches('&');
    let joint = if more.is_empty() { "" } else { "&" };
    match target {
        SignInTarget::Page(_, text) => {
            format!("{}?{more}{joint}rd={}", visit.path("login"), percent_encode(text))
        }
        // What is sealed cannot be added to, so the host that sealed it begins again.
        SignInTarget::HandOff(_, hand_off) => {
            format!(
                "{}/_gongpai/login?{more}{joint}rd={}",
                hand_off.origin,
                percent_encode(hand_off.page.as_str())
            )
        }
    }
}

/// The parameters of a start besides its target.
fn kept_parameters(visit: &BrowserRequest) -> String {
    let entrance = visit.query.single("entrance").ok().flatten(); // One that is there twice says nothing.
    let entrance = parse_entrance(entrance).map(|e| format!("&entrance={}", entrance::entrance_name(e)));
    format!("{}{}", kept_flags(visit), entrance.unwrap_or_default())
}

fn kept_flags(visit: &BrowserRequest) -> String {
    KEPT_FLAGS.iter().filter(|flag| visit.query.flag(flag)).map(|flag| format!("&{flag}=1")).collect()
}
