//! The printed nginx snippet in a real nginx, in front of the gateway and of an application that
//! records every byte.

use std::fs;
use std::net::SocketAddr;

use gongpai::testing::cli::snippet::{NginxArgs, WorkbenchArgs, render_nginx, render_workbench_url};
use gongpai::testing::config::{Config, ListenAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{API_SECRET, APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, BrowserRequest, DESKTOP, Page};
use crate::support::echo::{EchoServer, Head, RawResponse, send_raw};
use crate::support::eventually;
use crate::support::nginx::Nginx;
use crate::support::port::Port;

const IDENTITY_HEADERS: [&str; 5] =
    ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Gongpai-Assertion"];

/// nginx with the snippets of both hosts, the gateway, and one application for both.
pub(crate) struct NginxSite {
    pub(crate) t: TestApp,
    pub(crate) nginx: Nginx,
    pub(crate) echo: EchoServer,
    pub(crate) port: Port,
}

impl NginxSite {
    pub(crate) async fn start() -> Self {
        Self::with("", false).await
    }

    pub(crate) async fn with(toml: &str, api: bool) -> Self {
        Self::changed(toml, api, |http| http).await
    }

    /// Starts it with the printed configuration changed by `change` before nginx reads it.
    pub(crate) async fn changed(toml: &str, api: bool, change: impl FnOnce(String) -> String) -> Self {
        let t = TestApp::with(toml).await;
        let (echo, port) = (EchoServer::start().await, Port::reserve());
        let config = config_of(&t);
        let http: String = ["oa.example.com", "app.example.com"]
            .map(|host| {
                let args = NginxArgs {
                    host: host.to_owned(),
                    upstream: Some(echo.url()),
                    listen: port.address().to_string(),
                    api,
                    access_log: "gongpai.log".to_owned(),
                };
                tls_ends_before(&render_nginx(&config, &args).expect("a snippet"))
            })
            .concat();
        let nginx = Nginx::start(&change(http)).await;
        Self { t, nginx, echo, port }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Makes a browser find our hosts behind nginx.
    pub(crate) fn through_nginx(&self, mut browser: Browser) -> Browser {
        browser.resolve(PUBLIC_URL, self.address());
        browser.resolve(APP_URL, self.address());
        browser
    }

    pub(crate) fn phone_of(&self, userid: &str) -> Browser {
        self.through_nginx(self.t.phone_of(userid))
    }

    pub(crate) async fn signed_in(&self, userid: &str) -> Browser {
        let mut phone = self.phone_of(userid);
        let page = phone.open(format!("{PUBLIC_URL}/")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        phone
    }

    /// Sends one request to public_url's host as bytes, with the session of `browser`.
    pub(crate) async fn raw(&self, browser: &Browser, target: &str, headers: &str) -> RawResponse {
        let session = session_cookie(browser);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\nCookie: {session}\r\n{headers}\r\n"
        );
        send_raw(self.address(), request.as_bytes()).await
    }
}

/// Returns the test's configuration, with the port that the gateway really has.
pub(crate) fn config_of(t: &TestApp) -> Config {
    let mut config = Config::clone(&t.app.config);
    config.server.listen = ListenAddress::Tcp(t.address);
    config
}

/// Changes the snippet as it says to do if TLS ends before this nginx.
pub(crate) fn tls_ends_before(snippet: &str) -> String {
    let without = snippet.lines().filter(|line| !line.trim_start().starts_with("ssl_"));
    let mut text: String = without.map(|line| line.replace(" ssl;", ";") + "\n").collect();
    text.push('\n');
    text
}

pub(crate) fn session_cookie(browser: &Browser) -> String {
    let token = browser.cookies.named("__Host-gongpai");
    let token = token.iter().find(|c| c.domain == "oa.example.com").expect("a session");
    format!("__Host-gongpai={}", token.value)
}

/// Asserts that there is exactly one `Remote-User`, that it is `userid`, and that no other header
/// claims an identity.
fn assert_identity(head: &Head, userid: &str) {
    assert_eq!(head.one("remote-user"), Some(userid), "{}", head.0);
    for name in IDENTITY_HEADERS {
        assert!(head.values_like(name).len() <= 1, "{name} twice in\n{}", head.0);
    }
}

// --- signing in
// ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn behind_the_snippet_an_employee_opens_the_application_on_public_urls_own_host_signed_in() {
    let site = NginxSite::start().await;
    let mut phone = site.phone_of("zhangsan");
    let end = phone.open(format!("{PUBLIC_URL}/work/list?x=1&y=2")).await;
    assert_eq!(end.status, 200, "{}", end.text());
    assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}/work/list?x=1&y=2"));
    let head = site.echo.last();
    assert_eq!(head.line(), "GET /work/list?x=1&y=2 HTTP/1.1");
    assert_identity(&head, "zhangsan");
    assert_eq!(head.one("x-forwarded-proto"), Some("https"));
    assert_eq!(head.one("host"), Some("oa.example.com"));
    assert_eq!(site.echo.seen().len(), 1, "the application saw a request of somebody unknown");
    assert!(phone.cookies.refused().is_empty(), "{:?}", phone.cookies.refused());
}

