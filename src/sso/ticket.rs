//! Tickets: carry a finished sign-in to another application host ([design: another
//! host](crate::design#another-host)).
//!
//! A ticket works only together with the cookie of the browser that began on that host, only on
//! that host, once, and for 30 seconds.

use std::time::Duration;

use axum::extract::State as AxumState;
use axum::response::Response;

use super::attempt_cookie::ReturnedAttemptCookie;
use super::error::SsoError;
use super::target::{self, HandOff, SignInTarget};
use super::{Sso, marker, target_query};
use crate::audit;
use crate::base::id::Sid;
use crate::base::secret::{constant_time_eq, random_token, sha256_hex};
use crate::db::feed::FeedTransaction;
use crate::http::browser_request::BrowserRequest;
use crate::http::redirect::redirect;
use crate::session::SessionEndReason;
use crate::session::store::{self as session_store, NewSession, SessionsToEnd};

const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// Stores a ticket for the host that handed the sign-in over, and returns the URL to which the
/// browser goes with it.
pub(super) async fn issue_ticket(
    sso: &Sso,
    request: &BrowserRequest,
    hand_off: &HandOff,
    sid: &Sid,
) -> Result<String, SsoError> {
    let ticket = random_token::<32>();
    let now = request.view.at;
    let new = session_store::NewTicket {
        hash: sha256_hex(&ticket),
        sid: sid.clone(),
        host: hand_off.origin.to_string(),
        cookie_hash: hex::encode(hand_off.cookie),
        target: hand_off.page.as_str().to_owned(),
        started_at: hand_off.started_at,
        expires_at: sso.0.clock.now().max(now).plus(TICKET_LIFETIME),
    };
    session_store::insert_ticket(&sso.0.db, &sso.0.settings.corp, &new).await?;
    Ok(format!("{}/_gongpai/finish?ticket={ticket}", hand_off.origin))
}

/// Handles `GET /_gongpai/finish?ticket=` on an application host.
pub(crate) async fn handle_finish(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    match sso.redeem(&request).await {
        Ok(response) => response,
        Err((target, error)) => sso.fail(&request, target.as_ref(), error),
    }
}

type TargetedError = (Option<SignInTarget>, SsoError);

impl Sso {
    async fn redeem(&self, request: &BrowserRequest) -> Result<Response, TargetedError> {
        let untargeted = |error: SsoError| (None, error);
        self.ensure_may_begin().map_err(untargeted)?;
        let ticket = request.query.single("ticket").map_err(|e| untargeted(e.into()))?.unwrap_or_default();
        let (hash, host) = (sha256_hex(ticket), request.origin.to_string());
        let found = session_store::find_ticket(&self.0.db, &self.0.settings.corp, &hash, &host).await;
        let Some(stored) = found.map_err(|e| untargeted(e.into()))? else {
            // A sign-in whose ticket exists was counted when it began.
            self.count_start(request).map_err(untargeted)?;
            return Err(untargeted(SsoError::CodeUsed));
        };
        let page =
            target::parse_page(Some(&stored.target), &self.0.settings.landing, &request.origin, self.hosts());
        let target = SignInTarget::from_page(page.map_err(|e| untargeted(e.into()))?, &request.origin);
        match self.exchange_ticket(request, &hash, &stored, &target).await {
            Ok(response) => Ok(response),
            Err(error) => Err((Some(target), error)),
        }
    }

    async fn exchange_ticket(
        &self,
        request: &BrowserRequest,
        hash: &str,
        stored: &session_store::Ticket,
        target: &SignInTarget,
    ) -> Result<Response, SsoError> {
        let host = request.origin.to_string();
        let session = self.0.sessions.check(&request.headers, &request.origin).await.ok();
        let own_cookie = ReturnedAttemptCookie::find_all(&request.headers, request.is_secure())
            .into_iter()
            .find(|(_, h)| constant_time_eq(hex::encode(h).as_bytes(), stored.cookie_hash.as_bytes()));
        let Some((cookie, _)) = own_cookie else {
            // Reload and back do no harm in a browser that is signed in.
            return match session {
                Some(_) => Ok(redirect(&target.page().location(), &[])),
                None => Err(SsoError::CookiesBlocked),
            };
        };
        let has_session = session.is_some();
        let count =
            marker::count_finish(&request.headers, request.is_secure(), has_session, stored.started_at)
                .ok_or(SsoError::CookiesRefused)?;
        let round = self.count_round(request, target, has_session, stored.started_at)?;
        // The session may have ended since the ticket was issued.
        let parent = self.0.sessions.find_alive(&stored.sid).await?.ok_or(SsoError::CodeUsed)?;
        let now = self.0.clock.now();
        let mut change = FeedTransaction::begin(&self.0.db, &self.0.settings.corp, now).await?;
        // The row lock is held until the commit, so that a sign-out in between also ends the new
        // session.
        if !session_store::hold_session(&mut change, &parent.sid).await? {
            return Err(SsoError::CodeUsed);
        }
        if !session_store::redeem_ticket(&mut change, hash, &host, &stored.cookie_hash).await? {
            drop(change);
            return Ok(match session {
                Some(_) => redirect(&target.page().location(), &[]),
                // It starts again: the browser is signed in on public_url's host and comes straight
                // back.
                None => redirect(&format!("{}{}", request.path("login"), target_query(target, "")), &[]),
            });
        }
        if let Some(old) = &session {
            session_store::end_sessions(
                &mut change,
                &SessionsToEnd::One(&old.sid),
                SessionEndReason::Replaced,
            )
            .await?;
        }
        let new = NewSession {
            sid: Sid::generate(now),
            person: parent.person.id.clone(),
            family: parent.family,
            audience: self.hosts().cookie_scope(&request.origin).audience,
            amr: parent.amr,
            auth_time: parent.auth_time,
            expires_at: parent.expires_at,
            address: request.address,
            user_agent: request.user_agent(),
        };
        self.0.sessions.begin(&mut change, &new).await?;
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::HandOff,
            actor: audit::Actor::System,
            person: Some(parent.person.id.clone()),
            userid: parent.person.userid.as_str().to_owned(),
            address: request.address,
            host: request.origin.authority(),
            decision: audit::AuditDecision::Allowed,
            detail: parent.amr.as_str().to_owned(),
            request_id: request.view.request_id.as_str().to_owned(),
        };
        audit::store::insert_entry(change.tx(), &self.0.settings.corp, &entry, now).await?;
        change.commit().await?;
        let token = self.0.sessions.sign_token(&new, &parent.person.userid, &parent.person.name)?;
        let mut cookies = vec![
            self.session_cookie(request, token, new.expires_at),
            marker::finish_marker(count, request.is_secure(), now),
            cookie.keep_after_success(),
        ];
        cookies.extend(self.round_cookies(request, target, round));
        Ok(redirect(&target.page().location(), &cookies))
    }
}
