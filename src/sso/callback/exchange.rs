//! Exchanges a code: asks WeCom whose it is, and makes or keeps the session of that person.

use std::time::Duration;

use axum::response::Response;

use super::ClaimedAttempt;
use super::record::SignInDecision;
use crate::audit;
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, Sid, UserId};
use crate::directory::changes::DirectoryTransaction;
use crate::directory::{self, MemberProfile};
use crate::http::browser_request::BrowserRequest;
use crate::http::cookie::SetCookie;
use crate::http::redirect::redirect;
use crate::session::store::{NewSession, SessionsToEnd};
use crate::session::{Amr, SessionEndReason, store as session_store};
use crate::sso::bad_codes::CodeReservation;
use crate::sso::callback_query::CallbackQuery;
use crate::sso::error::{SignInRefusal, SsoError};
use crate::sso::sealed_state::Entrance;
use crate::sso::{Sso, marker, member_lookup, store};
use crate::wecom::Deadline;

/// The time for all calls to WeCom (token, code, person). Whatever WeCom does, the person gets a
/// page within 15 s.
const WECOM_TIMEOUT: Duration = Duration::from_secs(14);

/// A person who may sign in, with the open transaction that says so.
struct AdmittedPerson {
    change: DirectoryTransaction,
    person: PersonId,
    found: MemberProfile,
}

impl Sso {
    /// Handles the first callback of an attempt: asks WeCom, and stores the result.
    pub(super) async fn exchange(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        code: &str,
        reservation: CodeReservation<'_>,
    ) -> Result<Response, SsoError> {
        match self.admit(code).await? {
            Ok(admitted) => {
                drop(reservation); // The code was good.
                self.sign_in(request, query, claim, admitted).await
            }
            Err((refused, userid)) => {
                let needs_new_code = refused.needs_new_code();
                if needs_new_code {
                    reservation.keep();
                }
                let error = SsoError::Refused(refused);
                self.write_refusal(request, claim, &error, userid.as_ref()).await?;
                if needs_new_code { self.restart(request, query, error) } else { Err(error) }
            }
        }
    }

    /// Asks WeCom whose code it is, and writes or confirms that person's row in a transaction that
    /// stays open. Otherwise returns the refusal, with the userid if WeCom named one.
    async fn admit(
        &self,
        code: &str,
    ) -> sqlx::Result<Result<AdmittedPerson, (SignInRefusal, Option<UserId>)>> {
        let deadline = Deadline::after(WECOM_TIMEOUT);
        let corp = &self.0.settings.corp;
        let userid = match member_lookup::identify_member(&self.0.client, code, deadline).await {
            Ok(userid) => userid,
            Err(refused) => return Ok(Err((refused, None))),
        };
        let known = directory::store::find_person_by_userid(&self.0.db, corp, &userid).await?;
        let complete_at = self.0.sessions.replica().chart().complete_at();
        if let Some(found) =
            known.and_then(|p| member_lookup::find_vouched_member(p, complete_at, self.0.clock.now()))
        {
            let mut change = DirectoryTransaction::begin(&self.0.db, corp, self.0.clock.now()).await?;
            // The row may have changed in between by a synchronisation or a recheck. Then WeCom is
            // asked after all.
            if let Some(person) = directory::store::confirm_active(&mut change, &userid).await? {
                return Ok(Ok(AdmittedPerson { change, person, found }));
            }
        }
        let found = match member_lookup::fetch_member(&self.0.client, &userid, deadline).await {
            Ok(found) => found,
            Err(refused) => return Ok(Err((refused, Some(userid)))),
        };
        let mut change = DirectoryTransaction::begin(&self.0.db, corp, self.0.clock.now()).await?;
        let person = directory::store::record_active_member(&mut change, &found).await?;
        Ok(Ok(AdmittedPerson { change, person, found }))
    }

