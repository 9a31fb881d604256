//! The signing keys of this installation: where they are stored, what they sign, and how they
//! rotate.
//!
//! Private halves are stored in the database, sealed with the root secret. A new key of a running
//! installation signs only after the JWKS max-age has passed, so that no verifier meets a key that
//! it cannot have fetched yet. The old key stays until the last token that it signed has expired.
//!
//! | file | what it has |
//! |---|---|
//! | `jwk` | a public half as others see it, and how a pair is generated |
//! | `load` | reads, opens and adds keys |
//! | [`ring`], `signature` | signs and verifies ES256 tokens; the one form of a signature |
//! | [`store`] | SQL |

mod jwk;
mod load;
pub(crate) mod ring;
mod signature;
pub(crate) mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::audit;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::CorpId;
use crate::base::seal::{SealPurpose, Sealer};
use crate::db::Db;
use crate::db::feed::FeedTransaction;

pub(crate) use jwk::Jwk;
pub(crate) use load::{LoadedKeys, load_keys};
pub(crate) use ring::{ExpectedToken, InvalidToken, NoSigningKey, TimedClaims};

/// How long verifiers may cache the JWKS, and how long a new key waits before it signs.
pub(crate) const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// How often tokens that name an unknown key may make us read the keys again: junk must not cost a
/// query each.
const UNKNOWN_KEY_RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the signing keys cannot be read or written: {0}")]
    Store(#[from] sqlx::Error),
    #[error("no signing key could be made")]
    Make,
    /// A public half in the database does not match its private half.
    #[error(
        "the public half of signing key {0} in the database does not belong to its private half: somebody changed the \
         table signing_keys. Find out who; then delete that row (its sessions end) and start again"
    )]
    Mismatch(String),
}

/// The signing keys as this process holds them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SigningKeys(Arc<SigningKeysInner>);

#[derive(Debug)]
struct SigningKeysInner {
    db: Db,
    corp: CorpId,
    sealer: Sealer,
    clock: Clock,
    loaded: ArcSwap<LoadedKeys>,
    reloaded_at: AtomicI64,
}

impl SigningKeys {
    /// Reads the keys and creates the first one if none signs.
    ///
    /// Whoever follows the feed takes its place in it before this is called: a key that is made
    /// afterwards is announced there.
    ///
    /// # Errors
    /// If the database fails, no key can be made, or a stored public half does not match its
    /// private half.
    pub async fn open(db: Db, corp: CorpId, root: &[u8; 32], clock: Clock) -> Result<Self, KeyError> {
        let sealer = Sealer::new(root, SealPurpose::SigningKey);
        let mut loaded = load_keys(&db, &sealer).await?.require_trusted()?;
        if loaded.foreign > 0 {
            tracing::warn!(
                keys = loaded.foreign,
                "signing keys do not open with this server.secret and are not used: sessions signed with them have ended"
            );
        }
        // Replicas that start together may each create a key; every replica then accepts both.
        if loaded.ring.signer(clock.now()).is_none() {
            let mut change = FeedTransaction::begin(&db, &corp, clock.now()).await?;
            load::add_key(&mut change, &sealer, clock.now()).await?;
            change.commit().await?;
            loaded = load_keys(&db, &sealer).await?.require_trusted()?;
        }
        let reloaded_at = AtomicI64::new(clock.now().millis());
        let loaded = ArcSwap::from_pointee(loaded);
        Ok(Self(Arc::new(SigningKeysInner { db, corp, sealer, clock, loaded, reloaded_at })))
    }

    /// Reads the keys again. One whose public half does not match its private half is no longer
    /// used.
    ///
    /// # Errors
    /// If the database fails; then the keys stay as they were.
    pub(crate) async fn reload(&self) -> sqlx::Result<()> {
        let loaded = load_keys(&self.0.db, &self.0.sealer).await?;
        for kid in &loaded.mismatched {
            tracing::error!(
                kid,
                "The public half of a signing key in the database does not belong to its private half: the key is not used"
            );
        }
        self.0.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// Signs `claims` as a token of type `typ`.
    ///
    /// # Errors
    /// [`NoSigningKey`].
    pub(crate) fn sign<T: Serialize>(
        &self,
        typ: &str,
        claims: &T,
        now: Timestamp,
    ) -> Result<String, NoSigningKey> {
        self.0.loaded.load().ring.sign(typ, claims, now)
    }

    /// Verifies a token of ours and returns its claims. Reads the keys again if it names one that
    /// is unknown here: another replica may have made it a moment ago.
    ///
    /// # Errors
    /// [`InvalidToken`], without saying why: nobody who holds a good token needs to know.
    pub(crate) async fn verify<C: TimedClaims>(
        &self,
        token: &str,
        expected: &ExpectedToken<'_>,
        now: Timestamp,
    ) -> Result<C, InvalidToken> {
        let (kid, typ) = ring::peek_header(token).ok_or(InvalidToken)?;
        if typ != expected.typ {
            return Err(InvalidToken);
        }
        if !self.0.loaded.load().ring.has_key(&kid) {
            self.reload_for_unknown(now).await;
        }
        self.0.loaded.load().ring.verify(token, expected, now)
    }

    async fn reload_for_unknown(&self, now: Timestamp) {
        let last = Timestamp::from_millis(self.0.reloaded_at.swap(now.millis(), Ordering::AcqRel));
        if now.since(last) >= UNKNOWN_KEY_RELOAD_INTERVAL
            && let Err(error) = self.reload().await
        {
            tracing::warn!(%error, "The signing keys could not be read again");
        }
    }

    /// Returns the public keys.
    pub fn jwks(&self) -> Vec<Jwk> {
        self.0.loaded.load().jwks.clone()
    }

    /// Makes a new key, which is published at once and signs after the JWKS max-age. Returns its
    /// kid and the instant from which it signs.
    ///
    /// # Errors
    /// If the database fails or no key can be made.
    pub async fn rotate(&self, entry: &audit::AuditEntry) -> Result<(String, Timestamp), KeyError> {
        let now = self.0.clock.now();
        let signs_from = now.plus(JWKS_MAX_AGE);
        let mut change = FeedTransaction::begin(&self.0.db, &self.0.corp, now).await?;
        let kid = load::add_key(&mut change, &self.0.sealer, signs_from).await?;
        audit::store::insert_entry(change.tx(), &self.0.corp, entry, now).await?;
        change.commit().await?;
        Ok((kid, signs_from))
    }
}
