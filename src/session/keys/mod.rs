//! The signing keys: where they are kept, how one follows another.
//!
//! Private halves lie in the database, sealed under the root secret. A new key of a running installation signs
//! only after the JWKS max-age has passed, so that no verifier ever meets a key it could not yet have; the old
//! one stays until the last token it signed has expired.

pub mod store;

use std::time::Duration;

use super::token::{KeyRing, SigningKey};
use crate::base::clock::Timestamp;
use crate::base::seal::Sealer;
use crate::base::secret::sha256;
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};

/// How long verifiers may keep the JWKS (its `max-age`), and how long a new key waits before it signs.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// The public half as RFC 7517 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `EC`.
    pub kty: String,
    /// `P-256`.
    pub crv: String,
    /// base64url of 32 bytes.
    pub x: String,
    /// base64url of 32 bytes.
    pub y: String,
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// `ES256`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database failed.
    #[error("the signing keys cannot be read or written: {0}")]
    Store(#[from] sqlx::Error),
    /// The crypto library made no key.
    #[error("no signing key could be made")]
    Make,
    /// A public half in the database is not its private half's.
    #[error(
        "the public half of signing key {0} in the database does not belong to its private half: somebody changed the \
         table signing_keys. Find out who; then delete that row (its sessions end) and start again"
    )]
    Mismatch(String),
}

/// A fresh key: its public half and its private half as PKCS #8.
fn generate_key() -> Result<(Jwk, Vec<u8>), KeyError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Make)?;
    let jwk = public_half(&pair).ok_or(KeyError::Make)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Make)?;
    Ok((jwk, pkcs8.as_ref().to_vec()))
}

/// The public half as the private one has it.
fn public_half(pair: &EcdsaKeyPair) -> Option<Jwk> {
    // SEC 1 §2.3.3, uncompressed: 0x04 ‖ x ‖ y.
    let public = pair.public_key().as_ref();
    let (x, y) = public.get(1..33).zip(public.get(33..65))?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(Jwk {
        kid: URL_SAFE_NO_PAD.encode(sha256(thumbprint.as_bytes())),
        kty: "EC".to_owned(),
        crv: "P-256".to_owned(),
        x,
        y,
        alg: "ES256".to_owned(),
        usage: "sig".to_owned(),
    })
}

/// The ring, and its public halves for the JWKS.
#[derive(Debug, Default)]
pub struct LoadedKeys {
    /// What signs and verifies.
    pub ring: KeyRing,
    /// What the JWKS shows.
    pub jwks: Vec<Jwk>,
    /// Keys whose private half does not open with this root secret.
    pub foreign: usize,
    /// Ids of keys whose public half in the database is another one than their private half has. They neither sign
    /// nor verify, and are not published.
    pub mismatched: Vec<String>,
}

impl LoadedKeys {
    /// Refuses keys of which one has a public half that is not its own: whoever could plant it there can do more.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`].
    pub fn require_trusted(self) -> Result<Self, KeyError> {
        match self.mismatched.first() {
            Some(kid) => Err(KeyError::Mismatch(kid.clone())),
            None => Ok(self),
        }
    }
}

/// Reads every key. One that does not open with this root secret neither signs nor verifies: losing the root
/// secret ends every session.
///
/// # Errors
/// If the database fails.
pub async fn load(db: &Db, sealer: &Sealer) -> Result<LoadedKeys, KeyError> {
    let mut loaded = LoadedKeys::default();
    for store::SigningKeyRow { kid, jwk, sealed, signs_from } in store::list_keys(db).await? {
        let private =
            STANDARD.decode(&sealed).ok().and_then(|bytes| sealer.open(&bytes, kid.as_bytes()).ok());
        let pair = private
            .as_deref()
            .and_then(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok());
        // The database only repeats the public half, which anybody may write who may write there.
        let public = pair.as_ref().and_then(public_half);
        let verify = public.as_ref().and_then(|j| DecodingKey::from_ec_components(&j.x, &j.y).ok());
        let (Some(private), Some(public), Some(verify)) = (private, public, verify) else {
            loaded.foreign += 1;
            continue;
        };
        let said = serde_json::from_str::<Jwk>(&jwk).ok();
        if public.kid != kid || said.as_ref() != Some(&public) {
            loaded.mismatched.push(kid);
            continue;
        }
        loaded.ring.0.push(SigningKey {
            kid,
            verify,
            sign: Some(EncodingKey::from_ec_der(&private)),
            signs_from,
        });
        loaded.jwks.push(public);
    }
    Ok(loaded)
}

/// Adds a key that signs from `signs_from` on; answers its kid.
///
/// # Errors
/// If the database fails.
pub async fn add(
    change: &mut FeedTransaction,
    sealer: &Sealer,
    signs_from: Timestamp,
) -> Result<String, KeyError> {
    let (jwk, pkcs8) = generate_key()?;
    let sealed = STANDARD.encode(sealer.seal(&pkcs8, jwk.kid.as_bytes()));
    let text = serde_json::to_string(&jwk).map_err(|_| KeyError::Make)?;
    store::insert(change, &jwk.kid, &text, &sealed, signs_from).await?;
    Ok(jwk.kid)
}