#[tokio::test]
async fn behind_the_snippet_a_second_application_host_is_opened_signed_in_by_a_ticket() {
    let site = NginxSite::start().await;
    let mut phone = site.phone_of("zhangsan");
    let end = phone.open(format!("{APP_URL}/orders?x=1&y=2")).await;
    assert_eq!((end.status.as_u16(), end.url.as_str()), (200, &*format!("{APP_URL}/orders?x=1&y=2")));
    assert_identity(&site.echo.last(), "zhangsan");
    assert_eq!(site.echo.last().one("host"), Some("app.example.com"));
    // A desktop browser that is signed in on public_url's host needs no scan for the second host.
    let mut other = site.signed_in("zhangsan").await;
    other.user_agent = DESKTOP.to_owned();
    let end = other.open(format!("{APP_URL}/orders")).await;
    assert_eq!((end.status.as_u16(), end.url.as_str()), (200, &*format!("{APP_URL}/orders")));
}

#[tokio::test]
async fn behind_the_snippet_the_seeds_own_static_workbench_link_signs_in() {
    let site = NginxSite::start().await;
    for (rd, ends) in [(None, "/"), (Some("/todo?x=1&y=2"), "/todo?x=1&y=2")] {
        let args = WorkbenchArgs { rd: rd.map(str::to_owned), seed_style: true };
        let link = render_workbench_url(&config_of(&site.t), &args).expect("a link");
        assert!(link.contains("qiyeweixinsso.html") && link.ends_with("#wechat_redirect"), "{link}");
        let mut phone = site.phone_of("zhangsan");
        let end = phone.open(&link).await;
        assert_eq!(
            (end.status.as_u16(), end.url.as_str()),
            (200, &*format!("{PUBLIC_URL}{ends}")),
            "{}",
            end.text()
        );
        assert_identity(&site.echo.last(), "zhangsan");
    }
}

