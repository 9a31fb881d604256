//! Builds the gate's answers: 200 with the identity, 401 with the way to sign in, 403 with the way
//! to the page that says why.
//!
//! There is no other status, because nginx turns any other one into its own 500, and never a
//! Set-Cookie.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use crate::base::host::Hosts;
use crate::base::url::{ReturnTo, percent_encode};
use crate::config::GroupFormat;
use crate::directory::chart::Chart;
use crate::session::SessionPerson;
use crate::session::identity::IdentityHeaders;
use crate::session::token;

use super::request::OriginalRequest;

const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
const REMOTE_NAME: HeaderName = HeaderName::from_static("remote-name");
const REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");
const REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");
const GONGPAI_ASSERTION: HeaderName = HeaderName::from_static("gongpai-assertion");
const GONGPAI_AUTHORIZATION: HeaderName = HeaderName::from_static("gongpai-authorization");
const GONGPAI_DENIED: HeaderName = HeaderName::from_static("gongpai-denied");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const EMPTY_VALUE: HeaderValue = HeaderValue::from_static("");

/// The largest Location and Gongpai-Denied header, in bytes.
const MAX_LOCATION_BYTES: usize = 2048;
/// The largest Remote-Groups header, in bytes.
const MAX_GROUPS_BYTES: usize = 2048;
/// The last element of a Remote-Groups that was cut off.
const TRUNCATION_MARK: &str = "...";

/// Builds a 200 with every identity header; a header without a value is sent empty. If one were
/// missing, the proxy would pass the client's own header on to the application (Caddy
/// CVE-2026-30851).
///
/// `assertion` is `None` if `gate.assertion` is off. Then that header is left out: no application
/// reads it.
pub(crate) fn allow_request(identity: Option<&IdentityHeaders>, assertion: Option<&str>) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REMOTE_USER, identity.map_or(EMPTY_VALUE, IdentityHeaders::user));
    headers.insert(REMOTE_NAME, identity.map_or(EMPTY_VALUE, IdentityHeaders::name));
    headers.insert(REMOTE_EMAIL, identity.map_or(EMPTY_VALUE, IdentityHeaders::email));
    headers.insert(REMOTE_GROUPS, identity.map_or(EMPTY_VALUE, IdentityHeaders::groups));
    if let Some(assertion) = assertion {
        headers.insert(GONGPAI_ASSERTION, to_header_value(assertion.to_owned()));
    }
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    response
}

/// Adds `Gongpai-Authorization: own` to a 2xx whose request carries one of our session tokens in
/// `Authorization`. The proxy then keeps the token from the application, which could use it to act
/// as that person.
pub(crate) fn mark_own_authorization(mut response: Response, request: &HeaderMap) -> Response {
    if response.status().is_success() && token::carries_session_token(request) {
        response.headers_mut().insert(GONGPAI_AUTHORIZATION, HeaderValue::from_static("own"));
    }
    response
}

/// Builds the identity headers of a person whose Remote-Groups are `groups`.
pub(crate) fn build_identity(person: &SessionPerson, groups: &str) -> IdentityHeaders {
    let (user, email) = (encode_if_needed(person.userid.as_str()), encode_if_needed(&person.email));
    IdentityHeaders::new(&user, &percent_encode(&person.name), &email, groups)
}

/// Builds a 401. A navigation also gets the way to sign in, as a Location.
pub(crate) fn require_sign_in(
    code: &'static str,
    original: &OriginalRequest<'_>,
    headers: &HeaderMap,
    hosts: &Hosts,
) -> Response {
    let mut response = build_problem(StatusCode::UNAUTHORIZED, code);
    if is_navigation(headers, original.method) {
        response.headers_mut().insert(LOCATION, build_page_url("login", original, headers, hosts));
    }
    response
}

/// Builds a 403. With `explain`, a navigation also gets the URL of the page that says why, in
/// Gongpai-Denied and never as a Location.
pub(crate) fn deny_request(
    explain: bool,
    original: &OriginalRequest<'_>,
    headers: &HeaderMap,
    hosts: &Hosts,
) -> Response {
    let mut response = build_problem(StatusCode::FORBIDDEN, "gate.denied");
    if explain && is_navigation(headers, original.method) {
        response.headers_mut().insert(GONGPAI_DENIED, build_page_url("denied", original, headers, hosts));
    }
    response
}

