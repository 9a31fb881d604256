//! Reads the original request, as a trusted proxy describes it.
//!
//! Each endpoint reads one family of headers and no other. Taking the first header found is how
//! oauth2-proxy CVE-2026-40575 happened. nginx must send exactly one `X-Original-URL` and exactly
//! one `X-Original-Method`.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};

use crate::base::host::{Hosts, Origin, Scheme};

// These are statics because axum parses a header name that is written as text at every look-up.
static X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

/// A request to an application, about which the proxy asks.
#[derive(Debug, Clone)]
pub(crate) struct OriginalRequest<'h> {
    /// Scheme, host and port to which the browser sent it; always a host of this installation.
    pub origin: Arc<Origin>,
    /// Path and query as they stand in the request line, with bytes that are not UTF-8
    /// percent-encoded. Begins with `/` and has no `#`.
    pub target: Cow<'h, str>,
    /// The method of the request, not that of the check.
    pub method: &'h str,
}

/// The reasons why there is no original request to decide about. Each is answered with 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckRefusal {
    /// The peer is not in `server.trusted_proxies`.
    #[error("the peer is not a trusted proxy")]
    UntrustedProxy,
    /// A header is missing, repeated or unreadable, or the URL is invalid.
    #[error("the original request is not described by exactly one URL and one method")]
    Malformed,
    /// The URL's host is not one of this installation.
    #[error("the host is not one of this installation")]
    UnknownHost,
}

impl CheckRefusal {
    /// Returns the code in the answer, which never changes.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::UntrustedProxy => "gate.untrusted_proxy",
            Self::Malformed => "gate.malformed_request",
            Self::UnknownHost => "gate.unknown_host",
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
            return Err(CheckRefusal::UnknownHost);
        }
        let origin = Arc::new(origin);
        // A full cache stays as it is, so that no client can push out the origins in use.
        if self.seen.len() < MAX_CACHED_ORIGINS {
            self.seen.pin().insert(prefix.into(), Arc::clone(&origin));
        }
        Ok((origin, target))
    }

    /// Reads the original request from the headers of an nginx `auth_request`.
    ///
    /// # Errors
    /// [`CheckRefusal::Malformed`], [`CheckRefusal::UnknownHost`].
    pub(crate) fn nginx_request<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<OriginalRequest<'h>, CheckRefusal> {
        let url = single_header(headers, &X_ORIGINAL_URL)?;
        let method = single_header(headers, &X_ORIGINAL_METHOD)?;
        let method = std::str::from_utf8(method).map_err(|_| CheckRefusal::Malformed)?;
        // The characters of a token (RFC 9110 §5.6.2).
        if method.is_empty()
            || !method.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        {
            return Err(CheckRefusal::Malformed);
        }
        let (origin, target) = match encode_non_utf8(url) {
            Cow::Borrowed(url) => self.parse_url(url).map(|(origin, target)| (origin, target.into()))?,
            Cow::Owned(url) => {
                self.parse_url(&url).map(|(origin, target)| (origin, target.to_owned().into()))?
            }
        };
        Ok(OriginalRequest { origin, target, method })
    }
}

/// Returns the header's value if there is exactly one.
fn single_header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], CheckRefusal> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(CheckRefusal::Malformed) };
    Ok(value.as_bytes())
}

