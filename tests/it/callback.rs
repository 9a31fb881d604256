//! The way back from WeCom: one exchange for each attempt, one restart, and nobody is signed in by
//! somebody else's code.

use std::time::Duration;

use url::Url;

use crate::support::app::{PUBLIC_URL, TestApp, run_all_at_once};
use crate::support::browser::{Browser, BrowserRequest, Page, WECOM_PHONE};
use crate::support::sessions::find_session_ids;

const SESSION: &str = "__Host-gongpai";

fn attempt_cookie(browser: &Browser) -> String {
    let mut all = browser.cookies.all().filter(|c| c.name.starts_with("__Host-gongpai-s-"));
    all.next().expect("an attempt").name.clone()
}

fn forget_attempts(browser: &mut Browser) {
    browser.cookies.remove(|c| c.name.starts_with("__Host-gongpai-s-"));
}

fn with_parameter(url: &Url, name: &str, value: Option<&str>) -> String {
    let mut changed = url.clone();
    let kept: Vec<_> =
        url.query_pairs().filter(|(n, _)| n != name).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    changed.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(value.map(|v| (name, v)));
    changed.into()
}

fn is_authorize(page: &Page) -> bool {
    page.location().is_some_and(|to| to.path() == "/connect/oauth2/authorize")
}

fn is_restarted(page: &Page) -> bool {
    let to = page.location().unwrap_or_else(|| panic!("{} {}", page.status, page.text()));
    let uri = to.query_pairs().find(|(n, _)| n == "redirect_uri").map(|(_, v)| v.into_owned());
    is_authorize(page)
        && uri.is_some_and(|uri| Url::parse(&uri).unwrap().query_pairs().any(|(n, v)| n == "r" && v == "1"))
}

async fn start_sign_in(t: &TestApp, userid: &str) -> (Browser, Url) {
    let mut phone = t.phone_of(userid);
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    (phone, callback)
}

fn assert_failure(page: &Page, status: u16, code: &str) {
    assert_eq!(page.status.as_u16(), status, "{}", page.text());
    assert!(page.text().contains(code), "{code}: {}", page.text());
    assert!(page.headers.get("location").is_none());
    let sets_session =
        page.headers.get_all("set-cookie").iter().any(|c| c.as_bytes().starts_with(b"__Host-gongpai="));
    assert!(!sets_session);
}

#[tokio::test]
async fn a_callback_is_not_stored_tells_nobody_where_it_came_from_and_ends_on_a_clean_url() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    let attempt = attempt_cookie(&phone);
    let page = phone.get(callback.as_str()).await;
    assert_eq!(page.status, 302);
    assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let session = phone.cookies.named(SESSION)[0].clone();
    assert!(session.http_only && session.secure && session.host_only && session.path == "/");
    assert_eq!(session.same_site.as_deref(), Some("lax"));
    assert_eq!(session.max_age, Some(Duration::from_secs(12 * 3600)));
    assert_eq!(
        phone.cookies.named(&attempt)[0].max_age,
        Some(Duration::from_secs(60)),
        "a little past success"
    );
    assert_eq!(
        (t.wecom.calls("gettoken"), t.wecom.calls("auth/getuserinfo"), t.wecom.calls("user/get")),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn case_20_two_callbacks_at_once_are_one_exchange_one_session_and_one_target() {
    let t = TestApp::start().await;
    let (phone, callback) = start_sign_in(&t, "zhangsan").await;
    t.wecom
        .fail_next("auth/getuserinfo", gongpai::simulator::InjectedFault::Slow(Duration::from_millis(600)));
    let tabs: Vec<_> = (0..8).map(|_| (phone.clone(), callback.clone())).collect();
    let ends = run_all_at_once(tabs.into_iter().map(|(mut tab, url)| async move {
        let page = tab.get(url).await;
        let me: serde_json::Value = tab.get(format!("{PUBLIC_URL}/sso/session")).await.json();
        (page, me["userid"].clone())
    }))
    .await;
    for (page, userid) in ends {
        assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
        assert_eq!(userid, "zhangsan");
    }
    assert_eq!((t.wecom.calls("auth/getuserinfo"), t.wecom.calls("user/get")), (1, 1));
    assert_eq!((t.count_rows("sessions").await, t.count_rows("attempts").await), (1, 1));
}

#[tokio::test]
async fn case_20_a_second_callback_gets_the_same_refusal_without_asking_again() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhouba").await;
    for _ in 0..2 {
        assert_failure(&phone.get(callback.as_str()).await, 403, "signin.disabled");
    }
    assert_eq!(t.wecom.calls("auth/getuserinfo"), 1);
}

