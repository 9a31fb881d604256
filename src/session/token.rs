//! The session token and the identity assertion: JWTs signed with ES256 (RFC 7515, RFC 7519).
//!
//! Pure: keys in, text out. A verifier takes exactly one `typ` (RFC 8725 §3.11), so that an
//! assertion, which applications hold, can never be used as a session. The key is chosen by `kid`
//! among ours; whatever else a header says about keys (`jwk`, `jku`, `x5u`) is not read.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::signature;
use crate::base::clock::Timestamp;

/// The `typ` of a session token.
pub(crate) const SESSION_TOKEN_TYPE: &str = "gongpai-session+jwt";
/// The `typ` of an identity assertion for an application.
pub(crate) const ASSERTION_TOKEN_TYPE: &str = "gongpai-assertion+jwt";

/// How far the clocks of two replicas may differ, in seconds.
const MAX_SKEW_SECONDS: i64 = 60;

/// The claims of a session token ([design: session tokens](crate::design#session-tokens)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionClaims {
    /// public_url.
    pub iss: String,
    /// The host, or the cookie domain.
    pub aud: String,
    /// 企业ID.
    pub corp: String,
    /// Our own stable id of the person.
    pub sub: String,
    /// As WeCom writes it.
    pub userid: String,
    /// 姓名.
    pub name: String,
    /// The id of the session row.
    pub sid: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
    /// When the person signed in, seconds since 1970.
    pub auth_time: i64,
    /// `["wecom-app"]` or `["wecom-qr"]` (RFC 8176).
    pub amr: Vec<String>,
}

/// The claims of an assertion for an application.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AssertionClaims<'a> {
    /// public_url.
    pub iss: &'a str,
    /// The application's host.
    pub aud: &'a str,
    /// 企业ID.
    pub corp: &'a str,
    /// Our own stable id of the person.
    pub sub: &'a str,
    /// As WeCom writes it.
    pub userid: &'a str,
    /// 姓名.
    pub name: &'a str,
    /// Empty if unknown.
    pub email: &'a str,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970; `iat` + 60.
    pub exp: i64,
}

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

    /// Verifies a session token for `audience`: the signature by a key of ours with the lower `s`,
    /// `typ`, issuer, audience and times.
    ///
    /// # Errors
    /// [`InvalidToken`], without saying why: nobody who holds a good token needs to know.
    pub(crate) fn verify_session(
        &self,
        token: &str,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<SessionClaims, InvalidToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken)?;
        let ours = header.typ.as_deref() == Some(SESSION_TOKEN_TYPE)
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
        validation.set_audience(&[audience]);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The times are checked below against the injected clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<SessionClaims>(token, &key.verify, &validation)
            .map_err(|_| InvalidToken)?
            .claims;
        let now = now.seconds();
        // An `iat` in the future is accepted as far as the clocks of replicas may differ.
        if claims.exp <= now || claims.iat > now.saturating_add(MAX_SKEW_SECONDS) || claims.exp <= claims.iat
        {
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

/// Returns whether an `Authorization` header contains a session token of ours, valid or not.
///
/// The header may be written in any way: repeated headers may arrive joined by commas.
pub(crate) fn carries_session_token(headers: &HeaderMap) -> bool {
    let separates = |b: &u8| b.is_ascii_whitespace() || b",=\";".contains(b);
    let is_ours = |piece: &[u8]| {
        let text = std::str::from_utf8(piece).ok().filter(|text| text.contains('.'));
        text.and_then(peek_header).is_some_and(|(_, typ)| typ == SESSION_TOKEN_TYPE)
    };
    headers.get_all(AUTHORIZATION).iter().any(|value| value.as_bytes().split(separates).any(is_ours))
}

/// Returns the Bearer token if it claims to be one of ours. Any other token belongs to the
/// application.
pub(crate) fn find_bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
    let (scheme, token) = value.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    let token = token.trim_ascii();
    let (_, typ) = peek_header(std::str::from_utf8(token).ok()?)?;
    (typ == SESSION_TOKEN_TYPE).then_some(token)
}
