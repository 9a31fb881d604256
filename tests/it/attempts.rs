//! Attempts: what a start leaves in the browser, what it sends to WeCom, and what it does not
//! write.

use std::time::Duration;

use url::Url;

use crate::support::app::{PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, BrowserRequest, Page, WECOM_PHONE};

const ATTEMPT: &str = "__Host-gongpai-s-";

fn attempts(browser: &Browser) -> Vec<(String, String)> {
    let all = browser.cookies.all().filter(|c| c.name.starts_with(ATTEMPT));
    all.map(|c| (c.name.clone(), c.value.clone())).collect()
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(n, _)| n == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

fn redirect_uri(page: &Page) -> Url {
    parameter(&page.location().unwrap_or_else(|| panic!("{}", page.text())), "redirect_uri")
        .parse()
        .expect("a URL")
}

#[tokio::test]
async fn a_start_inside_wecom_sets_one_cookie_and_goes_to_the_authorize_page() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert_eq!(page.status, 302);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let set = page.header("set-cookie").expect("one cookie").to_owned();
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    let (name, value) = pair.split_once('=').expect("a pair");
    let id = name.strip_prefix(ATTEMPT).expect("the name of an attempt");
    assert!(id.len() == 8 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{name}");
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600");
    let parts: Vec<_> = value.split('.').collect();
    // 16 random bytes are 22 characters of base64url.
    assert_eq!((parts.len(), parts[1].len()), (2, 22), "{value}");
    assert!(phone.cookies.refused().is_empty());

    let to = page.location().expect("a Location");
    assert_eq!(to.path(), "/connect/oauth2/authorize");
    assert_eq!(to.fragment(), Some("wechat_redirect"));
    assert_eq!(parameter(&to, "scope"), "snsapi_base");
    assert_eq!(parameter(&to, "response_type"), "code");
    assert_eq!(parameter(&to, "agentid"), t.wecom.world().app.agent_id.to_string());
    assert_eq!(parameter(&to, "appid"), t.wecom.world().corp_id);
    assert_eq!(redirect_uri(&page).as_str(), format!("{PUBLIC_URL}/sso/callback?rd=%2Fx"));
}

#[tokio::test]
async fn the_state_is_letters_and_digits_only_and_says_nothing() {
    let t = TestApp::start().await;
    let mut seen = std::collections::HashSet::new();
    for n in 0..40 {
        let page = t.browser(WECOM_PHONE).get(format!("{PUBLIC_URL}/sso/login?rd=/x{n}")).await;
        let state = parameter(&page.location().unwrap(), "state");
        assert!(state.len() <= 128 && state.bytes().all(|b| b.is_ascii_alphanumeric()), "{state}");
        assert!(seen.insert(state));
    }
}

#[tokio::test]
async fn a_start_writes_nothing_to_the_database() {
    let t = TestApp::start().await;
    let tables = ["attempts", "tickets", "sessions", "persons", "audit", "feed"];
    let mut before = Vec::new();
    for table in tables {
        before.push(t.count_rows(table).await);
    }
    let long = "x".repeat(900);
    for url in [
        format!("{PUBLIC_URL}/sso/login?rd=/x"),
        format!("{PUBLIC_URL}/sso/login?rd=/{long}"),
        format!("{PUBLIC_URL}/x_desktop/qiyeweixinsso.html"),
        format!("{PUBLIC_URL}/x_desktop/qiyeweixinsso.html?code=junk"),
        "https://app.example.com/_gongpai/login?rd=/x".to_owned(),
    ] {
        assert!(t.browser(WECOM_PHONE).get(&url).await.status.is_redirection(), "{url}");
        let page = t.desktop().get(&url).await;
        assert!(page.status == 200 || page.status == 302, "{url}");
    }
    for (table, before) in tables.into_iter().zip(before) {
        assert_eq!(t.count_rows(table).await, before, "{table}");
    }
    assert_eq!(t.wecom.calls_total(), 0);
}

#[tokio::test]
async fn a_target_of_256_bytes_rides_in_redirect_uri_and_a_longer_one_in_the_cookie() {
    let t = TestApp::start().await;
    for (len, rides) in [(256, true), (257, false), (1024, false)] {
        let rd = format!("/{}", "y".repeat(len - 1));
        let mut phone = t.phone_of("zhangsan");
        let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd={rd}")).await;
        let carried =
            redirect_uri(&page).query_pairs().any(|(name, value)| name == "rd" && value.ends_with(&rd));
        assert_eq!(carried, rides, "{len}");
        let end = phone.follow(page, 3).await;
        assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}{rd}"), "{len}");
    }
}

