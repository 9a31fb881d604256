//! One request of a browser, as the sign-in pages see it.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, RawQuery};
use axum::http::header::{HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::Sso;
use super::entrance::Browser;
use super::error::SsoError;
use crate::base::host::{Origin, Scheme};
use crate::http::client_ip::Peer;
use crate::http::middleware::RequestId;
use crate::http::page::View;

/// One request.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The host as the browser sees it.
    pub origin: Origin,
    /// The client's address, behind trusted proxies.
    pub address: Option<IpAddr>,
    /// What kind of browser it is.
    pub browser: Browser,
    /// The headers.
    pub headers: HeaderMap,
    /// For pages.
    pub view: View,
    /// The path and query as they came.
    pub uri: Uri,
    /// The query's parameters.
    pub query: Query,
}

/// The parameters of a query; one that is there twice counts as a contradiction, not as its first value.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a raw query (WHATWG application/x-www-form-urlencoded).
    pub fn parse(raw: &str) -> Self {
        Self(url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    /// The value of `name`; `None` if it is missing or empty.
    ///
    /// # Errors
    /// [`SsoError::NotOurs`] if it is there twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, SsoError> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(SsoError::NotOurs),
            (value, _) => Ok(value.filter(|v| !v.is_empty())),
        }
    }

    /// Whether `name=1`.
    pub fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|(n, v)| n == name && v == "1")
    }
}

impl Visit {
    /// Whether the browser sees https.
    pub fn secure(&self) -> bool {
        self.origin.scheme() == Scheme::Https
    }

    /// What the browser says it is.
    pub fn user_agent(&self) -> String {
        self.headers.get(USER_AGENT).map(|ua| String::from_utf8_lossy(ua.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// Whether the request comes from a frame, as far as the browser says.
    pub fn in_frame(&self) -> bool {
        self.headers.get("sec-fetch-dest").is_some_and(|d| matches!(d.as_bytes(), b"iframe" | b"frame"))
    }

    /// A path of ours on the requesting host: `/sso/…` on public_url's, `/_gongpai/…`, which application hosts
    /// proxy to us, elsewhere.
    pub fn path(&self, sso: &Sso, name: &str) -> String {
        let prefix = if sso.hosts().is_public(&self.origin) { "/sso" } else { "/_gongpai" };
        format!("{prefix}/{name}")
    }
}

impl FromRequestParts<Sso> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, sso: &Sso) -> Result<Self, Response> {
        let peer = parts.extensions.get::<Peer>().copied();
        let Ok(request_id) = RequestId::from_request_parts(parts, sso).await;
        let trusted = peer.is_some_and(|p| sso.trusted().trusts(p));
        let address = peer.and_then(|p| sso.trusted().client(p, &parts.headers));
        let view = View::of(&parts.headers, &request_id, sso.clock().now(), sso.time_zone());
        let RawQuery(raw) = RawQuery::from_request_parts(parts, sso).await.unwrap_or(RawQuery(None));
        let query = Query::parse(raw.as_deref().unwrap_or_default());
        let Some(origin) = origin(parts, sso, trusted) else {
            return Err(sso.pages().answer(&view, &SsoError::Host.failure(view.at), &parts.headers));
        };
        let agent = parts.headers.get(USER_AGENT).map(|ua| String::from_utf8_lossy(ua.as_bytes()));
        let browser = Browser::of(agent.as_deref().unwrap_or_default());
        Ok(Self { origin, address, browser, headers: parts.headers.clone(), view, uri: parts.uri.clone(), query })
    }
}

/// The host of exactly one Host header, which an absolute request target may not contradict (RFC 9112 §3.2.2),
/// if it is one of ours.
fn origin(parts: &Parts, sso: &Sso, trusted: bool) -> Option<Origin> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, None) = (hosts.next()?.to_str().ok()?, hosts.next()) else { return None };
    if parts.uri.authority().is_some_and(|a| !a.as_str().eq_ignore_ascii_case(host)) {
        return None;
    }
    let mut protos = parts.headers.get_all("x-forwarded-proto").iter();
    let forwarded = match (protos.next(), protos.next()) {
        (Some(proto), None) if trusted => Some(Scheme::parse(proto.to_str().ok()?)?),
        (None, _) => None,
        (Some(_), _) if !trusted => None,
        _ => return None,
    };
    sso.hosts().origin_of(host, forwarded).filter(|o| sso.hosts().permits(o))
}
