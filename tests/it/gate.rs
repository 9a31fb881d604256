//! The gate as nginx asks it: every promise about it (`src/docs/design.md`, "The check"). What an
//! attacker would send stands in `hostile_checks`, for every kind of proxy.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Method;
use serde_json::Value;
use url::Url;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, BrowserRequest, DESKTOP, Page};

/// Returns the token of the session that `browser` has on the host of `url`.
fn token(browser: &Browser, url: &str) -> String {
    let host = Url::parse(url).expect("a URL");
    let cookies = browser.cookies.header(&host).expect("cookies");
    let name = cookies.split("; ").find_map(|c| {
        ["__Host-gongpai=", "__Secure-gongpai=", "gongpai="].iter().find_map(|n| c.strip_prefix(n))
    });
    name.expect("a session").to_owned()
}

/// Sends a check with these headers and only those others that HTTP needs. A header may come twice
/// and hold any bytes.
async fn send_check(t: &TestApp, headers: &[(&str, &[u8])]) -> Page {
    let mut ask = BrowserRequest::bare(Method::GET, &format!("http://{}/auth/nginx", t.address));
    for (name, value) in headers {
        ask = ask.add_header(name, value);
    }
    let page = Browser::new("nginx").send(ask).await;
    assert!(matches!(page.status.as_u16(), 200 | 401 | 403), "{}", page.status);
    assert_eq!(page.headers.get_all("set-cookie").iter().count(), 0);
    page
}

/// Sends a check for `url` with `method` and a session, and returns its status.
async fn check_status(t: &TestApp, token: Option<&str>, method: &str, url: &str) -> u16 {
    let cookie = token.map(|token| format!("__Host-gongpai={token}"));
    let mut headers = vec![("x-original-url", url.as_bytes()), ("x-original-method", method.as_bytes())];
    if let Some(cookie) = &cookie {
        headers.push(("cookie", cookie.as_bytes()));
    }
    send_check(t, &headers).await.status.as_u16()
}

fn answer_code(page: &Page) -> String {
    page.json::<Value>()["code"].as_str().expect("a code").to_owned()
}

// --- rules
// -----------------------------------------------------------------------------------------------------

const RULES: &str = r#"
[[rules]]
host = "oa.example.com"
path = "/admin/**"
methods = ["GET", "HEAD"]
allow = ["user:ZhangSan"]
[[rules]]
host = "oa.example.com"
path = "/admin/**"
allow = ["user:lisi"]
[[rules]]
host = "oa.example.com"
path = "/public/*"
allow = ["anyone"]
[[rules]]
host = "oa.example.com"
path = "/later/**"
allow = ["unit:财务部/**", "tag:管理员", "leader:财务部", "moon:phase"]
[[rules]]
host = "oa.example.com"
path = "/later/**"
allow = ["members"]
[[rules]]
host = "oa.example.com"
path = "/work/**"
allow = ["members"]
"#;

#[tokio::test]
async fn the_first_rule_that_matches_host_path_and_method_decides_and_no_later_one_is_read() {
    let t = TestApp::with(RULES).await;
    let (zhang, li) = (t.signed_in("zhangsan").await, t.signed_in("lisi").await);
    let (zhang, li) = (token(&zhang, PUBLIC_URL), token(&li, PUBLIC_URL));
    for (who, method, path, expected) in [
        (Some(&zhang), "GET", "/admin", 200),
        (Some(&zhang), "GET", "/admin/", 200),
        (Some(&zhang), "GET", "/admin/a/b", 200),
        (Some(&zhang), "HEAD", "/admin/a", 200),
        (Some(&zhang), "get", "/admin/a", 200),
        (Some(&zhang), "POST", "/admin/a", 403),
        (Some(&li), "GET", "/admin/a", 403),
        (Some(&li), "POST", "/admin/a", 200),
        (None, "GET", "/admin/a", 401),
        (Some(&zhang), "GET", "/administrator", 403),
        (None, "GET", "/administrator", 403),
        (Some(&zhang), "GET", "/Admin/a", 403),
        (None, "GET", "/public/a", 200),
        (Some(&zhang), "GET", "/public/a", 200),
        (None, "GET", "/public/a/b", 403),
        (None, "GET", "/public", 403),
        (Some(&zhang), "GET", "/later/x", 403),
        (None, "GET", "/later/x", 401),
        (Some(&zhang), "DELETE", "/work/x", 200),
        (Some(&zhang), "GET", "/", 403),
        (None, "GET", "/", 403),
        (Some(&zhang), "GET", "/private?x=/public/a", 403),
        (None, "GET", "/x?/../public/a", 403),
    ] {
        let status = check_status(&t, who.map(String::as_str), method, &format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(status, expected, "{method} {path}");
    }
    // A host without rules has the default: any active member.
    let mut zhang = t.phone_of("zhangsan");
    assert_eq!(zhang.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await.status, 200);
    assert_eq!(t.check(&zhang, &format!("{APP_URL}/x")).await.status, 200);
    assert_eq!(check_status(&t, None, "GET", &format!("{APP_URL}/x")).await, 401);
}

#[tokio::test]
async fn with_default_deny_a_host_without_rules_lets_nobody_in() {
    let t = TestApp::with(
        "[gate]\ndefault = \"deny\"\n[[rules]]\nhost = \"app.example.com\"\nallow = [\"members\"]\n",
    )
    .await;
    let mut phone = t.signed_in("zhangsan").await;
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 403);
    assert_eq!(check_status(&t, None, "GET", &format!("{PUBLIC_URL}/x")).await, 403);
    assert_eq!(phone.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await.status, 200);
    assert_eq!(t.check(&phone, &format!("{APP_URL}/x")).await.status, 200);
}

