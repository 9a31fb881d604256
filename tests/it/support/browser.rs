//! A browser without a window: cookies, navigations, and hosts that exist only in the test.
//!
//! It follows no redirect by itself, so that a test sees every step; [`Browser::open`] and
//! [`Browser::follow`] do. A host such as `https://oa.example.com` is reached at an address of this
//! machine, as behind a proxy that terminates TLS: see [`Browser::resolve`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::{Origin, Url};

use super::cookies::CookieJar;

/// More than any sign-in takes.
const MAX_REDIRECTS: usize = 12;

/// Chromium on a desktop.
pub(crate) const DESKTOP: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
/// A phone's own browser.
pub(crate) const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
/// WeCom's browser on a phone.
pub(crate) const WECOM_PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh ColorScheme/Light";
/// WeCom's browser on a desktop.
pub(crate) const WECOM_DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/107.0.5304.110 Safari/537.36 Language/zh wxwork/4.1.10 (MicroMessenger/6.2) WindowsWechat \
     MailPlugin_Electron WeMail";

/// The browser of one person.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) cookies: CookieJar,
    pub(crate) user_agent: String,
    pub(crate) accept_language: String,
    /// The address that a proxy reports, for hosts that [`Browser::resolve`] knows.
    pub(crate) address: IpAddr,
    client: reqwest::Client,
    hosts: Vec<(Origin, SocketAddr)>,
}

impl Browser {
    pub(crate) fn new(user_agent: &str) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("an HTTP client");
        Self {
            cookies: CookieJar::default(),
            user_agent: user_agent.to_owned(),
            accept_language: "zh-CN,zh;q=0.9,en;q=0.8".to_owned(),
            address: IpAddr::from([203, 0, 113, 7]),
            client,
            hosts: Vec::new(),
        }
    }

    /// Reaches `origin` (`https://oa.example.com`, `http://app.test:8080`) at `address`.
    ///
    /// The request uses plain HTTP with the origin's `Host`, and the headers of a proxy
    /// (`X-Forwarded-Proto`, `X-Forwarded-For`).
    pub(crate) fn resolve(&mut self, origin: &str, address: SocketAddr) {
        let origin = parse_url(origin).origin();
        self.hosts.retain(|(known, _)| *known != origin);
        self.hosts.push((origin, address));
    }

    /// Navigates as with a typed address: one request, no redirect followed.
    pub(crate) async fn get(&mut self, url: impl AsRef<str>) -> Page {
        self.send(BrowserRequest::navigate(url.as_ref())).await
    }

    /// Navigates and follows all redirects.
    pub(crate) async fn open(&mut self, url: impl AsRef<str>) -> Page {
        let page = self.get(url).await;
        self.follow(page, MAX_REDIRECTS).await
    }

    /// Sends a request as a script's `fetch` does.
    pub(crate) async fn fetch(&mut self, url: impl AsRef<str>) -> Page {
        self.send(BrowserRequest::fetch(url.as_ref())).await
    }

    /// Submits a form of a page of the same origin.
    pub(crate) async fn post(&mut self, url: impl AsRef<str>, form: &[(&str, &str)]) -> Page {
        self.send(BrowserRequest::post(url.as_ref(), form)).await
    }

    /// Follows at most `hops` redirects from `page`; panics if there is one more.
    pub(crate) async fn follow(&mut self, mut page: Page, hops: usize) -> Page {
        let mut seen = vec![page.url.to_string()];
        while let Some(next) = page.next() {
            assert!(seen.len() <= hops, "more than {hops} redirects: {seen:#?}");
            page = self.send(BrowserRequest::navigate(next.as_str())).await;
            seen.push(next.into());
        }
        page
    }

    /// Sends a request with this browser's cookies and headers. Headers of `ask` win.
    pub(crate) async fn send(&mut self, ask: BrowserRequest) -> Page {
        let (target, host) = self.target(&ask.url);
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", header_value(&self.user_agent));
        headers.insert("accept-language", header_value(&self.accept_language));
        if let Some(host) = host {
            headers.insert("host", header_value(&host));
            headers.insert("x-forwarded-proto", header_value(ask.url.scheme()));
            headers.insert("x-forwarded-for", header_value(&self.address.to_string()));
        }
        if let Some(cookies) = self.cookies.header(&ask.url) {
            headers.insert("cookie", header_value(&cookies));
        }
        // The request's own headers replace the browser's, several of one name included.
        for (name, _) in &ask.headers {
            headers.remove(name);
        }
        for (name, text) in ask.headers {
            headers.append(name, text);
        }
        let request = self.client.request(ask.method, target).headers(headers).body(ask.body);
        let answer = request.send().await.unwrap_or_else(|error| panic!("{}: {error:?}", ask.url));
        for header in answer.headers().get_all(SET_COOKIE) {
            self.cookies.store(&ask.url, &String::from_utf8_lossy(header.as_bytes()));
        }
        Page {
            url: ask.url,
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.expect("a whole answer").to_vec(),
        }
    }

    /// Returns where to connect for `url`, and the `Host` to send if it differs.
    fn target(&self, url: &Url) -> (Url, Option<String>) {
        let host = url.host_str().unwrap_or_default();
        let known =
            self.hosts.iter().find(|(origin, _)| *origin == url.origin()).map(|(_, address)| *address);
        let loopback = host
            .ends_with(".localhost")
            .then(|| SocketAddr::from(([127, 0, 0, 1], url.port_or_known_default().unwrap_or_default())));
        let Some(address) = known.or(loopback) else {
            assert!(
                matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
                "the browser went to {url}, which is no host of this test"
            );
            return (url.clone(), None);
        };
        let mut target = url.clone();
        target.set_scheme("http").expect("http");
        target.set_ip_host(address.ip()).expect("an address");
        target.set_port(Some(address.port())).expect("a port");
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        (target, Some(format!("{host}{port}")))
    }
}

