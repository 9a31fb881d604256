//! A minimal version of what nginx does with the printed snippet.
//!
//! The gateway's own paths go to the gateway. Every other request goes to the application, but only
//! after the gate allowed it, with the gate's identity headers and without the gateway's cookies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED,
    HOST, LOCATION, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gongpai::testing::http::cookie::parse_cookies;
use tower::ServiceExt as _;
use url::Url;

/// Longer than the gateway itself waits for WeCom.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest body of a request or an answer that is forwarded.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The headers with which the gate names the person. The application trusts them.
pub(crate) const IDENTITY_HEADERS: [&str; 4] =
    ["remote-user", "remote-name", "remote-email", "remote-groups"];

/// The browser's headers that the application receives. nginx forwards everything that it is not
/// told to clear; for a demo a list of the few is shorter.
const PASSED_HEADERS: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// Headers that concern one connection only (RFC 9110 §7.6.1).
const HOP_BY_HOP_HEADERS: [HeaderName; 4] = [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// A reverse proxy for one host, with the gate in front of one application.
#[derive(Debug)]
pub(crate) struct DemoProxy {
    gateway: Url,
    /// `http://127.0.0.1:PORT`, the origin that the browser sees.
    public: String,
    authority: HeaderValue,
    client: reqwest::Client,
    application: Router,
}

impl DemoProxy {
    /// Creates the proxy. `gateway` is the gateway's `ADDRESS:PORT`, `public_url` is our own
    /// origin.
    pub(crate) fn new(gateway: &str, public_url: &str, application: Router) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        Ok(Self {
            gateway: Url::parse(&format!("http://{gateway}/"))?,
            public: public_url.to_owned(),
            authority: HeaderValue::from_str(super::authority(public_url))?,
            client,
            application,
        })
    }

    pub(crate) fn routes(self) -> Router {
        Router::new().fallback(handle_request).with_state(Arc::new(self))
    }

    /// Forwards a request for one of the gateway's own paths.
    async fn forward_to_gateway(&self, parts: Parts, body: Body) -> anyhow::Result<Response> {
        let url = self.gateway_url(&parts.uri)?;
        let mut headers = self.browser_headers(&parts.headers);
        // The gateway trusts this proxy, so nothing a browser sent may remain of it.
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        let body = to_bytes(body, MAX_BODY_BYTES).await.context("the request's body cannot be read")?;
        let answer = self.client.request(parts.method, url).headers(headers).body(body).send().await?;
        let (status, headers) = (answer.status(), without_hop_by_hop(answer.headers()));
        let mut response = Response::new(Body::from(answer.bytes().await?));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Asks the gate. Only its 200 leads to the application.
    async fn forward_to_application(&self, parts: Parts, body: Body) -> anyhow::Result<Response> {
        let answer = self.check_access(&parts).await.context("the gate does not answer")?;
        let headers = answer.headers();
        Ok(match answer.status() {
            StatusCode::OK => {
                let mut request = Request::from_parts(parts, body);
                *request.headers_mut() = self.application_headers(request.headers(), headers);
                self.application.clone().oneshot(request).await.into_response()
            }
            // A navigation is redirected: to the sign-in, or to the page that explains the denial.
            StatusCode::UNAUTHORIZED => redirect_or_status(StatusCode::UNAUTHORIZED, headers.get(LOCATION)),
            StatusCode::FORBIDDEN => redirect_or_status(StatusCode::FORBIDDEN, headers.get("gongpai-denied")),
            other => anyhow::bail!("the gate answered {other}"),
        })
    }

    async fn check_access(&self, parts: &Parts) -> anyhow::Result<reqwest::Response> {
        let mut headers = self.browser_headers(&parts.headers);
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        // Our own origin: the browser's Host header may name any host.
        headers.insert("x-original-url", HeaderValue::from_str(&format!("{}{target}", self.public))?);
        headers.insert("x-original-method", HeaderValue::from_str(parts.method.as_str())?);
        let url = self.gateway.join("auth/nginx")?;
        Ok(self.client.request(Method::GET, url).headers(headers).send().await?)
    }

    /// Returns the URL at the gateway.
    ///
    /// Fails if the path changes on the way: the URL parser would turn `/_gongpai/../auth/nginx`
    /// into another path than the one that was classified.
    fn gateway_url(&self, uri: &Uri) -> anyhow::Result<Url> {
        let mut url = self.gateway.clone();
        url.set_path(uri.path());
        url.set_query(uri.query());
        ensure!(url.path() == uri.path(), "the path has another meaning for the gateway");
        Ok(url)
    }

    /// Returns the browser's headers without those that only a proxy may set.
    fn browser_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let mut passed = without_hop_by_hop(headers);
        let proxys: Vec<_> = passed.keys().filter(|name| is_proxy_header(name)).cloned().collect();
        for name in proxys {
            passed.remove(name);
        }
        passed.insert(HOST, self.authority.clone());
        passed.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
        passed
    }

    /// Returns the headers for the application: a few of the browser's, and the gate's identity.
    fn application_headers(&self, browser: &HeaderMap, gate: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in PASSED_HEADERS {
            headers.extend(browser.get(&name).map(|value| (name, value.clone())));
        }
        headers.extend(foreign_cookies(browser).map(|value| (COOKIE, value)));
        headers.insert(HOST, self.authority.clone());
        for name in IDENTITY_HEADERS {
            // Always set, even empty: the application must not see the browser's own header.
            let value = gate.get(name).cloned().unwrap_or_else(|| HeaderValue::from_static(""));
            headers.insert(HeaderName::from_static(name), value);
        }
        headers
    }
}