const WILDCARD_RULES: &str = r#"
[login]
redirect_hosts = ["example.com", "app.example.com", "app.example.com:8443", "a.b.app.example.com"]
[[rules]]
host = "*.app.example.com"
allow = ["anyone"]
[[rules]]
host = "app.example.com:8443"
allow = ["anyone"]
[[rules]]
host = "*.Example.COM"
path = "/only"
allow = ["members"]
"#;

#[tokio::test]
async fn case_10_a_wildcard_is_any_depth_below_a_port_is_that_port_and_hosts_compare_without_case() {
    let t = TestApp::with(WILDCARD_RULES).await;
    for (url, expected) in [
        ("https://a.b.app.example.com/x", 200),
        ("https://A.B.App.Example.COM./x", 200),
        ("https://a.b.app.example.com:443/x", 200),
        ("https://app.example.com:8443/x", 200),
        ("https://app.example.com/x", 403),
        ("https://app.example.com/only", 401),
        ("https://APP.example.com./only", 401),
        // The name itself is not below itself. It has no rules, so the default applies.
        ("https://example.com/x", 401),
        ("https://oa.example.com/x", 403),
        ("https://evilapp.example.com/x", 403),
        ("https://app.example.com:8444/x", 403),
        ("https://app.example.com.evil.example/x", 403),
    ] {
        assert_eq!(check_status(&t, None, "GET", url).await, expected, "{url}");
    }
}

#[tokio::test]
async fn the_check_answers_whatever_method_and_query_it_is_asked_with() {
    let t = TestApp::start().await;
    for method in
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE]
    {
        for url in ["/auth/nginx", "/auth/nginx?x=1"] {
            let ask = BrowserRequest::bare(method.clone(), &format!("http://{}{url}", t.address))
                .header("x-original-url", &format!("{PUBLIC_URL}/x"))
                .header("x-original-method", "GET")
                .header("origin", "https://evil.example")
                .header("sec-fetch-site", "cross-site");
            assert_eq!(Browser::new("nginx").send(ask).await.status, 401, "{method} {url}");
        }
    }
}

// --- what never is a 2xx
// ---------------------------------------------------------------------------------------

