//! `/sso/login`: validates the target and sends the browser to WeCom. Writes nothing to the
//! database.

use std::time::Duration;

use axum::extract::State as AxumState;
use axum::response::Response;

use super::attempt_cookie::AttemptCookie;
use super::entrance;
use super::error::SsoError;
use super::sealed_state::{AttemptId, Entrance, SignInState};
use super::target::{self, HandOff, SignInTarget};
use super::{Sso, fragment, marker, o2oa_link, target_query, ticket};
use crate::base::url::percent_encode;
use crate::http::browser::BrowserKind;
use crate::http::browser_request::BrowserRequest;
use crate::http::cookie::SetCookie;
use crate::http::language::{BilingualText, Language};
use crate::http::page::{OpenWecomInput, ScanPageInput};
use crate::http::redirect::{add_cookies, redirect};
use crate::session::{SessionError, SignedInSession};

/// A scan page begins a new attempt before the ten minutes of the old one are over.
const RENEW_AFTER: Duration = Duration::from_secs(480);

/// Handles `GET /sso/login?rd=…[&entrance=app|qr]`.
pub(crate) async fn handle_login(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    if request.in_frame() {
        return sso.leave_frame(&request);
    }
    match sso.requested_target(&request) {
        Ok(target) => match sso.begin(&request, &target).await {
            Ok(response) => response,
            Err(error) => sso.fail(&request, Some(&target), error),
        },
        Err(error) => sso.fail(&request, None, error),
    }
}

/// The options of a new attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptOptions {
    pub entrance: Entrance,
    /// How often the sign-in has restarted.
    pub restarts: u8,
}

impl Sso {
    /// Returns the target that a request names: a sealed hand-off (`h`, on public_url's host only),
    /// or a page (`rd`, or the `redirect` of O2OA's old page).
    pub(super) fn requested_target(&self, request: &BrowserRequest) -> Result<SignInTarget, SsoError> {
        if let Some(sealed) = request.query.single("h")?.filter(|_| self.hosts().is_public(&request.origin)) {
            let hand_off =
                HandOff::open(sealed, &self.0.hand_offs, self.hosts()).map_err(|_| SsoError::NotOurs)?;
            return Ok(SignInTarget::HandOff(sealed.to_owned(), hand_off));
        }
        let rd = match request.query.single("rd")? {
            Some(rd) => Some(rd.to_owned()),
            None => o2oa_link::read_redirect(request)?,
        };
        let page =
            target::parse_page(rd.as_deref(), &self.0.settings.landing, &request.origin, self.hosts())?;
        Ok(SignInTarget::from_page(page, &request.origin))
    }

