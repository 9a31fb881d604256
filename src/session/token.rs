//! The claims of the session token and of the identity assertion, and how a request carries a
//! session token. [`crate::keys`] signs and verifies both.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use serde::{Deserialize, Serialize};

use crate::keys::TimedClaims;
use crate::keys::ring::peek_header;

/// The `typ` of a session token.
pub(crate) const SESSION_TOKEN_TYPE: &str = "gongpai-session+jwt";
/// The `typ` of an identity assertion for an application.
pub(crate) const ASSERTION_TOKEN_TYPE: &str = "gongpai-assertion+jwt";

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

impl TimedClaims for SessionClaims {
    fn issued_at(&self) -> i64 {
        self.iat
    }

    fn expires_at(&self) -> i64 {
        self.exp
    }
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
