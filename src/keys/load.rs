//! Reads the keys from the database, opens them, and adds new ones.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::jwk::{Jwk, generate_key, public_half};
use super::ring::{KeyRing, SigningKey};
use super::{KeyError, store};
use crate::base::clock::Timestamp;
use crate::base::seal::Sealer;
use crate::db::Db;
use crate::db::feed::FeedTransaction;

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
pub(crate) async fn load_keys(db: &Db, sealer: &Sealer) -> sqlx::Result<LoadedKeys> {
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
pub(super) async fn add_key(
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