    /// Begins a sign-in. Goes straight to the target if the browser is signed in, shows a button
    /// after a sign-out, hands over from another host, or goes to WeCom.
    pub(super) async fn begin(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
    ) -> Result<Response, SsoError> {
        // This costs nothing and is not counted; the start that follows is.
        if let Some(page) = self.ask_for_fragment(request, target) {
            return Ok(page);
        }
        // A fresh hand-off was counted on the host that sealed it.
        let counted =
            matches!(target, SignInTarget::HandOff(_, hand_off) if !hand_off.is_expired(request.view.at));
        if !counted {
            self.count_start(request)?;
        }
        self.ensure_may_begin()?;
        let requested = entrance::parse_entrance(request.query.single("entrance")?);
        // A person who asks for the QR page inside WeCom gets one, and must be able to leave it
        // again.
        let in_wecom =
            requested.map_or(request.browser == BrowserKind::WeCom, |entrance| entrance == Entrance::App);
        if let SignInTarget::HandOff(_, hand_off) = target
            && hand_off.is_expired(request.view.at)
        {
            let more = entrance_parameter(requested);
            return Ok(redirect(&format!("{}{more}", hand_off.restart_location()), &[]));
        }
        let handed_over = matches!(target, SignInTarget::HandOff(..));
        let mut cookies = Vec::new();
        match self.0.sessions.check(&request.headers, &request.origin).await {
            // Inside WeCom people switch accounts in the app, so only WeCom knows who it is now.
            Ok(session) if !in_wecom || handed_over => {
                // The gate names no entrance; a page of ours that goes on by itself does.
                let by_gate = requested.is_none();
                return self.go_to_target(request, target, &session, by_gate).await;
            }
            Err(SessionError::Unavailable) => return Err(SsoError::Stale),
            Err(SessionError::Duplicate) => cookies = self.clear_session_cookies(request),
            _ => {}
        }
        let secure = request.is_secure();
        if marker::has_signed_out(&request.headers, secure) {
            if !request.query.flag("again") {
                let again = target_query(target, &format!("{}&again=1", entrance_parameter(requested)));
                return Ok(self
                    .0
                    .site
                    .pages
                    .signed_out(&request.view, &format!("{}{again}", request.path("login"))));
            }
            cookies.push(marker::forget_sign_out(secure));
        }
        if !self.hosts().is_public(&request.origin) {
            return Ok(self.hand_over(request, target, requested, cookies));
        }
        let restarts = u8::from(request.query.flag("r"));
        let entrance = match (requested, request.browser) {
            (Some(entrance), _) => entrance,
            (None, BrowserKind::WeCom) => Entrance::App,
            (None, BrowserKind::Desktop) => Entrance::Qr,
            (None, BrowserKind::Phone) => return Ok(self.open_wecom(request)),
        };
        Ok(self.send_to_wecom(request, target, AttemptOptions { entrance, restarts }, cookies))
    }

    /// Goes straight to the target with a session that has passed the same check as at the gate.
    async fn go_to_target(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        session: &SignedInSession,
        by_gate: bool,
    ) -> Result<Response, SsoError> {
        if let Some(page) = self.ask_before_going_on(request, target) {
            return Ok(page);
        }
        let started = match target {
            SignInTarget::Page(..) => request.view.at,
            SignInTarget::HandOff(_, hand_off) => hand_off.started_at,
        };
        let round = if by_gate { self.count_round(request, target, true, started)? } else { 0 };
        let cookies = self.round_cookies(request, target, round);
        let to = self.location_for(request, target, &session.sid).await?;
        Ok(redirect(&to, &cookies))
    }

    /// Returns where a signed-in browser goes: to the page, or with a ticket to the host that
    /// handed the sign-in over.
    pub(super) async fn location_for(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        sid: &crate::base::id::Sid,
    ) -> Result<String, SsoError> {
        match target {
            SignInTarget::Page(page, _) => Ok(page.location()),
            SignInTarget::HandOff(_, hand_off) if self.shares_cookie(hand_off) => {
                Ok(hand_off.page.location())
            }
            SignInTarget::HandOff(_, hand_off) if hand_off.is_expired(request.view.at) => {
                Ok(hand_off.restart_location())
            }
            SignInTarget::HandOff(_, hand_off) => ticket::issue_ticket(self, request, hand_off, sid).await,
        }
    }

    /// Returns whether this host is the last one on the way to the target, so that no other host
    /// sets a session cookie of its own.
    pub(super) fn ends_here(&self, target: &SignInTarget) -> bool {
        match target {
            SignInTarget::Page(..) => true,
            SignInTarget::HandOff(_, hand_off) => self.shares_cookie(hand_off),
        }
    }

    /// Returns whether public_url's session cookie is valid on the other host too.
    fn shares_cookie(&self, hand_off: &HandOff) -> bool {
        let (here, there) =
            (self.hosts().cookie_scope(self.hosts().public()), self.hosts().cookie_scope(&hand_off.origin));
        here.secure == there.secure && here.audience == there.audience
    }

    /// Hands a sign-in over to public_url's host: sets an attempt cookie here, and redirects with a
    /// sealed hand-off.
    fn hand_over(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        requested: Option<Entrance>,
        mut cookies: Vec<SetCookie>,
    ) -> Response {
        let now = request.view.at;
        let cookie = AttemptCookie::new(&AttemptId::generate(), None, request.is_secure(), now);
        let hand_off = HandOff {
            origin: request.origin.clone(),
            page: target.page().clone(),
            cookie: cookie.hash(),
            started_at: now,
        };
        cookies.extend(cookie.set_cookies(&request.headers));
        // public_url's host cannot remove cookies of this one.
        cookies.extend(self.remove_planted(request, target.page(), 0));
        let sealed = percent_encode(&hand_off.seal(&self.0.hand_offs));
        let more = entrance_parameter(requested);
        redirect(&format!("{}/sso/login?h={sealed}{more}", self.hosts().public()), &cookies)
    }