/// A request of a browser.
#[derive(Clone, Debug)]
pub(crate) struct BrowserRequest {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl BrowserRequest {
    /// Creates a request without headers.
    pub(crate) fn bare(method: Method, url: &str) -> Self {
        Self { method, url: parse_url(url), headers: Vec::new(), body: Vec::new() }
    }

    /// Creates a top-level navigation.
    pub(crate) fn navigate(url: &str) -> Self {
        Self::bare(Method::GET, url)
            .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none")
            .header("sec-fetch-user", "?1")
            .header("upgrade-insecure-requests", "1")
    }

    /// Creates a script's request to its own origin.
    pub(crate) fn fetch(url: &str) -> Self {
        Self::bare(Method::GET, url)
            .header("accept", "*/*")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("sec-fetch-site", "same-origin")
    }

    /// Creates the submission of a form of the same origin.
    pub(crate) fn post(url: &str, form: &[(&str, &str)]) -> Self {
        let mut ask = Self::navigate(url);
        ask.method = Method::POST;
        ask.body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().into_bytes();
        let origin = ask.url.origin().ascii_serialization();
        ask.header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header("origin", &origin)
    }

    /// Sets a JSON body.
    pub(crate) fn json(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.header("content-type", "application/json")
    }

    /// Sets a header; it replaces the one that the browser would send.
    pub(crate) fn header(mut self, name: &str, text: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, header_value(text)));
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Adds a header beside others of the same name. The bytes need not be text.
    pub(crate) fn add_header(mut self, name: &str, bytes: &[u8]) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.push((name, HeaderValue::from_bytes(bytes).expect("a header value")));
        self
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The URL of the request.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the text of an HTML page, without tags and entities.
    pub(crate) fn words(&self) -> String {
        let text = self.text();
        let parts = text.split('<').enumerate();
        let shown =
            parts.map(|(n, part)| if n == 0 { part } else { part.split_once('>').map_or("", |(_, t)| t) });
        htmlize::unescape(shown.collect::<String>()).into_owned()
    }

    /// Parses the body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {} {}", self.url, self.status, self.text()))
    }

    /// Returns a header; panics if there are several of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.get_all(name).iter();
        let one = all.next()?.to_str().expect("a header in ASCII");
        assert!(all.next().is_none(), "several `{name}` headers");
        Some(one)
    }

    /// Returns the target of a redirect, resolved against the page, without an empty fragment.
    pub(crate) fn location(&self) -> Option<Url> {
        let mut url = self.resolved_location()?;
        if url.fragment() == Some("") {
            url.set_fragment(None);
        }
        Some(url)
    }

    /// Returns where a browser goes from here. A Location without a fragment inherits that of this
    /// page.
    pub(crate) fn next(&self) -> Option<Url> {
        let inherits = self.resolved_location()?.fragment().is_none();
        let mut url = self.location()?;
        if inherits {
            url.set_fragment(self.url.fragment());
        }
        Some(url)
    }

    fn resolved_location(&self) -> Option<Url> {
        if !self.status.is_redirection() {
            return None;
        }
        let text = self.headers.get(LOCATION)?.to_str().expect("a Location in ASCII");
        Some(self.url.join(text).expect("a Location that is a URL"))
    }

    /// Returns the first link that contains `part`, resolved against the page.
    pub(crate) fn link_with(&self, part: &str) -> Option<Url> {
        let text = self.text();
        let mut targets = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let target = targets.find_map(|target| {
            let target = htmlize::unescape_attribute(target);
            target.contains(part).then_some(target)
        })?;
        self.url.join(&target).ok()
    }
}