    /// Makes or keeps the session, finishes the attempt and writes the audit entry, in one
    /// transaction.
    async fn sign_in(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        admitted: AdmittedPerson,
    ) -> Result<Response, SsoError> {
        let AdmittedPerson { mut change, person, found } = admitted;
        let now = change.now();
        let scope = self.hosts().cookie_scope(&request.origin);
        let mut kept_session = claim.session.as_ref().filter(|s| s.person.id == person);
        if let Some(session) = kept_session
            && !session_store::hold_session(&mut change, &session.sid).await?
        {
            // The session ended while WeCom was asked.
            kept_session = None;
        }
        let mut new = None;
        let sid = match kept_session {
            // The same person keeps the session.
            Some(session) => session.sid.clone(),
            None => {
                // Another person signed in here before. That sign-in ends on every host.
                if let Some(other) = &claim.session {
                    session_store::end_sessions(
                        &mut change,
                        &SessionsToEnd::Family(&other.family),
                        SessionEndReason::Replaced,
                    )
                    .await?;
                }
                let session =
                    self.new_session(request, &person, scope.audience.clone(), claim.state.entrance, now);
                self.0.sessions.begin(&mut change, &session).await?;
                new.insert(session).sid.clone()
            }
        };
        store::finish_attempt(&mut change, &claim.state.id.to_hex(), &sid, query.target.page().as_str())
            .await?;
        let decision = SignInDecision {
            person: Some(person),
            userid: found.userid.as_str(),
            decision: audit::AuditDecision::Allowed,
        };
        self.audit(&mut change, request, decision, entrance_amr(claim.state.entrance).as_str().to_owned())
            .await?;
        change.commit().await?;
        self.0.metrics.finished(claim.state.entrance);
        tracing::info!(user.id = %found.userid, session.id = %sid, "Signed in {}", found.userid);
        let mut cookies = Vec::new();
        if let Some(session) = &new {
            let token = self.0.sessions.sign_token(session, &found.userid, &found.name)?;
            cookies.push(self.session_cookie(request, token, session.expires_at));
        }
        self.redirect_signed_in(request, query, claim, &sid, cookies).await
    }

    fn new_session(
        &self,
        request: &BrowserRequest,
        person: &PersonId,
        audience: String,
        entrance: Entrance,
        now: Timestamp,
    ) -> NewSession {
        let sid = Sid::generate(now);
        NewSession {
            family: sid.clone(),
            sid,
            person: person.clone(),
            audience,
            amr: entrance_amr(entrance),
            auth_time: now,
            expires_at: self.0.sessions.expiry(now),
            address: request.address,
            user_agent: request.user_agent(),
        }
    }

    /// Redirects a signed-in browser to its target, with the cookies that every finished sign-in sets.
    pub(in crate::sso) async fn redirect_signed_in(
        &self,
        request: &BrowserRequest,
        query: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        sid: &Sid,
        mut cookies: Vec<SetCookie>,
    ) -> Result<Response, SsoError> {
        cookies.push(marker::finish_marker(claim.count, request.is_secure(), self.0.clock.now()));
        cookies.push(claim.cookie.keep_after_success());
        cookies.extend(self.round_cookies(request, &query.target, claim.round));
        let to = self.location_for(request, &query.target, sid).await?;
        Ok(redirect(&to, &cookies))
    }

    /// Builds the session cookie for the requesting host.
    pub(in crate::sso) fn session_cookie(
        &self,
        request: &BrowserRequest,
        token: String,
        expires_at: Timestamp,
    ) -> SetCookie {
        let scope = self.hosts().cookie_scope(&request.origin);
        SetCookie {
            name: self.hosts().cookie_name(&request.origin).to_owned(),
            value: token,
            max_age: expires_at.since(self.0.clock.now()),
            domain: scope.domain,
            secure: scope.secure,
            path: None,
        }
    }
}

const fn entrance_amr(entrance: Entrance) -> Amr {
    match entrance {
        Entrance::App => Amr::App,
        Entrance::Qr => Amr::Qr,
    }
}
