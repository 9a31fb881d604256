//! What stands behind the `#`: no request has it, a redirect inherits it, and WeCom's links bring one of their own.

use crate::support::app::{APP, PUBLIC, TestApp};
use crate::support::browser::Browser;

/// Goes on by hand to the redirect that ends the sign-in, and gives its Location as it was sent.
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

#[tokio::test]
async fn every_redirect_that_ends_a_sign_in_has_a_fragment_of_its_own() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    for (rd, end) in [("/a", "/a#"), ("/a%23x", "/a#x"), ("/%23/todo/3", "/#/todo/3")] {
        let start = format!("{PUBLIC}/sso/login?rd={rd}");
        assert_eq!(last_location(&mut phone, &start).await, format!("{PUBLIC}{end}"), "by a callback");
        let start = format!("{APP}/_gongpai/login?rd={rd}");
        assert_eq!(last_location(&mut phone.clone(), &start).await, format!("{APP}{end}"), "by a ticket");
        let start = format!("{PUBLIC}/x_desktop/qiyeweixinsso.html?redirect={rd}");
        assert_eq!(last_location(&mut phone, &start).await, format!("{PUBLIC}{end}"), "by the seed's page");
        let mut desktop = t.desktop();
        desktop.cookies = phone.cookies.clone();
        let start = format!("{PUBLIC}/sso/login?rd={rd}");
        assert_eq!(last_location(&mut desktop, &start).await, format!("{PUBLIC}{end}"), "signed in already");
    }
}

#[tokio::test]
async fn with_a_cookie_domain_the_other_host_is_reached_with_a_fragment_of_its_own_too() {
    let t = TestApp::with("[session]\ncookie_domain = \".example.com\"").await;
    let mut phone = t.phone_of("zhangsan");
    assert_eq!(last_location(&mut phone, &format!("{APP}/_gongpai/login?rd=/a")).await, format!("{APP}/a#"));
}

#[tokio::test]
async fn callbacks_and_tickets_that_come_again_do_not_bring_wecoms_fragment_either() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC}/sso/login?rd=/a")).await;
    for seconds in [0, 1, 70] {
        t.advance(std::time::Duration::from_secs(seconds)).await;
        phone.cookies.pass(std::time::Duration::from_secs(seconds));
        let page = phone.get(callback.as_str()).await;
        assert_eq!(page.header("location"), Some(format!("{PUBLIC}/a#").as_str()), "{seconds} s later");
    }
    let mut page = phone.get(format!("{APP}/_gongpai/login?rd=/b")).await;
    while page.location().is_some_and(|next| next.path() != "/_gongpai/finish") {
        page = phone.get(page.location().expect("a Location")).await;
    }
    for time in ["first", "again"] {
        let end = phone.get(page.location().expect("a ticket")).await;
        assert_eq!(end.header("location"), Some(format!("{APP}/b#").as_str()), "{time}");
    }
}
