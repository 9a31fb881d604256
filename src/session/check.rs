//! The session check: whether a request is signed in, read from memory or else from the database.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;

use super::memory::{LiveSession, TokenHash};
use super::store::{self, SessionRow};
use super::token::{self, SessionClaims};
use super::{Amr, SessionPerson, Sessions};
use crate::base::clock::Timestamp;
use crate::base::host::Origin;
use crate::base::id::{PersonId, Sid};
use crate::http::cookie;
use crate::keys::{ExpectedToken, InvalidToken};

/// How long a check waits for the database before it answers [`SessionError::Unavailable`].
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// The number of session cookies that a sign-out looks at.
const MAX_SIGN_OUT_COOKIES: usize = 8;

/// A session that passed the check.
#[derive(Debug, Clone)]
pub struct SignedInSession {
    pub sid: Sid,
    /// The session that the sign-in began with.
    pub family: Sid,
    /// The person, as the directory has it now.
    pub person: Arc<SessionPerson>,
    pub amr: Amr,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// The absolute limit.
    pub expires_at: Timestamp,
}

/// Why a request counts as not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Neither a cookie nor a Bearer token of ours.
    #[error("no session")]
    Absent,
    /// Two cookies of our name: nobody can say which one is meant.
    #[error("two session cookies")]
    Duplicate,
    /// Not a token of ours for this host, or expired.
    #[error("not a valid token for this host")]
    Invalid,
    /// Signed out, revoked, idle too long, or its person is no longer active.
    #[error("the session has ended")]
    Ended,
    /// The database does not answer and memory is too old to go on.
    #[error("the store is unavailable")]
    Unavailable,
}

impl Sessions {
    /// Checks the session of a request: first the cookie, then a Bearer token of ours.
    ///
    /// `origin` is the host that the browser sees; the token must have been issued for its
    /// audience.
    ///
    /// # Errors
    /// [`SessionError`]; never anything that could be mistaken for a session.
    pub async fn check(&self, headers: &HeaderMap, origin: &Origin) -> Result<SignedInSession, SessionError> {
        // Also for requests without a session: stale memory answers nobody (see
        // `crate::design#the-stale-rule`).
        if !self.0.replica.is_fresh(self.0.clock.now()) {
            return Err(SessionError::Unavailable);
        }
        let mut cookies = cookie::cookie_values(headers, self.0.settings.hosts.cookie_name(origin));
        let (first, second) = (cookies.next(), cookies.next());
        if second.is_some() {
            return Err(SessionError::Duplicate);
        }
        let by_cookie = match first {
            Some(token) => self.check_token(token, origin).await,
            None => Err(SessionError::Absent),
        };
        // A useless cookie must not hide a good Bearer token.
        match by_cookie {
            Err(why) => match token::find_bearer_token(headers) {
                Some(token) => self.check_token(token, origin).await,
                None => Err(why),
            },
            signed_in => signed_in,
        }
    }

    /// Returns every valid session among the cookies of a request. A browser may hold two cookies
    /// of our name.
    pub async fn check_all(&self, headers: &HeaderMap, origin: &Origin) -> Vec<SignedInSession> {
        let mut sessions = Vec::new();
        for token in cookie::cookie_values(headers, self.0.settings.hosts.cookie_name(origin))
            .take(MAX_SIGN_OUT_COOKIES)
        {
            if let Ok(session) = self.check_token(token, origin).await {
                sessions.push(session);
            }
        }
        sessions
    }

    async fn check_token(&self, token: &[u8], origin: &Origin) -> Result<SignedInSession, SessionError> {
        let now = self.0.clock.now();
        let hash: TokenHash = *blake3::hash(token).as_bytes();
        let live = match self.0.memory.get(&hash) {
            Some(live) => live,
            // Boxed, so that the future of the usual check, which finds its session in memory,
            // stays small.
            None => Box::pin(self.load_session(token, hash, origin, now)).await?,
        };
        self.evaluate(&live, origin, now).await
    }