#[tokio::test]
async fn another_code_for_the_same_attempt_goes_to_the_target_if_signed_in_and_starts_again_once_otherwise() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    phone.get(callback.as_str()).await;
    let other = with_parameter(&callback, "code", Some(&t.wecom.issue_code("lisi")));
    let mut stranger = t.browser(WECOM_PHONE);
    stranger.cookies = phone.cookies.clone();
    stranger.cookies.remove(|c| c.name == SESSION);

    let page = phone.get(&other).await;
    assert_eq!(page.location().expect("the target").path(), "/x", "{}", page.text());
    let me: serde_json::Value = phone.get(format!("{PUBLIC_URL}/sso/session")).await.json();
    assert_eq!(me["userid"], "zhangsan");

    let again = stranger.get(&other).await;
    assert!(is_restarted(&again));
    assert!(stranger.cookies.named(SESSION).is_empty(), "neither code signs this browser in");
    assert_eq!((t.count_rows("sessions").await, t.wecom.calls("auth/getuserinfo")), (1, 1));
    let back = stranger.get(again.location().unwrap()).await.location().unwrap();
    let mut twice = stranger.clone();
    assert_eq!(stranger.get(back.as_str()).await.location().expect("the target").path(), "/x");
    // It has restarted already, so now comes a page with a button.
    let third = with_parameter(&back, "code", Some(&t.wecom.issue_code("lisi")));
    assert_failure(&twice.get(&third).await, 400, "signin.other_code");
}

#[tokio::test]
async fn two_callbacks_at_once_with_two_codes_of_one_attempt_both_end_at_the_target() {
    let t = TestApp::start().await;
    let (phone, first) = start_sign_in(&t, "zhangsan").await;
    let second = Url::parse(&with_parameter(&first, "code", Some(&t.wecom.issue_code("zhangsan")))).unwrap();
    t.wecom
        .fail_next("auth/getuserinfo", gongpai::simulator::InjectedFault::Slow(Duration::from_millis(300)));
    let tabs = [first, second].map(|url| (phone.clone(), url));
    let ends = run_all_at_once(tabs.into_iter().map(|(mut tab, url)| async move {
        let end = tab.open(url).await;
        let me: serde_json::Value = tab.get(format!("{PUBLIC_URL}/sso/session")).await.json();
        (end.url.path().to_owned(), me["userid"].clone())
    }))
    .await;
    for end in ends {
        assert_eq!(end, ("/x".to_owned(), "zhangsan".into()));
    }
}

#[tokio::test]
async fn reload_and_back_are_harmless_even_after_the_attempts_cookie_has_gone() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    let target = format!("{PUBLIC_URL}/x");
    phone.get(callback.as_str()).await;
    let sid = find_session_ids(&t.app.db).await;
    assert_eq!(phone.get(callback.as_str()).await.location().unwrap().as_str(), target);
    for seconds in [61, 3600] {
        phone.cookies.advance(Duration::from_secs(seconds));
        t.advance(Duration::from_secs(seconds)).await;
        let again = phone.get(callback.as_str()).await;
        assert_eq!(again.location().unwrap().as_str(), target, "after {seconds} s");
    }
    assert_eq!(find_session_ids(&t.app.db).await, sid);
    assert_eq!(t.wecom.calls("auth/getuserinfo"), 1);
}

#[tokio::test]
async fn case_19_a_good_code_without_our_state_starts_anew_once_and_signs_nobody_in() {
    let t = TestApp::start().await;
    for path in
        ["/x_desktop/qiyeweixinsso.html", "/qiyeweixinsso.html", "/sso/callback", "/_gongpai/callback"]
    {
        // The attacker's code, the victim's browser.
        let code = t.wecom.issue_code("lisi");
        let mut victim = t.phone_of("zhangsan");
        let page = victim.get(format!("{PUBLIC_URL}{path}?code={code}&rd=/x")).await;
        assert!(is_restarted(&page), "{path}: {page:?}");
        let end = victim.open(page.location().unwrap()).await;
        assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}/x"));
        let me: serde_json::Value = victim.get(format!("{PUBLIC_URL}/sso/session")).await.json();
        assert_eq!(me["userid"], "zhangsan", "{path}");
        // The second time without a cookie there is a page.
        let page = t.browser(WECOM_PHONE).get(format!("{PUBLIC_URL}{path}?code={code}&rd=/x&r=1")).await;
        assert_failure(&page, 400, "signin.cookies_blocked");
    }
    let used = t.wecom.requests().iter().filter(|r| r.query.iter().any(|(n, _)| n == "code")).count();
    assert_eq!(used, 4, "none of the foreign codes was exchanged");
}

