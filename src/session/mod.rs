//! Sessions: who is signed in.
//!
//! A session is a row; its token (a JWT, [`token`]) only names the row. [`Sessions::check`] is the
//! only session check: the gate and the sign-in call the same function, because two different
//! checks would send a browser in circles. It reads [`memory`], and `refresh` keeps that in step
//! with the database.
//!
//! | file | what it has |
//! |---|---|
//! | `check` | the session check |
//! | [`memory`], `refresh` | what every check reads, and how it follows the feed |
//! | `view` | what [`Sessions`] consists of, and which part of it outlives a reload |
//! | [`state`] | why sessions end |
//! | [`store`] | SQL of sessions, and of the tickets that carry them to other hosts |
//! | [`token`] | the claims of the session token and of the identity assertion |
//! | [`assertion`], [`identity`] | what applications are told: a signed token, and headers |
//!
//! [`keys`](crate::keys) signs the tokens; [`replica`](crate::replica) reads the feed and keeps the
//! published chart.

pub(crate) mod assertion;
mod check;
pub(crate) mod identity;
mod jobs;
pub(crate) mod memory;
mod refresh;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod token;
mod view;

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, Timestamp};
use crate::base::host::Hosts;
use crate::base::id::{CorpId, PersonId, Sid, UnitId, UserId};
use crate::config::Config;
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::db::types::column_enum;
use crate::keys::{NoSigningKey, SigningKeys};
use crate::replica::Replica;
use identity::IdentityCache;
use memory::SessionMemory;
use store::{NewSession, SessionRow};
use token::SessionClaims;
use view::{SessionsState, SessionsView};

pub(crate) use check::{SessionError, SignedInSession};
pub(crate) use jobs::jobs;
pub use state::SessionEndReason;

column_enum! {
    /// How a person signed in: the authentication method reference of RFC 8176, with our own values.
    pub enum Amr {
        /// Inside WeCom, by OAuth.
        App = "wecom-app",
        /// By scanning a QR code.
        Qr = "wecom-qr",
    }
}

/// A person as far as the checks need it; replaced as a whole when the directory changes.
#[derive(Debug, Clone)]
pub struct SessionPerson {
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
    pub memberships: Box<[SessionMembership]>,
    /// The cached identity headers.
    pub identity: IdentityCache,
}

/// A membership, as far as the checks need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMembership {
    pub unit: UnitId,
    /// Whether the person leads it.
    pub leader: bool,
}

/// Why a session could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginSessionError {
    #[error("the session cannot be written: {0}")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    NoKey(#[from] NoSigningKey),
}

/// The part of the configuration that sessions need.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// 企业ID.
    pub corp: CorpId,
    pub hosts: Hosts,
    /// The absolute limit of a session.
    pub ttl: Duration,
    /// The limit without use.
    pub idle: Duration,
    /// Whether applications get a signed identity.
    pub assertion: bool,
}

impl From<&Config> for SessionSettings {
    fn from(config: &Config) -> Self {
        Self {
            corp: config.wecom.corp_id.clone(),
            hosts: config.hosts.clone(),
            ttl: config.session.ttl,
            idle: config.session.idle,
            assertion: config.gate.assertion,
        }
    }
}

/// The sessions of this installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<SessionsView>);

impl Sessions {
    /// Builds them with nothing in memory. `replica` has been opened before `keys`.
    pub fn new(db: Db, settings: SessionSettings, keys: SigningKeys, replica: Replica, clock: Clock) -> Self {
        let issuer = settings.hosts.public().to_string();
        let memory = SessionMemory::default();
        let assertions = papaya::HashMap::new();
        let shared = Arc::new(SessionsState { db, clock, memory, keys, assertions });
        Self(Arc::new(SessionsView { settings, issuer, replica, shared }))
    }

    /// Returns the same sessions with other limits and hosts. Requests under way keep the old ones.
    ///
    /// `corp`, public_url and the cookie domain must not change: they are part of every token.
    #[must_use]
    pub fn reconfigured(&self, settings: SessionSettings, replica: Replica) -> Self {
        let issuer = settings.hosts.public().to_string();
        let shared = Arc::clone(&self.0.shared);
        Self(Arc::new(SessionsView { settings, issuer, replica, shared }))
    }

    /// Writes a session in the caller's transaction. After the commit, [`Sessions::sign_token`]
    /// makes its token.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin(
        &self,
        change: &mut FeedTransaction,
        new: &NewSession,
    ) -> Result<(), BeginSessionError> {
        store::insert(change, new).await?;
        Ok(())
    }

    /// Returns the absolute limit of a session that begins at `now`.
    pub fn expiry(&self, now: Timestamp) -> Timestamp {
        // Whole seconds: a token's `exp` and its row's limit are the same instant.
        Timestamp::from_millis(now.plus(self.0.settings.ttl).seconds().saturating_mul(1000))
    }

    /// Signs a token for a session of that person.
    ///
    /// # Errors
    /// [`NoSigningKey`].
    pub fn sign_token(
        &self,
        session: &NewSession,
        userid: &UserId,
        name: &str,
    ) -> Result<String, NoSigningKey> {
        let now = self.0.clock.now();
        let claims = SessionClaims {
            iss: self.0.issuer.clone(),
            aud: session.audience.clone(),
            corp: self.0.settings.corp.as_str().to_owned(),
            sub: session.person.as_str().to_owned(),
            userid: userid.as_str().to_owned(),
            name: name.to_owned(),
            sid: session.sid.as_str().to_owned(),
            iat: now.seconds(),
            exp: session.expires_at.seconds(),
            auth_time: session.auth_time.seconds(),
            amr: vec![session.amr.as_str().to_owned()],
        };
        self.0.keys.sign(token::SESSION_TOKEN_TYPE, &claims, now)
    }

    /// Returns the session with this id, if it may still be used.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_alive(&self, sid: &Sid) -> sqlx::Result<Option<SessionRow>> {
        let now = self.0.clock.now();
        let row = store::find_session(&self.0.db, &self.0.settings.corp, sid).await?;
        Ok(row.filter(|r| r.is_living(now) && r.person.active))
    }

    /// Returns what this process knows of the others: the chart, the bindings, and how fresh memory
    /// is.
    pub fn replica(&self) -> &Replica {
        &self.0.replica
    }

    /// Returns the number of tokens in memory.
    pub fn count_in_memory(&self) -> usize {
        self.0.memory.count()
    }

    pub fn hosts(&self) -> &Hosts {
        &self.0.settings.hosts
    }

    pub fn settings(&self) -> &SessionSettings {
        &self.0.settings
    }
}
