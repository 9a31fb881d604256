//! Another host: a sign-in that begins on an application's host, goes through public_url's host,
//! and comes back with a ticket.

use std::time::Duration;

use url::Url;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp, run_all_at_once};
use crate::support::browser::{Browser, Page};
use crate::support::sessions::find_session_families;

const SESSION: &str = "__Host-gongpai";

/// Follows the redirects by hand until the ticket is the next URL to visit.
async fn get_ticket(t: &TestApp, userid: &str, rd: &str) -> (Browser, Url) {
    let mut phone = t.phone_of(userid);
    let mut page = phone.get(format!("{APP_URL}/_gongpai/login?rd={rd}")).await;
    for _ in 0..6 {
        let next = page.location().unwrap_or_else(|| panic!("{}", page.text()));
        if next.path() == "/_gongpai/finish" {
            return (phone, next);
        }
        page = phone.get(next).await;
    }
    panic!("no ticket: {page:?}");
}

fn assert_failure(page: &Page, code: &str) {
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains(code), "{code}: {}", page.text());
    let sets_session =
        page.headers.get_all("set-cookie").iter().any(|c| c.as_bytes().starts_with(b"__Host-gongpai="));
    assert!(!sets_session);
}

#[tokio::test]
async fn an_application_host_gets_its_own_session_and_wecom_only_returns_to_public_urls() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let first = phone.get(format!("{APP_URL}/_gongpai/login?rd=/deep?a=1")).await;
    let handed = first.location().unwrap();
    assert!(handed.as_str().starts_with(&format!("{PUBLIC_URL}/sso/login?h=")), "{handed}");
    assert!(first.header("set-cookie").unwrap().starts_with("__Host-gongpai-s-"));
    let second = phone.get(handed).await;
    let uri =
        second.location().unwrap().query_pairs().find(|(n, _)| n == "redirect_uri").unwrap().1.into_owned();
    assert!(uri.starts_with(&format!("{PUBLIC_URL}/sso/callback")), "{uri}");
    let callback = phone.get(second.location().unwrap()).await.location().unwrap();
    let third = phone.get(callback).await;
    let finish = third.location().unwrap();
    assert!(finish.as_str().starts_with(&format!("{APP_URL}/_gongpai/finish?ticket=")));
    let last = phone.get(finish).await;
    assert_eq!(last.location().unwrap().as_str(), format!("{APP_URL}/deep?a=1"), "a clean URL");
    assert_eq!(last.header("cache-control"), Some("no-store"));
    assert_eq!(last.header("referrer-policy"), Some("no-referrer"));
    let names: Vec<_> = phone.cookies.named(SESSION).iter().map(|c| c.domain.clone()).collect();
    assert_eq!(names, ["oa.example.com", "app.example.com"]);
    assert!(phone.cookies.refused().is_empty());
    assert_eq!(t.count_rows("sessions").await, 2);
    assert_eq!(find_session_families(&t.app.db).await.len(), 1);
}

#[tokio::test]
async fn a_sign_in_over_two_hosts_takes_one_start() {
    let t = TestApp::with("[server]\nstart_rate = \"1/h burst 2\"").await;
    let mut late = t.phone_of("zhangsan");
    let handed = late.get(format!("{APP_URL}/_gongpai/login?rd=/x")).await.location().expect("a hand-off");
    let (mut phone, finish) = get_ticket(&t, "zhangsan", "/x").await;
    // Both starts are used up.
    let refused = phone.get(format!("{APP_URL}/_gongpai/login?rd=/x")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    let guessed = phone.get(format!("{APP_URL}/_gongpai/finish?ticket=guessed")).await;
    assert_eq!(guessed.status, 429, "{}", guessed.text());
    let page = phone.get(finish).await;
    assert_eq!(page.location().expect("signed in").as_str(), format!("{APP_URL}/x"));
    assert_eq!(t.check(&phone, APP_URL).await.status, 200);
    // A hand-off that is too old starts again, so it counts.
    t.advance(Duration::from_secs(600)).await;
    let page = late.get(handed).await;
    assert_eq!(page.status, 429, "{}", page.text());
}

#[tokio::test]
async fn case_15_a_session_of_one_host_is_rejected_on_another() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    phone.open(format!("{APP_URL}/_gongpai/login?rd=/")).await;
    let of = |host: &str| {
        let all = phone.cookies.named(SESSION);
        all.iter().find(|c| c.domain == host).unwrap().value.clone()
    };
    let (public, app) = (of("oa.example.com"), of("app.example.com"));
    for (token, host, status) in
        [(&public, PUBLIC_URL, 200), (&app, APP_URL, 200), (&public, APP_URL, 401), (&app, PUBLIC_URL, 401)]
    {
        // Twice, because the second time the session is in memory.
        for _ in 0..2 {
            assert_eq!(
                t.check_with("cookie", &format!("{SESSION}={token}"), host).await.status,
                status,
                "{host}"
            );
            assert_eq!(
                t.check_with("authorization", &format!("Bearer {token}"), host).await.status,
                status,
                "{host}"
            );
        }
    }
}

