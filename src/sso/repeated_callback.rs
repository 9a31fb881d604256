//! Callbacks that come again: a WebView that sends one twice, a reload, a second tab with the same
//! state.
//!
//! Each gets the result of the first one or restarts; no code is exchanged twice. A callback with
//! another code for the same attempt is handled the same way, and that code is never exchanged
//! ([design: the callback](crate::design#the-callback)).

use std::time::Duration;

use axum::response::Response;

use super::Sso;
use super::callback::ClaimedAttempt;
use super::callback_query::CallbackQuery;
use super::error::SsoError;
use super::state::AttemptState;
use super::store;
use super::target::{self, SignInTarget};
use crate::base::id::Sid;
use crate::http::browser_request::BrowserRequest;
use crate::http::redirect::redirect;
use crate::http::words::Code;
use crate::session::SignedInSession;
use crate::session::store::NewSession;

/// How long a second callback waits for the first one: as long as the first one may take.
const MAX_WAIT: Duration = Duration::from_millis(14_500);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Sso {
    /// Answers a callback that comes again after its attempt's cookie has expired. It does no harm
    /// in a browser that is signed in.
    pub(super) async fn already_finished(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        session: Option<&SignedInSession>,
    ) -> Result<Option<Response>, SsoError> {
        let (Some(state), Some(session)) = (&query.state, session) else { return Ok(None) };
        let attempt = store::find_attempt(&self.0.db, &self.0.settings.corp, &state.id.to_hex()).await?;
        match attempt.map(|a| a.state) {
            Some(AttemptState::SignedIn { target, .. }) => {
                let page = target::parse_page(
                    Some(&target),
                    &self.0.settings.landing,
                    &request.origin,
                    self.hosts(),
                )?;
                let target = match &query.target {
                    SignInTarget::HandOff(..) => query.target.clone(),
                    SignInTarget::Page(..) => SignInTarget::from_page(page, &request.origin),
                };
                let to = self.location_for(request, &target, &session.sid).await?;
                Ok(Some(redirect(&to, &[])))
            }
            _ => Ok(None),
        }
    }

    /// Answers a callback that is not the first of its attempt: waits for the first one and gives
    /// the same result.
    pub(super) async fn answer_repeat(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
    ) -> Result<Response, SsoError> {
        let give_up = tokio::time::Instant::now() + MAX_WAIT;
        let over = |claimed_at| {
            self.0.clock.now().since(claimed_at) > MAX_WAIT || tokio::time::Instant::now() >= give_up
        };
        loop {
            let attempt =
                store::find_attempt(&self.0.db, &self.0.settings.corp, &claim.state.id.to_hex()).await?;
            let attempt = attempt.ok_or(SsoError::Stale)?;
            let other_code = attempt.code_hash != claim.code_hash;
            match attempt.state {
                // The other code signs nobody in: it may belong to somebody else (RFC 9700 §4.5).
                AttemptState::SignedIn { sid, .. } if other_code => {
                    return match claim.session.as_ref().filter(|session| session.sid == sid) {
                        Some(session) => {
                            Ok(redirect(&self.location_for(request, &query.target, &session.sid).await?, &[]))
                        }
                        None => self.restart(request, query, SsoError::OtherCode),
                    };
                }
                AttemptState::Refused(_) if other_code => {
                    return self.restart(request, query, SsoError::OtherCode);
                }
                // This browser must not get the session that the first callback will make, unless
                // it has a session of its own.
                AttemptState::Claimed if other_code && claim.session.is_none() => {
                    return self.restart(request, query, SsoError::OtherCode);
                }
                AttemptState::SignedIn { sid, .. } => {
                    return self.join_session(request, query, claim, &sid).await;
                }
                AttemptState::Refused(recorded) => {
                    if recorded.code == Code::CodeUsed {
                        return self.restart(request, query, SsoError::CodeUsed);
                    }
                    return Err(SsoError::AsBefore(recorded));
                }
                // The first callback ended with its process. Its code may be used up, so the
                // sign-in restarts.
                AttemptState::Claimed if over(attempt.claimed_at) => {
                    return self.restart(request, query, SsoError::CodeUsed);
                }
                AttemptState::Claimed => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Gives the same session to the same browser, which proves itself by the attempt's cookie.
    async fn join_session(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        sid: &Sid,
    ) -> Result<Response, SsoError> {
        let Some(row) = self.0.sessions.find_alive(sid).await? else {
            if let Some(session) = &claim.session {
                // The person went back to an older sign-in. The session of this browser goes on.
                let to = self.location_for(request, &query.target, &session.sid).await?;
                return Ok(redirect(&to, &[]));
            }
            return self.restart(request, query, SsoError::CodeUsed);
        };
        let session = NewSession {
            sid: row.sid,
            person: row.person.id.clone(),
            family: row.family,
            audience: row.audience,
            amr: row.amr,
            auth_time: row.auth_time,
            expires_at: row.expires_at,
            address: None,
            user_agent: String::new(),
        };
        let token = self.0.sessions.sign_token(&session, &row.person.userid, &row.person.name)?;
        let cookies = vec![self.session_cookie(request, token, session.expires_at)];
        self.redirect_signed_in(request, query, claim, &session.sid, cookies).await
    }
}