fn parse_url(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).expect("a header value")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::http::HeaderMap;
    use axum::response::{AppendHeaders, Html, IntoResponse, Redirect};
    use axum::routing::{any, get};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// Starts a server that echoes requests; `/set` sets cookies and redirects.
    async fn mirror(tasks: &mut JoinSet<std::io::Result<()>>) -> SocketAddr {
        let echo = any(|headers: HeaderMap, request: Request| async move {
            let seen: Vec<String> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1024).await.unwrap();
            format!(
                "{} {}\n{}\n\n{}",
                parts.method,
                parts.uri,
                seen.join("\n"),
                String::from_utf8_lossy(&body)
            )
        });
        let set = get(|| async {
            let cookie =
                AppendHeaders([(SET_COOKIE, "__Host-a=1; Path=/; Secure"), (SET_COOKIE, "b=2; Path=/")]);
            (cookie, Redirect::to("/seen?x=1")).into_response()
        });
        let router = Router::new()
            .route("/set", set)
            .route("/loop", get(|| async { Redirect::to("/loop") }))
            .route(
                "/links",
                get(|| async { Html("<a href=\"/one\">1</a><a href=\"/two?a=1&#38;b=2\">2</a>") }),
            )
            .route("/json", get(|| async { "[1,2]" }))
            .fallback(echo);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn a_public_host_is_visited_on_this_machine_as_behind_a_proxy() {
        let mut tasks = JoinSet::new();
        let mut browser = Browser::new(WECOM_PHONE);
        browser.resolve("https://oa.example.com", mirror(&mut tasks).await);
        let page = browser.open("https://oa.example.com/set").await;
        assert_eq!(page.url.as_str(), "https://oa.example.com/seen?x=1");
        assert_eq!(page.status, StatusCode::OK);
        for line in [
            "GET /seen?x=1",
            "host: oa.example.com",
            "x-forwarded-proto: https",
            "x-forwarded-for: 203.0.113.7",
            "cookie: __Host-a=1; b=2",
            "sec-fetch-mode: navigate",
            "accept-language: zh-CN,zh;q=0.9,en;q=0.8",
        ] {
            assert!(page.text().lines().any(|seen| seen == line), "{line} is missing in\n{}", page.text());
        }
        assert!(page.text().contains("wxwork/"));
        assert!(browser.cookies.refused().is_empty());
    }

    #[tokio::test]
    async fn on_http_a_secure_cookie_is_refused_and_a_port_stays_in_the_host() {
        let mut tasks = JoinSet::new();
        let address = mirror(&mut tasks).await;
        let mut browser = Browser::new(DESKTOP);
        browser.resolve("http://app.test:8443", address);
        let page = browser.open("http://app.test:8443/set").await;
        assert!(page.text().contains("\nhost: app.test:8443\n"), "{}", page.text());
        assert!(page.text().contains("\ncookie: b=2\n"), "{}", page.text());
        assert_eq!(browser.cookies.refused().len(), 1);
        let page = browser.fetch(format!("http://a.localhost:{}/", address.port())).await;
        assert!(page.text().contains("\nsec-fetch-mode: cors"), "{}", page.text());
        assert!(page.text().contains(&format!("\nhost: a.localhost:{}", address.port())), "{}", page.text());
    }

    #[tokio::test]
    async fn redirects_are_steps_and_a_form_is_posted() {
        let mut tasks = JoinSet::new();
        let address = mirror(&mut tasks).await;
        let mut browser = Browser::new(PHONE);
        let step = browser.get(format!("http://{address}/set")).await;
        assert_eq!(step.status, StatusCode::SEE_OTHER);
        assert_eq!(step.location().unwrap().as_str(), format!("http://{address}/seen?x=1"));
        let page = browser.post(format!("http://{address}/form"), &[("a", "公 牌"), ("b", "&")]).await;
        assert!(page.text().starts_with("POST /form\n"), "{}", page.text());
        assert!(page.text().ends_with("\n\na=%E5%85%AC+%E7%89%8C&b=%26"), "{}", page.text());
        let links = browser.get(format!("http://{address}/links")).await;
        assert_eq!(links.link_with("two").unwrap().path(), "/two");
        assert_eq!(links.link_with("two").unwrap().query(), Some("a=1&b=2"));
        assert_eq!(links.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(browser.get(format!("http://{address}/json")).await.json::<Vec<u8>>(), [1, 2]);
    }

    #[tokio::test]
    async fn headers_can_be_doubled_and_need_not_be_text() {
        let mut tasks = JoinSet::new();
        let address = mirror(&mut tasks).await;
        let mut browser = Browser::new(WECOM_DESKTOP);
        let ask = BrowserRequest::bare(Method::HEAD, &format!("http://{address}/"))
            .add_header("cookie", b"a=\xff")
            .add_header("cookie", b"b");
        assert_eq!(browser.send(ask).await.status, StatusCode::OK);
    }

    #[tokio::test]
    #[should_panic(expected = "more than 12 redirects")]
    async fn a_loop_ends() {
        let mut tasks = JoinSet::new();
        let address = mirror(&mut tasks).await;
        Browser::new(DESKTOP).open(format!("http://{address}/loop")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "no host of this test")]
    async fn nobody_leaves_the_machine() {
        Browser::new(DESKTOP).get("https://elsewhere.example/").await;
    }
}