    /// Makes an attempt and sends the browser to WeCom with it.
    pub(super) fn send_to_wecom(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        options: AttemptOptions,
        mut cookies: Vec<SetCookie>,
    ) -> Response {
        let id = AttemptId::generate();
        let uri_target = target.in_redirect_uri(&self.0.hand_offs);
        let carried = (!target.fits_redirect_uri()).then(|| target.to_cookie_text());
        let secure = request.is_secure();
        let cookie = AttemptCookie::new(&id, carried.as_deref(), secure, request.view.at);
        cookies.extend(cookie.set_cookies(&request.headers));
        let state = self.0.states.seal(&SignInState {
            started_at: request.view.at,
            id,
            restarts: options.restarts,
            entrance: options.entrance,
            target: uri_target.as_ref().unwrap_or(target).hash(),
            cookie: cookie.hash(),
        });
        let redirect_uri = self.redirect_uri(request, uri_target.as_ref(), options.restarts > 0);
        self.0.metrics.started(options.entrance);
        match options.entrance {
            Entrance::App => redirect(&self.0.client.authorize_url(&redirect_uri, &state), &cookies),
            Entrance::Qr => self.scan_page(request, target, &redirect_uri, &state, &cookies),
        }
    }

    /// Returns the URL to which WeCom returns. It is always on public_url's host, because WeCom
    /// compares host and port.
    fn redirect_uri(
        &self,
        request: &BrowserRequest,
        target: Option<&SignInTarget>,
        restarted: bool,
    ) -> String {
        let mut parameters = Vec::new();
        if let Some(target) = target {
            parameters.push(format!("{}={}", target.parameter(), percent_encode(target.text())));
        }
        if restarted {
            parameters.push("r=1".to_owned());
        }
        if request.query.flag("a") {
            parameters.push("a=1".to_owned());
        }
        let separator = if parameters.is_empty() { "" } else { "?" };
        format!("{}/sso/callback{separator}{}", self.hosts().public(), parameters.join("&"))
    }

    fn scan_page(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        redirect_uri: &str,
        state: &str,
        cookies: &[SetCookie],
    ) -> Response {
        let lang = match request.view.lang {
            Language::Zh => "zh",
            Language::En => "en",
        };
        let scan = ScanPageInput {
            frame_url: self.0.client.scan_frame_url(redirect_uri, state, lang),
            link_url: self.0.client.scan_url(redirect_uri, state, lang),
            session_url: request.path("session"),
            next_url: format!("{}{}", request.path("login"), target_query(target, "&entrance=qr")),
            renew_after: RENEW_AFTER,
            renew_url: match target {
                SignInTarget::Page(..) => None,
                // The cookie of the host that handed the sign-in over expires too.
                SignInTarget::HandOff(_, hand_off) => {
                    Some(format!("{}&entrance=qr", hand_off.restart_location()))
                }
            },
            host: target.page().origin().authority(),
            start_url: fragment::scan_start_location(request, target),
        };
        let mut response = self.0.site.pages.scan(&request.view, &scan);
        add_cookies(&mut response, cookies);
        response
    }

    fn open_wecom(&self, request: &BrowserRequest) -> Response {
        let path = BilingualText::fixed("工作台 → 应用", "工作台 (Workbench) → 应用 (the application)");
        self.0
            .site
            .pages
            .open_wecom(&request.view, &OpenWecomInput { scheme_url: "wxwork://".to_owned(), path })
    }
}

fn entrance_parameter(requested: Option<Entrance>) -> String {
    requested.map(|e| format!("&entrance={}", entrance::entrance_name(e))).unwrap_or_default()
}
