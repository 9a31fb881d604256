//! Fragments: no request carries one, a redirect inherits one, and WeCom's links bring one of their
//! own.

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, Page, WECOM_PHONE};

/// Follows redirects to the one that ends the sign-in, and returns its Location as it was sent.
async fn last_location(browser: &mut Browser, start: &str) -> String {
    let mut page = browser.get(start).await;
    let mut last = String::new();
    for _ in 0..10 {
        let Some(next) = page.next() else { return last };
        page.header("location").expect("a Location").clone_into(&mut last);
        if ["/a", "/b"].contains(&next.path()) || next.fragment().is_some_and(|f| f.starts_with('/')) {
            return last;
        }
        page = browser.get(next.as_str()).await;
    }
    panic!("{start} leads in circles")
}

/// Returns where the script of a page goes on, with `fragment`.
fn script_target(page: &Page, id: &str, fragment: &str) -> String {
    let text = page.text().replace("&#38;", "&");
    let element = text.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no {id}: {text}"));
    let start = element.split("data-start=\"").nth(1).and_then(|rest| rest.split('"').next());
    let encoded = urlencoding::encode(fragment);
    page.url.join(&format!("{}{encoded}", start.expect("an address"))).expect("an address").into()
}

#[tokio::test]
async fn every_redirect_that_ends_a_sign_in_has_a_fragment_of_its_own() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    for (rd, end) in [("/a", "/a#"), ("/a%23x", "/a#x"), ("/%23/todo/3", "/#/todo/3")] {
        let start = format!("{PUBLIC_URL}/sso/login?rd={rd}");
        assert_eq!(last_location(&mut phone, &start).await, format!("{PUBLIC_URL}{end}"), "by a callback");
        let start = format!("{APP_URL}/_gongpai/login?rd={rd}");
        assert_eq!(last_location(&mut phone.clone(), &start).await, format!("{APP_URL}{end}"), "by a ticket");
        let start = format!("{PUBLIC_URL}/x_desktop/qiyeweixinsso.html?redirect={rd}");
        assert_eq!(
            last_location(&mut phone, &start).await,
            format!("{PUBLIC_URL}{end}"),
            "by the seed's page"
        );
        let mut desktop = t.desktop();
        desktop.cookies = phone.cookies.clone();
        let start = format!("{PUBLIC_URL}/sso/login?rd={rd}");
        assert_eq!(
            last_location(&mut desktop, &start).await,
            format!("{PUBLIC_URL}{end}"),
            "signed in already"
        );
    }
}

#[tokio::test]
async fn with_a_cookie_domain_the_other_host_is_reached_with_a_fragment_of_its_own_too() {
    let t = TestApp::with("[session]\ncookie_domain = \".example.com\"").await;
    let mut phone = t.phone_of("zhangsan");
    assert_eq!(
        last_location(&mut phone, &format!("{APP_URL}/_gongpai/login?rd=/a")).await,
        format!("{APP_URL}/a#")
    );
}

#[tokio::test]
async fn callbacks_and_tickets_that_come_again_do_not_bring_wecoms_fragment_either() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/a")).await;
    for seconds in [0, 1, 70] {
        t.advance(std::time::Duration::from_secs(seconds)).await;
        phone.cookies.advance(std::time::Duration::from_secs(seconds));
        let page = phone.get(callback.as_str()).await;
        assert_eq!(page.header("location"), Some(format!("{PUBLIC_URL}/a#").as_str()), "{seconds} s later");
    }
    let mut page = phone.get(format!("{APP_URL}/_gongpai/login?rd=/b")).await;
    while page.location().is_some_and(|next| next.path() != "/_gongpai/finish") {
        page = phone.get(page.location().expect("a Location")).await;
    }
    for time in ["first", "again"] {
        let end = phone.get(page.location().expect("a ticket")).await;
        assert_eq!(end.header("location"), Some(format!("{APP_URL}/b#").as_str()), "{time}");
    }
}

#[tokio::test]
async fn inside_wecom_a_start_on_a_host_of_hash_routes_first_asks_the_browser_for_the_fragment() {
    let t = TestApp::with("[login]\nhash_routes = [\"app.example.com\"]").await;
    let mut phone = t.phone_of("zhangsan");
    let page = phone.get(format!("{APP_URL}/_gongpai/login?rd=%2F")).await;
    assert_eq!((page.status.as_u16(), page.header("set-cookie")), (200, None), "{}", page.text());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Without a script it goes on as before.
    let plain = page.link_with("/_gongpai/login").expect("a link");
    assert!(phone.clone().get(plain).await.location().is_some_and(|to| to.path() == "/sso/login"));
    let next = script_target(&page, "hand-on", "#/todo/3");
    assert_eq!(
        last_location(&mut phone, &next).await,
        format!("{APP_URL}/#/todo/3"),
        "over two hosts and WeCom"
    );
    assert_eq!(t.check(&phone, APP_URL).await.status, 200);
}

