//! What a check came to, and the answers that a proxy makes of it.
//!
//! Only a check that was allowed becomes a 2xx. The types see to it: nothing but [`super`] makes an
//! [`AllowedCheck`], and a [`StopResponse`] has a [`StopStatus`]. A proxy can neither take a header
//! from an answer nor add one of its own choice, so every 2xx has the whole identity, and no answer
//! has a Set-Cookie.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::base::host::Hosts;
use crate::base::url::{ReturnTo, percent_encode};
use crate::config::GroupFormat;
use crate::directory::chart::Chart;
use crate::http::audience::{Audience, is_safe_method};
use crate::session::SessionPerson;
use crate::session::identity::IdentityHeaders;
use crate::session::token;

use crate::gate::request::{CheckRefusal, OriginalRequest};

const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
const REMOTE_NAME: HeaderName = HeaderName::from_static("remote-name");
const REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");
const REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");
const GONGPAI_ASSERTION: HeaderName = HeaderName::from_static("gongpai-assertion");
const GONGPAI_AUTHORIZATION: HeaderName = HeaderName::from_static("gongpai-authorization");
const GONGPAI_DENIED: HeaderName = HeaderName::from_static("gongpai-denied");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const EMPTY_VALUE: HeaderValue = HeaderValue::from_static("");

/// The largest URL of a page of ours in a header, in bytes.
const MAX_LOCATION_BYTES: usize = 2048;
/// The largest Remote-Groups header, in bytes.
const MAX_GROUPS_BYTES: usize = 2048;
/// The last element of a Remote-Groups that was cut off.
const TRUNCATION_MARK: &str = "...";

/// An answer to a check. It needs no box and no stream: its body is short or empty.
pub(crate) type CheckResponse = Response<Bytes>;

/// A check whose request may pass.
#[derive(Debug)]
pub(crate) struct AllowedCheck<'c> {
    identity: Option<&'c IdentityHeaders>,
    assertion: Option<&'c str>,
    request: &'c HeaderMap,
}

impl<'c> AllowedCheck<'c> {
    /// Takes who it is, if anybody is known, and the headers of the check.
    ///
    /// `assertion` is `None` if `gate.assertion` is off. Then that header is left out: no
    /// application reads it.
    pub(super) const fn new(
        identity: Option<&'c IdentityHeaders>,
        assertion: Option<&'c str>,
        request: &'c HeaderMap,
    ) -> Self {
        Self { identity, assertion, request }
    }

    /// Builds a 200 with every identity header; a header without a value is sent empty. If one were
    /// missing, the proxy would pass the client's own header on to the application (Caddy
    /// CVE-2026-30851).
    pub(in crate::gate) fn respond(&self) -> AllowResponse {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(REMOTE_USER, self.identity.map_or(EMPTY_VALUE, IdentityHeaders::user));
        headers.insert(REMOTE_NAME, self.identity.map_or(EMPTY_VALUE, IdentityHeaders::name));
        headers.insert(REMOTE_EMAIL, self.identity.map_or(EMPTY_VALUE, IdentityHeaders::email));
        headers.insert(REMOTE_GROUPS, self.identity.map_or(EMPTY_VALUE, IdentityHeaders::groups));
        if let Some(assertion) = self.assertion {
            headers.insert(GONGPAI_ASSERTION, to_header_value(assertion.to_owned()));
        }
        let mut response = Response::new(Bytes::new());
        *response.headers_mut() = headers;
        AllowResponse(response)
    }

    /// Whether the request carries one of our session tokens in `Authorization`.
    pub(in crate::gate) fn carries_session_token(&self) -> bool {
        token::carries_session_token(self.request)
    }
}

/// An answer that lets a request pass. Made by [`AllowedCheck::respond`] only.
#[derive(Debug)]
pub(crate) struct AllowResponse(CheckResponse);

