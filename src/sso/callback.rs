//! `/sso/callback`: turns a code and a state from WeCom into a session ([design: the
//! callback](crate::design#the-callback)).

use std::time::Duration;

use axum::extract::State as AxumState;
use axum::response::Response;
use tracing::Instrument as _;

use super::attempt_cookie::ReturnedAttemptCookie;
use super::bad_codes::CodeReservation;
use super::callback_query::CallbackQuery;
use super::error::{SignInRefusal, SsoError};
use super::start::AttemptOptions;
use super::state::{Entrance, SignInState};
use super::{Sso, entrance, marker, member_lookup, store, target_query};
use crate::audit;
use crate::base::id::{PersonId, Sid, UserId};
use crate::base::secret::sha256_hex;
use crate::db::feed::FeedTransaction;
use crate::directory::{self, MemberProfile};
use crate::http::browser::BrowserKind;
use crate::http::browser_request::BrowserRequest;
use crate::http::cookie::SetCookie;
use crate::http::redirect::redirect;
use crate::session::store::{NewSession, SessionsToEnd};
use crate::session::{Amr, SignedInSession, store as session_store};
use crate::wecom::Deadline;

/// The time for all calls to WeCom (token, code, person). Whatever WeCom does, the person gets a
/// page within 15 s.
const WECOM_TIMEOUT: Duration = Duration::from_secs(14);

/// Handles `GET /sso/callback`.
pub async fn handle_callback(AxumState(sso): AxumState<Sso>, visit: BrowserRequest) -> Response {
    run_to_end(sso, visit, false).await
}

/// Handles O2OA's old page, the redirect_uri of the workbench link. A code with our state signs in,
/// anything else starts a sign-in.
pub async fn handle_seed_page(AxumState(sso): AxumState<Sso>, visit: BrowserRequest) -> Response {
    run_to_end(sso, visit, true).await
}

/// Runs the callback to its end even if the browser hangs up. A WebView that sends the request
/// twice drops the first one, and what WeCom said must be stored for the second. A refused code
/// must be counted in any case.
async fn run_to_end(sso: Sso, visit: BrowserRequest, seed_page: bool) -> Response {
    let (inside, same) = (sso.clone(), visit.clone());
    let work = async move { answer_callback(&inside, &same, seed_page).await };
    match sso.0.callback_tasks.spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "A callback did not come to its end");
            sso.fail(&visit, None, SsoError::Broken)
        }
    }
}

async fn answer_callback(sso: &Sso, visit: &BrowserRequest, seed_page: bool) -> Response {
    if visit.in_frame() {
        let brings = |name| visit.query.single(name) != Ok(None);
        if !sso.hosts().is_public(&visit.origin) || !(brings("code") || brings("state")) {
            return sso.leave_frame(visit);
        }
        // WeCom's official panel could not leave its frame. Nothing is consumed here: the top
        // window sends the request again.
        let same = visit.uri.path_and_query().map_or("/", |p| p.as_str());
        return sso.0.site.pages.break_out(&visit.view, same);
    }
    let returned = match CallbackQuery::from_request(sso, visit, seed_page) {
        Ok(returned) => returned,
        Err(error) => return sso.fail(visit, None, error),
    };
    match sso.receive(visit, &returned).await {
        Ok(response) => response,
        Err(error) => sso.fail(visit, Some(&returned.target), error),
    }
}

/// A person who may sign in, with the open transaction that says so.
struct AdmittedPerson {
    change: FeedTransaction,
    person: PersonId,
    found: MemberProfile,
}

impl Sso {
    async fn receive(&self, visit: &BrowserRequest, back: &CallbackQuery) -> Result<Response, SsoError> {
        let Some(code) = back.code.as_deref() else {
            if back.state_sent {
                return Err(SsoError::Cancelled);
            }
            return self.begin(visit, &back.target).await;
        };
        self.ensure_may_begin()?;
        if !self.hosts().is_public(&visit.origin) {
            // WeCom returns only to public_url's host, so a code on another host is not from a
            // start of ours.
            return self.begin(visit, &back.target).await;
        }
        let valid = back.valid_attempt(visit);
        if valid.is_none() {
            // It will restart. A valid attempt was counted when it began, so others behind the same
            // address cannot keep it from finishing.
            self.count_start(visit)?;
        }
        let session = self.0.sessions.check(&visit.headers, &visit.origin).await.ok();
        let Some((state, cookie)) = valid else {
            if let Some(response) = self.already_finished(visit, back, session.as_ref()).await? {
                return Ok(response);
            }
            return self.restart(visit, back, SsoError::CookiesBlocked);
        };
        // A browser that refuses the session cookie would otherwise go in circles.
        let Some(count) =
            marker::count_finish(&visit.headers, visit.is_secure(), session.is_some(), state.started_at)
        else {
            return Err(SsoError::CookiesRefused);
        };
        let round = self.count_round(visit, &back.target, session.is_some(), state.started_at)?;
        let payment = self.0.settings.bad_code_limits.reserve(visit.address).map_err(SsoError::TooMany)?;
        let claim = ClaimedAttempt { state, cookie, count, round, code_hash: sha256_hex(code), session };
        match store::claim_attempt(
            &self.0.db,
            &self.0.settings.corp,
            &state.id.to_hex(),
            &claim.code_hash,
            visit.view.at,
        )
        .await?
        {
            None => self.exchange(visit, back, &claim, code, payment).await,
            Some(_) => {
                drop(payment); // WeCom is not asked.
                self.answer_repeat(visit, back, &claim).await
            }
        }
    }

