//! `/sso/callback`: turns a code and a state from WeCom into a session ([design: the
//! callback](crate::design#the-callback)).
//!
//! This file decides whether the code is exchanged. [`exchange`] asks WeCom and signs in,
//! [`record`] writes the result to the attempts and the audit trail.

mod exchange;
mod record;

use axum::extract::State as AxumState;
use axum::response::Response;
use tracing::Instrument as _;

use super::attempt_cookie::ReturnedAttemptCookie;
use super::callback_query::CallbackQuery;
use super::error::SsoError;
use super::sealed_state::{Entrance, SignInState};
use super::start::AttemptOptions;
use super::{Sso, entrance, marker, store, target_query};
use crate::base::secret::sha256_hex;
use crate::http::browser::BrowserKind;
use crate::http::browser_request::BrowserRequest;
use crate::http::redirect::redirect;
use crate::session::SignedInSession;

/// Handles `GET /sso/callback`.
pub(crate) async fn handle_callback(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    run_to_end(sso, request, false).await
}

/// Handles O2OA's old page, the redirect_uri of the workbench link. A code with our state signs in,
/// anything else starts a sign-in.
pub(crate) async fn handle_seed_page(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    run_to_end(sso, request, true).await
}

/// Runs the callback to its end even if the browser hangs up. A WebView that sends the request
/// twice drops the first one, and what WeCom said must be stored for the second. A refused code
/// must be counted in any case.
async fn run_to_end(sso: Sso, request: BrowserRequest, seed_page: bool) -> Response {
    let (task_sso, task_request) = (sso.clone(), request.clone());
    let work = async move { answer_callback(&task_sso, &task_request, seed_page).await };
    match sso.0.callback_tasks.spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "A callback did not come to its end");
            sso.fail(&request, None, SsoError::Broken)
        }
    }
}

async fn answer_callback(sso: &Sso, request: &BrowserRequest, seed_page: bool) -> Response {
    if request.in_frame() {
        let brings = |name| request.query.single(name) != Ok(None);
        if !sso.hosts().is_public(&request.origin) || !(brings("code") || brings("state")) {
            return sso.leave_frame(request);
        }
        // WeCom's official panel could not leave its frame. Nothing is consumed here: the top
        // window sends the request again.
        let path_and_query = request.uri.path_and_query().map_or("/", |p| p.as_str());
        return sso.0.site.pages.break_out(&request.view, path_and_query);
    }
    let query = match CallbackQuery::from_request(sso, request, seed_page) {
        Ok(query) => query,
        Err(error) => return sso.fail(request, None, error),
    };
    match sso.receive(request, &query).await {
        Ok(response) => response,
        Err(error) => sso.fail(request, Some(&query.target), error),
    }
}

/// An attempt whose callback came with a good state and cookie.
pub(super) struct ClaimedAttempt<'a> {
    pub(super) state: &'a SignInState,
    cookie: &'a ReturnedAttemptCookie,
    /// The count that the next finish marker will have.
    count: u32,
    /// The number of the round that ends with it.
    round: usize,
    pub(super) code_hash: String,
    pub(super) session: Option<SignedInSession>,
}

impl Sso {
    /// Validates the callback and claims its attempt.
    async fn receive(&self, request: &BrowserRequest, query: &CallbackQuery) -> Result<Response, SsoError> {
        let Some(code) = query.code.as_deref() else {
            if query.state_sent {
                return Err(SsoError::Cancelled);
            }
            return self.begin(request, &query.target).await;
        };
        self.ensure_may_begin()?;
        if !self.hosts().is_public(&request.origin) {
            // WeCom returns only to public_url's host, so a code on another host is not from a
            // start of ours.
            return self.begin(request, &query.target).await;
        }
        let valid = query.valid_attempt(request);
        if valid.is_none() {
            // It will restart. A valid attempt was counted when it began, so others behind the same
            // address cannot keep it from finishing.
            self.count_start(request)?;
        }
        let session = self.0.sessions.check(&request.headers, &request.origin).await.ok();
        let Some((state, cookie)) = valid else {
            if let Some(response) = self.already_finished(request, query, session.as_ref()).await? {
                return Ok(response);
            }
            return self.restart(request, query, SsoError::CookiesBlocked);
        };
        // A browser that refuses the session cookie would otherwise go in circles.
        let Some(count) =
            marker::count_finish(&request.headers, request.is_secure(), session.is_some(), state.started_at)
        else {
            return Err(SsoError::CookiesRefused);
        };
        let round = self.count_round(request, &query.target, session.is_some(), state.started_at)?;
        let reservation = self.0.limits.bad_codes.reserve(request.address).map_err(SsoError::TooMany)?;
        let claim = ClaimedAttempt { state, cookie, count, round, code_hash: sha256_hex(code), session };
        match store::claim_attempt(
            &self.0.db,
            &self.0.settings.corp,
            &state.id.to_hex(),
            &claim.code_hash,
            request.view.at,
        )
        .await?
        {
            None => self.exchange(request, query, &claim, code, reservation).await,
            Some(_) => {
                drop(reservation); // WeCom is not asked.
                self.answer_repeat(request, query, &claim).await
            }
        }
    }

    /// Restarts the sign-in once. The second time a page says why.
    pub(super) fn restart(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        why: SsoError,
    ) -> Result<Response, SsoError> {
        let before = query.state.as_ref().map_or(0, |s| s.restarts).max(u8::from(request.query.flag("r")));
        if before > 0 && !query.was_shown_long(request) {
            return Err(why);
        }
        let restarts = u8::from(!query.was_shown_long(request));
        let entrance = query.entrance.or((request.browser == BrowserKind::WeCom).then_some(Entrance::App));
        // After a sign-out the person must first see the page with the button.
        let button = marker::has_signed_out(&request.headers, request.is_secure());
        if entrance == Some(Entrance::App) && !button {
            return Ok(self.send_to_wecom(
                request,
                &query.target,
                AttemptOptions { entrance: Entrance::App, restarts },
                Vec::new(),
            ));
        }
        // Answer with a redirect to a page, so that the browser can reload its address.
        let more = format!(
            "{}{}",
            if restarts > 0 { "&r=1" } else { "" },
            entrance.map(|e| format!("&entrance={}", entrance::entrance_name(e))).unwrap_or_default()
        );
        Ok(redirect(&format!("{}{}", request.path("login"), target_query(&query.target, &more)), &[]))
    }
}
