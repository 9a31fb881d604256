//! Reads the original request, as a trusted proxy describes it.
//!
//! Each kind of proxy ([`super::proxy`]) reads one family of headers and no other. Taking the first
//! header found is how oauth2-proxy CVE-2026-40575 happened. The parts that they share are here:
//! exactly one header of a name, a method, a URL of one of our hosts.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};

use crate::base::host::{Hosts, Origin, Scheme};

/// A request to an application, about which the proxy asks.
#[derive(Debug, Clone)]
pub(crate) struct OriginalRequest<'h> {
    /// Scheme, host and port to which the browser sent it; always a host of this installation.
    pub origin: Arc<Origin>,
    /// Path and query as they stand in the request line, with bytes that are not UTF-8
    /// percent-encoded. Begins with `/` and has no `#`.
    pub target: Cow<'h, str>,
    /// The method of the request, not that of the check; `None` if the proxy does not tell. Then
    /// only rules for all methods can allow it.
    pub method: Option<&'h str>,
}

/// The reasons why there is no original request to decide about. Each is answered with 403.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckRefusal {
    /// The peer is not in `server.trusted_proxies`.
    #[error("the peer is not a trusted proxy")]
    UntrustedProxy,
    /// A header is missing, repeated or unreadable, or the URL is invalid.
    #[error("the original request is not described by exactly one URL and one method")]
    Malformed,
    /// The URL's host is not one of this installation.
    #[error("the host is not one of this installation")]
    UnknownHost {
        /// The host as it was sent, for the log.
        host: String,
    },
}

impl CheckRefusal {
    /// Returns the code in the answer, which never changes.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::UntrustedProxy => "gate.untrusted_proxy",
            Self::Malformed => "gate.malformed_request",
            Self::UnknownHost { .. } => "gate.unknown_host",
        }
    }
}

/// The largest number of origins in the cache. There may be any number of hosts below a cookie
/// domain.
const MAX_CACHED_ORIGINS: usize = 4096;

/// Turns `https://host` into an [`Origin`] and caches the permitted ones, because parsing a host by
/// the WHATWG rules (with IDNA) costs more than the rest of a check.
#[derive(Debug)]
pub(crate) struct OriginCache {
    hosts: Hosts,
    seen: papaya::HashMap<Box<str>, Arc<Origin>>,
}

impl OriginCache {
    /// Builds an empty cache.
    pub(crate) fn new(hosts: Hosts) -> Self {
        Self { hosts, seen: papaya::HashMap::new() }
    }

    pub(crate) const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Splits an absolute URL into its origin and its path and query as written.
    ///
    /// http counts as https unless [`Hosts::request_origin`] permits http.
    ///
    /// # Errors
    /// [`CheckRefusal::Malformed`], [`CheckRefusal::UnknownHost`].
    pub(crate) fn parse_url<'u>(&self, url: &'u str) -> Result<(Arc<Origin>, &'u str), CheckRefusal> {
        let (scheme, rest) = url.split_once("://").ok_or(CheckRefusal::Malformed)?;
        let end = rest.find(['/', '?', '#']).ok_or(CheckRefusal::Malformed)?;
        let (authority, target) = rest.split_at_checked(end).ok_or(CheckRefusal::Malformed)?;
        if !target.starts_with('/') || target.contains('#') {
            return Err(CheckRefusal::Malformed);
        }
        // Scheme and authority exactly as written are the key of the cache.
        let prefix = url.strip_suffix(target).ok_or(CheckRefusal::Malformed)?;
        if let Some(origin) = self.seen.pin().get(prefix) {
            return Ok((Arc::clone(origin), target));
        }
        let scheme = Scheme::parse(scheme).ok_or(CheckRefusal::Malformed)?;
        let origin = self.hosts.request_origin(authority, Some(scheme)).ok_or(CheckRefusal::Malformed)?;
        if !self.hosts.permits(&origin) {
            return Err(CheckRefusal::UnknownHost { host: authority.to_owned() });
        }
        let origin = Arc::new(origin);
        // A full cache stays as it is, so that no client can push out the origins in use.
        if self.seen.len() < MAX_CACHED_ORIGINS {
            self.seen.pin().insert(prefix.into(), Arc::clone(&origin));
        }
        Ok((origin, target))
    }

    /// Splits an absolute URL as [`parse_url`](Self::parse_url); its bytes need not be UTF-8.
    ///
    /// # Errors
    /// [`CheckRefusal::Malformed`], [`CheckRefusal::UnknownHost`].
    pub(crate) fn parse_url_bytes<'u>(
        &self,
        url: &'u [u8],
    ) -> Result<(Arc<Origin>, Cow<'u, str>), CheckRefusal> {
        match encode_non_utf8(url) {
            Cow::Borrowed(url) => self.parse_url(url).map(|(origin, target)| (origin, target.into())),
            Cow::Owned(url) => {
                self.parse_url(&url).map(|(origin, target)| (origin, target.to_owned().into()))
            }
        }
    }
}

/// Parses a method: the characters of a token (RFC 9110 §5.6.2), at least one.
///
/// # Errors
/// [`CheckRefusal::Malformed`].
pub(crate) fn parse_method(method: &[u8]) -> Result<&str, CheckRefusal> {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let method = std::str::from_utf8(method).map_err(|_| CheckRefusal::Malformed)?;
    if method.is_empty() || !method.as_bytes().iter().all(is_token) {
        return Err(CheckRefusal::Malformed);
    }
    Ok(method)
}

/// Returns the header's value if there is exactly one.
///
/// # Errors
/// [`CheckRefusal::Malformed`].
pub(crate) fn single_header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], CheckRefusal> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(CheckRefusal::Malformed) };
    Ok(value.as_bytes())
}

/// Returns a URL as text. A byte that is not UTF-8 (old applications write GBK into links) becomes
/// its percent-escape, which means the same byte to whoever reads the URL.
fn encode_non_utf8(url: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(url) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(url.len() + 2 * url.len());
    for chunk in url.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn case_38_a_doubled_or_missing_header_is_refused() {
        static NAME: HeaderName = HeaderName::from_static("x-original-url");
        let mut headers = HeaderMap::new();
        assert_eq!(single_header(&headers, &NAME), Err(CheckRefusal::Malformed));
        headers.append(&NAME, HeaderValue::from_static("a"));
        assert_eq!(single_header(&headers, &NAME), Ok(&b"a"[..]));
        headers.append(&NAME, HeaderValue::from_static("a"));
        assert_eq!(single_header(&headers, &NAME), Err(CheckRefusal::Malformed));
    }

    #[test]
    fn a_method_is_one_token() {
        for good in ["GET", "get", "M-SEARCH", "*"] {
            assert_eq!(parse_method(good.as_bytes()), Ok(good));
        }
        for bad in [&b""[..], b"GE T", b"GET, POST", b"G\xc3\xa9T", b"\xff"] {
            assert_eq!(parse_method(bad), Err(CheckRefusal::Malformed), "{bad:?}");
        }
    }
}
