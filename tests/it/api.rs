//! `/api/v1/sessions`: lists sessions and ends them; and who may call the API.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gongpai::testing::base::secret::sha256_hex;
use reqwest::Method;
use serde_json::Value;

use crate::support::app::{API_SECRET, APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, BrowserRequest, Page};
use crate::support::planted_rows::set_memberships;

fn basic_auth(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Sends a call with an Authorization header, or without one.
async fn call(t: &TestApp, method: Method, path: &str, authorization: Option<&str>) -> Page {
    let mut ask = BrowserRequest::bare(method, &format!("http://{}{path}", t.address))
        .header("accept", "application/json");
    if let Some(authorization) = authorization {
        ask = ask.header("authorization", authorization);
    }
    Browser::new("an application").send(ask).await
}

/// Sends a call of the client `oa`.
async fn call_oa(t: &TestApp, method: Method, path: &str) -> Page {
    call(t, method, path, Some(&basic_auth("oa", API_SECRET))).await
}

fn problem_code(page: &Page) -> String {
    assert_eq!(page.header("content-type"), Some("application/problem+json"), "{}", page.text());
    let problem: Value = page.json();
    assert_eq!(problem["status"], page.status.as_u16());
    assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
    problem["code"].as_str().expect("a code").to_owned()
}

/// Returns the session id in the cookie that a browser has for `url`.
fn session_id(browser: &Browser, url: &str) -> String {
    let cookies = browser.cookies.header(&url.parse().expect("a URL")).expect("cookies");
    let token = cookies.split("; ").find_map(|c| c.strip_prefix("__Host-gongpai=")).expect("a session");
    let claims = token.split('.').nth(1).expect("claims");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    claims["sid"].as_str().expect("a sid").to_owned()
}

fn items(page: &Page) -> Vec<Value> {
    assert_eq!(page.status, 200, "{}", page.text());
    page.json::<Value>()["items"].as_array().expect("items").clone()
}

/// Clients: one with another scope, and one with a short secret whose hash matches.
const CLIENTS: &str = r#"
[[api_clients]]
id = "oa"
secret_hash = "sha256:HOOK"
scopes = ["sessions"]
[[api_clients]]
id = "hook"
secret_hash = "sha256:HOOK"
scopes = ["hook"]
[[api_clients]]
id = "weak"
secret_hash = "sha256:WEAK"
scopes = ["sessions"]
"#;

fn client_toml() -> String {
    CLIENTS
        .replace("HOOK", &sha256_hex(API_SECRET))
        .replace("WEAK", &sha256_hex("correct horse battery staple"))
}

#[tokio::test]
async fn every_living_session_is_listed_with_who_where_how_and_until_when() {
    let t = TestApp::start().await;
    let mut zhang = t.signed_in("zhangsan").await;
    t.signed_in("lisi").await;
    assert_eq!(zhang.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await.status, 200);
    let page = call_oa(&t, Method::GET, "/api/v1/sessions").await;
    let all = items(&page);
    assert_eq!(all.len(), 3, "{}", page.text());
    assert!(page.json::<Value>()["next_cursor"].is_null());
    assert!(!page.text().contains("eyJ"), "a token is shown");
    let of_zhang = items(&call_oa(&t, Method::GET, "/api/v1/sessions?userid=ZhangSan").await);
    assert_eq!(of_zhang.len(), 2);
    let mut hosts: Vec<_> = of_zhang.iter().map(|s| s["host"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["app.example.com", "oa.example.com"]);
    let one = of_zhang.iter().find(|s| s["host"] == "oa.example.com").unwrap();
    assert_eq!(one["sid"], session_id(&zhang, PUBLIC_URL));
    assert_eq!((&one["userid"], &one["name"]), (&"zhangsan".into(), &"张三".into()));
    assert_eq!(one["amr"], serde_json::json!(["wecom-app"]));
    assert_eq!(one["address"], "203.0.113.7");
    for instant in ["auth_time", "last_seen_at", "expires_at"] {
        let text = one[instant].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(text).is_ok(), "{instant}: {text}");
    }
    assert!(items(&call_oa(&t, Method::GET, "/api/v1/sessions?userid=nobody").await).is_empty());
}

#[tokio::test]
async fn a_list_that_cannot_show_everybody_who_is_signed_in_fails_and_hides_nobody() {
    let t = TestApp::start().await;
    t.signed_in("zhangsan").await;
    t.signed_in("lisi").await;
    set_memberships(&t.app.db, "lisi", "[").await;
    let page = call_oa(&t, Method::GET, "/api/v1/sessions").await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert_eq!(items(&call_oa(&t, Method::GET, "/api/v1/sessions?userid=zhangsan").await).len(), 1);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_without_missing_or_repeating_one() {
    let t = TestApp::start().await;
    let mut expected = Vec::new();
    for userid in ["zhangsan", "lisi", "wangwu", "zhaoliu", "sunqi"] {
        expected.push(session_id(&t.signed_in(userid).await, PUBLIC_URL));
    }
    expected.sort_unstable();
    for limit in [1, 2, 3, 5, 100] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page =
                call_oa(&t, Method::GET, &format!("/api/v1/sessions?limit={limit}&cursor={cursor}")).await;
            let part = items(&page);
            assert!(part.len() <= limit);
            seen.extend(part.iter().map(|s| s["sid"].as_str().unwrap().to_owned()));
            pages += 1;
            match page.json::<Value>()["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, expected, "limit {limit}");
        assert_eq!(pages, expected.len().div_ceil(limit), "limit {limit}");
    }
    for bad in [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=100000",
        "nonsense=1",
        "userid=a&userid=b",
        "userid=a%00b",
        "cursor=%00",
    ] {
        let page = call_oa(&t, Method::GET, &format!("/api/v1/sessions?{bad}")).await;
        assert_eq!((page.status.as_u16(), &*problem_code(&page)), (400, "api.bad_request"), "{bad}");
    }
    let page = call_oa(&t, Method::GET, "/api/v1/sessions?userid=&limit=&cursor=").await;
    assert_eq!(items(&page).len(), expected.len(), "what is empty is not said");
    let page = call_oa(&t, Method::GET, "/api/v1/sessions?cursor=%27%20OR%201%3D1").await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn a_session_that_is_ended_is_refused_at_the_very_next_check_and_no_other_is() {
    let t = TestApp::start().await;
    let (one, other) = (t.signed_in("zhangsan").await, t.signed_in("zhangsan").await);
    let url = format!("{PUBLIC_URL}/x");
    let path = format!("/api/v1/sessions/{}", session_id(&one, PUBLIC_URL));
    let page = call_oa(&t, Method::DELETE, &path).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(t.check(&one, &url).await.status, 401);
    assert_eq!(t.check(&other, &url).await.status, 200);
    let page = call_oa(&t, Method::DELETE, &path).await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (404, "api.not_found"));
    for unknown in ["x", "%27", "%00", "..%2f", &"x".repeat(3000)] {
        let page = call_oa(&t, Method::DELETE, &format!("/api/v1/sessions/{unknown}")).await;
        assert_eq!(page.status, 404, "{unknown}: {}", page.text());
    }
    assert_eq!(items(&call_oa(&t, Method::GET, "/api/v1/sessions").await).len(), 1);
}

#[tokio::test]
async fn all_sessions_of_a_person_end_on_every_host_without_regard_to_the_case_of_the_userid() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let (tablet, li) = (t.signed_in("zhangsan").await, t.signed_in("lisi").await);
    assert_eq!(phone.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await.status, 200);
    let page = call_oa(&t, Method::DELETE, "/api/v1/sessions?userid=ZHANGSAN").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(page.json::<Value>()["ended"], 3);
    for (browser, url, expected) in [
        (&phone, PUBLIC_URL, 401),
        (&phone, APP_URL, 401),
        (&tablet, PUBLIC_URL, 401),
        (&li, PUBLIC_URL, 200),
    ] {
        assert_eq!(t.check(browser, &format!("{url}/x")).await.status, expected, "{url}");
    }
    assert_eq!(
        call_oa(&t, Method::DELETE, "/api/v1/sessions?userid=zhangsan").await.json::<Value>()["ended"],
        0
    );
    assert_eq!(
        call_oa(&t, Method::DELETE, "/api/v1/sessions?userid=nobody").await.json::<Value>()["ended"],
        0
    );
    // A call that names nobody signs nobody out.
    for path in ["/api/v1/sessions", "/api/v1/sessions?userid="] {
        assert_eq!(call_oa(&t, Method::DELETE, path).await.status, 400, "{path}");
    }
    assert_eq!(t.check(&li, &format!("{PUBLIC_URL}/x")).await.status, 200);
    // The same person can sign in again.
    let again = t.signed_in("zhangsan").await;
    assert_eq!(t.check(&again, &format!("{PUBLIC_URL}/x")).await.status, 200);
}

#[tokio::test]
async fn case_31_every_wrong_credential_gets_the_same_answer() {
    let t = TestApp::with(&client_toml()).await;
    let good = STANDARD.encode(format!("oa:{API_SECRET}"));
    let mut answers = Vec::new();
    for authorization in [
        None,
        Some(basic_auth("oa", "wrong")),
        Some(basic_auth("oa", "")),
        Some(basic_auth("nobody", API_SECRET)),
        Some(basic_auth("OA", API_SECRET)),
        Some(basic_auth("", API_SECRET)),
        Some(basic_auth("oa", &API_SECRET.to_uppercase())),
        Some(basic_auth("oa", &sha256_hex(API_SECRET))),
        Some(basic_auth("oa", &format!("sha256:{}", sha256_hex(API_SECRET)))),
        // A secret that a person chose is refused although its hash is configured.
        Some(basic_auth("weak", "correct horse battery staple")),
        Some(format!("Bearer {good}")),
        Some(good.clone()),
        Some("Basic".to_owned()),
        Some("Basic ====".to_owned()),
        Some(format!("Basic {good} {good}")),
    ] {
        for (method, path) in
            [(Method::GET, "/api/v1/sessions"), (Method::DELETE, "/api/v1/sessions?userid=zhangsan")]
        {
            if answers.len() >= 28 {
                break; // the limit of wrong credentials has a test of its own
            }
            let page = call(&t, method, path, authorization.as_deref()).await;
            assert_eq!(
                (page.status.as_u16(), &*problem_code(&page)),
                (401, "api.unauthorized"),
                "{authorization:?}"
            );
            assert!(page.header("www-authenticate").is_some_and(|h| h.starts_with("Basic ")));
            let mut problem: Value = page.json();
            problem.as_object_mut().unwrap().remove("request_id");
            answers.push(problem);
        }
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]), "{answers:#?}");
    let page = call(&t, Method::GET, "/api/v1/sessions", Some(&format!("bAsIC {good}"))).await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let t = TestApp::start().await;
    let good = basic_auth("oa", API_SECRET);
    let ask = BrowserRequest::bare(Method::GET, &format!("http://{}/api/v1/sessions", t.address))
        .add_header("authorization", good.as_bytes())
        .add_header("authorization", good.as_bytes());
    assert_eq!(Browser::new("x").send(ask).await.status, 401);
}

