//! nginx's `auth_request`, at `/auth/nginx`.
//!
//! nginx describes the original request by exactly one `X-Original-URL` and exactly one
//! `X-Original-Method`. It understands 2xx, 401 and 403, and turns any other status into its own
//! 500.

use axum::http::HeaderName;
use axum::http::request::Parts;

use super::ProxyProtocol;
use super::client_headers::IDENTITY_HEADERS;
use crate::gate::check::respond::{
    AllowResponse, AllowedCheck, StopHeader, StopResponse, StopStatus, StoppedCheck,
};
use crate::gate::request::{CheckRefusal, OriginCache, OriginalRequest, parse_method, single_header};

pub(crate) static NGINX: ProxyProtocol = ProxyProtocol {
    name: "nginx",
    route: "/auth/nginx",
    request_headers: &["X-Original-URL", "X-Original-Method"],
    identity_headers: &IDENTITY_HEADERS,
    read_original,
    allow,
    stop,
};

// These are statics because axum parses a header name that is written as text at every look-up.
static X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

fn read_original<'h>(origins: &OriginCache, parts: &'h Parts) -> Result<OriginalRequest<'h>, CheckRefusal> {
    let url = single_header(&parts.headers, &X_ORIGINAL_URL)?;
    let method = parse_method(single_header(&parts.headers, &X_ORIGINAL_METHOD)?)?;
    let (origin, target) = origins.parse_url_bytes(url)?;
    Ok(OriginalRequest { origin, target, method: Some(method) })
}

fn allow(allowed: &AllowedCheck<'_>) -> AllowResponse {
    let response = allowed.respond();
    if allowed.carries_session_token() { response.with_own_authorization() } else { response }
}

/// Answers 401 with the way to sign in as a Location, or 403 with the page that says why in
/// Gongpai-Denied, because nginx would make a redirect of a Location.
fn stop(stopped: &StoppedCheck) -> StopResponse {
    match stopped {
        StoppedCheck::SignIn { login, .. } => {
            stopped.respond(StopStatus::Unauthorized).with_header(StopHeader::Location, login.clone())
        }
        StoppedCheck::Denied { page } => {
            stopped.respond(StopStatus::Forbidden).with_header(StopHeader::Denied, page.clone())
        }
        StoppedCheck::Refused(_) => stopped.respond(StopStatus::Forbidden),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};
    use proptest::prelude::*;

    use super::*;
    use crate::base::host::{AllowedHost, Hosts, Origin, Scheme};

    fn origins() -> OriginCache {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        OriginCache::new(Hosts::new(public, vec![AllowedHost::parse("app.example.com").unwrap()], "", false))
    }

    fn read(pairs: &[(&'static str, &[u8])]) -> Result<(String, String, String), CheckRefusal> {
        let (mut parts, ()) = Request::new(()).into_parts();
        for (name, value) in pairs {
            parts.headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let origins = origins();
        let once = || {
            read_original(&origins, &parts).map(|o| {
                (o.origin.to_string(), o.target.into_owned(), o.method.unwrap_or_default().to_owned())
            })
        };
        let (first, again) = (once(), once());
        assert_eq!(first, again, "what is remembered must not change the answer");
        first
    }

    fn url(url: &str) -> Result<(String, String, String), CheckRefusal> {
        read(&[("x-original-url", url.as_bytes()), ("x-original-method", b"GET")])
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
        let original = read(&[("x-original-url", url), ("x-original-method", b"GET")]).unwrap();
        assert_eq!(original.1, "/%D6%D0/财?q=%B2%C6&x=%D6");
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
    fn a_host_of_nobody_is_unknown_and_named() {
        for host in ["evil.example", "oa.example.com.evil.example", "app.example.com:8443"] {
            let refusal = url(&format!("https://{host}/")).unwrap_err();
            assert_eq!(refusal, CheckRefusal::UnknownHost { host: host.to_owned() });
        }
    }

    proptest! {
        #[test]
        fn case_11_any_header_has_an_answer_and_only_our_hosts_pass(value in "(https?://)?(oa\\.example\\.com|[a-z.@:%]{0,9})?[\\PC]{0,20}") {
            let Ok(value) = HeaderValue::from_str(&value) else { return Ok(()) };
            if let Ok((origin, target, _)) = read(&[("x-original-url", value.as_bytes()), ("x-original-method", b"GET")]) {
                prop_assert!(["https://oa.example.com", "https://app.example.com"].contains(&origin.as_str()));
                prop_assert!(target.starts_with('/'));
            }
        }
    }
}
