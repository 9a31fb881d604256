//! Already signed in, another account, and signing out.

use std::time::Duration;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::audit::read_audit_trail;
use crate::support::browser::{BrowserRequest, DESKTOP, WECOM_DESKTOP};
use crate::support::sessions::find_ended_sessions;

const SESSION: &str = "__Host-gongpai";

#[tokio::test]
async fn outside_wecom_a_signed_in_browser_goes_straight_on() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    t.wecom.forget_requests();
    for path in ["/sso/login?rd=/x", "/_gongpai/login?rd=/x", "/x_desktop/qiyeweixinsso.html?redirect=/x"] {
        let page = desktop.get(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"), "{path}");
        assert!(page.headers.get("set-cookie").is_none());
    }
    assert_eq!((t.wecom.calls_total(), t.count_rows("sessions").await), (0, 1));
}

#[tokio::test]
async fn inside_wecom_the_same_person_is_asked_again_and_keeps_the_session() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let token = phone.cookies.value(SESSION).unwrap().to_owned();
    for agent in [phone.user_agent.clone(), WECOM_DESKTOP.to_owned()] {
        t.wecom.forget_requests();
        phone.user_agent = agent;
        let end = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
        assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}/x"));
        assert_eq!(t.wecom.calls("auth/getuserinfo"), 1);
        assert_eq!(phone.cookies.value(SESSION), Some(token.as_str()));
    }
    assert_eq!(t.count_rows("sessions").await, 1);
}

#[tokio::test]
async fn case_14_inside_wecom_another_person_replaces_the_session_and_the_old_one_is_dead() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    phone.open(format!("{APP_URL}/_gongpai/login?rd=/")).await;
    let before = phone.clone();
    assert_eq!(t.check(&before, APP_URL).await.status, 200);
    t.wecom.set_phone_member("lisi");
    phone.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    let check = t.check(&phone, PUBLIC_URL).await;
    assert_eq!(check.header("remote-user"), Some("lisi"));
    t.advance(Duration::ZERO).await;
    assert_eq!(t.check(&before, PUBLIC_URL).await.status, 401, "a copy of the old cookie");
    assert_eq!(t.check(&before, APP_URL).await.status, 401, "and what it led to on other hosts");
}

#[tokio::test]
async fn case_14_signing_out_ends_the_whole_family_on_every_host_and_for_every_copy() {
    for out in [PUBLIC_URL, APP_URL] {
        let t = TestApp::start().await;
        let mut phone = t.signed_in("zhangsan").await;
        phone.open(format!("{APP_URL}/_gongpai/login?rd=/")).await;
        let copy = phone.clone();
        let other = t.signed_in("zhangsan").await;
        assert_eq!(
            (t.check(&copy, PUBLIC_URL).await.status, t.check(&copy, APP_URL).await.status),
            (200.try_into().unwrap(), 200.try_into().unwrap())
        );
        let page = phone.get(format!("{out}/_gongpai/logout")).await;
        assert_eq!(page.status, 200);
        for browser in [&phone, &copy] {
            for host in [PUBLIC_URL, APP_URL] {
                assert_eq!(t.check(browser, host).await.status, 401, "{host} after a sign-out on {out}");
            }
        }
        assert_eq!(t.check(&other, PUBLIC_URL).await.status, 200, "another browser's session is its own");
        let ended = find_ended_sessions(&t.app.db).await;
        assert!(!ended.is_empty() && ended.iter().all(|row| row.reason == "signed_out"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_sign_out_clears_the_cookie_and_shows_a_page_with_a_button() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let page = phone.get(format!("{PUBLIC_URL}/sso/logout")).await;
    assert_eq!(page.status, 200);
    assert_eq!(phone.cookies.value(SESSION), None);
    assert!(page.text().contains("重新登录") && page.text().contains("Sign in again"), "{}", page.text());
    let end = phone.open(page.link_with("/sso/login").unwrap()).await;
    assert_eq!(end.status, 200);
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn another_account_is_a_sign_out_that_leads_back_and_shows_the_button_first() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let page = phone.get(format!("{PUBLIC_URL}/sso/logout?rd=/x")).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
    // The application's gate sends the browser to sign in.
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert_eq!(page.status, 200, "no silent sign-in");
    let button = page.link_with("again=1").unwrap();
    t.wecom.set_phone_member("lisi");
    let end = phone.open(button).await;
    assert_eq!(end.url.as_str(), format!("{PUBLIC_URL}/x"));
    assert_eq!(t.check(&phone, PUBLIC_URL).await.header("remote-user"), Some("lisi"));
    // Once pressed, it is not shown again.
    assert_eq!(phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await.status, 302);
}

#[tokio::test]
async fn for_ten_minutes_after_a_sign_out_every_way_in_shows_the_button() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    phone.get(format!("{PUBLIC_URL}/sso/logout")).await;
    let code = t.wecom.issue_code("zhangsan");
    for path in [
        "/sso/login?rd=/x".to_owned(),
        "/sso/login?rd=/x&entrance=app".to_owned(),
        "/x_desktop/qiyeweixinsso.html".to_owned(),
        format!("/x_desktop/qiyeweixinsso.html?code={code}"),
        format!("/sso/callback?code={code}&state=x"),
    ] {
        let page = phone.clone().open(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.link_with("again=1").is_some(), "{path}: {}", page.text());
    }
    phone.cookies.advance(Duration::from_secs(599));
    assert_eq!(phone.clone().get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await.status, 200);
    phone.cookies.advance(Duration::from_secs(2));
    assert_eq!(phone.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await.status, 302);
}

#[tokio::test]
async fn a_sign_out_with_a_bad_target_signs_out_all_the_same() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let copy = phone.clone();
    let page = phone.get(format!("{PUBLIC_URL}/sso/logout?rd=https://evil.example/")).await;
    assert_eq!(page.status, 400);
    assert!(page.headers.get("location").is_none());
    assert_eq!(phone.cookies.value(SESSION), None);
    assert_eq!(t.check(&copy, PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn signing_out_twice_or_without_a_session_is_harmless() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    for _ in 0..2 {
        assert_eq!(phone.get(format!("{PUBLIC_URL}/sso/logout")).await.status, 200);
    }
    assert_eq!(t.desktop().get(format!("{APP_URL}/_gongpai/logout")).await.status, 200);
    let junk =
        BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/logout")).header("cookie", "__Host-gongpai=junk");
    assert_eq!(t.desktop().send(junk).await.status, 200);
    let trail = read_audit_trail(&t).await;
    assert_eq!(trail.iter().filter(|row| row.event.contains("out")).count(), 1, "{trail:?}");
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_out() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let url = format!("{PUBLIC_URL}/sso/logout");
    let foreign = BrowserRequest::post(&url, &[])
        .header("origin", "https://evil.example")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(phone.send(foreign).await.status, 403);
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
    assert_eq!(phone.post(&url, &[]).await.status, 200);
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn in_another_browser_the_sign_out_of_the_first_changes_nothing() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    phone.get(format!("{PUBLIC_URL}/sso/logout")).await;
    let page = t.browser(DESKTOP).get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert!(page.text().contains("<iframe"), "no button there");
}