#[tokio::test]
async fn a_client_without_the_scope_is_forbidden_and_a_persons_session_opens_nothing() {
    let t = TestApp::with(&client_toml()).await;
    let phone = t.signed_in("zhangsan").await;
    for (method, path) in [
        (Method::GET, "/api/v1/sessions".to_owned()),
        (Method::DELETE, "/api/v1/sessions?userid=zhangsan".to_owned()),
        (Method::DELETE, format!("/api/v1/sessions/{}", session_id(&phone, PUBLIC_URL))),
    ] {
        let page = call(&t, method.clone(), &path, Some(&basic_auth("hook", API_SECRET))).await;
        assert_eq!(
            (page.status.as_u16(), &*problem_code(&page)),
            (403, "api.forbidden_scope"),
            "{method} {path}"
        );
        let cookies = phone.cookies.header(&PUBLIC_URL.parse().unwrap()).unwrap();
        let ask = BrowserRequest::bare(method.clone(), &format!("http://{}{path}", t.address))
            .header("host", "oa.example.com")
            .header("cookie", &cookies);
        assert_eq!(Browser::new("x").send(ask).await.status, 401, "{method} {path} with a session");
    }
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 200);
}

#[tokio::test]
async fn case_48_after_thirty_wrong_credentials_a_minute_an_address_waits_with_wrong_ones_only() {
    let t = TestApp::start().await;
    let from = async |address: &str, secret: &str| {
        let ask = BrowserRequest::bare(Method::GET, &format!("http://{}/api/v1/sessions", t.address))
            .header("x-forwarded-for", address)
            .header("authorization", &basic_auth("oa", secret));
        Browser::new("x").send(ask).await
    };
    for n in 0..30 {
        assert_eq!(from("203.0.113.9", "wrong").await.status, 401, "{n}");
    }
    for _ in 0..10 {
        let page = from("203.0.113.9", "wrong").await;
        assert_eq!(page.status, 429);
        assert!(page.header("retry-after").is_some_and(|s| s.parse::<u64>().is_ok_and(|s| s >= 1)));
        assert_eq!(from("203.0.113.9", API_SECRET).await.status, 200, "the right one beside the guesses");
    }
    assert_eq!(from("203.0.113.10", "wrong").await.status, 401, "another address");
    t.advance(std::time::Duration::from_secs(61)).await;
    assert_eq!(from("203.0.113.9", "wrong").await.status, 401);
    // Calls without credentials do not count.
    for _ in 0..40 {
        assert_eq!(call(&t, Method::GET, "/api/v1/sessions", None).await.status, 401);
    }
}

