//! Signs and verifies ES256 tokens (RFC 7515, RFC 7519) with the keys of this installation.
//!
//! Pure: keys in, text out. A verifier takes exactly one `typ` (RFC 8725 §3.11), so that a token
//! made for one purpose can never be used for another. The key is chosen by `kid` among ours;
//! whatever else a header says about keys (`jwk`, `jku`, `x5u`) is not read.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::signature;
use crate::base::clock::Timestamp;

/// How far the clocks of two replicas may differ, in seconds.
const MAX_SKEW_SECONDS: i64 = 60;

/// A key that verifies, and signs if we hold its private half.
pub(crate) struct SigningKey {
    /// RFC 7638 thumbprint of the public half.
    pub kid: String,
    /// The public half.
    pub verify: DecodingKey,
    /// The private half.
    pub sign: Option<EncodingKey>,
    /// From when on it signs.
    pub signs_from: Timestamp,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("signs_from", &self.signs_from)
            .finish_non_exhaustive()
    }
}

/// The keys of this installation, newest first.
#[derive(Debug, Default)]
pub(crate) struct KeyRing(pub Vec<SigningKey>);

/// What a token must say to be accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpectedToken<'a> {
    pub typ: &'a str,
    pub issuer: &'a str,
    pub audience: &'a str,
}

/// Claims with the times that every verification checks, in seconds since 1970.
pub(crate) trait TimedClaims: DeserializeOwned {
    /// Returns `iat`.
    fn issued_at(&self) -> i64;

    /// Returns `exp`.
    fn expires_at(&self) -> i64;
}

/// The token is not a valid one of ours for the requested purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid token")]
pub(crate) struct InvalidToken;

/// No key of ours may sign at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no signing key")]
pub struct NoSigningKey;

impl KeyRing {
    /// Returns the key that signs at `now`: the newest whose time has come, or the oldest if the
    /// clock is behind all of them.
    pub(crate) fn signer(&self, now: Timestamp) -> Option<&SigningKey> {
        let whole = || self.0.iter().filter(|k| k.sign.is_some());
        let come = whole().filter(|k| k.signs_from <= now).max_by_key(|k| k.signs_from);
        come.or_else(|| whole().min_by_key(|k| k.signs_from))
    }

    /// Returns whether the ring has a key with this id.
    pub(crate) fn has_key(&self, kid: &str) -> bool {
        self.0.iter().any(|k| k.kid == kid)
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
        let key = self.signer(now).ok_or(NoSigningKey)?;
        let header =
            Header { typ: Some(typ.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
        let secret = key.sign.as_ref().ok_or(NoSigningKey)?;
        let token = jsonwebtoken::encode(&header, claims, secret).map_err(|_| NoSigningKey)?;
        signature::lower_s(token).ok_or(NoSigningKey)
    }

    /// Verifies a token: the signature by a key of ours with the lower `s`, `typ`, issuer, audience
    /// and times.
    ///
    /// # Errors
    /// [`InvalidToken`], without saying why.
    pub(crate) fn verify<C: TimedClaims>(
        &self,
        token: &str,
        expected: &ExpectedToken<'_>,
        now: Timestamp,
    ) -> Result<C, InvalidToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken)?;
        let ours = header.typ.as_deref() == Some(expected.typ)
            && header.alg == Algorithm::ES256
            // No extension is understood, so none may be critical (RFC 7515 §4.1.11).
            && header.crit.is_none()
            && signature::has_low_s(token);
        if !ours {
            return Err(InvalidToken);
        }
        let kid = header.kid.ok_or(InvalidToken)?;
        let key = self.0.iter().find(|k| k.kid == kid).ok_or(InvalidToken)?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[expected.audience]);
        validation.set_issuer(&[expected.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The times are checked below against the injected clock.
        validation.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<C>(token, &key.verify, &validation).map_err(|_| InvalidToken)?.claims;
        let (now, issued_at, expires_at) = (now.seconds(), claims.issued_at(), claims.expires_at());
        // An `iat` in the future is accepted as far as the clocks of replicas may differ.
        if expires_at <= now || issued_at > now.saturating_add(MAX_SKEW_SECONDS) || expires_at <= issued_at {
            return Err(InvalidToken);
        }
        Ok(claims)
    }
}

/// Returns the `kid` and `typ` that an unverified token claims, or `None` if it is not a JWT.
pub(crate) fn peek_header(token: &str) -> Option<(String, String)> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    Some((header.kid?, header.typ?))
}