#[tokio::test]
async fn behind_the_snippet_signing_out_and_revoking_take_effect_at_the_next_request() {
    let site = NginxSite::with("", true).await;
    let mut phone = site.signed_in("zhangsan").await;
    let mut tablet = site.signed_in("zhangsan").await;
    phone.open(format!("{PUBLIC_URL}/_gongpai/logout?rd=/")).await;
    assert_eq!(phone.fetch(format!("{PUBLIC_URL}/x")).await.status, 401);
    assert_eq!(tablet.fetch(format!("{PUBLIC_URL}/x")).await.status, 200);
    let url = format!("{PUBLIC_URL}/api/v1/sessions?userid=zhangsan");
    let ask = BrowserRequest::bare(reqwest::Method::DELETE, &url)
        .header("authorization", &basic_credentials("oa", API_SECRET));
    let mut server = site.through_nginx(Browser::new("curl/8"));
    let answer = server.send(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(tablet.fetch(format!("{PUBLIC_URL}/x")).await.status, 401);
}

fn basic_credentials(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
}

// --- 401 and 403
// -----------------------------------------------------------------------------------------------

fn location(page: &Page) -> String {
    page.header("location").expect("a Location").to_owned()
}

#[tokio::test]
async fn behind_the_snippet_a_navigation_is_sent_to_its_own_hosts_login_with_the_query_preserved() {
    let site = NginxSite::start().await;
    for (host, encoded) in
        [(PUBLIC_URL, "https%3A%2F%2Foa.example.com"), (APP_URL, "https%3A%2F%2Fapp.example.com")]
    {
        let mut desktop = site.through_nginx(site.t.desktop());
        let page = desktop.get(format!("{host}/a%20b?x=1&y=2")).await;
        assert_eq!(page.status, 302);
        let expected = format!("{host}/_gongpai/login?rd={encoded}%2Fa%2520b%3Fx%3D1%26y%3D2");
        assert_eq!(location(&page), expected);
        // An old web view sends no Sec-Fetch-Mode.
        let ask = BrowserRequest::bare(reqwest::Method::GET, &format!("{host}/a%20b?x=1&y=2"))
            .header("accept", "text/html");
        assert_eq!(location(&desktop.send(ask).await), expected);
    }
    assert!(site.echo.seen().is_empty());
}

#[tokio::test]
async fn behind_the_snippet_an_api_call_gets_a_clean_401_in_json() {
    let site = NginxSite::start().await;
    let mut desktop = site.through_nginx(site.t.desktop());
    let url = format!("{PUBLIC_URL}/data?x=1");
    let bare = |method| BrowserRequest::bare(method, &url);
    for ask in [
        BrowserRequest::fetch(&url),
        bare(reqwest::Method::GET),
        bare(reqwest::Method::GET).header("accept", "application/json"),
        bare(reqwest::Method::GET).header("accept", "text/html").header("x-requested-with", "XMLHttpRequest"),
        bare(reqwest::Method::POST).header("accept", "text/html"),
        bare(reqwest::Method::DELETE),
        bare(reqwest::Method::OPTIONS),
    ] {
        let page = desktop.send(ask).await;
        assert_eq!(page.status, 401);
        assert_eq!(page.header("location"), None);
        assert_eq!(page.header("content-type"), Some("application/problem+json"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.json::<serde_json::Value>()["code"], "gate.unauthenticated");
    }
    assert!(site.echo.seen().is_empty());
}

const FINANCE_RULES: &str = "[[rules]]\nhost = \"oa.example.com\"\npath = \"/finance/**\"\nallow = [\"user:lisi\"]\n\
                       [[rules]]\nhost = \"oa.example.com\"\npath = \"/public/**\"\nallow = [\"anyone\"]\n\
                       [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n";

#[tokio::test]
async fn behind_the_snippet_a_refused_navigation_ends_at_the_page_that_says_why() {
    let site = NginxSite::with(FINANCE_RULES, false).await;
    let mut phone = site.signed_in("zhangsan").await;
    let seen = site.echo.seen().len();
    let page = phone.get(format!("{PUBLIC_URL}/finance/books?x=1&y=2")).await;
    assert_eq!(page.status, 302);
    assert!(location(&page).starts_with(&format!("{PUBLIC_URL}/_gongpai/denied?rd=")), "{}", location(&page));
    let denied = phone.follow(page, 2).await;
    assert_eq!(denied.status, 403);
    assert!(denied.text().contains("signin.denied"), "{}", denied.text());
    assert!(denied.text().contains("rule 1"), "the page does not say which rule: {}", denied.text());
    assert!(!denied.text().contains("user:lisi"), "the page says whom the rule allows");
    let mut nobody = phone.clone();
    nobody.cookies = Default::default();
    let stranger = nobody.get(format!("{PUBLIC_URL}/_gongpai/denied?rd=/finance/books")).await;
    assert_eq!(
        (stranger.status.as_u16(), stranger.text().as_ref()),
        (302, ""),
        "a stranger learns the rules"
    );
    let api = phone.fetch(format!("{PUBLIC_URL}/finance/books")).await;
    assert_eq!((api.status.as_u16(), api.header("location")), (403, None));
    assert_eq!(api.header("content-type"), Some("application/problem+json"));
    assert_eq!(api.json::<serde_json::Value>()["code"], "gate.denied");
    assert_eq!(site.echo.seen().len(), seen, "the application saw a refused request");
}

// --- cookies
// ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn behind_the_snippet_our_cookies_are_stripped_in_every_position_and_others_stay_as_they_are() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let ours = session_cookie(&phone);
    let attempt = "__Host-gongpai-s-Ab12Cd34=x.y_z";
    let http_attempt = "gongpai-s-Ab12Cd34=1";
    let cases = [
        (ours.clone(), None),
        (format!("{ours}; a=1"), Some("a=1")),
        (format!("a=1; {ours}"), Some("a=1")),
        (format!("a=1; {ours}; b=\"2 3\""), Some("a=1; b=\"2 3\"")),
        (format!("{attempt}; {ours}; {http_attempt}"), None),
        (format!("{attempt}; a=1; {ours}; b=2; {http_attempt}; c=3=4"), Some("a=1; b=2; c=3=4")),
        (format!("a=1;{ours};b=2"), Some("a=1;b=2")),
        (
            format!("__Host-gongpai-m=1; {ours}; gongpai-m=1; __Host-gongpai-o=1; gongpai-o=2; z=9"),
            Some("z=9"),
        ),
        (format!("__Secure-gongpai=zzz; gongpai=zzz; {ours}; JSESSIONID=1"), Some("JSESSIONID=1")),
        (
            format!("mygongpai=1; {ours}; gongpaix=2; x__Host-gongpai=3; gongpai-sx=4"),
            Some("mygongpai=1; gongpaix=2; x__Host-gongpai=3; gongpai-sx=4"),
        ),
    ];
    for (sent, kept) in cases {
        let request =
            format!("GET /c HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\nCookie: {sent}\r\n\r\n");
        let answer = send_raw(site.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 200, "{sent}");
        let head = site.echo.last();
        let got = head.one("cookie").map(|c| c.trim_end_matches("; ").trim_end_matches(';'));
        let got = got.map(|c| c.trim_start_matches([';', ' ']));
        assert_eq!(got.filter(|c| !c.is_empty()), kept, "sent {sent}");
        assert!(!head.0.contains("=ey"), "the token reached the application: {}", head.0);
    }
}

#[tokio::test]
async fn behind_the_snippet_our_cookies_are_stripped_when_they_come_in_several_headers_and_many() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let ours = session_cookie(&phone);
    let mut sent = vec!["a0=0".to_owned(), ours];
    for n in 1..=24 {
        sent.push(format!("__Host-gongpai-s-{n:08}=x"));
        sent.push(format!("a{n}={n}"));
    }
    let lines: String = sent.iter().map(|c| format!("Cookie: {c}\r\n")).collect();
    for cookies in [lines, format!("Cookie: {}\r\n", sent.join("; "))] {
        let request =
            format!("GET /c HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n{cookies}\r\n");
        assert_eq!(send_raw(site.address(), request.as_bytes()).await.status, 200);
        let head = site.echo.last();
        assert!(!head.0.contains("gongpai"), "{}", head.0);
        let kept: Vec<_> = head.one("cookie").expect("the others").split(';').map(str::trim).collect();
        let expected: Vec<_> = (0..=24).map(|n| format!("a{n}={n}")).collect();
        assert_eq!(kept, expected);
    }
}

