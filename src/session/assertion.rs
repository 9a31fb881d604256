//! The signed identity that an application can verify by itself.

use std::sync::Arc;
use std::time::Duration;

use super::token::{self, AssertionClaims};
use super::{Sessions, SignedInSession};
use crate::base::host::Origin;

/// The lifetime of an assertion ([design: assertions](crate::design#assertions)).
pub(super) const ASSERTION_TTL: Duration = Duration::from_secs(60);

impl Sessions {
    /// Returns the signed identity for the application at `origin` ([design:
    /// assertions](crate::design#assertions)).
    ///
    /// One JWT of 60 s is signed for each session and host and reused for half its life. Returns
    /// `None` where assertions are switched off or no key may sign.
    pub fn assertion(&self, session: &SignedInSession, origin: &Origin) -> Option<Arc<str>> {
        if !self.0.settings.assertion {
            return None;
        }
        let now = self.0.clock.now();
        let key = (session.sid.clone(), origin.authority());
        if let Some((made, jwt)) = self.0.assertions.pin().get(&key)
            // An assertion from the future was signed before the clock was set back.
            && now >= *made
            && now.since(*made) < ASSERTION_TTL / 2
        {
            return Some(Arc::clone(jwt));
        }
        let iat = now.seconds();
        let claims = AssertionClaims {
            iss: &self.0.issuer,
            aud: &key.1,
            corp: self.0.settings.corp.as_str(),
            sub: session.person.id.as_str(),
            userid: session.person.userid.as_str(),
            name: &session.person.name,
            email: &session.person.email,
            iat,
            exp: iat.saturating_add(60),
        };
        match self.0.keys.sign(token::ASSERTION_TOKEN_TYPE, &claims, now) {
            Ok(jwt) => {
                let jwt: Arc<str> = jwt.into();
                self.0.assertions.pin().insert(key, (now, Arc::clone(&jwt)));
                Some(jwt)
            }
            Err(error) => {
                tracing::error!(%error, "no assertion could be signed");
                None
            }
        }
    }
}