impl AllowResponse {
    /// Adds `Gongpai-Authorization: own`. It tells the proxy to keep our token in `Authorization`
    /// from the application, which could use it to act as that person.
    #[must_use]
    pub(in crate::gate) fn with_own_authorization(mut self) -> Self {
        self.0.headers_mut().insert(GONGPAI_AUTHORIZATION, HeaderValue::from_static("own"));
        self
    }

    pub(super) fn into_response(self) -> CheckResponse {
        self.0
    }
}

/// A check whose request does not pass.
#[derive(Debug)]
pub(crate) enum StoppedCheck {
    /// Nobody is signed in, or nobody can tell.
    SignIn {
        code: &'static str,
        /// Where a navigation signs in; `None` for a program.
        login: Option<HeaderValue>,
    },
    /// A rule denies it.
    Denied {
        /// The page that says why, for a navigation of somebody who is signed in.
        page: Option<HeaderValue>,
    },
    /// There is no request to decide about.
    Refused(CheckRefusal),
}

impl StoppedCheck {
    /// Asks for a sign-in; `code` says why.
    pub(super) fn sign_in(
        code: &'static str,
        original: &OriginalRequest<'_>,
        headers: &HeaderMap,
        hosts: &Hosts,
    ) -> Self {
        let login = is_navigation(headers, original.method)
            .then(|| build_page_url("login", original, headers, hosts));
        Self::SignIn { code, login }
    }

    /// Denies; with `explain` a navigation is told where the reason stands.
    pub(super) fn denied(
        explain: bool,
        original: &OriginalRequest<'_>,
        headers: &HeaderMap,
        hosts: &Hosts,
    ) -> Self {
        let is_shown = explain && is_navigation(headers, original.method);
        Self::Denied { page: is_shown.then(|| build_page_url("denied", original, headers, hosts)) }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::SignIn { code, .. } => code,
            Self::Denied { .. } => "gate.denied",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    /// Builds a problem (RFC 9457) that does not repeat the original request. It is small, because
    /// proxies drop it.
    pub(in crate::gate) fn respond(&self, status: StopStatus) -> StopResponse {
        let (status, code) = (status.status_code(), self.code());
        let title = status.canonical_reason().unwrap_or_default();
        let body = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{code}"}}"#,
            status.as_u16()
        );
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        StopResponse(response)
    }
}

/// The statuses with which no proxy passes a request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopStatus {
    Unauthorized,
    Forbidden,
}

impl StopStatus {
    const fn status_code(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }
}

/// The headers by which an answer that lets nothing pass tells where a person goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopHeader {
    Location,
    /// `Gongpai-Denied`, of which the proxy makes a redirect itself.
    Denied,
}

impl StopHeader {
    const fn header_name(self) -> HeaderName {
        match self {
            Self::Location => LOCATION,
            Self::Denied => GONGPAI_DENIED,
        }
    }
}

/// An answer that lets nothing pass. Made by [`StoppedCheck::respond`] only.
#[derive(Debug)]
pub(crate) struct StopResponse(CheckResponse);

impl StopResponse {
    /// Adds a header if there is a value.
    #[must_use]
    pub(in crate::gate) fn with_header(mut self, header: StopHeader, value: Option<HeaderValue>) -> Self {
        if let Some(value) = value {
            self.0.headers_mut().insert(header.header_name(), value);
        }
        self
    }

    pub(super) fn into_response(self) -> CheckResponse {
        self.0
    }
}

/// Builds the identity headers of a person whose Remote-Groups are `groups`.
pub(crate) fn build_identity(person: &SessionPerson, groups: &str) -> IdentityHeaders {
    let (user, email) = (encode_if_needed(person.userid.as_str()), encode_if_needed(&person.email));
    IdentityHeaders::new(&user, &percent_encode(&person.name), &email, groups)
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

/// Whether a person sees the answer to the request.
fn is_navigation(headers: &HeaderMap, method: Option<&str>) -> bool {
    Audience::from_headers(headers, method) == Audience::Person
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
    let target = if original.method.is_none_or(is_safe_method) {
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
