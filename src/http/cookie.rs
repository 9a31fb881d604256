//! Cookies as bytes: reading them never fails, writing them always sets the safe attributes.
//!
//! A Cookie header may be 64 KB long, hold a thousand cookies, bytes that are not UTF-8, and ours
//! twice. So reading is one pass over the bytes without allocation, and what is not a cookie is
//! skipped. See [design: cookies](crate::design#cookies).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header::COOKIE};
use cookie::{Cookie, SameSite};

/// Returns every cookie of the request as (name, value), in order, over all Cookie headers.
pub fn parse_cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).iter().flat_map(|header| split_pairs(header.as_bytes())).filter_map(|pair| {
        let (name, value) = split_at_byte(pair, b'=')?;
        Some((name.trim_ascii(), value.trim_ascii()))
    })
}

/// Splits a header at the semicolons.
fn split_pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let all = rest?;
        let (pair, after) = split_at_byte(all, b';').map_or((all, None), |(pair, after)| (pair, Some(after)));
        rest = after;
        Some(pair)
    })
}

/// Splits `bytes` around the first `byte`.
fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = bytes.split_at_checked(memchr::memchr(byte, bytes)?)?;
    Some((before, after.get(1..)?))
}

/// Returns the values of every cookie called `name`.
pub(crate) fn cookie_values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    parse_cookies(headers).filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
}

/// A cookie to be set, always `HttpOnly; SameSite=Lax`.
#[derive(Debug, Clone)]
pub(crate) struct SetCookie {
    /// The full name, with its prefix.
    pub name: String,
    /// The value; only characters that need no quoting.
    pub value: String,
    /// How long the browser keeps it; zero removes it.
    pub max_age: Duration,
    /// The Domain attribute, without a leading dot.
    pub domain: Option<String>,
    /// Whether it has the attribute `Secure`.
    pub secure: bool,
    /// The Path attribute; `None` means `/`, which all of ours have.
    pub path: Option<String>,
}

impl SetCookie {
    /// Makes a cookie that removes the one of that name.
    pub(crate) fn removal(name: impl Into<String>, domain: Option<String>, secure: bool) -> Self {
        Self { name: name.into(), value: String::new(), max_age: Duration::ZERO, domain, secure, path: None }
    }

    /// Returns the Set-Cookie header; `None` if the value has a character that no header may have,
    /// or the path has one that begins another attribute.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let path = self.path.as_deref().unwrap_or("/");
        // A semicolon would begin another attribute.
        if path.contains(';') {
            return None;
        }
        let mut cookie = Cookie::build((self.name.as_str(), self.value.as_str()))
            .path(path)
            .max_age(self.max_age.try_into().unwrap_or(cookie::time::Duration::MAX))
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure);
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.as_str());
        }
        HeaderValue::from_str(&cookie.to_string()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_over_all_headers_whatever_else_is_in_them() {
        let mut h = HeaderMap::new();
        h.append(COOKIE, HeaderValue::from_bytes(b"a=1;;  gongpai=x=y ;\xff\xfe=\xff; nonsense").unwrap());
        h.append(COOKIE, HeaderValue::from_static("gongpai=second"));
        let ours: Vec<_> = cookie_values(&h, "gongpai").collect();
        assert_eq!(ours, [&b"x=y"[..], b"second"]);
        assert_eq!(parse_cookies(&h).count(), 4);
    }

    #[test]
    fn a_cookie_is_set_with_every_safe_attribute() {
        let c = SetCookie {
            name: "__Host-gongpai".into(),
            value: "v".into(),
            max_age: Duration::from_secs(60),
            domain: None,
            secure: true,
            path: None,
        };
        let want = "__Host-gongpai=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60";
        assert_eq!(c.header().unwrap(), want);
        let mut below = SetCookie::removal("__Secure-gongpai", Some("example.com".into()), true);
        below.path = Some("/pay".into());
        let want =
            "__Secure-gongpai=; HttpOnly; SameSite=Lax; Secure; Path=/pay; Domain=example.com; Max-Age=0";
        assert_eq!(below.header().unwrap(), want);
        below.path = Some("/a;Domain=evil.example".into());
        assert_eq!(below.header(), None);
    }
}
