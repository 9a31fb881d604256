//! The public half of a key, as others see it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::KeyError;
use crate::base::secret::sha256;

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

/// Generates a key. Returns its public half, and its private half as PKCS #8.
pub(super) fn generate_key() -> Result<(Jwk, Vec<u8>), KeyError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Make)?;
    let jwk = public_half(&pair).ok_or(KeyError::Make)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Make)?;
    Ok((jwk, pkcs8.as_ref().to_vec()))
}

/// Derives the public half of a key pair.
pub(super) fn public_half(pair: &EcdsaKeyPair) -> Option<Jwk> {
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
