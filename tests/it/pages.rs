//! The small paths around a sign-in: home, whoami, methods, trailing slashes, unknown paths.

use reqwest::Method;
use serde_json::Value;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{BrowserRequest, PHONE};

#[tokio::test]
async fn who_am_i_is_exactly_the_documented_json() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let page = phone.fetch(format!("{PUBLIC_URL}/sso/session")).await;
    let me: Value = page.json();
    let names: Vec<_> = me.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["userid", "name", "sub", "units", "amr", "expires_at"]);
    assert_eq!((&me["userid"], &me["name"]), (&"zhangsan".into(), &"张三".into()));
    assert_eq!(me["units"], serde_json::json!([]));
    assert_eq!(me["amr"], serde_json::json!(["wecom-app"]));
    assert_eq!(me["expires_at"], "2026-11-22T20:00:00.000Z");
    assert_eq!(uuid::Uuid::parse_str(me["sub"].as_str().unwrap()).unwrap().get_version_num(), 7);
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Case 28: neither token nor cookie is in it.
    let token = phone.cookies.value("__Host-gongpai").unwrap();
    assert!(!page.text().contains(token) && !page.text().contains(token.rsplit('.').next().unwrap()));
}

#[tokio::test]
async fn who_am_i_answers_401_to_nobody() {
    let t = TestApp::start().await;
    for url in [
        format!("{PUBLIC_URL}/sso/session"),
        format!("{APP_URL}/_gongpai/session"),
        format!("{PUBLIC_URL}/_gongpai/session"),
    ] {
        for ask in [BrowserRequest::fetch(&url), BrowserRequest::navigate(&url)] {
            let page = t.desktop().send(ask).await;
            assert_eq!(page.status, 401, "{url}");
            assert_eq!(page.header("content-type"), Some("application/problem+json"));
            assert!(page.headers.get("set-cookie").is_none() && page.headers.get("location").is_none());
        }
    }
}

#[tokio::test]
async fn home_says_who_is_signed_in_and_sends_everybody_else_to_sign_in() {
    let t = TestApp::start().await;
    let page = t.desktop().get(format!("{PUBLIC_URL}/")).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/sso/login?rd=%2F"));
    let mut phone = t.signed_in("zhangsan").await;
    let page = phone.get(format!("{PUBLIC_URL}/")).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("张三 (zhangsan)"), "{}", page.text());
    let out = page.link_with("/sso/logout").expect("a way out");
    assert_eq!(phone.get(out).await.status, 200);
    // On an application's host, by the prefix that it proxies.
    let page = t.desktop().get(format!("{APP_URL}/")).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{APP_URL}/_gongpai/login?rd=%2F"));
}

#[tokio::test]
async fn a_phones_own_browser_is_shown_the_way_into_wecom() {
    let t = TestApp::start().await;
    let page = t.browser(PHONE).get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("href=\"wxwork://") && text.contains("工作台 → 应用"), "{text}");
    assert!(page.headers.get("set-cookie").is_none());
    let page = t.browser(PHONE).get(format!("{PUBLIC_URL}/sso/login?rd=/x&entrance=qr")).await;
    assert!(page.text().contains("<iframe"));
}

#[tokio::test]
async fn entrance_decides_against_the_user_agent_and_anything_else_does_not() {
    let t = TestApp::start().await;
    let page = t.desktop().get(format!("{PUBLIC_URL}/sso/login?rd=/x&entrance=app")).await;
    assert_eq!(page.location().unwrap().path(), "/connect/oauth2/authorize");
    let page = t.phone_of("zhangsan").get(format!("{PUBLIC_URL}/sso/login?rd=/x&entrance=qr")).await;
    assert!(page.text().contains("<iframe"));
    for junk in ["", "x", "APP", "app%00"] {
        let page = t.desktop().get(format!("{PUBLIC_URL}/sso/login?rd=/x&entrance={junk}")).await;
        assert!(page.text().contains("<iframe"), "{junk}");
    }
    let page = t.desktop().get(format!("{APP_URL}/_gongpai/login?rd=/x&entrance=app")).await;
    assert!(page.location().unwrap().query().unwrap().ends_with("&entrance=app"));
}

#[tokio::test]
async fn a_head_request_answers_like_a_get_without_a_body() {
    let t = TestApp::start().await;
    let signed_in = t.signed_in("zhangsan").await;
    for (path, status) in
        [("/sso/login?rd=/", 200), ("/sso/session", 200), ("/", 200), ("/healthz", 200), ("/nothing", 404)]
    {
        let mut browser = t.desktop();
        if path != "/sso/login?rd=/" {
            browser.cookies = signed_in.cookies.clone();
        }
        let page = browser.send(BrowserRequest::bare(Method::HEAD, &format!("{PUBLIC_URL}{path}"))).await;
        assert_eq!((page.status.as_u16(), page.body.len()), (status, 0), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_a_problem_for_programs() {
    let t = TestApp::start().await;
    for path in [
        "/nothing",
        "/sso",
        "/sso/",
        "/sso/login/",
        "/sso/callback/",
        "/_gongpai",
        "/_gongpai/x",
        "/x_desktop/",
        "/SSO/login",
        "/oauth2/start",
        "/oidc/x",
        "/sso/m",
        "/sso/m/",
        "/sso/jssdk",
        "/metrics",
        "/readyz",
        "/debug/pprof",
    ] {
        let page = t.desktop().get(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{path}");
        assert!(page.text().contains(page.header("x-request-id").unwrap()));
        let problem = t.desktop().fetch(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{path}");
        assert!(problem.json::<Value>()["code"].is_string());
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_change_nothing() {
    let t = TestApp::start().await;
    let signed_in = t.signed_in("zhangsan").await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        for path in ["/sso/login", "/sso/callback", "/sso/finish", "/sso/session", "/", "/qiyeweixinsso.html"]
        {
            let mut browser = t.desktop();
            browser.cookies = signed_in.cookies.clone();
            let ask = BrowserRequest::bare(method.clone(), &format!("{PUBLIC_URL}{path}"))
                .header("origin", PUBLIC_URL)
                .header("sec-fetch-site", "same-origin");
            let page = browser.send(ask).await;
            assert_eq!(page.status, 405, "{method} {path}");
            assert!(page.header("allow").unwrap().contains("GET"), "{method} {path}");
        }
    }
    assert_eq!(t.check(&signed_in, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn case_38_a_request_target_with_another_authority_than_host_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let t = TestApp::start().await;
    let ask = async |head: &str| {
        let mut stream = tokio::net::TcpStream::connect(t.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut answer))
            .await
            .unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let end = "X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let bad =
        ask(&format!("GET http://evil.example/sso/login?rd=/x HTTP/1.1\r\nHost: oa.example.com\r\n{end}"))
            .await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
    let bad =
        ask(&format!("GET http://oa.example.com/sso/login?rd=/x HTTP/1.1\r\nHost: evil.example\r\n{end}"))
            .await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
    let good =
        ask(&format!("GET http://oa.example.com/sso/login?rd=/x HTTP/1.1\r\nHost: oa.example.com\r\n{end}"))
            .await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let none = ask("GET /sso/login HTTP/1.0\r\n\r\n").await;
    assert!(none.starts_with("HTTP/1.0 400") || none.starts_with("HTTP/1.1 400"), "{none}");
    for junk in [
        "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
        "\0\0\0\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n\r\n",
    ] {
        assert!(!ask(junk).await.contains(" 200 "), "{junk:?}");
    }
    assert_eq!(t.desktop().get(format!("{PUBLIC_URL}/healthz")).await.status, 200);
}
