//! The signing keys: where they are stored and how they rotate.
//!
//! Private halves are stored in the database, sealed with the root secret. A new key of a running
//! installation signs only after the JWKS max-age has passed, so that no verifier meets a key that
//! it cannot have fetched yet. The old key stays until the last token that it signed has expired.

pub(crate) mod store;

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

/// How long verifiers may cache the JWKS, and how long a new key waits before it signs.
pub(crate) const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// A public key in the format of RFC 7517.
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

/// Generates a key. Returns its public half, and its private half as PKCS #8.
fn generate_key() -> Result<(Jwk, Vec<u8>), KeyError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Make)?;
    let jwk = public_half(&pair).ok_or(KeyError::Make)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Make)?;
    Ok((jwk, pkcs8.as_ref().to_vec()))
}

/// Derives the public half of a key pair.
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

/// The keys as read from the database.
#[derive(Debug, Default)]
pub(crate) struct LoadedKeys {
    /// The keys that sign and verify.
    pub ring: KeyRing,
    /// The public halves for the JWKS.
    pub jwks: Vec<Jwk>,
    /// The number of keys that this root secret does not open.
    pub foreign: usize,
    /// The ids of keys whose stored public half does not match the private half. They neither sign
    /// nor verify, and are not published.
    pub mismatched: Vec<String>,
}

impl LoadedKeys {
    /// Returns the keys, or an error if a stored public half does not match its private half:
    /// whoever could plant it can do more.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`].
    pub(crate) fn require_trusted(self) -> Result<Self, KeyError> {
        match self.mismatched.first() {
            Some(kid) => Err(KeyError::Mismatch(kid.clone())),
            None => Ok(self),
        }
    }
}

/// Reads every key. A key that this root secret does not open neither signs nor verifies, so losing
/// the root secret ends every session.
///
/// # Errors
/// If the database fails.
pub(crate) async fn load(db: &Db, sealer: &Sealer) -> Result<LoadedKeys, KeyError> {
    let mut loaded = LoadedKeys::default();
    for store::SigningKeyRow { kid, jwk, sealed, signs_from } in store::list_keys(db).await? {
        let private =
            STANDARD.decode(&sealed).ok().and_then(|bytes| sealer.open(&bytes, kid.as_bytes()).ok());
        let pair = private
            .as_deref()
            .and_then(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok());
        // The stored public half is a copy that anybody with write access could replace: derive it
        // from the private half.
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

/// Adds a key that signs from `signs_from` on, and returns its kid.
///
/// # Errors
/// If the database fails.
pub(crate) async fn add_key(
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
