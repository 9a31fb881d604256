//! Sessions: who is signed in.
//!
//! A session is a row; its token (a JWT, [`token`]) only names the row. [`Sessions::check`] is the
//! only session check: the gate and the sign-in call the same function, because two different
//! checks would send a browser in circles. It reads [`memory`], and [`refresh`] keeps that in step
//! with the database.
//!
//! | file | what it has |
//! |---|---|
//! | `check` | the session check |
//! | [`memory`], [`refresh`] | what every check reads, and how it follows the database |
//! | `state` | what [`Sessions`] consists of, and which part of it outlives a reload |
//! | [`store`] | SQL |
//! | [`token`], `signature` | the session token and the identity assertion: JWTs, and their one form of a signature |
//! | [`keys`] | the signing keys, and how they rotate |
//! | [`assertion`], [`identity`] | what applications are told: a signed token, and headers |

pub(crate) mod assertion;
mod check;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod memory;
pub(crate) mod refresh;
mod signature;
mod state;
pub(crate) mod store;
pub(crate) mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::base::clock::{Clock, Timestamp};
use crate::base::host::Hosts;
use crate::base::id::{CorpId, PersonId, Sid, UnitId, UserId};
use crate::base::seal::{SealPurpose, Sealer};
use crate::db::Db;
use crate::db::feed::{self, FeedTransaction};
use crate::directory;
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::Chart;
use identity::IdentityCache;
use memory::SessionMemory;
use state::{SessionsState, SessionsView};
use store::{NewSession, SessionRow};
use token::{NoSigningKey, SessionClaims};

pub(crate) use check::{SessionError, SignedInSession};
pub(crate) use refresh::RefreshError;

/// How a person signed in: the authentication method reference of RFC 8176, with our own values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amr {
    /// Inside WeCom, by OAuth.
    App,
    /// By scanning a QR code.
    Qr,
}

impl Amr {
    /// Returns the value that tokens and tables hold.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "wecom-app",
            Self::Qr => "wecom-qr",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::App, Self::Qr].into_iter().find(|a| a.as_str() == text)
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
    /// How long checks go on from memory without the database.
    pub stale_after: Duration,
    /// Whether applications get a signed identity.
    pub assertion: bool,
}

/// The sessions of this installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<SessionsView>);

impl Sessions {
    /// Reads the signing keys, creating the first one if needed, and starts to follow the feed.
    ///
    /// # Errors
    /// If the database fails or no key can be made.
    pub async fn open(
        db: Db,
        settings: SessionSettings,
        root: &[u8; 32],
        clock: Clock,
    ) -> Result<Self, keys::KeyError> {
        let sealer = Sealer::new(root, SealPurpose::SigningKey);
        let position = feed::read_newest_seq(&db).await?;
        directory::store::ensure_chart(&db, &settings.corp).await?;
        let chart = directory::store::load_chart(&db, &settings.corp).await?;
        let bindings = directory::bindings::store::load_bindings(&db, &settings.corp).await?;
        let mut loaded = keys::load(&db, &sealer).await?.require_trusted()?;
        if loaded.foreign > 0 {
            tracing::warn!(
                keys = loaded.foreign,
                "signing keys do not open with this server.secret and are not used: sessions signed with them have ended"
            );
        }
        // Replicas that start together may each create a key; every replica then accepts both.
        if loaded.ring.signer(clock.now()).is_none() {
            let mut change = FeedTransaction::begin(&db, &settings.corp, clock.now()).await?;
            keys::add_key(&mut change, &sealer, clock.now()).await?;
            change.commit().await?;
            loaded = keys::load(&db, &sealer).await?.require_trusted()?;
        }
        let now = clock.now();
        let issuer = settings.hosts.public().to_string();
        let shared = Arc::new(SessionsState {
            db,
            clock,
            sealer,
            memory: SessionMemory::default(),
            chart: ArcSwap::from_pointee(chart),
            bindings: ArcSwap::from_pointee(bindings),
            keys: ArcSwap::from_pointee(loaded),
            assertions: papaya::HashMap::new(),
            feed_position: tokio::sync::Mutex::new(position),
            refreshed_at: AtomicI64::new(now.millis()),
            refresh_failed: AtomicBool::new(false),
            newest_row_at: AtomicI64::new(0),
            keys_reloaded_at: AtomicI64::new(now.millis()),
        });
        let sessions = Self(Arc::new(SessionsView { settings, issuer, shared }));
        sessions.read_newest_row().await?;
        Ok(sessions)
    }

    /// Returns the same sessions with other limits and hosts. Requests under way keep the old ones.
    ///
    /// `corp`, public_url and the cookie domain must not change: they are part of every token.
    #[must_use]
    pub fn reconfigured(&self, settings: SessionSettings) -> Self {
        let issuer = settings.hosts.public().to_string();
        Self(Arc::new(SessionsView { settings, issuer, shared: Arc::clone(&self.0.shared) }))
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
        self.0.keys.load().ring.sign(token::SESSION_TOKEN_TYPE, &claims, now)
    }

    /// Returns the session with this id, if it may still be used.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_alive(&self, sid: &Sid) -> sqlx::Result<Option<SessionRow>> {
        let now = self.0.clock.now();
        let row = store::find_session(&self.0.db, &self.0.settings.corp, sid).await?;
        Ok(row.filter(|r| r.ended_at.is_none() && r.expires_at > now && r.person.active))
    }

    /// Returns the published chart, as this replica knows it.
    pub fn chart(&self) -> Guard<Arc<Chart>> {
        self.0.chart.load()
    }

    /// Returns which persons the userids in rules mean.
    pub fn bindings(&self) -> Guard<Arc<RuleBindings>> {
        self.0.bindings.load()
    }

    /// Returns the public keys.
    pub fn jwks(&self) -> Vec<keys::Jwk> {
        self.0.keys.load().jwks.clone()
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
