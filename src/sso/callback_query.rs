//! Reads what came back from WeCom: the code, the state, the attempt's cookie, and the target that
//! the state binds.

use std::time::Duration;

use super::Sso;
use super::attempt_cookie::ReturnedAttemptCookie;
use super::error::SsoError;
use super::sealed_state::{ATTEMPT_LIFETIME, Entrance, SignInState, hash16};
use super::target::{self, HandOff, SignInTarget};
use crate::base::url::BadTarget;
use crate::http::browser_request::BrowserRequest;

/// The age at which the code of a QR page may have expired on its own. The page may stay open that
/// long before it is scanned, so nobody is told off for it.
const LONG_SCAN_AGE: Duration = Duration::from_secs(300);

/// The contents of a request to the callback.
#[derive(Debug)]
pub(super) struct CallbackQuery {
    pub(super) code: Option<String>,
    pub(super) state: Option<SignInState>,
    pub(super) state_sent: bool,
    pub(super) cookie: Option<ReturnedAttemptCookie>,
    pub(super) target: SignInTarget,
    /// The entrance to use if the sign-in must restart.
    pub(super) entrance: Option<Entrance>,
}

impl CallbackQuery {
    pub(super) fn from_request(
        sso: &Sso,
        request: &BrowserRequest,
        seed_page: bool,
    ) -> Result<Self, SsoError> {
        // A code of WeCom has at most 512 bytes.
        let code = request.query.single("code")?.filter(|c| c.len() <= 512).map(str::to_owned);
        let sealed = request.query.single("state")?;
        let state = sealed.and_then(|text| sso.0.states.open(text).ok());
        let cookie = state.as_ref().and_then(|s| {
            ReturnedAttemptCookie::find(&request.headers, &s.id, &s.cookie, request.is_secure())
        });
        let cookie_target = cookie.as_ref().and_then(ReturnedAttemptCookie::carried_target);
        let target = match &state {
            Some(state) => {
                find_bound_target(sso, request, state, cookie_target.as_deref(), cookie.is_some())?
            }
            None => sso.requested_target(request)?,
        };
        // A code on the old workbench page proves that signing in inside the app works in this
        // browser.
        let app = seed_page && code.is_some();
        let entrance = if app { Some(Entrance::App) } else { state.as_ref().map(|s| s.entrance) };
        Ok(Self { code, state_sent: sealed.is_some(), state, cookie, target, entrance })
    }

    /// Returns state and cookie if both came back and the attempt is young enough.
    pub(super) fn valid_attempt(
        &self,
        request: &BrowserRequest,
    ) -> Option<(&SignInState, &ReturnedAttemptCookie)> {
        let state = self.state.as_ref()?;
        let young = request.view.at.since(state.started_at) <= ATTEMPT_LIFETIME;
        self.cookie.as_ref().filter(|_| young).map(|cookie| (state, cookie))
    }

    pub(super) fn was_shown_long(&self, request: &BrowserRequest) -> bool {
        self.state.as_ref().is_some_and(|s| {
            s.entrance == Entrance::Qr && request.view.at.since(s.started_at) > LONG_SCAN_AGE
        })
    }
}

/// Returns the target that the state binds.
///
/// The state has the hash of the cookie, and so of the target that the cookie carries, and the hash
/// of the target in redirect_uri. A target that was changed on the way is refused. If neither is
/// left, the target of the request counts, validated anew.
fn find_bound_target(
    sso: &Sso,
    request: &BrowserRequest,
    state: &SignInState,
    cookie_target: Option<&str>,
    has_cookie: bool,
) -> Result<SignInTarget, SsoError> {
    let mut uri_target = None;
    for name in ["rd", "h"] {
        if let Some(text) = request.query.single(name)? {
            if hash16(format!("{name}:{text}").as_bytes()) != state.target {
                return Err(SsoError::BadTarget(BadTarget::NoUrl));
            }
            uri_target = Some((name, text));
            break;
        }
    }
    let cookie_target =
        cookie_target.map(|text| text.split_once(':').ok_or(SsoError::NotOurs)).transpose()?;
    match cookie_target.or(uri_target) {
        Some((name, text)) => parse_target(sso, request, name, text),
        None if has_cookie => Err(SsoError::BadTarget(BadTarget::NoUrl)),
        None => sso.requested_target(request),
    }
}

fn parse_target(
    sso: &Sso,
    request: &BrowserRequest,
    name: &str,
    text: &str,
) -> Result<SignInTarget, SsoError> {
    if name == "h" {
        let opened = HandOff::open(text, &sso.0.hand_offs, sso.hosts());
        return opened.map(|h| SignInTarget::HandOff(text.to_owned(), h)).map_err(|_| SsoError::NotOurs);
    }
    let page = target::parse_page(Some(text), &sso.0.settings.landing, &request.origin, sso.hosts())?;
    Ok(SignInTarget::from_page(page, &request.origin))
}