#[tokio::test]
async fn behind_the_snippet_thirty_kilobytes_of_other_cookies_pass_and_sixty_four_are_refused_as_the_clients_fault()
 {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let ours = session_cookie(&phone);
    for (kilobytes, good) in [(1, true), (20, true), (30, true), (64, false), (300, false)] {
        let other: String = (0..kilobytes).map(|n| format!("; c{n}={}", "v".repeat(1010))).collect();
        let request = format!(
            "GET /big HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\nCookie: {ours}{other}\r\n\r\n"
        );
        let answer = send_raw(site.address(), request.as_bytes()).await;
        if good {
            assert_eq!(answer.status, 200, "{kilobytes} KB");
            let cookie = site.echo.last().one("cookie").expect("the others").to_owned();
            assert!(cookie.len() >= kilobytes * 1010 && !cookie.contains("gongpai"), "{kilobytes} KB");
        } else {
            assert!((400..500).contains(&answer.status), "{kilobytes} KB: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn behind_the_snippet_case_38_a_thousand_cookies_and_two_of_ours_are_no_server_error() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let many: String = (0..1000).map(|n| format!("; c{n}=1")).collect();
    let ours = session_cookie(&phone);
    let answer = site.raw(&phone, "/x", &format!("Cookie: z=1{many}\r\n")).await;
    assert_eq!(answer.status, 200);
    let answer = site.raw(&phone, "/x", &format!("Cookie: {ours}\r\n")).await;
    assert_eq!(answer.status, 401);
    let answer = site.raw(&phone, "/x", "Cookie: __Host-gongpai=other\r\n").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn behind_the_snippet_case_39_many_headers_of_a_client_are_no_server_error() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let many: String = (0..300).map(|n| format!("X-Custom-{n}: 1\r\n")).collect();
    let answer = site.raw(&phone, "/x", &many).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(site.echo.last().one("x-custom-299"), Some("1"));
}

// --- what a client says about itself
// ---------------------------------------------------------------------------

#[tokio::test]
async fn behind_the_snippet_cases_5_6_7_spoofed_identity_never_reaches_the_application() {
    for assertion in ["", "[gate]\nassertion = true\n"] {
        let toml = format!(
            "[[rules]]\nhost = \"oa.example.com\"\npath = \"/public/**\"\nallow = [\"anyone\"]\n\
             [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n{assertion}"
        );
        let site = NginxSite::with(&toml, false).await;
        let phone = site.signed_in("zhangsan").await;
        let others = [
            "X-Forwarded-User",
            "X-Forwarded-Email",
            "X-Forwarded-Groups",
            "X-Forwarded-Preferred-Username",
            "X-Auth-Request-User",
            "X-Auth-Request-Email",
            "X-Auth-Request-Groups",
            "X-Auth-Request-Preferred-Username",
        ];
        let mut spoofed = String::new();
        for name in IDENTITY_HEADERS.into_iter().chain(others) {
            let spellings = [
                name.to_owned(),
                name.to_lowercase(),
                name.to_uppercase(),
                name.replace('-', "_"),
                name.replacen('-', "_", 1),
                name.to_lowercase().replace('-', "_"),
                name.to_owned(),
            ];
            for spelling in spellings {
                spoofed += &format!("{spelling}: admin\r\n{spelling}: admin,root\r\n");
            }
        }
        let answer = site.raw(&phone, "/x", &spoofed).await;
        assert_eq!(answer.status, 200);
        let head = site.echo.last();
        assert!(!head.0.contains("admin"), "{}", head.0);
        assert_identity(&head, "zhangsan");
        assert_eq!(head.one("remote-name"), Some("%E5%BC%A0%E4%B8%89"));
        assert_eq!(head.one("gongpai-assertion").is_some(), !assertion.is_empty());
        // Nobody is signed in, on a public path.
        let request =
            format!("GET /public/x HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n{spoofed}\r\n");
        assert_eq!(send_raw(site.address(), request.as_bytes()).await.status, 200);
        let head = site.echo.last();
        assert!(!head.0.contains("admin"), "{}", head.0);
        for name in IDENTITY_HEADERS.into_iter().chain(others) {
            assert!(head.values_like(name).iter().all(|v| v.is_empty()), "{name} in\n{}", head.0);
        }
    }
}

/// Headers by which a client might pretend to be another request or another client.
const LIES: &str = "X-Forwarded-Uri: /public/x\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Proto: http\r\n\
    X-Forwarded-Method: OPTIONS\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /public\r\nX-Forwarded-Server: evil\r\n\
    X-Original-URL: https://oa.example.com/public/x\r\nX-Original-URI: /public/x\r\nX-Original-Method: OPTIONS\r\n\
    X-Original_URL: https://oa.example.com/public/x\r\nX-Rewrite-URL: /public/x\r\nX-Forwarded-For: 10.1.2.3\r\n\
    X-Real-IP: 10.1.2.3\r\nForwarded: for=10.1.2.3;host=app.example.com;proto=http\r\nGongpai-Denied: https://evil/\r\n\
    X-Request-Id: chosen-by-the-client\r\n";

#[tokio::test]
async fn behind_the_snippet_case_1_what_a_client_says_about_the_request_changes_nothing() {
    let site = NginxSite::with(FINANCE_RULES, false).await;
    let phone = site.signed_in("zhangsan").await;
    let nobody = site.through_nginx(site.t.desktop());
    for (target, expected) in [("/private", 200), ("/finance/x", 403), ("/public/x", 200)] {
        let answer = site.raw(&phone, target, LIES).await;
        assert_eq!(answer.status, expected, "{target}");
        assert_eq!(answer.head.one("location"), None);
        if expected == 200 {
            let head = site.echo.last();
            for lie in ["/public/x\r", "10.1.2.3", "evil", "OPTIONS", "app.example.com"] {
                let rest = head.0.split_once('\n').map_or("", |(_, rest)| rest);
                assert!(!rest.contains(lie), "{lie} in\n{}", head.0);
            }
            assert_eq!(head.one("x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(head.one("x-forwarded-port"), Some("443"));
        }
    }
    let request = format!("GET /private HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n{LIES}\r\n");
    assert_eq!(send_raw(site.address(), request.as_bytes()).await.status, 401);
    drop(nobody);
}

#[tokio::test]
async fn behind_the_snippet_a_client_chooses_no_request_id_and_no_address_in_our_audit_trail() {
    let site = NginxSite::start().await;
    let mut phone = site.phone_of("zhangsan");
    let mut page = phone.get(format!("{PUBLIC_URL}/")).await;
    while let Some(next) = page.location() {
        let lie = |ask: BrowserRequest| {
            ask.header("x-request-id", "chosen-by-the-client").header("x-forwarded-for", "10.9.8.7")
        };
        page = phone.send(lie(BrowserRequest::navigate(next.as_str()))).await;
    }
    assert_eq!(page.status, 200);
    let app = &site.t.app;
    let rows = gongpai::testing::audit::store::list_rows(
        &app.db,
        &app.config.wecom.corp_id,
        None,
        app.clock.now().minus(std::time::Duration::from_secs(60)),
        "",
        100,
    )
    .await
    .expect("the trail");
    assert!(!rows.is_empty());
    for row in rows {
        assert_ne!(row.request_id, "chosen-by-the-client");
        assert_eq!(row.address, "127.0.0.1");
    }
}

#[tokio::test]
async fn behind_the_snippet_case_9_a_path_with_two_readings_is_refused_and_never_widens() {
    let site = NginxSite::with(FINANCE_RULES, false).await;
    let phone = site.signed_in("zhangsan").await;
    let seen = site.echo.seen().len();
    for target in [
        "/public/..%2ffinance/x",
        "/public/%2e%2e/finance/x",
        "/public/../finance/x",
        "/public/..;/finance/x",
        "/public/%2e%2e%2ffinance/x",
        "/public//../finance/x",
        "/public/..%5cfinance/x",
        "/public/..%252ffinance/x",
        "/FINANCE/../finance/x",
        "//finance/x",
        "/./finance/x",
        "/finance%2fx",
        "/%66inance/x",
        "/finance;a=b/x",
        "/public/%00/../finance",
        "/public/x%23/../../finance/x",
        "/public/%c0%ae%c0%ae/finance/x",
        "/finance/x?y=/public/z",
        "/finance/x?/public/z",
        "/finance",
    ] {
        let answer = site.raw(&phone, target, "").await;
        assert!(matches!(answer.status, 400 | 403), "{target}: {}", answer.status);
    }
    assert_eq!(site.echo.seen().len(), seen, "{:?}", site.echo.seen().pop());
}

#[tokio::test]
async fn behind_the_snippet_case_3_and_4_query_and_fragment_match_no_path_rule() {
    let site = NginxSite::with(FINANCE_RULES, false).await;
    let nobody =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n\r\n");
    for target in ["/private?x=/public/status", "/x#/public/y", "/x%23/public/y", "/public/x#/../../private"]
    {
        let status = send_raw(site.address(), nobody(target).as_bytes()).await.status;
        assert!(matches!(status, 400 | 401 | 403), "{target}: {status}");
    }
    assert!(site.echo.seen().is_empty());
}

#[tokio::test]
async fn behind_the_snippet_case_38_an_absolute_target_or_a_second_host_changes_nothing() {
    let site = NginxSite::with(FINANCE_RULES, false).await;
    let phone = site.signed_in("zhangsan").await;
    let cookie = session_cookie(&phone);
    let seen = site.echo.seen().len();
    for (line, host) in [
        ("GET http://evil.example/finance/x HTTP/1.1", "oa.example.com"),
        ("GET http://oa.example.com/finance/x HTTP/1.1", "evil.example"),
        ("GET http://app.example.com/finance/x HTTP/1.1", "oa.example.com"),
        ("GET /finance/x HTTP/1.1", "evil.example"),
        ("GET /finance/x HTTP/1.1", "OA.EXAMPLE.COM."),
        ("GET /finance/x HTTP/1.1", "oa.example.com:1"),
        ("GET /finance/x HTTP/1.1", "oa.example.com\r\nHost: app.example.com"),
        ("GET /finance/x HTTP/1.1", "app.example.com\r\nHost: oa.example.com"),
    ] {
        let request = format!("{line}\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
        let status = send_raw(site.address(), request.as_bytes()).await.status;
        assert!(matches!(status, 400 | 401 | 403), "{line} {host}: {status}");
    }
    assert_eq!(site.echo.seen().len(), seen);
    // The way back names the host that we printed, not the one that the client wrote.
    let request = "GET http://evil.example/private HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\
                   Accept: text/html\r\n\r\n";
    let answer = send_raw(site.address(), request.as_bytes()).await;
    assert_eq!(answer.status, 302);
    let location = answer.head.one("location").expect("a Location");
    assert!(location.starts_with(PUBLIC_URL) && !location.contains("evil"), "{location}");
}

#[tokio::test]
async fn behind_the_snippet_case_15_the_cookie_of_one_host_is_refused_on_another() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let cookie = session_cookie(&phone);
    let request =
        format!("GET /x HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(send_raw(site.address(), request.as_bytes()).await.status, 401);
}

// --- bodies, WebSockets
// ----------------------------------------------------------------------------------------

#[tokio::test]
async fn behind_the_snippet_a_body_reaches_the_application_and_not_the_gateway() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let body = "x".repeat(300_000);
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\nCookie: {}\r\nContent-Length: {}\r\n\r\n{body}",
        session_cookie(&phone),
        body.len()
    );
    let answer = send_raw(site.address(), request.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with(&body));
    assert!(site.echo.last().line().starts_with("POST /upload "));
}

#[tokio::test]
async fn behind_the_snippet_a_websocket_is_checked_and_then_passes() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let request = |cookie: &str, protocol: &str| {
        format!(
            "GET /live HTTP/1.1\r\nHost: oa.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookie}\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(site.address()).await.expect("nginx");
    stream.write_all(request(&session_cookie(&phone), "websocket").as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream.write_all(b"ping").await.expect("written");
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.expect("echoed");
    assert_eq!(&back, b"ping");
    assert_identity(&site.echo.last(), "zhangsan");
    // Without a session it is refused.
    let mut stream = TcpStream::connect(site.address()).await.expect("nginx");
    stream.write_all(request("a=1", "websocket").as_bytes()).await.expect("written");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 401");
    // Another protocol does not get past the checks.
    let seen = site.echo.seen().len();
    let mut stream = TcpStream::connect(site.address()).await.expect("nginx");
    stream.write_all(request(&session_cookie(&phone), "h2c").as_bytes()).await.expect("written");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
    assert_eq!(site.echo.seen().len(), seen + 1);
    assert_eq!(site.echo.last().one("upgrade"), None);
}

// --- what is ours, and what is not there
// -----------------------------------------------------------------------

#[tokio::test]
async fn behind_the_snippet_case_27_only_the_listed_paths_are_the_gateways() {
    for api in [false, true] {
        let site = NginxSite::with("", api).await;
        let phone = site.signed_in("zhangsan").await;
        let mut theirs = vec![
            "/auth/nginx",
            "/auth/forward",
            "/metrics",
            "/healthz",
            "/readyz",
            "/debug/pprof",
            "/",
            "/oauth2/auth",
            "/.well-known/openid-configuration",
            "/ssoo",
            "/WW_verify_short.txt",
            "/x/sso/login",
            "/x_desktop/qiyeweixinsso.htmlx",
            "/y/qiyeweixinsso.html",
            "/api/v2/sessions",
        ];
        let mut ours = vec![
            "/_gongpai/session",
            "/sso/session",
            "/.well-known/jwks.json",
            "/_gongpai/assets/none.css",
            "/wecom/callback/app",
            "/WW_verify_AbCdEf0123456789.txt",
            "/hooks/o2oa/token/task_create",
        ];
        if api { &mut ours } else { &mut theirs }.push("/api/v1/sessions");
        for path in theirs {
            let answer = site.raw(&phone, path, "").await;
            assert_eq!(answer.head.one("x-from"), Some("the application"), "{path}: {}", answer.body);
        }
        for path in ours {
            let answer = site.raw(&phone, path, "").await;
            assert_eq!(answer.head.one("x-from"), None, "{path}");
        }
        // An application's own host has nothing of ours except `/_gongpai/`.
        let mut other = site.phone_of("zhangsan");
        assert_eq!(other.open(format!("{APP_URL}/")).await.status, 200);
        for path in ["/sso/session", "/.well-known/jwks.json", "/api/v1/sessions", "/qiyeweixinsso.html"] {
            let page = other.fetch(format!("{APP_URL}{path}")).await;
            assert_eq!(page.header("x-from"), Some("the application"), "{path}");
        }
        assert_eq!(other.fetch(format!("{APP_URL}/_gongpai/session")).await.header("x-from"), None);
        // The check itself cannot be called from outside.
        let answer = site.raw(&phone, "/_gongpai_auth", "").await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn behind_the_snippet_no_log_of_nginx_has_a_code_state_ticket_or_token() {
    let site = NginxSite::start().await;
    let mut phone = site.phone_of("zhangsan");
    let mut secrets = Vec::new();
    for start in [format!("{PUBLIC_URL}/"), format!("{APP_URL}/")] {
        let mut page = phone.get(&start).await;
        while let Some(next) = page.location() {
            let named = next.query_pairs().filter(|(k, _)| matches!(&**k, "code" | "state" | "ticket" | "h"));
            secrets.extend(named.map(|(_, v)| v.into_owned()));
            page = phone.send(BrowserRequest::navigate(next.as_str())).await;
        }
        assert_eq!(page.status, 200);
    }
    assert!(secrets.len() >= 5, "{secrets:?}");
    secrets.extend(phone.cookies.all().map(|c| c.value.clone()).filter(|v| v.len() > 8));
    // What happens to a code while the gateway is down.
    let NginxSite { t, nginx, echo, port } = site;
    let gateway = t.address;
    drop(t);
    eventually("the gateway is gone", async || TcpStream::connect(gateway).await.err()).await;
    let lost = "GET /sso/callback?code=LOSTCODE12345&state=LOSTSTATE12345 HTTP/1.1\r\nHost: oa.example.com\r\n\
                Connection: close\r\n\r\n";
    let answer = send_raw(port.address(), lost.as_bytes()).await;
    assert!(answer.status >= 500);
    secrets.extend(["LOSTCODE12345".to_owned(), "LOSTSTATE12345".to_owned()]);
    let read = |name| fs::read_to_string(nginx.prefix().join(name)).unwrap_or_default();
    let logs = format!("{}{}{}", read("access.log"), read("gongpai.log"), read("error.log"));
    assert!(logs.contains("/sso/callback"), "{logs}");
    for secret in secrets {
        assert!(!logs.contains(&secret), "{secret} in\n{logs}");
    }
    drop(echo);
}

#[tokio::test]
async fn behind_the_snippet_a_gateway_that_is_down_lets_nobody_in() {
    let site = NginxSite::with(FINANCE_RULES, false).await;
    let phone = site.signed_in("zhangsan").await;
    assert_eq!(site.raw(&phone, "/x", "").await.status, 200);
    let NginxSite { t, nginx, echo, port } = site;
    let gateway = t.address;
    drop(t);
    eventually("the gateway is gone", async || TcpStream::connect(gateway).await.err()).await;
    let seen = echo.seen().len();
    for target in ["/x", "/public/x", "/finance/x", "/_gongpai/login", "/sso/session"] {
        let cookie = session_cookie(&phone);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
        );
        let answer = send_raw(port.address(), request.as_bytes()).await;
        assert!((500..600).contains(&answer.status), "{target}: {}", answer.status);
    }
    assert_eq!(echo.seen().len(), seen, "the application was asked");
    drop(nginx);
}