#[tokio::test]
async fn a_ticket_works_once_even_if_it_comes_twice_at_the_same_time() {
    let t = TestApp::start().await;
    let (phone, finish) = get_ticket(&t, "zhangsan", "/x").await;
    let tabs: Vec<_> = (0..10).map(|_| (phone.clone(), finish.clone())).collect();
    let pages =
        run_all_at_once(tabs.into_iter().map(|(mut tab, url)| async move { tab.get(url).await })).await;
    let target = format!("{APP_URL}/x");
    let to = |p: &Page| p.location().unwrap().to_string();
    assert_eq!(pages.iter().filter(|p| to(p) == target).count(), 1);
    for page in pages.iter().filter(|p| to(p) != target) {
        assert!(to(page).starts_with(&format!("{APP_URL}/_gongpai/login?rd=")), "{page:?}");
    }
    assert_eq!(t.count_rows("sessions").await, 2);
}

#[tokio::test]
async fn a_ticket_that_comes_again_to_a_signed_in_browser_goes_to_the_target() {
    let t = TestApp::start().await;
    let (mut phone, finish) = get_ticket(&t, "zhangsan", "/x").await;
    for seconds in [0, 1, 61, 3600] {
        t.advance(Duration::from_secs(seconds)).await;
        phone.cookies.advance(Duration::from_secs(seconds));
        let page = phone.get(finish.as_str()).await;
        assert_eq!(page.location().unwrap().as_str(), format!("{APP_URL}/x"), "{seconds}");
    }
    assert_eq!(t.count_rows("sessions").await, 2);
}

#[tokio::test]
async fn a_ticket_without_its_cookie_is_worth_nothing() {
    let t = TestApp::start().await;
    let (mut phone, finish) = get_ticket(&t, "zhangsan", "/x").await;
    let mut thief = t.phone_of("lisi");
    assert_failure(&thief.get(finish.as_str()).await, "signin.cookies_blocked");
    // A thief with an attempt of their own on that host gains nothing.
    thief.get(format!("{APP_URL}/_gongpai/login?rd=/")).await;
    assert_failure(&thief.get(finish.as_str()).await, "signin.cookies_blocked");
    assert_eq!(t.check(&thief, APP_URL).await.status, 401);
    let page = phone.get(finish.as_str()).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{APP_URL}/x"), "and it was not used up");
}

#[tokio::test]
async fn a_ticket_works_on_its_own_host_only() {
    let t = TestApp::with("[login]\nredirect_hosts = [\"app.example.com\", \"wiki.example.org\"]").await;
    let (mut phone, finish) = get_ticket(&t, "zhangsan", "/x").await;
    for host in [PUBLIC_URL, "https://wiki.example.org"] {
        let cookie = phone.cookies.header(&finish).unwrap();
        let url = format!("{host}{}?{}", finish.path(), finish.query().unwrap());
        let page = phone
            .clone()
            .send(crate::support::browser::BrowserRequest::navigate(&url).header("cookie", &cookie))
            .await;
        assert_failure(&page, "signin.code_used");
    }
    assert_eq!(phone.get(finish.as_str()).await.status, 302);
}