/// Returns a URL as text. A byte that is not UTF-8 (old applications write GBK into links) becomes
/// its percent-escape, which means the same byte to whoever reads the URL.
pub(crate) fn encode_non_utf8(url: &[u8]) -> Cow<'_, str> {
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
    use proptest::prelude::*;

    use super::*;
    use crate::base::host::AllowedHost;

    fn origins() -> OriginCache {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        OriginCache::new(Hosts::new(public, vec![AllowedHost::parse("app.example.com").unwrap()], "", false))
    }

    fn nginx(pairs: &[(&'static str, &[u8])]) -> Result<(String, String, String), CheckRefusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let origins = origins();
        let first = origins
            .nginx_request(&headers)
            .map(|o| (o.origin.to_string(), o.target.into_owned(), o.method.to_owned()));
        let again = origins
            .nginx_request(&headers)
            .map(|o| (o.origin.to_string(), o.target.into_owned(), o.method.to_owned()));
        assert_eq!(first, again, "what is remembered must not change the answer");
        first
    }

    fn url(url: &str) -> Result<(String, String, String), CheckRefusal> {
        nginx(&[("x-original-url", url.as_bytes()), ("x-original-method", b"GET")])
    }

    #[test]
    fn nginx_describes_a_request_by_its_url_and_method() {
        let want = |o: &str, t: &str| Ok((o.to_owned(), t.to_owned(), "GET".to_owned()));
        assert_eq!(url("https://oa.example.com/a?b=c"), want("https://oa.example.com", "/a?b=c"));
        assert_eq!(url("HTTPS://APP.Example.com.:443/"), want("https://app.example.com", "/"));
        assert_eq!(url("https://app.example.com/财/..%2f"), want("https://app.example.com", "/财/..%2f"));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_read_as_their_escapes_in_path_and_query() {
        let url = b"https://oa.example.com/\xd6\xd0/\xe8\xb4\xa2?q=\xb2\xc6&x=%D6";
        let read = nginx(&[("x-original-url", url), ("x-original-method", b"GET")]).unwrap();
        assert_eq!(read.1, "/%D6%D0/财?q=%B2%C6&x=%D6");
    }

    #[test]
    fn http_counts_as_https_where_it_is_not_allowed() {
        assert_eq!(url("http://app.example.com/x").unwrap().0, "https://app.example.com");
    }

    #[test]
    fn case_11_whatever_is_not_one_plain_url_is_refused() {
        for bad in [
            "",
            "/",
            "/a",
            "//oa.example.com/",
            "https://",
            "https://oa.example.com",
            "https://oa.example.com?x",
            "https:///x",
            "https://u@oa.example.com/",
            "https://u:p@oa.example.com/",
            "ftp://oa.example.com/",
            "https://oa example.com/",
            "https://oa.example.com\\x/",
            "https://oa.example.com/x#y",
            "https://oa.example.com#/x",
            "https://oa.example.com:99999/",
            "javascript://oa.example.com/",
            " https://oa.example.com/",
            "https://%/",
            "https://oa.example.com, https://app.example.com/",
        ] {
            assert_eq!(url(bad), Err(CheckRefusal::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn case_38_a_doubled_missing_or_unreadable_header_is_refused() {
        let u: (&str, &[u8]) = ("x-original-url", b"https://oa.example.com/");
        let m: (&str, &[u8]) = ("x-original-method", b"GET");
        for bad in [
            &[u][..],
            &[m],
            &[u, u, m],
            &[u, m, m],
            &[("x-original-url", &b"https://oa.example.com\xff/"[..]), m],
            &[("x-original-url", &b"https://\xff/"[..]), m],
            &[u, ("x-original-method", &b""[..])],
            &[u, ("x-original-method", &b"GET, POST"[..])],
            &[u, ("x-original-method", &b"G\xc3\xa9T"[..])],
        ] {
            assert_eq!(nginx(bad), Err(CheckRefusal::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn case_1_no_other_header_changes_what_was_asked() {
        let plain = nginx(&[("x-original-url", b"https://oa.example.com/a"), ("x-original-method", b"GET")]);
        let spoofed = nginx(&[
            ("x-forwarded-uri", b"/public"),
            ("x-forwarded-host", b"evil.example"),
            ("x-forwarded-method", b"PUT"),
            ("x-forwarded-proto", b"http"),
            ("x-original-uri", b"/public"),
            ("forwarded", b"host=evil.example"),
            ("host", b"evil.example"),
            ("x-original-url", b"https://oa.example.com/a"),
            ("x-original-method", b"GET"),
        ]);
        assert_eq!(plain, spoofed);
    }

    #[test]
    fn a_host_of_nobody_is_unknown() {
        for bad in
            ["https://evil.example/", "https://oa.example.com.evil.example/", "https://app.example.com:8443/"]
        {
            assert_eq!(url(bad), Err(CheckRefusal::UnknownHost), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn case_11_any_header_has_an_answer_and_only_our_hosts_pass(value in "(https?://)?(oa\\.example\\.com|[a-z.@:%]{0,9})?[\\PC]{0,20}") {
            let Ok(value) = HeaderValue::from_str(&value) else { return Ok(()) };
            if let Ok((origin, target, _)) = nginx(&[("x-original-url", value.as_bytes()), ("x-original-method", b"GET")]) {
                prop_assert!(["https://oa.example.com", "https://app.example.com"].contains(&origin.as_str()));
                prop_assert!(target.starts_with('/'));
            }
        }
    }
}