#[tokio::test]
async fn the_seeds_static_link_with_nothing_starts_a_sign_in() {
    let t = TestApp::start().await;
    for url in ["/x_desktop/qiyeweixinsso.html?redirect=/todo", "/qiyeweixinsso.html?redirect=%2Ftodo"] {
        let end = t.phone_of("zhangsan").open(format!("{PUBLIC_URL}{url}")).await;
        assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}/todo"));
    }
}

#[tokio::test]
async fn a_code_at_the_seeds_page_proves_the_in_app_way_whatever_the_user_agent_says() {
    let t = TestApp::start().await;
    let page = t.desktop().get(format!("{PUBLIC_URL}/x_desktop/qiyeweixinsso.html?code=abc")).await;
    assert!(is_restarted(&page), "{page:?}");
    let page = t.desktop().get(format!("{PUBLIC_URL}/sso/callback?code=abc")).await;
    assert_eq!(page.location().unwrap().path(), "/sso/login", "elsewhere a desktop gets the QR page");
}

#[tokio::test]
async fn case_19_a_state_without_its_cookie_restarts_once_and_then_says_that_cookies_are_blocked() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    forget_attempts(&mut phone);
    let page = phone.get(callback.as_str()).await;
    assert!(is_restarted(&page));
    let second = phone.get(page.location().unwrap()).await.location().unwrap();
    forget_attempts(&mut phone);
    assert_failure(&phone.get(second.as_str()).await, 400, "signin.cookies_blocked");
    // `r=1` alone limits the restarts, even if the state is lost.
    assert_failure(&phone.get(with_parameter(&second, "state", None)).await, 400, "signin.cookies_blocked");
    assert_eq!((t.wecom.calls_total(), t.count_rows("attempts").await), (0, 0));
    // The button leads to a new start.
    let page = phone.get(second.as_str()).await;
    let retry = page.link_with("/sso/login").expect("a button");
    assert!(is_authorize(&phone.get(retry).await));
}

#[tokio::test]
async fn case_19_another_browsers_state_and_cookie_sign_nobody_in() {
    let t = TestApp::start().await;
    let (_attacker, callback) = start_sign_in(&t, "lisi").await;
    let (mut victim, _) = start_sign_in(&t, "zhangsan").await;
    let page = victim.get(callback.as_str()).await;
    assert!(is_restarted(&page), "the victim has an attempt, but not that one");
    assert_eq!((t.count_rows("sessions").await, t.wecom.calls_total()), (0, 0));
}

#[tokio::test]
async fn case_19_a_changed_or_foreign_state_is_no_state() {
    let t = TestApp::start().await;
    let (phone, callback) = start_sign_in(&t, "zhangsan").await;
    let state = callback.query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
    let flip = |at: usize| {
        let mut bytes = state.clone().into_bytes();
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        String::from_utf8(bytes).unwrap()
    };
    let cut = state[..state.len() - 1].to_owned();
    for bad in [
        flip(0),
        flip(50),
        flip(state.len() - 1),
        cut,
        format!("{state}0"),
        "x".into(),
        "../../etc".into(),
        "é".into(),
    ] {
        let page = phone.clone().get(with_parameter(&callback, "state", Some(&bad))).await;
        assert!(is_restarted(&page), "{bad}");
    }
    assert_eq!((t.count_rows("attempts").await, t.wecom.calls_total()), (0, 0));
}

#[tokio::test]
async fn case_19_a_state_of_another_corporation_application_or_installation_is_no_state() {
    let t = TestApp::start().await;
    for other in [
        "[wecom]\ncorp_id = \"wwffffffffffffffff\"".to_owned(),
        "[wecom]\nagent_id = 1000003".to_owned(),
        format!("[server]\nsecret = {:?}", "b3RoZXItYnl0ZXMtYW5kLXNpeHRlZW4tbW9yZSEhISE="),
    ] {
        let foreign = TestApp::with(&other).await;
        let mut browser = foreign.browser(WECOM_PHONE);
        let start = browser.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
        let to = start.location().unwrap();
        let state = to.query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
        let mut here = t.phone_of("zhangsan");
        here.cookies = browser.cookies.clone();
        let code = t.wecom.issue_code("zhangsan");
        let page =
            here.get(format!("{PUBLIC_URL}/sso/callback?rd={PUBLIC_URL}/x&code={code}&state={state}")).await;
        assert!(is_restarted(&page), "{other}");
    }
    assert_eq!((t.count_rows("attempts").await, t.count_rows("sessions").await), (0, 0));
}