    /// Decides whether a session in memory may pass for `origin` now.
    async fn evaluate(
        &self,
        live: &LiveSession,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<SignedInSession, SessionError> {
        if !self.0.settings.hosts.is_audience(origin, &live.audience) {
            return Err(SessionError::Invalid);
        }
        let mut person = live.person.load_full().ok_or(SessionError::Ended)?;
        if !person.active && !live.has_ended() {
            // Losing the right to sign in ends every session in the same transaction. So this
            // session began after the person came back, and memory has not heard of that yet.
            // Sending the browser away now would make it sign in again and again until memory has.
            let heard = tokio::time::timeout(STORE_TIMEOUT, self.refresh()).await;
            if !matches!(heard, Ok(Ok(()))) {
                return Err(SessionError::Unavailable);
            }
            person = live.person.load_full().ok_or(SessionError::Ended)?;
        }
        if live.has_ended() || now >= live.expires_at || !person.active {
            return Err(SessionError::Ended);
        }
        if now.since(live.last_seen()) > self.0.settings.idle {
            Box::pin(self.check_idle(live, now)).await?;
        }
        live.touch(now);
        Ok(SignedInSession {
            sid: live.sid.clone(),
            family: live.family.clone(),
            person,
            amr: live.amr,
            auth_time: live.auth_time,
            expires_at: live.expires_at,
        })
    }

    /// Checks the row of a session that is idle here: another replica may have seen it since.
    async fn check_idle(&self, live: &LiveSession, now: Timestamp) -> Result<(), SessionError> {
        let row = self.find(&live.sid).await?.ok_or(SessionError::Ended)?;
        live.merge_last_seen(row.last_seen_at);
        if row.ended_at.is_some() || now.since(live.last_seen()) > self.0.settings.idle {
            live.end();
            return Err(SessionError::Ended);
        }
        Ok(())
    }

    /// Verifies a token that is not in memory and reads its row.
    async fn load_session(
        &self,
        token: &[u8],
        hash: TokenHash,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Arc<LiveSession>, SessionError> {
        let token = std::str::from_utf8(token).map_err(|_| SessionError::Invalid)?;
        let claims =
            self.verify_token(token, origin, now).await.map_err(|InvalidToken| SessionError::Invalid)?;
        let (sid, person) = (Sid::new(claims.sid.as_str()), PersonId::new(claims.sub.as_str()));
        // Memory may be cleared while the row is being read, but not four times in a row.
        for _ in 0..4 {
            let expected = self.0.memory.expect(&sid, &person);
            let row = self.find(&sid).await?.ok_or(SessionError::Ended)?;
            // The token must name this row in every respect.
            let same = row.person.id == person
                && row.audience == claims.aud
                && row.expires_at.seconds() == claims.exp;
            if !same {
                return Err(SessionError::Invalid);
            }
            // Reuse the ids that memory already has, so that each text is stored once.
            let person = self.intern_units(SessionPerson { id: person.clone(), ..row.person });
            let row = SessionRow { sid: sid.clone(), person, ..row };
            if let Some(live) = self.0.memory.put(hash, &row, expected) {
                return Ok(live);
            }
        }
        Err(SessionError::Unavailable)
    }

    /// Replaces the person's unit ids by the chart's own, so that each text is stored once.
    pub(super) fn intern_units(&self, mut person: SessionPerson) -> SessionPerson {
        let chart = self.0.replica.chart();
        for place in &mut person.memberships {
            place.unit = chart.intern(place.unit.clone());
        }
        person
    }

    async fn verify_token(
        &self,
        token: &str,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<SessionClaims, InvalidToken> {
        let audience = self.0.settings.hosts.cookie_scope(origin).audience;
        let expected =
            ExpectedToken { typ: token::SESSION_TOKEN_TYPE, issuer: &self.0.issuer, audience: &audience };
        let claims: SessionClaims = self.0.keys.verify(token, &expected, now).await?;
        // One database may serve several corporations, which share its keys.
        if claims.corp == self.0.settings.corp.as_str() { Ok(claims) } else { Err(InvalidToken) }
    }

    async fn find(&self, sid: &Sid) -> Result<Option<SessionRow>, SessionError> {
        match tokio::time::timeout(STORE_TIMEOUT, store::find_session(&self.0.db, &self.0.settings.corp, sid))
            .await
        {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a session could not be read");
                Err(SessionError::Unavailable)
            }
            Err(_) => Err(SessionError::Unavailable),
        }
    }
}