#[tokio::test]
async fn what_a_start_says_stays_said_while_the_browser_is_asked_for_the_fragment() {
    let t = TestApp::with("[login]\nhash_routes = [\"oa.example.com\"]").await;
    let mut phone = t.phone_of("zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/a%3Fx=1&entrance=app&again=1&r=1")).await;
    let next = script_target(&page, "hand-on", "#/b");
    let query = url::Url::parse(&next).expect("an address");
    let said: Vec<_> = query.query_pairs().into_owned().collect();
    let wanted = [("again", "1"), ("r", "1"), ("entrance", "app"), ("fragment", "1"), ("rd", "/a?x=1#/b")];
    assert_eq!(said, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn where_there_is_no_fragment_to_find_nobody_is_asked_for_one() {
    let t = TestApp::with("[login]\nhash_routes = [\"oa.example.com\"]").await;
    for (who, start) in [
        ("the target has one", format!("{PUBLIC_URL}/sso/login?rd=/%23/a")),
        ("was asked", format!("{PUBLIC_URL}/sso/login?rd=/a&fragment=1")),
        ("another host", format!("{APP_URL}/_gongpai/login?rd=/a")),
        ("a message's link", format!("{PUBLIC_URL}/sso/login?rd=/sso/m/abc")),
    ] {
        let page = t.browser(WECOM_PHONE).get(start).await;
        assert_eq!(page.status, 302, "{who}: {}", page.text());
    }
    let page = t.desktop().get(format!("{PUBLIC_URL}/sso/login?rd=/a")).await;
    assert!(page.text().contains("<iframe"), "a scan page asks on its own");
}

#[tokio::test]
async fn a_fragment_is_judged_with_its_target_like_any_other() {
    let t = TestApp::with("[login]\nhash_routes = [\"oa.example.com\"]").await;
    let mut phone = t.phone_of("zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/a")).await;
    for fragment in ["#@evil.example/", "#//evil.example", "#https://evil.example/"] {
        let end = last_location(&mut phone, &script_target(&page, "hand-on", fragment)).await;
        assert_eq!(end, format!("{PUBLIC_URL}/a{fragment}"));
    }
    for fragment in ["#\r\nx-injected: 1", "#\0"] {
        let page = phone.get(script_target(&page, "hand-on", fragment)).await;
        assert_eq!((page.status.as_u16(), page.header("location")), (400, None), "{fragment:?}");
    }
}

#[tokio::test]
async fn a_scan_page_begins_anew_with_the_fragment_in_its_target() {
    let t = TestApp::start().await;
    for (start, end) in [
        (format!("{PUBLIC_URL}/sso/login?rd=%2F"), format!("{PUBLIC_URL}/#/todo/3")),
        (format!("{APP_URL}/_gongpai/login?rd=%2Fx%3Fa%3D1"), format!("{APP_URL}/x?a=1#/todo/3")),
    ] {
        let mut desktop = t.desktop();
        let page = desktop.open(&start).await;
        let page = desktop.open(script_target(&page, "keep", "#/todo/3")).await;
        assert!(page.text().contains("<iframe") && !page.text().contains("data-start"), "{}", page.text());
        let frame = page
            .text()
            .split("<iframe src=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next().map(str::to_owned));
        let frame = frame.expect("the panel").replace("&#38;", "&");
        t.desktop().get(&frame).await;
        let state = url::Url::parse(&frame).expect("an address");
        let state = state.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        let back = t.wecom.confirm_scan(&state, "zhangsan").expect("a scan that waits");
        assert_eq!(last_location(&mut desktop, &back).await, end);
    }
}

#[tokio::test]
async fn somebody_signed_in_who_opens_another_host_of_hash_routes_is_asked_on_the_way() {
    let t = TestApp::with("[login]\nhash_routes = [\"app.example.com\"]").await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    let page = desktop.open(format!("{APP_URL}/_gongpai/login?rd=%2F")).await;
    assert_eq!(page.url.path(), "/sso/login");
    let plain = page.link_with("/sso/login").expect("a link");
    assert_eq!(last_location(&mut desktop.clone(), plain.as_str()).await, format!("{APP_URL}/#"));
    let next = script_target(&page, "hand-on", "#/todo/3");
    assert_eq!(last_location(&mut desktop, &next).await, format!("{APP_URL}/#/todo/3"));
}
