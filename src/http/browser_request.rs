//! A request of a browser: which of our hosts it sees, where it comes from, what it is.

use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts, OriginalUri};
use axum::http::header::{HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;

use chrono_tz::Tz;

use super::browser::BrowserKind;
use super::client_ip::{Peer, TrustedProxies};
use super::failure::Failure;
use super::page::{PageContext, PageRenderer};
use super::request_id::RequestId;
use crate::base::clock::Clock;
use crate::base::host::{Hosts, Origin, Scheme};
use crate::base::url::BadTarget;

/// The settings of this installation that every request needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    pub hosts: std::sync::Arc<Hosts>,
    /// The proxies whose forwarding headers are believed.
    pub trusted: TrustedProxies,
    pub clock: Clock,
    /// The zone of times that people read.
    pub time_zone: Tz,
    pub pages: PageRenderer,
}

/// The Sec-Fetch-Dest of a document that another one shows inside itself (Fetch Metadata §2.1).
const FRAME_DESTINATIONS: [&[u8]; 5] = [b"iframe", b"frame", b"embed", b"object", b"fencedframe"];

/// A request of a browser.
#[derive(Debug, Clone)]
pub(crate) struct BrowserRequest {
    /// The host as the browser sees it.
    pub origin: Origin,
    /// Whether that is public_url's own.
    pub on_public: bool,
    /// The client's address, behind trusted proxies.
    pub address: Option<IpAddr>,
    pub browser: BrowserKind,
    pub headers: HeaderMap,
    /// The context of pages that answer it.
    pub view: PageContext,
    /// The path and query as they came.
    pub uri: Uri,
    pub query: QueryParameters,
}

/// The error for a parameter that is there twice: nobody can tell which one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a parameter is there twice")]
pub struct DuplicateParameter;

/// The parameters of a query. One that is there twice is an error and not its first value.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryParameters(Vec<(String, String)>);

impl QueryParameters {
    /// Parses a raw query (WHATWG application/x-www-form-urlencoded).
    pub(crate) fn parse(raw: &str) -> Self {
        Self(url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    /// Returns the value of `name`; `None` if it is missing or empty.
    ///
    /// # Errors
    /// [`DuplicateParameter`].
    pub(crate) fn single(&self, name: &str) -> Result<Option<&str>, DuplicateParameter> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(DuplicateParameter),
            (value, _) => Ok(value.filter(|v| !v.is_empty())),
        }
    }

    /// Whether the query has `name=1`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|(n, v)| n == name && v == "1")
    }
}

impl BrowserRequest {
    /// Whether the browser sees https.
    pub(crate) fn is_secure(&self) -> bool {
        self.origin.scheme() == Scheme::Https
    }

    /// Returns the User-Agent; empty if there is none.
    pub(crate) fn user_agent(&self) -> String {
        self.headers
            .get(USER_AGENT)
            .map(|ua| String::from_utf8_lossy(ua.as_bytes()).into_owned())
            .unwrap_or_default()
    }

    /// Whether the request comes from a frame, as far as the browser says.
    pub(crate) fn in_frame(&self) -> bool {
        let framed = |d: &HeaderValue| FRAME_DESTINATIONS.contains(&d.as_bytes());
        self.headers.get("sec-fetch-dest").is_some_and(framed)
    }

    /// Returns a path of ours on the requesting host: `/sso/…` on public_url's; elsewhere
    /// `/_gongpai/…`, which application hosts proxy to us.
    pub(crate) fn path(&self, name: &str) -> String {
        let prefix = if self.on_public { "/sso" } else { "/_gongpai" };
        format!("{prefix}/{name}")
    }
}

impl<S> FromRequestParts<S> for BrowserRequest
where
    S: Sync,
    Site: FromRef<S>,
{
    type Rejection = Response;

    /// Refuses a request to a host that is not one of ours.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let site = Site::from_ref(state);
        let Ok(request_id) = RequestId::from_request_parts(parts, state).await;
        let peer = parts.extensions.get::<Peer>().copied();
        let trusted = peer.is_some_and(|p| site.trusted.trusts(p));
        let address = peer.and_then(|p| site.trusted.client(p, &parts.headers));
        let view = PageContext::from_headers(&parts.headers, &request_id, site.clock.now(), site.time_zone);
        let query = QueryParameters::parse(parts.uri.query().unwrap_or_default());
        let Some(origin) = resolve_origin(parts, &site, trusted) else {
            let mut failure = Failure::from_bad_target(BadTarget::OtherHost);
            let host = parts.headers.get(HOST).map(|h| String::from_utf8_lossy(h.as_bytes()).into_owned());
            failure.detail = Some(format!("Host: {}", host.unwrap_or_default()));
            return Err(site.pages.answer(&view, &failure, &parts.headers));
        };
        let agent = parts.headers.get(USER_AGENT).map(|ua| String::from_utf8_lossy(ua.as_bytes()));
        let browser = BrowserKind::from_user_agent(agent.as_deref().unwrap_or_default());
        let on_public = site.hosts.is_public(&origin);
        // A nested router sees only the rest of the path; the browser asked for all of it.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0).clone();
        let headers = parts.headers.clone();
        Ok(Self { origin, on_public, address, browser, headers, view, uri, query })
    }
}

/// Finds the origin of a request. It needs exactly one Host header, which an absolute request
/// target may not contradict (RFC 9112 §3.2.2), and the host must be one of ours.
fn resolve_origin(parts: &Parts, site: &Site, trusted: bool) -> Option<Origin> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, None) = (hosts.next()?.to_str().ok()?, hosts.next()) else { return None };
    if parts.uri.authority().is_some_and(|a| !a.as_str().eq_ignore_ascii_case(host)) {
        return None;
    }
    let mut protos = parts.headers.get_all("x-forwarded-proto").iter();
    let forwarded = match (protos.next(), protos.next()) {
        (Some(proto), None) if trusted => Some(Scheme::parse_forwarded(proto.to_str().ok()?)?),
        // Two headers contradict each other, and guessing could downgrade the scheme.
        (Some(_), Some(_)) if trusted => return None,
        _ => None,
    };
    site.hosts.request_origin(host, forwarded).filter(|o| site.hosts.permits(o))
}