#[tokio::test]
async fn case_19_a_state_older_than_ten_minutes_is_worth_nothing_even_with_its_cookie() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    t.app.clock.advance(Duration::from_secs(601));
    t.app.sessions.refresh().await.unwrap();
    assert!(is_restarted(&phone.get(callback.as_str()).await));
    assert_eq!(t.count_rows("attempts").await, 0);
}

#[tokio::test]
async fn case_19_a_used_state_works_for_no_second_sign_in() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    phone.get(callback.as_str()).await;
    phone.get(format!("{PUBLIC_URL}/sso/logout")).await;
    let page = phone.get(callback.as_str()).await;
    assert!(!page.headers.get_all("set-cookie").iter().any(|c| c.as_bytes().starts_with(b"__Host-gongpai=")));
    let page = phone.follow(page, 3).await;
    assert_eq!(page.status, 200);
    assert!(page.link_with("again=1").is_some(), "a button, not a silent sign-in: {}", page.text());
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn a_code_that_wecom_refuses_restarts_once_and_then_says_so() {
    for errcode in [40029, 42003, 42022] {
        let t = TestApp::start().await;
        let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
        let fault = gongpai::simulator::InjectedFault::Errcode(errcode, "invalid code".to_owned());
        t.wecom.fail_always("auth/getuserinfo", fault);
        let page = phone.get(callback.as_str()).await;
        assert!(is_restarted(&page), "{errcode}");
        // A reload of the refused callback does not ask again.
        let calls = t.wecom.calls("auth/getuserinfo");
        assert!(is_restarted(&phone.clone().get(callback.as_str()).await));
        assert_eq!(t.wecom.calls("auth/getuserinfo"), calls);
        let second = phone.get(page.location().unwrap()).await.location().unwrap();
        assert_failure(&phone.get(second.as_str()).await, 400, "signin.code_used");
        assert_failure(&phone.get(second.as_str()).await, 400, "signin.code_used");
        t.wecom.clear_faults();
        let retry = phone.get(second.as_str()).await.link_with("/sso/login").unwrap();
        assert_eq!(phone.open(retry).await.url.as_str(), format!("{PUBLIC_URL}/x"));
    }
}

#[tokio::test]
async fn somebody_who_cancels_is_told_so_and_can_try_again() {
    let t = TestApp::start().await;
    t.wecom.change(|w| w.phone = gongpai::simulator::PhoneHolder::Cancels);
    let mut phone = t.browser(WECOM_PHONE);
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert_failure(&page, 400, "signin.cancelled");
    t.wecom.set_phone_member("zhangsan");
    let end = phone.open(page.link_with("/sso/login").unwrap()).await;
    assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}/x"));
    for query in ["state=abc", "state=abc&code="] {
        assert_failure(
            &t.desktop().get(format!("{PUBLIC_URL}/sso/callback?{query}")).await,
            400,
            "signin.cancelled",
        );
    }
}

#[tokio::test]
async fn in_a_frame_a_callback_consumes_nothing_and_opens_the_same_url_in_the_top_window() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    for dest in ["iframe", "frame"] {
        let page =
            phone.send(BrowserRequest::navigate(callback.as_str()).header("sec-fetch-dest", dest)).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let policy = page.header("content-security-policy").unwrap();
        let ancestors = policy.split("; ").find_map(|d| d.strip_prefix("frame-ancestors ")).unwrap();
        let wecom = t.wecom.url();
        let want = format!("{PUBLIC_URL} {}", wecom.trim_end_matches('/'));
        assert_eq!(ancestors, want);
        assert!(page.headers.get("x-frame-options").is_none() && page.headers.get("set-cookie").is_none());
        assert_eq!(page.link_with("/sso/callback").unwrap().query(), callback.query());
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!((t.count_rows("attempts").await, t.wecom.calls_total()), (0, 0));
    assert_eq!(phone.get(callback.as_str()).await.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
}

#[tokio::test]
async fn a_third_sign_in_whose_session_never_comes_back_is_told_so() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    for n in 1..=3 {
        t.advance(Duration::from_secs(2)).await;
        let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
        t.advance(Duration::from_secs(1)).await;
        let page = phone.get(callback.as_str()).await;
        if n < 3 {
            assert_eq!(page.status, 302, "{n}");
            phone.cookies.remove(|c| c.name == SESSION);
        } else {
            assert_failure(&page, 400, "signin.cookies_refused");
        }
    }
    // A minute later the marker has gone.
    phone.cookies.advance(Duration::from_secs(61));
    t.advance(Duration::from_secs(61)).await;
    assert_eq!(
        phone.open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await.url.as_str(),
        format!("{PUBLIC_URL}/x")
    );
}