    /// Restarts the sign-in once. The second time a page says why.
    pub(super) fn restart(
        &self,
        visit: &BrowserRequest,
        back: &CallbackQuery,
        why: SsoError,
    ) -> Result<Response, SsoError> {
        let before = back.state.as_ref().map_or(0, |s| s.restarts).max(u8::from(visit.query.flag("r")));
        if before > 0 && !back.was_shown_long(visit) {
            return Err(why);
        }
        let restarts = u8::from(!back.was_shown_long(visit));
        let entrance = back.entrance.or((visit.browser == BrowserKind::WeCom).then_some(Entrance::App));
        // After a sign-out the person must first see the page with the button.
        let button = marker::has_signed_out(&visit.headers, visit.is_secure());
        if entrance == Some(Entrance::App) && !button {
            return Ok(self.send_to_wecom(
                visit,
                &back.target,
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
        Ok(redirect(&format!("{}{}", visit.path("login"), target_query(&back.target, &more)), &[]))
    }

    /// Handles the first callback of an attempt: asks WeCom, and stores the result.
    async fn exchange(
        &self,
        visit: &BrowserRequest,
        back: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        code: &str,
        payment: CodeReservation<'_>,
    ) -> Result<Response, SsoError> {
        match self.admit(code).await? {
            Ok(admitted) => {
                drop(payment); // The code was good.
                self.sign_in(visit, back, claim, admitted).await
            }
            Err((refused, userid)) => {
                let again = refused.needs_new_code();
                if again {
                    payment.keep();
                }
                let error = SsoError::Refused(refused);
                self.write_refusal(visit, claim, &error, userid.as_ref()).await?;
                if again { self.restart(visit, back, error) } else { Err(error) }
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
        let complete_at = self.0.sessions.chart().complete_at();
        if let Some(found) =
            known.and_then(|p| member_lookup::find_vouched_member(p, complete_at, self.0.clock.now()))
        {
            let mut change = FeedTransaction::begin(&self.0.db, corp, self.0.clock.now()).await?;
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
        let mut change = FeedTransaction::begin(&self.0.db, corp, self.0.clock.now()).await?;
        let person = directory::store::record_active_member(&mut change, &found).await?;
        Ok(Ok(AdmittedPerson { change, person, found }))
    }

    async fn sign_in(
        &self,
        visit: &BrowserRequest,
        back: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        admitted: AdmittedPerson,
    ) -> Result<Response, SsoError> {
        let AdmittedPerson { mut change, person, found } = admitted;
        let now = change.now();
        let scope = self.hosts().cookie_scope(&visit.origin);
        let mut kept = claim.session.as_ref().filter(|s| s.person.id == person);
        if let Some(session) = kept
            && !session_store::hold_session(&mut change, &session.sid).await?
        {
            // The session ended while WeCom was asked.
            kept = None;
        }
        let mut new = None;
        let sid = match kept {
            // The same person keeps the session.
            Some(session) => session.sid.clone(),
            None => {
                // Another person signed in here before. That sign-in ends on every host.
                if let Some(other) = &claim.session {
                    session_store::end_sessions(
                        &mut change,
                        &SessionsToEnd::Family(&other.family),
                        "replaced",
                    )
                    .await?;
                }
                let session =
                    self.new_session(visit, &person, scope.audience.clone(), claim.state.entrance, now);
                self.0.sessions.begin(&mut change, &session).await?;
                new.insert(session).sid.clone()
            }
        };
        store::finish_attempt(&mut change, &claim.state.id.to_hex(), &sid, back.target.page().as_str())
            .await?;
        let decision =
            AuditDecision { person: Some(person), userid: found.userid.as_str(), decision: "allowed" };
        self.audit(&mut change, visit, decision, entrance_amr(claim.state.entrance).as_str().to_owned())
            .await?;
        change.commit().await?;
        self.0.metrics.finished(claim.state.entrance);
        tracing::info!(user.id = %found.userid, session.id = %sid, "Signed in {}", found.userid);
        let mut cookies = Vec::new();
        if let Some(session) = &new {
            let token = self.0.sessions.sign_token(session, &found.userid, &found.name)?;
            cookies.push(self.session_cookie(visit, token, session.expires_at));
        }
        self.redirect_signed_in(visit, back, claim, &sid, cookies).await
    }

    fn new_session(
        &self,
        visit: &BrowserRequest,
        person: &PersonId,
        audience: String,
        entrance: Entrance,
        now: crate::base::clock::Timestamp,
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
            address: visit.address,
            user_agent: visit.user_agent(),
        }
    }

    pub(super) async fn redirect_signed_in(
        &self,
        visit: &BrowserRequest,
        back: &CallbackQuery,
        claim: &ClaimedAttempt<'_>,
        sid: &Sid,
        mut cookies: Vec<SetCookie>,
    ) -> Result<Response, SsoError> {
        cookies.push(marker::finish_marker(claim.count, visit.is_secure(), self.0.clock.now()));
        cookies.push(claim.cookie.keep_after_success());
        cookies.extend(self.round_cookies(visit, &back.target, claim.round));
        let to = self.location_for(visit, &back.target, sid).await?;
        Ok(redirect(&to, &cookies))
    }

    /// Builds the session cookie for the requesting host.
    pub(super) fn session_cookie(
        &self,
        visit: &BrowserRequest,
        token: String,
        expires_at: crate::base::clock::Timestamp,
    ) -> SetCookie {
        let scope = self.hosts().cookie_scope(&visit.origin);
        SetCookie {
            name: self.hosts().cookie_name(&visit.origin).to_owned(),
            value: token,
            max_age: expires_at.since(self.0.clock.now()),
            domain: scope.domain,
            secure: scope.secure,
            path: None,
        }
    }

    /// Records that an attempt was refused. If WeCom says that a known person is not active, this
    /// also ends that person's sessions, in the same transaction.
    async fn write_refusal(
        &self,
        visit: &BrowserRequest,
        claim: &ClaimedAttempt<'_>,
        error: &SsoError,
        userid: Option<&UserId>,
    ) -> Result<(), SsoError> {
        let mut change =
            FeedTransaction::begin(&self.0.db, &self.0.settings.corp, self.0.clock.now()).await?;
        let mut person = None;
        let said = match error {
            SsoError::Refused(refused) => member_lookup::status_from_refusal(refused),
            _ => None,
        };
        if let (Some(userid), Some(status)) = (userid, said) {
            person = directory::store::set_status(&mut change, userid, status).await?;
            if let Some(person) = &person {
                session_store::end_sessions(&mut change, &SessionsToEnd::Person(person), status.as_str())
                    .await?;
            }
        }
        let recorded = error.recorded();
        store::refuse_attempt(&mut change, &claim.state.id.to_hex(), &recorded.to_string()).await?;
        let decision =
            AuditDecision { person, userid: userid.map_or("", |u| u.as_str()), decision: "refused" };
        self.audit(&mut change, visit, decision, recorded.to_string()).await?;
        change.commit().await?;
        if matches!(error, SsoError::Refused(SignInRefusal::WeCom(_))) {
            tracing::warn!(%error, code = %recorded.code, "A sign-in failed: {error}");
        }
        Ok(())
    }

    async fn audit(
        &self,
        change: &mut FeedTransaction,
        visit: &BrowserRequest,
        decision: AuditDecision<'_>,
        detail: String,
    ) -> Result<(), SsoError> {
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::SignIn,
            person: decision.person,
            userid: decision.userid.to_owned(),
            address: visit.address,
            host: visit.origin.authority(),
            decision: decision.decision,
            detail,
            request_id: visit.view.request_id.as_str().to_owned(),
        };
        let (corp, now) = (change.corp().clone(), change.now());
        let reason = entry.detail.clone();
        // Anybody can cause refusals, in any number, so their rows are limited.
        let entry = match entry.decision {
            "refused" => self.0.settings.refusals.limit(entry, &reason, now),
            // A sign-in that was allowed is always recorded.
            _ => Some(entry),
        };
        if let Some(entry) = entry {
            audit::store::insert_entry(change.tx(), &corp, &entry, now).await?;
        }
        Ok(())
    }
}

/// The decision that an audit row records.
struct AuditDecision<'a> {
    person: Option<PersonId>,
    userid: &'a str,
    decision: &'static str,
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

const fn entrance_amr(entrance: Entrance) -> Amr {
    match entrance {
        Entrance::App => Amr::App,
        Entrance::Qr => Amr::Qr,
    }
}