#[tokio::test]
async fn of_a_target_beyond_one_kilobyte_only_the_path_is_kept() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/deep/page?{}", "q".repeat(1100))).await;
    let callback = phone.get(page.location().unwrap()).await.location().unwrap();
    let end = phone.get(callback.as_str()).await;
    assert_eq!(end.location().unwrap().as_str(), format!("{PUBLIC_URL}/deep/page"));
    let page = t.phone_of("zhangsan").get(format!("{PUBLIC_URL}/sso/login?rd=/{}", "p".repeat(3000))).await;
    assert_eq!(page.status, 400);
    for said in ["signin.bad_target", "网址过长", "too long"] {
        assert!(page.words().contains(said), "{said}: {}", page.words());
    }
}

#[tokio::test]
async fn of_a_target_whose_cookie_was_dropped_the_path_is_kept() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let mut callbacks = Vec::new();
    for n in 1..=5 {
        let rd = format!("/todo/{n}%3Fq={}", "q".repeat(600));
        callbacks.push(t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd={rd}")).await);
    }
    assert!(attempts(&phone).len() < 5, "they do not fit together");
    let first = &callbacks[0];
    assert_eq!(parameter(first, "rd"), "/todo/1");
    // A changed path is not the one that belongs to this attempt.
    let mut changed = first.clone();
    let pairs: Vec<_> = first.query_pairs().into_owned().filter(|(name, _)| name != "rd").collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs).append_pair("rd", "/todo/9");
    assert_eq!(phone.get(changed.as_str()).await.status, 400);

    let end = phone.open(first.as_str()).await;
    assert_eq!((end.url.path(), end.url.query()), ("/todo/1", None));
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
    let end = phone.open(callbacks[4].as_str()).await;
    assert_eq!(
        (end.url.path(), end.url.query().map(str::len)),
        ("/todo/5", Some(602)),
        "its cookie is there"
    );
}

#[tokio::test]
async fn case_13_of_many_starts_the_newest_24_are_kept_and_the_oldest_is_dropped_first() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let mut order = Vec::new();
    for n in 0..30 {
        // Some of them begin within one minute, others do not.
        if n % 7 == 0 {
            t.advance(Duration::from_secs(60)).await;
        }
        let before: Vec<_> = attempts(&phone).into_iter().map(|(name, _)| name).collect();
        phone.get(format!("{PUBLIC_URL}/sso/login?rd=/{n}")).await;
        order
            .extend(attempts(&phone).into_iter().map(|(name, _)| name).filter(|name| !before.contains(name)));
        let now: Vec<_> = attempts(&phone).into_iter().map(|(name, _)| name).collect();
        let want = &order[order.len().saturating_sub(24)..];
        assert_eq!(now, want, "after {n}");
    }
    assert_eq!(order.len(), 30);
}

#[tokio::test]
async fn all_attempts_together_stay_within_four_kilobytes() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    for n in 0..9 {
        phone.get(format!("{PUBLIC_URL}/sso/login?rd=/{}{n}", "z".repeat(1000))).await;
        let bytes: usize = attempts(&phone).iter().map(|(name, value)| name.len() + value.len() + 3).sum();
        assert!(bytes <= 4096, "{bytes}");
    }
    assert!(attempts(&phone).len() >= 2);
}

#[tokio::test]
async fn case_13_twenty_tabs_at_once_all_end_signed_in() {
    let t = TestApp::start().await;
    let mut browser = t.phone_of("zhangsan");
    // Twenty starts at once: none of them brings another one's cookie.
    let tabs: Vec<_> = (0..20).map(|n| (browser.clone(), n)).collect();
    let starts = tabs
        .into_iter()
        .map(|(mut tab, n)| async move { tab.get(format!("{PUBLIC_URL}/sso/login?rd=/tab{n}")).await });
    let starts = join_all(starts).await;
    for start in &starts {
        store_cookies(&mut browser, start);
    }
    assert_eq!(attempts(&browser).len(), 20);
    let mut codes = Vec::new();
    for start in starts {
        codes.push(browser.get(start.location().unwrap()).await.location().unwrap());
    }
    // Twenty callbacks at once.
    let tabs: Vec<_> = codes.into_iter().map(|url| (browser.clone(), url)).collect();
    let ends = join_all(tabs.into_iter().map(|(mut tab, url)| async move { tab.get(url).await })).await;
    for (n, end) in ends.iter().enumerate() {
        assert_eq!(end.location().map(String::from), Some(format!("{PUBLIC_URL}/tab{n}")), "{}", end.text());
        store_cookies(&mut browser, end);
    }
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn case_13_the_first_of_twenty_tabs_can_finish_last() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let first = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/first")).await;
    for n in 0..19 {
        t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/{n}")).await;
    }
    let end = phone.get(first).await;
    assert_eq!(end.location().unwrap().as_str(), format!("{PUBLIC_URL}/first"));
}