#[tokio::test]
async fn parallel_tabs_are_not_taken_for_a_browser_that_refuses_cookies() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let mut callbacks = Vec::new();
    for n in 0..6 {
        callbacks.push(t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/{n}")).await);
    }
    for (n, callback) in callbacks.into_iter().enumerate() {
        t.advance(Duration::from_secs(1)).await;
        let page = phone.get(callback).await;
        assert_eq!(page.status, 302, "{n}: {}", page.text());
        phone.cookies.remove(|c| c.name == SESSION); // each tab began without one
    }
}

#[tokio::test]
async fn case_48_good_sign_ins_pass_beside_junk_codes_of_the_same_address() {
    let t = TestApp::with("[server]\nbad_code_rate = \"3/min\"").await;
    let mut junk = Vec::new();
    for n in 0..40 {
        let (phone, callback) = start_sign_in(&t, "zhangsan").await;
        junk.push((phone, with_parameter(&callback, "code", Some(&format!("junk{n}")))));
    }
    let pages =
        run_all_at_once(junk.into_iter().map(|(mut phone, url)| async move { phone.get(url).await })).await;
    assert!(pages.iter().all(is_restarted), "each begins anew");
    assert_eq!(t.wecom.calls("auth/getuserinfo"), 40, "within what the installation as a whole may ask");
    for n in 0..25 {
        let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
        let page = phone.get(callback.as_str()).await;
        assert_eq!(page.location().map(|to| to.path().to_owned()), Some("/x".to_owned()), "{n}");
    }
    // Codes without a state of ours never reach WeCom.
    let asked = t.wecom.calls("auth/getuserinfo");
    for n in 0..20 {
        t.browser(WECOM_PHONE).get(format!("{PUBLIC_URL}/sso/callback?code=junk{n}")).await;
    }
    assert_eq!(t.wecom.calls("auth/getuserinfo"), asked);
}

#[tokio::test]
async fn too_many_starts_from_one_address_are_told_when_to_come_again() {
    let t = TestApp::with("[server]\nstart_rate = \"1/s burst 3\"").await;
    let mut phone = t.phone_of("zhangsan");
    for _ in 0..3 {
        assert!(is_authorize(&phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await));
    }
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert_failure(&page, 429, "signin.too_many");
    assert_eq!(page.header("retry-after"), Some("1"));
    assert_failure(
        &phone.get(format!("{PUBLIC_URL}/sso/callback?code=a&state=b")).await,
        429,
        "signin.too_many",
    );
    t.advance(Duration::from_secs(1)).await;
    assert!(is_authorize(&phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await));
}

#[tokio::test]
async fn a_good_callback_signs_in_where_others_used_up_the_starts_of_its_address() {
    let t = TestApp::with("[server]\nstart_rate = \"1/s burst 3\"").await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    let mut neighbour = t.browser(WECOM_PHONE);
    for _ in 0..2 {
        assert!(is_authorize(&neighbour.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await));
    }
    assert_failure(&neighbour.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await, 429, "signin.too_many");
    assert_failure(&neighbour.get(callback.as_str()).await, 429, "signin.too_many"); // not its attempt
    for _ in 0..2 {
        let page = phone.get(callback.as_str()).await;
        assert_eq!(page.location().expect("signed in").as_str(), format!("{PUBLIC_URL}/x"));
    }
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
    // It took nothing from the limit of the next start either.
    t.advance(Duration::from_secs(1)).await;
    assert!(is_authorize(&neighbour.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await));
    assert_failure(&neighbour.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await, 429, "signin.too_many");
}