#[tokio::test]
async fn case_2_health_is_an_exact_path() {
    let t = TestApp::start().await;
    let mut browser = Browser::new("kube-probe/1.29");
    for (path, expected) in [
        ("/healthz", 200),
        ("/healthz/", 404),
        ("/healthz/x", 404),
        ("/HEALTHZ", 404),
        ("/x/healthz", 404),
        ("/auth/nginx/", 404),
        ("/auth/nginx/healthz", 404),
        ("/auth", 404),
        ("/ping", 404),
        ("/metrics", 404),
        ("/readyz", 404),
        ("/debug", 404),
        ("/admin", 404),
    ] {
        let page =
            browser.send(BrowserRequest::bare(Method::GET, &format!("http://{}{path}", t.address))).await;
        assert_eq!(page.status, expected, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_built_yet_answers_404() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    let cookie = format!("__Host-gongpai={}", token(&phone, PUBLIC_URL));
    for path in [
        "/oauth2/auth",
        "/oauth2/start",
        "/oauth2/sign_in",
        "/oauth2/callback",
        "/oauth2/sign_out",
        "/oauth2/userinfo",
        "/auth/forward",
        "/auth/envoy",
        "/auth/envoy/x/y",
        "/.well-known/openid-configuration",
        "/oidc/authorize",
        "/api/v1/messages/x/complete",
        "/hooks/o2oa/token/task_create",
    ] {
        for method in [Method::GET, Method::POST] {
            let ask = BrowserRequest::bare(method.clone(), &format!("http://{}{path}", t.address))
                .header("host", "oa.example.com")
                .header("cookie", &cookie)
                .header("x-forwarded-uri", "/x")
                .header("x-forwarded-method", "GET");
            assert_eq!(Browser::new("nginx").send(ask).await.status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn case_16_a_token_that_was_not_made_by_us_for_this_is_no_session() {
    let t = TestApp::with("[gate]\nassertion = true\n").await;
    let mut phone = t.signed_in("zhangsan").await;
    phone.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await;
    let (good, of_app) = (token(&phone, PUBLIC_URL), token(&phone, APP_URL));
    let url = format!("{PUBLIC_URL}/x");
    assert_eq!(check_status(&t, Some(&good), "GET", &url).await, 200);
    let assertion = t.check(&phone, &url).await.header("gongpai-assertion").expect("an assertion").to_owned();
    let parts: Vec<&str> = good.split('.').collect();
    let decode =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    let altered = |what: &Value, key: &str, to: Value| {
        let mut what = what.clone();
        what[key] = to;
        encode(&what)
    };
    let mut bad = vec![
        assertion.clone(),
        of_app.clone(),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}x"),
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        good.to_uppercase(),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "null".to_owned(),
        "undefined".to_owned(),
    ];
    // Every byte of the signature counts.
    for at in [0, 10, parts[2].len() - 3] {
        let mut signature = parts[2].as_bytes().to_vec();
        signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
        bad.push(format!("{}.{}.{}", parts[0], parts[1], String::from_utf8(signature).unwrap()));
    }
    for alg in ["none", "None", "HS256", "RS256", "ES384", "PS256", "EdDSA"] {
        let header = altered(&header, "alg", alg.into());
        bad.push(format!("{header}.{}.", parts[1]));
        bad.push(format!("{header}.{}.{}", parts[1], parts[2]));
    }
    let jwks: Value =
        Browser::new("x").get(format!("http://{}/.well-known/jwks.json", t.address)).await.json();
    let hmac_key = jsonwebtoken::EncodingKey::from_secret(jwks["keys"][0]["x"].as_str().unwrap().as_bytes());
    let mut hs = jsonwebtoken::Header::new(Algorithm::HS256);
    hs.kid = header["kid"].as_str().map(str::to_owned);
    hs.typ = Some("gongpai-session+jwt".to_owned());
    bad.push(jsonwebtoken::encode(&hs, &claims, &hmac_key).unwrap());
    for kid in ["", "../../../../etc/passwd", "' OR 1=1 --", "http://127.0.0.1/k", "unknown", "\u{0}"] {
        bad.push(format!("{}.{}.{}", altered(&header, "kid", kid.into()), parts[1], parts[2]));
    }
    for (key, value) in [
        ("jwk", jwks["keys"][0].clone()),
        ("jku", "https://evil.example/k".into()),
        ("x5u", "https://evil.example/k".into()),
        ("crit", serde_json::json!(["exp"])),
        ("typ", "JWT".into()),
        ("typ", "gongpai-assertion+jwt".into()),
        ("typ", Value::Null),
    ] {
        bad.push(format!("{}.{}.{}", altered(&header, key, value), parts[1], parts[2]));
    }
    for (key, value) in [
        ("exp", i64::MAX.into()),
        ("userid", "lisi".into()),
        ("sub", "x".into()),
        ("aud", "app.example.com".into()),
        ("exp", Value::Null),
        ("exp", 1e300.into()),
        ("exp", (-1).into()),
        ("iat", i64::MAX.into()),
    ] {
        bad.push(format!("{}.{}.{}", parts[0], altered(&claims, key, value), parts[2]));
    }
    // An attacker's own key.
    let own =
        aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING)
            .unwrap();
    let pkcs8 = own.to_pkcs8v1().unwrap();
    let mut es = jsonwebtoken::Header::new(Algorithm::ES256);
    es.kid = hs.kid.clone();
    es.typ = hs.typ.clone();
    bad.push(
        jsonwebtoken::encode(&es, &claims, &jsonwebtoken::EncodingKey::from_ec_der(pkcs8.as_ref())).unwrap(),
    );
    for token in bad {
        assert_eq!(check_status(&t, Some(&token), "GET", &url).await, 401, "{token}");
        let bearer = format!("Bearer {token}");
        if bearer.bytes().all(|b| (32..127).contains(&b)) {
            let headers: &[(&str, &[u8])] = &[
                ("x-original-url", url.as_bytes()),
                ("x-original-method", b"GET"),
                ("authorization", bearer.as_bytes()),
            ];
            assert_eq!(send_check(&t, headers).await.status, 401, "{bearer}");
        }
    }
    assert_eq!(check_status(&t, Some(&good), "GET", &url).await, 200);
    assert_eq!(check_status(&t, Some(&good), "GET", &format!("{APP_URL}/x")).await, 401, "case 15");
}

#[tokio::test]
async fn a_bearer_token_of_ours_counts_and_any_other_is_left_to_the_application() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    let token = token(&phone, PUBLIC_URL);
    let url = format!("{PUBLIC_URL}/x");
    let check = async |authorization: &[&str], cookie: Option<&str>| {
        let mut headers = vec![("x-original-url", url.as_bytes()), ("x-original-method", b"GET" as &[u8])];
        headers.extend(authorization.iter().map(|a| ("authorization", a.as_bytes())));
        headers.extend(cookie.map(|c| ("cookie", c.as_bytes())));
        send_check(&t, &headers).await.status.as_u16()
    };
    let bearer = format!("Bearer {token}");
    assert_eq!(check(&[&bearer], None).await, 200);
    assert_eq!(check(&[&format!("bEARER {token}")], None).await, 200);
    assert_eq!(check(&[&bearer, &bearer], None).await, 401);
    assert_eq!(check(&[&token], None).await, 401);
    assert_eq!(check(&[&format!("Basic {token}")], None).await, 401);
    let cookie = format!("__Host-gongpai={token}");
    assert_eq!(check(&["Bearer of-the-application"], Some(&cookie)).await, 200);
    assert_eq!(check(&[&bearer], Some("__Host-gongpai=stale")).await, 200);
    // Two cookies of our name identify nobody, whatever else there is.
    assert_eq!(check(&[&bearer], Some(&format!("{cookie}; {cookie}"))).await, 401);
    assert_eq!(check(&[], Some(&format!("{cookie}; a=1; __Host-gongpai=x"))).await, 401);
    // Other names of ours are other cookies.
    assert_eq!(check(&[], Some(&format!("gongpai={token}"))).await, 401);
    assert_eq!(check(&[], Some(&format!("__Secure-gongpai={token}"))).await, 401);
    assert_eq!(check(&[], Some(&format!("__host-gongpai={token}"))).await, 401);
    assert_eq!(check(&[], Some(&format!("{cookie}; gongpai=x; __Secure-gongpai=y"))).await, 200);
}

#[tokio::test]
async fn case_38_huge_many_and_unreadable_cookies_are_decided_about_like_any_other() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    let ours = format!("__Host-gongpai={}", token(&phone, PUBLIC_URL));
    let url = format!("{PUBLIC_URL}/x");
    let big = format!("a={}; {ours}", "x".repeat(64 * 1024));
    let many: String = (0..1000).map(|n| format!("c{n}={n}; ")).collect::<String>() + &ours;
    let odd: Vec<u8> = [b"\xff\xfe=\x80; =; ;;; a; b=\"; \t", ours.as_bytes()].concat();
    for cookie in [big.as_bytes(), many.as_bytes(), &odd] {
        let headers =
            [("x-original-url", url.as_bytes()), ("x-original-method", b"GET" as &[u8]), ("cookie", cookie)];
        assert_eq!(send_check(&t, &headers).await.status, 200);
    }
    let several = [
        ("x-original-url", url.as_bytes()),
        ("x-original-method", b"GET" as &[u8]),
        ("cookie", b"a=1" as &[u8]),
        ("cookie", ours.as_bytes()),
        ("cookie", b"b=2"),
    ];
    assert_eq!(send_check(&t, &several).await.status, 200);
}

// --- 401: the way to sign in
// -----------------------------------------------------------------------------------

async fn location(t: &TestApp, method: &str, url: &str, more: &[(&str, &str)]) -> Option<String> {
    let mut headers = vec![("x-original-url", url.as_bytes()), ("x-original-method", method.as_bytes())];
    headers.extend(more.iter().map(|(n, v)| (*n, v.as_bytes())));
    let page = send_check(t, &headers).await;
    assert_eq!(page.status, 401, "{url}");
    page.header("location").map(str::to_owned)
}

#[tokio::test]
async fn a_navigation_is_what_the_browser_says_it_is_and_otherwise_what_accepts_a_page() {
    let t = TestApp::start().await;
    let url = format!("{PUBLIC_URL}/x");
    let html = ("accept", "text/html,application/xhtml+xml");
    for (method, headers, is_one) in [
        ("GET", vec![("sec-fetch-mode", "navigate")], true),
        ("GET", vec![("sec-fetch-mode", "navigate"), ("accept", "application/json")], true),
        ("GET", vec![("sec-fetch-mode", "navigate"), ("x-requested-with", "XMLHttpRequest")], true),
        ("POST", vec![("sec-fetch-mode", "navigate")], true),
        ("GET", vec![("sec-fetch-mode", "cors"), html], false),
        ("GET", vec![("sec-fetch-mode", "no-cors"), html], false),
        ("GET", vec![("sec-fetch-mode", "websocket"), html], false),
        ("GET", vec![html], true),
        ("HEAD", vec![html], true),
        ("GET", vec![("accept", "*/*")], false),
        ("GET", vec![("accept", "application/json, text/plain, */*")], false),
        ("GET", vec![html, ("x-requested-with", "XMLHttpRequest")], false),
        ("GET", vec![html, ("x-requested-with", "com.tencent.wework")], false),
        ("POST", vec![html], false),
        ("PUT", vec![html], false),
        ("GET", vec![], false),
    ] {
        assert_eq!(location(&t, method, &url, &headers).await.is_some(), is_one, "{method} {headers:?}");
    }
}

#[tokio::test]
async fn the_location_is_the_login_of_the_same_host_correctly_encoded_and_at_most_two_kilobytes() {
    let t = TestApp::with(
        "allow_http = true\n[login]\nredirect_hosts = [\"app.example.com\", \"wiki.example.org:8443\"]\n",
    )
    .await;
    let nav = [("sec-fetch-mode", "navigate")];
    for (url, expected) in [
        (
            format!("{PUBLIC_URL}/a%20b/%E5%85%AC?x=1&y=2"),
            "https://oa.example.com/_gongpai/login?rd=https%3A%2F%2Foa.example.com%2Fa%2520b%2F%25E5%2585%25AC%3Fx%3D1%26y%3D2",
        ),
        (format!("{APP_URL}/"), "https://app.example.com/_gongpai/login?rd=https%3A%2F%2Fapp.example.com%2F"),
        (
            "https://wiki.example.org:8443/x".to_owned(),
            "https://wiki.example.org:8443/_gongpai/login?rd=https%3A%2F%2Fwiki.example.org%3A8443%2Fx",
        ),
        (
            "http://app.example.com/x".to_owned(),
            "http://app.example.com/_gongpai/login?rd=http%3A%2F%2Fapp.example.com%2Fx",
        ),
        (
            "http://oa.example.com/x".to_owned(),
            "https://oa.example.com/_gongpai/login?rd=https%3A%2F%2Foa.example.com%2Fx",
        ),
    ] {
        assert_eq!(location(&t, "GET", &url, &nav).await.as_deref(), Some(expected), "{url}");
    }
    for length in [100, 600, 1500, 1900, 2100, 8000] {
        for url in [
            format!("{PUBLIC_URL}/p?q={}", "x".repeat(length)),
            format!("{PUBLIC_URL}/{}", "%20".repeat(length / 3)),
        ] {
            let location = location(&t, "GET", &url, &nav).await.expect("a Location");
            assert!(location.len() <= 2048, "{length}: {}", location.len());
            assert!(location.starts_with(&format!("{PUBLIC_URL}/_gongpai/login?rd=")));
        }
    }
    // A POST is not repeated: the browser goes back to the page that it was sent from.
    let post = |referer: &'static str| vec![("sec-fetch-mode", "navigate"), ("referer", referer)];
    let url = format!("{PUBLIC_URL}/save?a=1");
    for (referer, rd) in [
        ("https://oa.example.com/form?x=1", "https%3A%2F%2Foa.example.com%2Fform%3Fx%3D1"),
        ("https://evil.example/form", "https%3A%2F%2Foa.example.com%2F"),
        ("https://app.example.com/form", "https%3A%2F%2Foa.example.com%2F"),
        ("javascript:alert(1)", "https%3A%2F%2Foa.example.com%2F"),
    ] {
        let expected = format!("{PUBLIC_URL}/_gongpai/login?rd={rd}");
        assert_eq!(location(&t, "POST", &url, &post(referer)).await, Some(expected), "{referer}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_a_name_in_rules_and_come_back_as_they_were_after_the_sign_in() {
    let t = TestApp::with(
        "[[rules]]\nhost = \"oa.example.com\"\npath = \"/%D6%D0/**\"\nallow = [\"user:lisi\"]\n\
         [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n",
    )
    .await;
    let phone = t.signed_in("zhangsan").await;
    let cookie = format!("__Host-gongpai={}", token(&phone, PUBLIC_URL));
    let check = async |url: &[u8], cookie: &str| {
        let headers: [(&str, &[u8]); 4] = [
            ("x-original-url", url),
            ("x-original-method", b"GET"),
            ("cookie", cookie.as_bytes()),
            ("sec-fetch-mode", b"navigate"),
        ];
        send_check(&t, &headers).await
    };
    for (url, expected) in [
        (&b"https://oa.example.com/search?q=\xd6\xd0"[..], 200),
        (b"https://oa.example.com/upload/%D6%D0.pdf", 200),
        (b"https://oa.example.com/upload/\xd6\xd0.pdf", 200),
        (b"https://oa.example.com/%D6%D0/x", 403),
        (b"https://oa.example.com/\xd6\xd0/x", 403),
        (b"https://oa.example.com/%d6\xd0", 403),
    ] {
        assert_eq!(check(url, &cookie).await.status, expected, "{}", String::from_utf8_lossy(url));
    }
    for (url, rd) in [
        (&b"https://oa.example.com/search?q=\xd6\xd0"[..], "search%3Fq%3D%25D6%25D0"),
        (b"https://oa.example.com/\xd6\xd0/%D6?x", "%25D6%25D0%2F%25D6%3Fx"),
        ("https://oa.example.com/a\u{3000}b\\c".as_bytes(), "a%25E3%2580%2580b%255Cc"),
    ] {
        let page = check(url, "").await;
        let expected = format!("{PUBLIC_URL}/_gongpai/login?rd=https%3A%2F%2Foa.example.com%2F{rd}");
        assert_eq!((page.status.as_u16(), page.header("location")), (401, Some(&*expected)));
    }
}

#[tokio::test]
async fn http_that_is_not_allowed_counts_as_https() {
    let t = TestApp::start().await;
    let location = location(&t, "GET", "http://app.example.com/x", &[("sec-fetch-mode", "navigate")]).await;
    assert_eq!(
        location.as_deref(),
        Some("https://app.example.com/_gongpai/login?rd=https%3A%2F%2Fapp.example.com%2Fx")
    );
}

// --- 200: who it is
// --------------------------------------------------------------------------------------------

const HEADERS: [&str; 4] = ["remote-user", "remote-name", "remote-email", "remote-groups"];

#[tokio::test]
async fn case_6_every_200_carries_every_identity_header_empty_where_nothing_is_known() {
    for assertion in [false, true] {
        let toml = format!("[gate]\nassertion = {assertion}\n{RULES}");
        let t = TestApp::with(&toml).await;
        t.wecom.change_member("zhangsan", |m| m.name = "张 三,\"é\"😀".to_owned());
        let phone = t.signed_in("zhangsan").await;
        let names: Vec<&str> =
            if assertion { [&HEADERS[..], &["gongpai-assertion"]].concat() } else { HEADERS.to_vec() };
        for (path, cookie) in [
            ("/public/x", None),
            ("/public/x", Some("__Host-gongpai=junk")),
            ("/public/x", Some("__Host-gongpai=a; __Host-gongpai=b")),
        ] {
            let url = format!("{PUBLIC_URL}{path}");
            let mut headers =
                vec![("x-original-url", url.as_bytes()), ("x-original-method", b"GET" as &[u8])];
            headers.extend(cookie.map(|c| ("cookie", c.as_bytes())));
            let page = send_check(&t, &headers).await;
            assert_eq!(page.status, 200);
            for name in &names {
                assert_eq!(page.header(name), Some(""), "{name}");
            }
        }
        for path in ["/public/x", "/work/x"] {
            let page = t.check(&phone, &format!("{PUBLIC_URL}{path}")).await;
            assert_eq!(page.status, 200);
            assert_eq!(page.header("remote-user"), Some("zhangsan"));
            assert_eq!(page.header("remote-name"), Some("%E5%BC%A0%20%E4%B8%89%2C%22%C3%A9%22%F0%9F%98%80"));
            assert_eq!(page.header("remote-groups"), Some(""));
            assert!(page.header("remote-email").is_some());
            assert_eq!(page.header("gongpai-assertion").is_some_and(|a| !a.is_empty()), assertion);
            assert_eq!(page.header("cache-control"), Some("no-store"));
            assert!(page.body.is_empty());
        }
        // A refusal says nothing about anybody.
        let page = t.check(&phone, &format!("{PUBLIC_URL}/later/x")).await;
        assert_eq!(page.status, 403);
        for name in &names {
            assert_eq!(page.header(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn identity_headers_are_the_directorys_and_not_the_tokens() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    t.wecom.change_member("zhangsan", |m| m.name = "张三丰".to_owned());
    t.advance(Duration::from_secs(11 * 60)).await;
    t.app.sso.recheck_due(Duration::from_secs(600)).await.expect("WeCom answers");
    t.app.sessions.refresh().await.expect("the database answers");
    let page = t.check(&phone, &format!("{PUBLIC_URL}/x")).await;
    assert_eq!(page.header("remote-name"), Some("%E5%BC%A0%E4%B8%89%E4%B8%B0"));
}

#[tokio::test]
async fn case_24_who_left_is_out_after_the_next_recheck() {
    for away in ["removed", "disabled", "hidden"] {
        let t = TestApp::with("[[rules]]\nhost = \"oa.example.com\"\npath = \"/public\"\nallow = [\"anyone\"]\n[[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n").await;
        let phone = t.signed_in("zhangsan").await;
        match away {
            "removed" => t.wecom.remove_member("zhangsan"),
            "disabled" => assert!(
                t.wecom
                    .change_member("zhangsan", |m| m.status = gongpai::simulator::SimulatedStatus::Disabled)
            ),
            _ => t.wecom.hide_from_app("zhangsan"),
        }
        t.advance(Duration::from_secs(11 * 60)).await;
        t.app.sso.recheck_due(Duration::from_secs(600)).await.expect("WeCom answers");
        t.app.sessions.refresh().await.expect("the database answers");
        assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 401, "{away}");
        let page = t.check(&phone, &format!("{PUBLIC_URL}/public")).await;
        assert_eq!((page.status.as_u16(), page.header("remote-user")), (200, Some("")), "{away}");
    }
}

#[tokio::test]
async fn an_assertion_is_a_minute_long_for_its_host_verified_by_the_jwks_and_reused_for_half_its_life() {
    let t =
        TestApp::with("[gate]\nassertion = true\n[login]\nredirect_hosts = [\"app.example.com\"]\n").await;
    let mut phone = t.signed_in("zhangsan").await;
    phone.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await;
    let jwks: JwkSet =
        Browser::new("x").get(format!("http://{}/.well-known/jwks.json", t.address)).await.json();
    let verify = |jwt: &str, audience: &str| {
        let header = jsonwebtoken::decode_header(jwt).expect("a JWT");
        assert_eq!(header.typ.as_deref(), Some("gongpai-assertion+jwt"));
        assert_eq!(header.alg, Algorithm::ES256);
        let jwk = jwks.find(header.kid.as_deref().expect("a kid")).expect("a published key");
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.set_audience(&[audience]);
        validation.set_issuer(&[PUBLIC_URL]);
        jsonwebtoken::decode::<Value>(jwt, &DecodingKey::from_jwk(jwk).expect("a key"), &validation)
            .expect("valid")
            .claims
    };
    let get =
        async |url: &str| t.check(&phone, url).await.header("gongpai-assertion").expect("one").to_owned();
    let (first, other) = (get(&format!("{PUBLIC_URL}/x")).await, get(&format!("{APP_URL}/x")).await);
    let claims = verify(&first, "oa.example.com");
    verify(&other, "app.example.com");
    let seconds = |name: &str| claims[name].as_i64().expect("seconds");
    assert_eq!(seconds("exp") - seconds("iat"), 60);
    assert_eq!(seconds("iat"), t.app.clock.now().seconds());
    assert_eq!((&claims["userid"], &claims["name"]), (&"zhangsan".into(), &"张三".into()));
    assert_eq!(get(&format!("{PUBLIC_URL}/y")).await, first, "signed again");
    t.advance(Duration::from_secs(29)).await;
    assert_eq!(get(&format!("{PUBLIC_URL}/y")).await, first, "signed again before half its life");
    t.advance(Duration::from_secs(2)).await;
    let second = get(&format!("{PUBLIC_URL}/y")).await;
    assert_ne!(second, first);
    assert_eq!(verify(&second, "oa.example.com")["exp"], t.app.clock.now().seconds() + 60);
    assert!(
        jwks.keys.iter().all(|k| serde_json::to_value(k).unwrap().get("d").is_none()),
        "a private key is published"
    );
}

#[tokio::test]
async fn without_gate_assertion_none_is_sent() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.header("gongpai-assertion"), None);
}

// --- limits of sessions
// ----------------------------------------------------------------------------------------

#[tokio::test]
async fn a_session_ends_two_hours_after_its_last_use_and_twelve_hours_after_the_sign_in() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    let url = format!("{PUBLIC_URL}/x");
    for _ in 0..5 {
        t.advance(Duration::from_secs(119 * 60)).await;
        assert_eq!(t.check(&phone, &url).await.status, 200);
    }
    t.advance(Duration::from_secs(121 * 60)).await;
    assert_eq!(t.check(&phone, &url).await.status, 401);
    t.advance(Duration::ZERO).await;
    assert_eq!(t.check(&phone, &url).await.status, 401, "it came back");
    let phone = t.signed_in("zhangsan").await;
    for _ in 0..11 {
        t.advance(Duration::from_secs(60 * 60)).await;
        assert_eq!(t.check(&phone, &url).await.status, 200);
    }
    t.advance(Duration::from_secs(60 * 60)).await;
    assert_eq!(t.check(&phone, &url).await.status, 401, "used all the time, but twelve hours old");
}

#[tokio::test]
async fn below_a_cookie_domain_one_session_is_good_on_every_host_and_on_no_other() {
    let t = TestApp::with(
        "[session]\ncookie_domain = \".example.com\"\n[login]\nredirect_hosts = [\"wiki.example.org\"]\n",
    )
    .await;
    let phone = t.signed_in("zhangsan").await;
    let token = phone.cookies.value("__Secure-gongpai").expect("a session for the domain").to_owned();
    for url in ["https://oa.example.com/x", "https://app.example.com/x", "https://deep.down.example.com/x"] {
        let page = t.check(&phone, url).await;
        assert_eq!((page.status.as_u16(), page.header("remote-user")), (200, Some("zhangsan")), "{url}");
    }
    assert_eq!(check_status(&t, Some(&token), "GET", "https://wiki.example.org/x").await, 401);
    for foreign in ["https://example.com/x", "https://evilexample.com/x"] {
        assert_eq!(check_status(&t, Some(&token), "GET", foreign).await, 403, "{foreign}");
    }
}

#[tokio::test]
async fn checks_go_on_from_memory_while_it_is_young_and_then_every_check_is_401() {
    let t = TestApp::with("[gate]\nstale_after = \"60s\"\n[[rules]]\nhost = \"oa.example.com\"\npath = \"/public\"\nallow = [\"anyone\"]\n[[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n").await;
    let known = t.signed_in("zhangsan").await;
    // Signed in, but never seen by a check.
    let mut unknown = t.phone_of("lisi");
    unknown.open(format!("{PUBLIC_URL}/sso/login?rd=/.well-known/jwks.json")).await;
    let url = format!("{PUBLIC_URL}/x");
    assert_eq!(t.check(&known, &url).await.status, 200);
    t.app.db.close().await;
    t.app.sessions.refresh().await.expect_err("the database is closed");
    assert_eq!(t.check(&known, &url).await.status, 200);
    assert_eq!(t.check(&unknown, &url).await.status, 401, "not in memory, and admitted without the database");
    t.app.clock.advance(Duration::from_secs(59));
    assert_eq!(t.check(&known, &url).await.status, 200);
    t.app.clock.advance(Duration::from_secs(2));
    for path in ["/x", "/public"] {
        let page = t.check(&known, &format!("{PUBLIC_URL}{path}")).await;
        assert_eq!((page.status.as_u16(), &*answer_code(&page)), (401, "store.unavailable"), "{path}");
        assert_eq!(check_status(&t, None, "GET", &format!("{PUBLIC_URL}{path}")).await, 401, "{path}");
    }
    let mut desktop = t.browser(DESKTOP);
    let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("store.unavailable"));
}

#[tokio::test]
async fn with_stale_after_zero_nothing_passes_from_memory_once_the_database_is_gone() {
    let t = TestApp::with("[gate]\nstale_after = \"0s\"\n").await;
    let known = t.signed_in("zhangsan").await;
    let url = format!("{PUBLIC_URL}/x");
    assert_eq!(t.check(&known, &url).await.status, 200);
    t.app.db.close().await;
    t.app.sessions.refresh().await.expect_err("the database is closed");
    assert_eq!(t.check(&known, &url).await.status, 401);
}