/// Builds a problem (RFC 9457) that does not repeat the original request. It is small, because
/// proxies drop it.
pub(crate) fn build_problem(status: StatusCode, code: &'static str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body =
        format!(r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{code}"}}"#, status.as_u16());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// Builds the `Remote-Groups` of a person: its units, by path or id, then its tags by name.
pub(crate) fn encode_person_groups(person: &SessionPerson, chart: &Chart, groups: GroupFormat) -> String {
    let units = person.memberships.iter().filter_map(|place| chart.unit(&place.unit));
    let units = units.map(|placed| match groups {
        GroupFormat::Paths => placed.encoded_path.as_str(),
        GroupFormat::Ids => placed.unit.id.as_str(),
    });
    let tags = chart.tags_of(&person.userid, person.memberships.iter().map(|place| &place.unit));
    join_groups(units.chain(tags.into_iter().map(|tag| chart.encoded_tag(tag))))
}

/// Joins encoded elements to a `Remote-Groups` value, separated by commas, at most 2 KB. A value that
/// is cut off ends with `...`.
fn join_groups<'g>(encoded: impl Iterator<Item = &'g str>) -> String {
    let mut text = String::new();
    // The length of the text that still leaves room for the truncation mark.
    let mut safe = 0;
    for element in encoded {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(element);
        // Cut between elements, never inside a percent-escape.
        if text.len() > MAX_GROUPS_BYTES {
            text.truncate(safe);
            text.push_str(if safe == 0 { TRUNCATION_MARK } else { ",..." });
            return text;
        }
        if text.len() + 1 + TRUNCATION_MARK.len() <= MAX_GROUPS_BYTES {
            safe = text.len();
        }
    }
    text
}

/// Returns whether a person sees the answer: `Sec-Fetch-Mode: navigate`. From browsers that do not
/// send that header (old web views, http) it is a GET or HEAD that accepts text/html and is not an
/// `XMLHttpRequest`.
pub(crate) fn is_navigation(headers: &HeaderMap, method: &str) -> bool {
    if let Some(mode) = headers.get(SEC_FETCH_MODE) {
        return mode.as_bytes().eq_ignore_ascii_case(b"navigate");
    }
    let html = b"text/html";
    let accepts = |v: &HeaderValue| v.as_bytes().windows(html.len()).any(|w| w.eq_ignore_ascii_case(html));
    is_safe_method(method)
        && headers.get_all(ACCEPT).iter().any(accepts)
        && !headers.contains_key(X_REQUESTED_WITH)
}

fn is_safe_method(method: &str) -> bool {
    method == "GET" || method == "HEAD"
}

/// Builds `ORIGIN/_gongpai/PAGE?rd=…` on the application's own host. If it gets too long, first the
/// query and then the path is left out of `rd`. A POST cannot be repeated, so it comes back to the
/// page from which it was sent.
fn build_page_url(
    page: &str,
    original: &OriginalRequest<'_>,
    headers: &HeaderMap,
    hosts: &Hosts,
) -> HeaderValue {
    let origin = &*original.origin;
    let target = if is_safe_method(original.method) {
        ReturnTo::parse(&format!("{origin}{}", encode_invalid_chars(&original.target)), origin, hosts).ok() // What is no redirect target is left out; the root stands below.
    } else {
        let referer = headers.get(REFERER).and_then(|r| std::str::from_utf8(r.as_bytes()).ok());
        referer.and_then(|r| ReturnTo::parse(r, origin, hosts).ok()).filter(|r| r.origin() == origin)
    };
    let url = |rd: &str| format!("{origin}/_gongpai/{page}?rd={}", percent_encode(rd));
    let candidates = target.iter().flat_map(|t| [url(t.as_str()), url(t.path_only().as_str())]);
    let root = url(&format!("{origin}/"));
    to_header_value(candidates.into_iter().find(|u| u.len() <= MAX_LOCATION_BYTES).unwrap_or(root))
}

/// Percent-encodes what no URL may contain as it is. The application then receives the same bytes
/// that were sent.
fn encode_invalid_chars(target: &str) -> Cow<'_, str> {
    let odd = |c: char| !c.is_ascii_graphic() || c == '\\';
    if !target.contains(odd) {
        return Cow::Borrowed(target);
    }
    let encoded =
        target.chars().map(|c| if odd(c) { percent_encode(c.encode_utf8(&mut [0; 4])) } else { c.into() });
    Cow::Owned(encoded.collect())
}

/// Percent-encodes text that is not a plain header value; nearly every userid is one. A comma is
/// encoded, because it would make a list, and `%`, so that decoding gives the text back.
fn encode_if_needed(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b',')) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(percent_encode(text))
    }
}

/// Builds a header value; an empty one if `text` cannot stand in a header.
fn to_header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(EMPTY_VALUE)
}

#[cfg(test)]
mod tests;
