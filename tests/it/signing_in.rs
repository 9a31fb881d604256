//! Signing in (`src/docs/design.md`, "Signing in"), through the real router and the simulator.

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};

#[tokio::test]
async fn inside_wecom_a_person_is_signed_in_without_a_page_or_click() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let start = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
    assert_eq!(start.status, 302, "{}", start.text());
    let end = phone.follow(start, 6).await;
    assert_eq!(end.status, 200, "{} {}", end.url, end.text());
    let me: serde_json::Value = end.json();
    assert_eq!(me["userid"], "zhangsan");
    assert_eq!(me["amr"][0], "wecom-app");
    let check = t.check(&phone, &format!("{PUBLIC_URL}/anything")).await;
    assert_eq!(check.status, 200);
    assert_eq!(check.header("remote-user"), Some("zhangsan"));
}

#[tokio::test]
async fn another_application_host_gets_its_own_session_by_a_ticket() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let end = phone.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await;
    assert_eq!(end.status, 200, "{} {}", end.url, end.text());
    assert_eq!(t.check(&phone, &format!("{APP_URL}/x")).await.status, 200);
}