#[tokio::test]
async fn case_38_a_cookie_header_of_64_kilobytes_or_a_thousand_cookies_is_only_passed_over() {
    let t = TestApp::start().await;
    let signed_in = t.signed_in("zhangsan").await;
    let ours = signed_in.cookies.header(&PUBLIC_URL.parse().unwrap()).unwrap();
    let big = format!("{ours}; junk={}", "x".repeat(64 * 1024 - ours.len() - 8));
    let many: String = (0..1000).map(|n| format!("c{n}=v{n}; ")).collect::<String>() + &ours;
    let foreign = (0..1000).map(|n| format!("{ATTEMPT}{n:08x}=1.a; ")).collect::<String>() + &ours;
    for cookies in [&big, &many, &foreign] {
        assert_eq!(t.check_with("cookie", cookies, PUBLIC_URL).await.status, 200);
        let ask =
            BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/login?rd=/x")).header("cookie", cookies);
        let mut phone = t.phone_of("zhangsan");
        let page = phone.send(ask).await;
        assert_eq!(page.status, 302);
        let head: usize = page.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
        assert!(head < 8 * 1024, "an answer's head of {head} bytes is too much for a proxy");
        let ask = BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/session")).header("cookie", cookies);
        assert_eq!(phone.send(ask).await.status, 200);
    }
}

#[tokio::test]
async fn case_38_cookies_in_strange_bytes_are_passed_over() {
    let t = TestApp::start().await;
    let signed_in = t.signed_in("zhangsan").await;
    let ours = signed_in.cookies.header(&PUBLIC_URL.parse().unwrap()).unwrap();
    let mut bytes = b"\xff\xfe=\x80; =; ;; a; __Host-gongpai-s-\xff=1; ".to_vec();
    bytes.extend(ours.as_bytes());
    let ask = BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/session")).add_header("cookie", &bytes);
    assert_eq!(t.desktop().send(ask).await.status, 200);
    let garbage = BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/session"))
        .add_header("cookie", b"__Host-gongpai=\xff\xfe\x80");
    assert_eq!(t.desktop().send(garbage).await.status, 401);
    let ask = BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/login"))
        .add_header("cookie", b"__Host-gongpai=\xff\xfe");
    assert_eq!(t.phone_of("zhangsan").send(ask).await.status, 302);
}

#[tokio::test]
async fn two_session_cookies_are_nobody_and_the_sign_in_page_clears_both() {
    let t = TestApp::with("[session]\ncookie_domain = \".example.com\"").await;
    let mut browser = t.signed_in("zhangsan").await;
    let good = browser.cookies.value("__Secure-gongpai").expect("a session").to_owned();
    browser.cookies.store(&PUBLIC_URL.parse().unwrap(), "__Secure-gongpai=other; Path=/; Secure");
    assert_eq!(browser.cookies.named("__Secure-gongpai").len(), 2);
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401);
    assert_eq!(
        t.check_with("cookie", &format!("__Secure-gongpai={good}; __Secure-gongpai={good}"), PUBLIC_URL)
            .await
            .status,
        401
    );
    let start = browser.get(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert!(browser.cookies.named("__Secure-gongpai").is_empty(), "both are cleared");
    let end = browser.follow(start, 6).await;
    assert_eq!(end.status, 200);
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn on_http_the_cookies_have_no_prefix_and_no_secure() {
    let wecom = gongpai::simulator::Simulator::start().await.unwrap();
    let database = crate::support::database::TestDatabase::create().await;
    let t = TestApp::with_parts(
        wecom,
        database,
        "public_url = \"http://localhost:8099\"\n[login]\nredirect_hosts = []",
    )
    .await;
    t.wecom.set_trusted_domains(["localhost:8099"]);
    let mut phone = t.phone_of("zhangsan");
    phone.resolve("http://localhost:8099", t.address);
    let start = phone.get("http://localhost:8099/sso/login?rd=/").await;
    assert!(start.header("set-cookie").unwrap().starts_with("gongpai-s-"), "{start:?}");
    assert!(!start.header("set-cookie").unwrap().contains("Secure"));
    let end = phone.follow(start, 4).await;
    assert_eq!(end.status, 200, "{}", end.text());
    assert!(phone.cookies.value("gongpai").is_some() && phone.cookies.refused().is_empty());
}

/// Runs all of them at once on this task.
async fn join_all<F: Future<Output = Page> + Send + 'static>(all: impl IntoIterator<Item = F>) -> Vec<Page> {
    crate::support::app::run_all_at_once(all).await
}

fn store_cookies(browser: &mut Browser, page: &Page) {
    for set in page.headers.get_all("set-cookie") {
        browser.cookies.store(&page.url, set.to_str().expect("ASCII"));
    }
}