#[tokio::test]
async fn two_hundred_sign_ins_are_one_token_and_two_calls_each() {
    let t = TestApp::start().await;
    let tabs: Vec<_> = (0..50).map(|_| t.phone_of("zhangsan")).collect();
    let ends = run_all_at_once(
        tabs.into_iter().map(|mut b| async move { b.open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await }),
    )
    .await;
    assert!(
        ends.iter().all(|end| end.url.path() == "/x"),
        "{:?}",
        ends.iter().find(|e| e.status != 404).map(crate::support::browser::Page::words)
    );
    assert_eq!(t.wecom.calls("gettoken"), 1, "fifty concurrent first ones");
    for _ in 0..150 {
        assert_eq!(t.phone_of("lisi").open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await.url.path(), "/x");
    }
    assert_eq!(t.wecom.calls("gettoken"), 1, "two hundred");
    assert_eq!((t.wecom.calls("auth/getuserinfo"), t.wecom.calls("user/get")), (200, 200));
}

#[tokio::test]
async fn case_20_two_replicas_that_get_the_same_callback_make_one_exchange_and_one_session() {
    let t = TestApp::start().await;
    let any = "127.0.0.1:0".parse().unwrap();
    let second = t.another((*t.wecom).clone().start_on(any).await.unwrap()).await;
    // The sign-in begins on one replica and calls back on both.
    let (here, callback) = start_sign_in(&t, "zhangsan").await;
    t.wecom
        .fail_next("auth/getuserinfo", gongpai::simulator::InjectedFault::Slow(Duration::from_millis(600)));
    let mut there = second.browser(WECOM_PHONE);
    there.cookies = here.cookies.clone();
    let tabs = [(here, callback.clone()), (there, callback)];
    let ends = run_all_at_once(tabs.into_iter().map(|(mut tab, url)| async move {
        let page = tab.get(url).await;
        (page, tab)
    }))
    .await;
    for (page, tab) in &ends {
        assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
        for replica in [&t, &second] {
            assert_eq!(replica.check(tab, PUBLIC_URL).await.status, 200);
        }
    }
    assert_eq!((t.wecom.calls("auth/getuserinfo"), t.count_rows("sessions").await), (1, 1));
    // A sign-out on one replica counts on the other within a second.
    let (_, mut tab) = ends.into_iter().next().unwrap();
    let copy = tab.clone();
    tab.get(format!("{PUBLIC_URL}/sso/logout")).await;
    let give_up = std::time::Instant::now() + Duration::from_secs(1);
    while second.check(&copy, PUBLIC_URL).await.status != 401 {
        assert!(std::time::Instant::now() < give_up, "still in on the other replica");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_code_at_an_application_host_is_never_exchanged() {
    let t = TestApp::start().await;
    let (mut phone, callback) = start_sign_in(&t, "zhangsan").await;
    let there = callback.as_str().replace(&format!("{PUBLIC_URL}/sso/"), "https://app.example.com/_gongpai/");
    let cookies = phone.cookies.header(&callback).unwrap();
    for ask in [BrowserRequest::navigate(&there), BrowserRequest::navigate(&there).header("cookie", &cookies)]
    {
        let page = phone.send(ask).await;
        assert!(
            !page.headers.get_all("set-cookie").iter().any(|c| c.as_bytes().starts_with(b"__Host-gongpai="))
        );
    }
    assert_eq!((t.wecom.calls_total(), t.count_rows("attempts").await), (0, 0));
}

#[tokio::test]
async fn after_a_hand_off_reload_and_back_still_end_at_the_target() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let page = phone.get("https://app.example.com/_gongpai/login?rd=/x").await;
    let callback = t.callback_of(&mut phone, page.location().unwrap().as_str()).await;
    let target = "https://app.example.com/x";
    for seconds in [0, 10, 61, 600, 3600] {
        t.advance(Duration::from_secs(seconds)).await;
        phone.cookies.advance(Duration::from_secs(seconds));
        let end = phone.open(callback.as_str()).await;
        assert_eq!(end.url.as_str(), target, "after {seconds} s: {}", end.text());
    }
    assert_eq!(t.wecom.calls("auth/getuserinfo"), 1);
}

#[tokio::test]
async fn a_scan_page_goes_on_by_itself_when_the_browser_is_signed_in() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    let attribute = |name: &str| {
        let text = page.text().replace("&#38;", "&");
        let value = text
            .split(&format!("{name}=\""))
            .nth(1)
            .expect("an attribute")
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        page.url.join(&value).unwrap()
    };
    let (session, next) = (attribute("data-session"), attribute("data-next"));
    assert_eq!(desktop.fetch(session.as_str()).await.status, 401);
    // Another tab has signed in in the meantime.
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    assert_eq!(desktop.fetch(session.as_str()).await.status, 200);
    assert_eq!(desktop.get(next.as_str()).await.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
}