#[tokio::test]
async fn a_ticket_lives_thirty_seconds() {
    let t = TestApp::start().await;
    let (mut phone, finish) = get_ticket(&t, "zhangsan", "/x").await;
    let mut late = phone.clone();
    t.advance(Duration::from_secs(29)).await;
    assert_eq!(phone.get(finish.as_str()).await.location().unwrap().as_str(), format!("{APP_URL}/x"));
    let (_, _) = (t.count_rows("tickets").await, late.get("https://app.example.com/healthz").await);
    let (mut phone, finish) = get_ticket(&t, "lisi", "/x").await;
    t.advance(Duration::from_secs(30)).await;
    let page = phone.get(finish.as_str()).await;
    assert!(!page.headers.contains_key("set-cookie"));
    // The browser is signed in on public_url's host, so it comes straight back.
    let end = phone.follow(page, 4).await;
    assert_eq!(end.url.as_str(), format!("{APP_URL}/x"));
    assert_eq!(t.check(&phone, APP_URL).await.status, 200);
}

#[tokio::test]
async fn junk_in_place_of_a_ticket_is_a_page() {
    let t = TestApp::start().await;
    for ticket in [
        "",
        "?ticket=",
        "?ticket=x",
        "?ticket=a&ticket=b",
        "?ticket=%00%ff",
        "?ticket='; DROP TABLE tickets; --",
    ] {
        let page = t.desktop().get(format!("{APP_URL}/_gongpai/finish{ticket}")).await;
        assert_eq!(page.status, 400, "{ticket}");
    }
}

#[tokio::test]
async fn a_browser_signed_in_on_public_urls_host_comes_straight_back() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    t.wecom.forget_requests();
    let end = desktop.open(format!("{APP_URL}/_gongpai/login?rd=/x")).await;
    assert_eq!(end.url.as_str(), format!("{APP_URL}/x"));
    let mut phone = t.signed_in("lisi").await;
    t.wecom.forget_requests();
    let end = phone.open(format!("{APP_URL}/_gongpai/login?rd=/x")).await;
    assert_eq!(end.url.as_str(), format!("{APP_URL}/x"));
    assert_eq!(t.wecom.calls_total(), 0, "a hand-off goes straight inside WeCom too");
}

#[tokio::test]
async fn with_a_cookie_domain_one_cookie_serves_every_host_below_it() {
    let t = TestApp::with("[session]\ncookie_domain = \".example.com\"").await;
    let mut phone = t.phone_of("zhangsan");
    let end = phone.open("https://hr.example.com/_gongpai/login?rd=/x").await;
    assert_eq!(end.url.as_str(), "https://hr.example.com/x");
    assert_eq!((t.count_rows("tickets").await, t.count_rows("sessions").await), (0, 1));
    let cookie = phone.cookies.named("__Secure-gongpai")[0].clone();
    assert_eq!((cookie.domain.as_str(), cookie.host_only), ("example.com", false));
    for host in [PUBLIC_URL, APP_URL, "https://hr.example.com"] {
        assert_eq!(t.check(&phone, host).await.status, 200, "{host}");
    }
    assert!(phone.cookies.refused().is_empty(), "{:?}", phone.cookies.refused());
}

#[tokio::test]
async fn a_host_outside_the_cookie_domain_still_gets_a_ticket() {
    let t = TestApp::with(
        "[session]\ncookie_domain = \".example.com\"\n[login]\nredirect_hosts = [\"wiki.example.org\"]",
    )
    .await;
    let mut phone = t.phone_of("zhangsan");
    let end = phone.open("https://wiki.example.org/_gongpai/login?rd=/x").await;
    assert_eq!(end.url.as_str(), "https://wiki.example.org/x");
    assert_eq!(t.check(&phone, "https://wiki.example.org/").await.status, 200);
    assert_eq!((t.count_rows("tickets").await, t.count_rows("sessions").await), (1, 2));
}

#[tokio::test]
async fn a_hand_off_that_was_changed_is_refused() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let handed = phone.get(format!("{APP_URL}/_gongpai/login?rd=/x")).await.location().unwrap();
    let h = handed.query_pairs().next().unwrap().1.into_owned();
    let mut flipped = h.clone().into_bytes();
    flipped[30] = if flipped[30] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for bad in [
        flipped.as_str(),
        &h[..h.len() - 4],
        "x",
        "AAAA",
        "eyJzIjoiaHR0cHMiLCJoIjoiZXZpbC5leGFtcGxlIn0",
        "%FF",
    ] {
        let page = phone.get(format!("{PUBLIC_URL}/sso/login?h={bad}")).await;
        assert_failure(&page, "signin.bad_target");
    }
}