async fn handle_request(State(proxy): State<Arc<DemoProxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = if is_gateway_path(parts.uri.path()) {
        proxy.forward_to_gateway(parts, body).await
    } else {
        proxy.forward_to_application(parts, body).await
    };
    outcome.unwrap_or_else(|error| {
        tracing::warn!("Bad gateway: {error:#}");
        (StatusCode::BAD_GATEWAY, "bad gateway\n").into_response()
    })
}

/// Tells whether `gongpai snippet nginx` gives this path to the gateway on public_url's host.
fn is_gateway_path(path: &str) -> bool {
    let below = ["/_gongpai/", "/sso/", "/WW_verify_", "/wecom/callback/"];
    let whole = ["/qiyeweixinsso.html", "/x_desktop/qiyeweixinsso.html", "/.well-known/jwks.json"];
    below.iter().any(|prefix| path.starts_with(prefix)) || whole.contains(&path)
}

/// Tells whether only a proxy or the gate may set this header.
fn is_proxy_header(name: &HeaderName) -> bool {
    let families = ["x-forwarded-", "x-original-", "remote-", "gongpai-"];
    *name == FORWARDED || families.iter().any(|family| name.as_str().starts_with(family))
}

fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in HOP_BY_HOP_HEADERS.into_iter().chain([CONTENT_LENGTH]) {
        headers.remove(name);
    }
    headers
}

/// Returns the browser's cookies without the gateway's.
fn foreign_cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    let others: Vec<_> = parse_cookies(headers)
        .filter(|(name, _)| !is_gateway_cookie(name))
        .map(|(name, value)| [name, b"=", value].concat())
        .collect();
    HeaderValue::from_bytes(&others.join(&b"; "[..])).ok().filter(|value| !value.is_empty())
}

fn is_gateway_cookie(name: &[u8]) -> bool {
    let bare = [&b"__Host-"[..], b"__Secure-"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    let bare = bare.unwrap_or(name);
    bare == b"gongpai" || bare.starts_with(b"gongpai-")
}

/// Returns a redirect if the gate names a page, else the gate's plain status.
fn redirect_or_status(status: StatusCode, page: Option<&HeaderValue>) -> Response {
    let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match page {
        Some(page) => (StatusCode::FOUND, [no_store, (LOCATION, page.clone())]).into_response(),
        None => (status, [no_store]).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> DemoProxy {
        DemoProxy::new("127.0.0.1:1", "http://127.0.0.1:2", Router::new()).unwrap()
    }

    #[test]
    fn a_path_that_leads_out_of_the_gateways_own_is_not_passed_on() {
        let url = |path: &str| proxy().gateway_url(&path.parse().unwrap());
        assert_eq!(url("/sso/login?rd=%2F").unwrap().as_str(), "http://127.0.0.1:1/sso/login?rd=%2F");
        for path in ["/_gongpai/../auth/nginx", "/sso/%2e%2e/metrics", "/sso/./x"] {
            assert!(url(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_application_believes_the_gate_and_not_the_browser() {
        let (mut browser, mut gate) = (HeaderMap::new(), HeaderMap::new());
        browser.insert("remote-user", "boss".parse().unwrap());
        browser.insert("remote-groups", "all".parse().unwrap());
        browser.insert("cookie", "a=1; gongpai=token; __Host-gongpai=t; gongpai-s-1=x; b=2".parse().unwrap());
        gate.insert("remote-user", "lisi".parse().unwrap());
        let headers = proxy().application_headers(&browser, &gate);
        assert_eq!(headers["remote-user"], "lisi");
        assert_eq!(headers["remote-groups"], "");
        assert_eq!(headers["cookie"], "a=1; b=2");
    }

    #[test]
    fn the_gateway_hears_from_us_where_a_request_went() {
        let mut browser = HeaderMap::new();
        for name in ["x-original-url", "x-forwarded-host", "x-forwarded-for", "forwarded", "remote-user"] {
            browser.insert(HeaderName::from_static(name), "spoofed".parse().unwrap());
        }
        browser.insert("cookie", "gongpai=token".parse().unwrap());
        let headers = proxy().browser_headers(&browser);
        assert!(headers.values().all(|value| value != "spoofed"), "{headers:?}");
        assert_eq!(headers["cookie"], "gongpai=token");
        assert_eq!(headers["host"], "127.0.0.1:2");
    }
}