#[tokio::test]
async fn what_the_api_does_not_have_is_a_problem_document() {
    let t = TestApp::start().await;
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::GET, "/api/v1", 404),
        (Method::GET, "/api/", 404),
        (Method::POST, "/api/v1/sessions", 405),
        (Method::PUT, "/api/v1/sessions/x", 405),
    ] {
        let page = call_oa(&t, method.clone(), path).await;
        assert_eq!(page.status, status, "{method} {path}");
        assert!(problem_code(&page).contains('.'));
        assert!(page.json::<Value>()["request_id"].is_string());
    }
}

#[tokio::test]
async fn an_ended_session_is_in_the_audit_trail_with_who_ended_it_and_without_a_secret() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    call_oa(&t, Method::DELETE, &format!("/api/v1/sessions/{}", session_id(&phone, PUBLIC_URL))).await;
    let since = t.app.clock.now().minus(std::time::Duration::from_secs(60));
    let corp = &t.app.config.wecom.corp_id;
    let rows = gongpai::testing::audit::store::list_rows(&t.app.db, corp, Some("zhangsan"), since, "", 100)
        .await
        .unwrap();
    let row = rows.iter().find(|row| row.event == "revoke").expect("a row");
    assert_eq!((&*row.userid, &*row.decision), ("zhangsan", "done"));
    assert!(row.detail.contains("API client oa"), "{}", row.detail);
    assert_eq!(row.address, "127.0.0.1");
    assert!(!row.request_id.is_empty());
    assert!(!format!("{rows:?}").contains(API_SECRET));
}