#[tokio::test]
async fn a_hand_off_older_than_its_hosts_cookie_begins_again_on_that_host() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let handed = phone.get(format!("{APP_URL}/_gongpai/login?rd=/x")).await.location().unwrap();
    t.advance(Duration::from_secs(601)).await;
    phone.cookies.advance(Duration::from_secs(601));
    let page = phone.get(handed.as_str()).await;
    assert!(
        page.location().unwrap().as_str().starts_with(&format!("{APP_URL}/_gongpai/login?rd=")),
        "{page:?}"
    );
    let end = phone.follow(page, 6).await;
    assert_eq!(end.url.as_str(), format!("{APP_URL}/x"));
}

#[tokio::test]
async fn a_scan_page_of_an_application_host_renews_that_hosts_cookie_too() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    let mut page = desktop.open(format!("{APP_URL}/_gongpai/login?rd=/x")).await;
    for _ in 0..3 {
        let refresh = page.header("refresh").unwrap().to_owned();
        let (seconds, url) = refresh.split_once(";url=").expect("a URL");
        assert_eq!(seconds, "480");
        t.advance(Duration::from_secs(480)).await;
        desktop.cookies.advance(Duration::from_secs(480));
        page = desktop.open(url).await;
        assert_eq!(page.url.host_str(), Some("oa.example.com"), "{}", page.text());
    }
    // Scanned in the twenty-ninth minute.
    t.advance(Duration::from_secs(290)).await;
    desktop.cookies.advance(Duration::from_secs(290));
    let frame =
        page.text().split("<iframe src=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let mut panel = t.desktop();
    panel.get(&frame).await;
    let state = Url::parse(&frame).unwrap().query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
    let back = t.wecom.confirm_scan(&state, "zhangsan").unwrap();
    let end = desktop.open(back).await;
    assert_eq!(end.url.as_str(), format!("{APP_URL}/x"), "{}", end.text());
    assert_eq!(t.check(&desktop, APP_URL).await.status, 200);
}

#[tokio::test]
async fn a_long_target_survives_the_way_over_two_hosts() {
    let t = TestApp::start().await;
    for len in [300, 1000] {
        let rd = format!("/{}", "w".repeat(len));
        let end = t.phone_of("zhangsan").open(format!("{APP_URL}/_gongpai/login?rd={rd}")).await;
        assert_eq!(end.url.as_str(), format!("{APP_URL}{rd}"));
    }
}

#[tokio::test]
async fn of_a_long_target_of_another_host_whose_cookie_was_dropped_the_path_is_kept() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let start = phone.get(format!("{APP_URL}/_gongpai/login?rd=/todo/3%3F{}", "w".repeat(600))).await;
    let callback = t.callback_of(&mut phone, start.location().expect("public_url's host").as_str()).await;
    phone.cookies.remove(|c| c.domain == "oa.example.com");
    let end = phone.open(callback.as_str()).await;
    assert_eq!(end.url.as_str().trim_end_matches('#'), format!("{APP_URL}/todo/3"));
    assert_eq!(t.check(&phone, APP_URL).await.status, 200);
}

#[tokio::test]
async fn an_application_host_may_not_be_one_that_is_not_configured() {
    let t = TestApp::start().await;
    for url in
        ["https://wiki.example.org/_gongpai/login?rd=/", "https://hr.example.com/_gongpai/finish?ticket=x"]
    {
        let page = t.desktop().get(url).await;
        assert_failure(&page, "signin.bad_target");
        assert!(page.headers.get("set-cookie").is_none());
    }
    let page = t.desktop().get(format!("{PUBLIC_URL}/sso/login?rd=https%3A%2F%2Fwiki.example.org%2F")).await;
    assert_failure(&page, "signin.bad_target");
}

#[tokio::test]
async fn a_session_on_an_application_host_lasts_no_longer_than_the_sign_in_it_came_from() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    for _ in 0..4 {
        t.advance(Duration::from_secs(5000)).await;
        assert_eq!(t.check(&desktop, PUBLIC_URL).await.status, 200);
    }
    let end = desktop.open(format!("{APP_URL}/_gongpai/login?rd=/x")).await;
    assert_eq!(end.url.as_str(), format!("{APP_URL}/x"));
    let all = desktop.cookies.named(SESSION);
    let app = all.iter().find(|c| c.domain == "app.example.com").unwrap();
    assert_eq!(app.max_age, Some(Duration::from_secs(12 * 3600 - 20_000)));
}
