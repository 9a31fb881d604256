//! Keeps the fragment of a page (`/#/todo/3`) through a sign-in ([design:
//! fragments](crate::design#fragments)).
//!
//! No request contains a fragment, so only a script in the browser can carry it on. The browser
//! itself keeps it over the gate's redirects, and it reaches the scan page, whose script restarts
//! the sign-in with the fragment inside the target. Without a page of ours (inside WeCom, or for a
//! person who is signed in already), the fragment of the last Location would replace it. So on the
//! hosts of `login.hash_routes`, a start first answers with a page whose script does the same.

use axum::response::Response;

use super::entrance::{self, parse_entrance};
use super::target::{self, SignInTarget};
use super::{Sso, target_query};
use crate::base::url::percent_encode;
use crate::http::browser::BrowserKind;
use crate::http::browser_request::BrowserRequest;

/// The parameter of a start that the script has been asked about already.
const FRAGMENT_ASKED_PARAMETER: &str = "fragment";

/// The flags that a start keeps when it is repeated.
const KEPT_FLAGS: [&str; 3] = ["again", "r", "a"];

impl Sso {
    /// Returns the page that answers a start inside WeCom if the target may have a fragment.
    ///
    /// A hand-off has none: its own host, where the browser was before, has asked for it.
    pub(super) fn ask_for_fragment(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
    ) -> Option<Response> {
        let wanted = request.browser == BrowserKind::WeCom && matches!(target, SignInTarget::Page(..));
        wanted.then(|| self.hand_on_fragment(request, target)).flatten()
    }

    /// Returns the same page for a person who is signed in already. Inside WeCom the start has
    /// asked.
    pub(super) fn ask_before_going_on(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
    ) -> Option<Response> {
        (request.browser != BrowserKind::WeCom).then(|| self.hand_on_fragment(request, target)).flatten()
    }

    fn hand_on_fragment(&self, request: &BrowserRequest, target: &SignInTarget) -> Option<Response> {
        let page = target.page();
        let unknown = !page.has_fragment() && !request.query.flag(FRAGMENT_ASKED_PARAMETER);
        if !unknown || !self.hosts().has_hash_routes(page.origin()) || target::is_own_page(page.path()) {
            return None;
        }
        let more = format!("{}&{FRAGMENT_ASKED_PARAMETER}=1", kept_parameters(request));
        let next = format!("{}{}", request.path("login"), target_query(target, &more));
        Some(self.pages().hand_on(&request.view, &next, &start_location(request, target, &more)))
    }
}

/// Returns the URL at which a scan page restarts with its own fragment; `None` if the target has
/// one.
pub(super) fn scan_start_location(request: &BrowserRequest, target: &SignInTarget) -> Option<String> {
    let more = format!("{}&entrance=qr", kept_flags(request));
    (!target.page().has_fragment()).then(|| start_location(request, target, &more))
}

/// Returns the URL of a start for `target`, on the host where the target can be named in plain
/// text. It ends so that an encoded fragment can be appended.
fn start_location(request: &BrowserRequest, target: &SignInTarget, more: &str) -> String {
    let more = more.trim_start_matches('&');
    let separator = if more.is_empty() { "" } else { "&" };
    match target {
        SignInTarget::Page(_, text) => {
            format!("{}?{more}{separator}rd={}", request.path("login"), percent_encode(text))
        }
        // Nothing can be appended to a sealed text, so the host that sealed it starts again.
        SignInTarget::HandOff(_, hand_off) => {
            format!(
                "{}/_gongpai/login?{more}{separator}rd={}",
                hand_off.origin,
                percent_encode(hand_off.page.as_str())
            )
        }
    }
}

/// Returns the parameters of a start except its target.
fn kept_parameters(request: &BrowserRequest) -> String {
    let entrance = request.query.single("entrance").ok().flatten(); // One that is there twice says nothing.
    let entrance = parse_entrance(entrance).map(|e| format!("&entrance={}", entrance::entrance_name(e)));
    format!("{}{}", kept_flags(request), entrance.unwrap_or_default())
}

fn kept_flags(request: &BrowserRequest) -> String {
    KEPT_FLAGS.iter().filter(|flag| request.query.flag(flag)).map(|flag| format!("&{flag}=1")).collect()
}
