//! Who is signed in.
//!
//! A session is a row; its token (a JWT) only names it. A check looks the token up in memory ([`live`]) and
//! touches neither the signature nor the database once the token was seen.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::base::clock::Timestamp;
use crate::base::host::Origin;
use crate::base::id::{PersonId, Sid, UserId};

/// What the checks need to know of a person; replaced as a whole when the directory changes.
#[derive(Debug, Clone)]
pub struct Person {
    /// Our own stable id.
    pub id: PersonId,
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// Empty if unknown.
    pub email: String,
    /// Whether the person may be signed in at all.
    pub active: bool,
}

/// A session that passed the check.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session row.
    pub sid: Sid,
    /// Its person, as the directory has it now.
    pub person: Arc<Person>,
    /// How the person signed in: `wecom-app`, `wecom-qr`.
    pub amr: &'static str,
    /// When.
    pub auth_time: Timestamp,
    /// The absolute limit.
    pub expires_at: Timestamp,
}

/// Why a request counts as not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSignedIn {
    /// No cookie of ours, no token of ours.
    #[error("no session")]
    Absent,
    /// Two cookies of our name: nobody can say which one is meant.
    #[error("two session cookies")]
    Two,
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

/// The sessions of this installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    _private: (),
}

impl Sessions {
    /// The one session check, for the gate and for sign-in alike: cookie first, then a Bearer token of ours.
    /// `origin` is the host the browser sees; its audience must be the token's.
    ///
    /// # Errors
    /// [`NotSignedIn`]; never anything that could be mistaken for a session.
    pub async fn check(&self, _headers: &HeaderMap, _origin: &Origin) -> Result<SignedIn, NotSignedIn> {
        todo!()
    }

    /// The signed identity for the application at `origin` (DESIGN §4, `Gongpai-Assertion`): a 60 s JWT,
    /// `typ` `gongpai-assertion+jwt`, signed once per session and host and reused for half its life.
    pub fn assertion(&self, _session: &SignedIn, _origin: &Origin) -> Option<String> {
        todo!()
    }
}
