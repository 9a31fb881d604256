//! Special cases of the printed nginx snippet: a gateway or application that is down, long
//! connections, foreign identity headers, our own token as Bearer, bytes that no header may have,
//! and WeCom's codes at an application.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::snippets::{NginxSite, session_cookie};
use crate::support::app::PUBLIC_URL;
use crate::support::browser::BrowserRequest;
use crate::support::echo::{RawResponse, send_raw};
use crate::support::eventually;

const OPEN: &str = "[[rules]]\nhost = \"oa.example.com\"\npath = \"/public/**\"\nallow = [\"anyone\"]\n\
                    [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n";
const NAVIGATE: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";

/// Sends one request to public_url's host as bytes; `first` stands before Host.
async fn send(site: &NginxSite, line: &str, first: &str, headers: &str) -> RawResponse {
    let request =
        format!("{line} HTTP/1.1\r\n{first}Host: oa.example.com\r\nConnection: close\r\n{headers}\r\n");
    send_raw(site.address(), request.as_bytes()).await
}

// --- what is down
// ----------------------------------------------------------------------------------------------

#[tokio::test]
async fn behind_the_snippet_a_gateway_that_is_down_has_a_page_that_says_so_and_tries_again() {
    let site = NginxSite::with(OPEN, false).await;
    let phone = site.signed_in("zhangsan").await;
    let cookie = format!("Cookie: {}\r\n", session_cookie(&phone));
    // A status of the application is passed on unchanged.
    for status in ["500", "502", "503", "504"] {
        let answer = send(&site, &format!("GET /status/{status}"), "", &format!("{cookie}{NAVIGATE}")).await;
        assert_eq!(answer.status.to_string(), status);
        assert_eq!(answer.head.one("x-from"), Some("the application"), "{status}");
    }
    let NginxSite { t, nginx, echo, port } = site;
    let gateway = t.address;
    drop(t);
    eventually("the gateway is gone", async || TcpStream::connect(gateway).await.err()).await;
    let seen = echo.seen().len();
    for path in ["/x", "/public/x", "/_gongpai/login", "/sso/callback?code=C&state=S", "/hooks/o2oa/t/x"] {
        let ask = async |headers: &str| {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n{cookie}{headers}\r\n"
            );
            send_raw(port.address(), request.as_bytes()).await
        };
        for navigation in [NAVIGATE, "Accept: text/html,*/*\r\n"] {
            let page = ask(navigation).await;
            assert_eq!(page.status, 503, "{path}");
            assert_eq!(page.head.one("cache-control"), Some("no-store"));
            assert_eq!(page.head.one("content-type"), Some("text/html; charset=utf-8"));
            for text in [
                "gateway.down",
                "登录网关暂时无法访问",
                "The sign-in gateway cannot be reached",
                "content=\"5\"",
            ] {
                assert!(page.body.contains(text), "{text} not in {}", page.body);
            }
            assert!(!page.body.contains("src=") && !page.body.contains("stylesheet"), "{}", page.body);
        }
        for call in [
            "",
            "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n",
            "Accept: text/html\r\nX-Requested-With: X\r\n",
        ] {
            let answer = ask(call).await;
            assert_eq!(answer.status, 503, "{path}");
            assert_eq!(answer.head.one("content-type"), Some("application/problem+json"));
            assert!(answer.body.contains(r#""code":"gateway.down""#), "{}", answer.body);
        }
    }
    assert_eq!(echo.seen().len(), seen, "the application was asked");
    drop(nginx);
}

#[tokio::test]
async fn behind_the_snippet_an_application_that_is_down_is_not_taken_for_the_gateway() {
    let site = NginxSite::start().await;
    let phone = site.signed_in("zhangsan").await;
    let cookie = format!("Cookie: {}\r\n", session_cookie(&phone));
    let NginxSite { t, nginx, echo, port } = site;
    let application = echo.address();
    drop(echo);
    eventually("the application is gone", async || TcpStream::connect(application).await.err()).await;
    let ask = async |headers: &str| {
        let request =
            format!("GET /x HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n{cookie}{headers}\r\n");
        send_raw(port.address(), request.as_bytes()).await
    };
    let page = ask(NAVIGATE).await;
    assert_eq!(page.status, 502);
    assert!(page.body.contains("应用暂时没有响应") && page.body.contains("The application does not answer"));
    assert!(!page.body.contains("gateway"), "{}", page.body);
    assert!(ask("").await.body.contains(r#""code":"application.down""#));
    drop((t, nginx));
}

#[tokio::test]
async fn behind_the_snippet_a_quiet_websocket_outlives_the_longest_answer() {
    // Ten minutes become one second; the hour stays.
    let short = |http: String| {
        assert_eq!(http.matches("proxy_read_timeout 600s;").count(), 2);
        assert_eq!(http.matches("proxy_read_timeout 3600s;").count(), 2);
        http.replace("proxy_read_timeout 600s;", "proxy_read_timeout 1s;")
    };
    let site = NginxSite::changed("", false, short).await;
    let phone = site.signed_in("zhangsan").await;
    let cookie = session_cookie(&phone);
    let mut stream = TcpStream::connect(site.address()).await.expect("nginx");
    let request = format!(
        "GET /live HTTP/1.1\r\nHost: oa.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: {cookie}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    // Two answers that never come take their second each, one after the other.
    for _ in 0..2 {
        let answer = send(&site, "GET /silent", "", &format!("Cookie: {cookie}\r\n")).await;
        assert_eq!(answer.status, 502, "{}", answer.body);
    }
    stream.write_all(b"ping").await.expect("written");
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.expect("the quiet connection is open");
    assert_eq!(&back, b"ping");
}

// --- what a client says
// ----------------------------------------------------------------------------------------

/// Returns every mix of `-` and `_`.
fn mixes(name: &str) -> Vec<String> {
    name.split('-').fold(Vec::new(), |mixes: Vec<String>, word| {
        if mixes.is_empty() {
            return vec![word.to_owned()];
        }
        mixes.iter().flat_map(|begin| [format!("{begin}-{word}"), format!("{begin}_{word}")]).collect()
    })
}

#[tokio::test]
async fn behind_the_snippet_case_52_no_products_identity_header_passes_even_where_underscores_are_allowed() {
    let lax = |http: String| {
        let listen =
            http.lines().find(|line| line.trim_start().starts_with("listen ")).expect("a listen line");
        let listen = listen.trim().trim_end_matches(';');
        format!(
            "server {{\n {listen} default_server;\n server_name _;\n underscores_in_headers on;\n return 444;\n}}\n{http}"
        )
    };
    let site = NginxSite::changed(OPEN, false, lax).await;
    let phone = site.signed_in("zhangsan").await;
    let cookie = format!("Cookie: {}\r\n", session_cookie(&phone));
    let names = [
        "Remote-User",
        "Remote-Name",
        "Remote-Email",
        "Remote-Groups",
        "Gongpai-Assertion",
        "X-WEBAUTH-USER",
        "X-authentik-username",
        "X-authentik-groups",
        "Cf-Access-Authenticated-User-Email",
        "Cf-Access-Jwt-Assertion",
        "X-Goog-Authenticated-User-Email",
        "X-Goog-Authenticated-User-Id",
        "X-Goog-IAP-JWT-Assertion",
        "X-Amzn-Oidc-Data",
        "X-Amzn-Oidc-Identity",
        "X-Amzn-Oidc-Accesstoken",
        "X-MS-CLIENT-PRINCIPAL",
        "X-MS-CLIENT-PRINCIPAL-NAME",
        "X-Middleware-Subrequest",
        "X-Forwarded-Client-Cert",
        "X-Script-Name",
        "X-Forwarded-User",
        "X-Auth-Request-Preferred-Username",
        "X-Pomerium-Jwt-Assertion",
        "X-Pomerium-Claim-Email",
        "Tailscale-User-Login",
        "Tailscale-User-Name",
        "X-Vouch-User",
        "X-Remote-User",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-URL",
    ];
    for name in names {
        let spoofed: String = mixes(name).iter().map(|mix| format!("{mix}: evil\r\n")).collect();
        for (line, cookie, user) in
            [("GET /x", cookie.as_str(), Some("zhangsan")), ("GET /public/x", "", None)]
        {
            // Before the Host header, nginx does not know yet which server it is.
            let answer = send(&site, line, &spoofed, &format!("{cookie}{spoofed}")).await;
            assert_eq!(answer.status, 200, "{name}");
            let head = site.echo.last();
            assert!(!head.0.contains("evil"), "{name}: {}", head.0);
            assert_eq!(head.one("remote-user").filter(|user| !user.is_empty()), user);
        }
    }
    let answer = send(&site, "GET /x", "X_Custom: 1\r\n", &cookie).await;
    assert_eq!(
        (answer.status, site.echo.last().one("x-custom")),
        (200, Some("1")),
        "underscores did not pass at all"
    );
}

#[tokio::test]
async fn behind_the_snippet_case_53_our_token_as_bearer_never_reaches_the_application() {
    let site = NginxSite::with(OPEN, false).await;
    let phone = site.signed_in("zhangsan").await;
    let token = session_cookie(&phone).replacen("__Host-gongpai=", "", 1);
    let broken = format!("{}x", &token[..token.len() - 4]);
    for (path, authorization) in [
        ("/x", format!("Bearer {token}")),
        ("/x", format!("bearer  {token}")),
        ("/public/x", format!("Bearer {token}")),
        ("/public/x", format!("Bearer {broken}")),
        ("/public/x", format!("Basic eA==, Bearer {token}")),
        ("/public/x", format!("Token token=\"{token}\"")),
    ] {
        let answer =
            send(&site, &format!("GET {path}"), "", &format!("Authorization: {authorization}\r\n")).await;
        assert_eq!(answer.status, 200, "{path} {authorization}");
        let head = site.echo.last();
        assert_eq!(head.one("authorization"), None, "{path} {authorization}");
        assert!(!head.0.contains(&token[..40]), "{}", head.0);
    }
    // Everything else belongs to the application, byte for byte.
    let cookie = format!("Cookie: {}\r\n", session_cookie(&phone));
    for theirs in ["Basic dTpw", "Bearer abc.def.ghi", "Bearer  two  blanks", "Digest username=\"a, b\"", "x"]
    {
        let answer = send(&site, "GET /x", "", &format!("{cookie}Authorization: {theirs}\r\n")).await;
        assert_eq!(answer.status, 200, "{theirs}");
        assert_eq!(site.echo.last().one("authorization"), Some(theirs));
    }
}

#[tokio::test]
async fn behind_the_snippet_a_control_character_in_a_header_is_no_server_error() {
    let site = NginxSite::with(OPEN, false).await;
    let phone = site.signed_in("zhangsan").await;
    let ours = session_cookie(&phone);
    for odd in ["\x01", "\x08", "\x0b", "\x1b", "\x1f", "\x7f"] {
        let cookie = format!("Cookie: a={odd}; {ours}\r\n");
        assert_eq!(send(&site, "GET /x", "", &cookie).await.status, 401, "{odd:?}");
        assert_eq!(send(&site, "GET /public/x", "", &cookie).await.status, 200, "{odd:?}");
        assert_eq!(site.echo.last().one("cookie"), None, "{odd:?}");
        assert_eq!(send(&site, "GET /sso/session", "", &cookie).await.status, 401, "{odd:?}");
        let authorization = format!("Cookie: {ours}\r\nAuthorization: Basic a{odd}b\r\n");
        assert_eq!(send(&site, "GET /x", "", &authorization).await.status, 200, "{odd:?}");
        assert_eq!(site.echo.last().one("authorization"), None, "{odd:?}");
        for name in ["Accept", "Referer", "Sec-Fetch-Mode", "X-Requested-With"] {
            let headers = format!("Cookie: {ours}\r\n{name}: a{odd}b\r\n");
            let answer = send(&site, "GET /x", "", &headers).await;
            assert_eq!(answer.status, 400, "{name} {odd:?}: {}", answer.body);
        }
    }
    // What is not a control character stays: a tab, and bytes beyond ASCII.
    let cookie = format!("Cookie: a=1\t2; {ours}\r\n");
    assert_eq!(send(&site, "GET /x", "", &cookie).await.status, 200);
    assert_eq!(site.echo.last().one("cookie"), Some("a=1\t2"));
}

// --- codes
// -----------------------------------------------------------------------------------------------------

/// The sample of WeCom's documentation.
const CODE: &str = "bjT3EWbzVGzMyNmyPGTWvyIbnXLmFVJ1LhKSZ5ZVj_o";

#[tokio::test]
async fn behind_the_snippet_case_46_a_code_of_wecoms_goes_to_a_clean_sign_in_and_never_to_the_application() {
    let site =
        NginxSite::with(&format!("{OPEN}[gate]\ncode_paths = [\"/gitlab/users/auth\"]\n"), false).await;
    let phone = site.signed_in("zhangsan").await;
    let ours = format!("Cookie: {}\r\n", session_cookie(&phone));
    let seen = site.echo.seen().len();
    for path in ["/collect", "/public/collect", "//gitlab/users/auth/x", "/gitlab/users/auth/..;/x"] {
        for cookie in [&ours, ""] {
            for method in ["GET", "HEAD", "POST", "PUT"] {
                for query in [format!("?a=1&code={CODE}&state=S"), format!("?a=1;c%6fde={CODE}")] {
                    let line = format!("{method} {path}{query}");
                    let call = send(&site, &line, "", cookie).await;
                    assert_eq!((call.status, call.head.one("location")), (401, None), "{line}");
                    let page = send(&site, &line, "", &format!("{cookie}{NAVIGATE}")).await;
                    assert_eq!(page.status, 302, "{line}");
                    let location = page.head.one("location").expect("a Location");
                    assert!(location.starts_with(&format!("{PUBLIC_URL}/_gongpai/login?rd=")), "{location}");
                    assert!(!location.contains(&CODE[..20]) && !location.contains("state"), "{location}");
                }
            }
        }
    }
    assert_eq!(site.echo.seen().len(), seen, "{:?}", site.echo.seen().pop());
    // The person still arrives at the page.
    let mut phone = site.phone_of("zhangsan");
    let end =
        phone.send(BrowserRequest::navigate(&format!("{PUBLIC_URL}/collect?a=1&code={CODE}&state=S"))).await;
    let end = phone.follow(end, 10).await;
    assert_eq!((end.status.as_u16(), end.url.as_str()), (200, &*format!("{PUBLIC_URL}/collect?a=1")));
    // An application's own callback, an application's own short code, and another host keep theirs.
    for target in [
        format!("/gitlab/users/auth/openid/callback?code={CODE}&state=S"),
        "/collect?code=200&state=S".to_owned(),
    ] {
        let answer = send(&site, &format!("GET {target}"), "", &ours).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(site.echo.last().line(), format!("GET {target} HTTP/1.1"));
    }
    let logs = std::fs::read_to_string(site.nginx.prefix().join("access.log")).unwrap_or_default();
    let collected = logs.lines().filter(|line| line.contains("/collect") && line.contains(CODE));
    assert_eq!(collected.count(), 0, "a log has a code that is still good");
}
