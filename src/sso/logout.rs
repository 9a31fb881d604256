//! `/sso/logout`: ends all sessions that came from one sign-in, on every host.

use axum::extract::State as AxumState;
use axum::response::Response;

use super::error::SsoError;
use super::target::{self, SignInTarget};
use super::{Sso, marker};
use crate::audit;
use crate::db::feed::FeedTransaction;
use crate::http::browser_request::BrowserRequest;
use crate::http::redirect::{add_cookies, redirect};
use crate::session::store::{self as session_store, SessionsToEnd};
use crate::session::{SessionEndReason, SessionError};

/// Handles `GET,POST /sso/logout?rd=`. It signs out first and validates the target afterwards, so
/// that a bad target keeps nobody signed in.
pub(crate) async fn handle_logout(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    if let Err(error) = sso.sign_out(&request).await {
        return sso.fail(&request, None, error);
    }
    // The cookie is removed even if the target is refused below.
    let mut cookies = sso.clear_session_cookies(&request);
    cookies.push(marker::sign_out_marker(request.is_secure()));
    let mut response = match sso.after_logout(&request) {
        Ok(Some(target)) => redirect(target.page().as_str(), &[]),
        Ok(None) => {
            let again = format!("{}?again=1", request.path("login"));
            sso.pages().signed_out(&request.view, &again)
        }
        Err(error) => sso.fail(&request, None, error),
    };
    add_cookies(&mut response, &cookies);
    response
}

impl Sso {
    fn after_logout(&self, request: &BrowserRequest) -> Result<Option<SignInTarget>, SsoError> {
        let Some(rd) = request.query.single("rd")? else { return Ok(None) };
        let page = target::parse_page(Some(rd), &self.0.settings.landing, &request.origin, self.hosts())?;
        Ok(Some(SignInTarget::from_page(page, &request.origin)))
    }

    /// Ends the sessions of every cookie of the session's name: of two cookies nobody can say which
    /// one is meant.
    async fn sign_out(&self, request: &BrowserRequest) -> Result<(), SsoError> {
        let checked = self.0.sessions.check(&request.headers, &request.origin).await;
        let sessions = match checked {
            Ok(session) => vec![session],
            Err(SessionError::Unavailable) => return Err(SsoError::Stale),
            Err(SessionError::Duplicate) => {
                self.0.sessions.check_all(&request.headers, &request.origin).await
            }
            Err(_) => return Ok(()),
        };
        let now = self.0.clock.now();
        for session in sessions {
            let mut change = FeedTransaction::begin(&self.0.db, &self.0.settings.corp, now).await?;
            let ended = session_store::end_sessions(
                &mut change,
                &SessionsToEnd::Family(&session.family),
                SessionEndReason::SignedOut,
            )
            .await?;
            let entry = audit::AuditEntry {
                event: audit::AuditEvent::SignOut,
                actor: audit::Actor::System,
                person: Some(session.person.id.clone()),
                userid: session.person.userid.as_str().to_owned(),
                address: request.address,
                host: request.origin.authority(),
                decision: audit::AuditDecision::Done,
                detail: format!("{ended} sessions"),
                request_id: request.view.request_id.as_str().to_owned(),
            };
            audit::store::insert_entry(change.tx(), &self.0.settings.corp, &entry, now).await?;
            change.commit().await?;
        }
        // This replica need not wait for the feed.
        self.0.sessions.refresh().await.map_err(|_| SsoError::Stale)
    }
}
