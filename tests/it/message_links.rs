//! Links of messages: one tap signs in, and only the recipients get on.

use std::time::Duration;

use gongpai::simulator::SimulatedMember;
use gongpai::testing::base::id::CorpId;
use gongpai::testing::db::Db;
use reqwest::Method;
use url::Url;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, BrowserRequest, PHONE};
use crate::support::messages::{
    MessageFixture, RecipientFixture, read_links, read_message_audit, write_link,
};

const TARGET: &str = "https://app.example.com/todo?id=7&from=%E5%BE%85%E5%8A%9E#top";
const LINK: &str = "https://oa.example.com/sso/m/L1";
const LINK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

fn db_and_corp(t: &TestApp) -> (&Db, &CorpId) {
    (&t.app.db, &t.app.config.wecom.corp_id)
}

/// Starts a gateway with the message `m1`, which has the link, for these members.
async fn app_with_message(toml: &str, members: &[(&str, &str)]) -> TestApp {
    let t = TestApp::with(toml).await;
    write_message(&t, members).await;
    t
}

async fn write_message(t: &TestApp, members: &[(&str, &str)]) {
    let ((db, corp), now) = (db_and_corp(t), t.app.clock.now());
    MessageFixture::to("m1", 1, &[]).write(db, corp, now).await;
    for (member, userid) in members {
        RecipientFixture::pending("m1", member, userid).write(db, corp).await;
    }
    write_link(db, corp, "L1", "m1", TARGET, now.plus(LINK_LIFETIME)).await;
}

/// Returns where `browser` ends up: the target, or a page. The page of the target is not requested.
async fn tap(browser: &mut Browser, url: &str) -> Result<Url, (u16, String)> {
    let mut page = browser.get(url).await;
    for _ in 0..12 {
        let Some(next) = page.location() else { return Err((page.status.as_u16(), page.text())) };
        if next.path() == "/todo" {
            assert_eq!(page.header("cache-control"), Some("no-store"));
            assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
            return Ok(next);
        }
        page = browser.get(next.as_str()).await;
    }
    panic!("{url} leads in circles: {}", page.url);
}

/// Asserts that the page has this code and tells nothing about the message.
fn assert_refused(outcome: Result<Url, (u16, String)>, status: u16, code: &str) {
    let (seen, text) = outcome.expect_err("a page");
    assert_eq!(seen, status, "{text}");
    assert!(text.contains(code), "{text}");
    assert!(
        !text.contains("todo") && !text.contains("app.example.com") && !text.contains("zhangsan"),
        "{text}"
    );
}

async fn audited_refusals(t: &TestApp) -> Vec<String> {
    let (db, corp) = db_and_corp(t);
    let rows = read_message_audit(db, corp).await.into_iter().filter(|row| row.decision == "refused");
    rows.map(|row| row.userid).collect()
}

#[tokio::test]
async fn whoever_taps_it_in_wecom_arrives_signed_in_without_a_page() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let mut phone = t.phone_of("zhangsan");
    assert_eq!(tap(&mut phone, LINK).await.expect("arrives").as_str(), TARGET);
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200, "signed in");
    let at = read_links(&t.app.db).await[0].opened_at;
    assert!(at.is_some());
    t.advance(Duration::from_secs(60)).await;
    assert_eq!(tap(&mut phone, LINK).await.expect("again").as_str(), TARGET);
    assert_eq!(read_links(&t.app.db).await[0].opened_at, at, "the first time counts");
}

#[tokio::test]
async fn a_target_without_a_fragment_inherits_none_of_wecoms() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let ((db, corp), now) = (db_and_corp(&t), t.app.clock.now());
    write_link(db, corp, "L2", "m1", &format!("{APP_URL}/todo?id=7"), now.plus(LINK_LIFETIME)).await;
    let mut phone = t.phone_of("zhangsan");
    let mut page = phone.get(format!("{PUBLIC_URL}/sso/m/L2")).await;
    while page.location().is_some_and(|next| next.path() != "/todo") {
        page = phone.get(page.next().expect("a Location").as_str()).await;
    }
    assert_eq!(page.header("location"), Some(format!("{APP_URL}/todo?id=7#").as_str()), "by {}", page.url);
}

#[tokio::test]
async fn a_stranger_on_a_desk_is_asked_to_scan_and_comes_back_to_the_link() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let page = t.desktop().get(LINK).await;
    assert_eq!(
        page.location().expect("to sign in").as_str(),
        format!("{PUBLIC_URL}/sso/login?rd=%2Fsso%2Fm%2FL1")
    );
    let scan = t.desktop().open(LINK).await;
    assert!(scan.status == 200 && scan.text().contains("iframe"), "{}", scan.text());
    let text = t.browser(PHONE).open(LINK).await.text();
    assert!(text.contains("wxwork://"), "outside WeCom on a phone: open it there\n{text}");
    assert!(!scan.text().contains("todo") && !text.contains("todo"), "where it leads is nobody's business");
}

#[tokio::test]
async fn thread_46_whoever_gets_the_link_cannot_approve_with_it() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let mut other = t.signed_in("lisi").await;
    other.user_agent = crate::support::browser::DESKTOP.to_owned();
    assert_refused(tap(&mut other, LINK).await, 403, "message.not_for_you");
    assert_refused(tap(&mut other, &format!("{LINK}?again=1")).await, 403, "message.not_for_you");
    assert_eq!(audited_refusals(&t).await, ["lisi"], "once a minute");
    t.advance(Duration::from_secs(61)).await;
    assert_refused(tap(&mut other, LINK).await, 403, "message.not_for_you");
    assert_eq!(audited_refusals(&t).await, ["lisi", "lisi"]);
    assert_eq!(read_links(&t.app.db).await[0].opened_at, None);
    let json = other.fetch(LINK).await;
    assert_eq!(json.status, 403);
    assert!(!json.text().contains("todo"), "{}", json.text());
}

#[tokio::test]
async fn in_wecom_with_another_account_wecom_is_asked_once_and_then_there_is_a_page() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let mut phone = t.signed_in("lisi").await;
    let first = phone.get(LINK).await;
    let again = format!("{PUBLIC_URL}/sso/login?rd=%2Fsso%2Fm%2FL1%3Fagain%3D1");
    assert_eq!(first.location().expect("WeCom is asked").as_str(), again);
    assert_refused(tap(&mut phone, LINK).await, 403, "message.not_for_you");
    // The account was switched in the app.
    t.wecom.set_phone_member("zhangsan");
    assert_eq!(tap(&mut phone, LINK).await.expect("arrives").as_str(), TARGET);
}

#[tokio::test]
async fn a_link_that_has_expired_was_recalled_or_never_was_is_gone_for_everybody() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let ((db, corp), now) = (db_and_corp(&t), t.app.clock.now());
    let taken_back =
        MessageFixture { recall_at: Some(now.millis()), ..MessageFixture::to("m2", 2, &["zhangsan"]) };
    taken_back.write(db, corp, now).await;
    RecipientFixture::pending("m2", "=zhangsan", "zhangsan").write(db, corp).await;
    write_link(db, corp, "L2", "m2", TARGET, now.plus(LINK_LIFETIME)).await;
    let mut phone = t.signed_in("zhangsan").await;
    let long = "x".repeat(65);
    for id in ["L2", "l1", "never", "L1%00", "L1%2F", "%FF", "%E4%BD%A0", long.as_str()] {
        for mut browser in [phone.clone(), t.desktop()] {
            assert_refused(
                tap(&mut browser, &format!("{PUBLIC_URL}/sso/m/{id}")).await,
                410,
                "message.expired",
            );
        }
    }
    t.advance(LINK_LIFETIME).await;
    assert_refused(tap(&mut phone, LINK).await, 410, "message.expired");
    let page = phone.get(LINK).await;
    assert!(page.link_with("/sso/login").is_some(), "the way back: {}", page.text());
}

#[tokio::test]
async fn whoever_left_is_asked_to_sign_in_and_cannot() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let wangwu = t.person("wangwu").await["id"].as_str().expect("an id").to_owned();
    write_message(&t, &[(&wangwu, "wangwu")]).await;
    let mut phone = t.signed_in("wangwu").await;
    assert!(tap(&mut phone, LINK).await.is_ok());
    t.wecom.remove_member("wangwu");
    t.sync_fully().await;
    let (status, text) = tap(&mut phone, LINK).await.expect_err("a page");
    assert_eq!(status, 403, "{text}");
    assert!(text.contains("signin."), "{text}");
}

#[tokio::test]
async fn a_person_whose_userid_changed_opens_it_and_the_next_holder_of_a_userid_does_not() {
    let t = TestApp::with("[directory]\nlink_by = [\"userid\", \"mobile\"]").await;
    t.wecom.change_app(|app| app.legacy_fields = true);
    t.sync_fully().await;
    let lisi = t.person("lisi").await["id"].as_str().expect("an id").to_owned();
    write_message(&t, &[(&lisi, "lisi")]).await;
    t.wecom.change_member("lisi", |m| m.userid = "li.si".to_owned());
    t.sync_fully().await;
    let mut renamed = t.signed_in("li.si").await;
    assert_eq!(tap(&mut renamed, LINK).await.expect("arrives").as_str(), TARGET);
    t.wecom.add_member(SimulatedMember::new("lisi", "李思").with_departments([2]).with_mobile("13911110000"));
    t.sync_fully().await;
    let mut next = t.signed_in("lisi").await;
    assert_refused(tap(&mut next, LINK).await, 403, "message.not_for_you");
}

#[tokio::test]
async fn what_everybody_got_everybody_opens() {
    let t = app_with_message("", &[("@all", "@all")]).await;
    let mut phone = t.phone_of("lisi");
    assert!(tap(&mut phone, LINK).await.is_ok());
}

#[tokio::test]
async fn the_link_works_on_every_host_under_the_prefix_that_hosts_proxy() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    for url in [format!("{APP_URL}/_gongpai/m/L1"), format!("{PUBLIC_URL}/_gongpai/m/L1")] {
        let mut phone = t.phone_of("zhangsan");
        assert_eq!(tap(&mut phone, &url).await.expect("arrives").as_str(), TARGET, "{url}");
        let mut other = t.phone_of("lisi");
        assert_refused(tap(&mut other, &url).await, 403, "message.not_for_you");
        // The browser is signed in there too, and the account was switched in the app.
        t.wecom.set_phone_member("zhangsan");
        assert_eq!(tap(&mut other, &url).await.expect("arrives").as_str(), TARGET, "{url}");
    }
    let page = t.phone_of("zhangsan").get(format!("{APP_URL}/_gongpai/m/L1")).await;
    assert_eq!(
        page.location().expect("to sign in").as_str(),
        format!("{APP_URL}/_gongpai/login?rd=%2F_gongpai%2Fm%2FL1")
    );
}

#[tokio::test]
async fn a_host_that_is_no_longer_ours_is_not_gone_to() {
    let t = TestApp::with("[login]\nredirect_hosts = [\"hr.example.com\"]").await;
    write_message(&t, &[("=zhangsan", "zhangsan")]).await;
    let mut phone = t.signed_in("zhangsan").await;
    assert_refused(tap(&mut phone, LINK).await, 410, "message.expired");
}

#[tokio::test]
async fn head_tells_the_way_and_opens_nothing() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let head = |url: &str| BrowserRequest::bare(Method::HEAD, url);
    let page = t.desktop().send(head(LINK)).await;
    assert!(page.location().expect("to sign in").path().ends_with("/login"));
    let mut phone = t.signed_in("zhangsan").await;
    assert_eq!(phone.send(head(LINK)).await.location().expect("the target").as_str(), TARGET);
    assert_eq!(read_links(&t.app.db).await[0].opened_at, None);
    assert_eq!(phone.send(head(&format!("{PUBLIC_URL}/sso/m/no"))).await.status, 410);
}

#[tokio::test]
async fn without_sessions_that_can_be_checked_it_is_under_maintenance_and_nobody_goes_in_circles() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let mut phone = t.signed_in("zhangsan").await;
    t.app.db.close().await;
    let page = phone.get(LINK).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("store.unavailable"), "{}", page.text());
    assert_eq!(page.header("refresh"), Some("5;url=/sso/m/L1?a=1"));
    assert_eq!(phone.get(format!("{LINK}?a=1")).await.header("refresh"), None, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_12_no_stored_target_leads_to_another_host() {
    let t = app_with_message("", &[("=zhangsan", "zhangsan")]).await;
    let (db, corp) = db_and_corp(&t);
    let mut phone = t.signed_in("zhangsan").await;
    let text = include_str!("../data/security/open_redirect_payloads.txt");
    let payloads = text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty());
    let (mut arrived, mut tried) = (0, 0);
    for (n, payload) in payloads.map(|line| line.replace("GATEWAY", "oa.example.com")).enumerate() {
        let id = format!("p{n}");
        write_link(db, corp, &id, "m1", &payload, t.app.clock.now().plus(LINK_LIFETIME)).await;
        let page = phone.get(format!("{PUBLIC_URL}/sso/m/{id}")).await;
        tried += 1;
        match page.location() {
            Some(to) => {
                arrived += 1;
                let host = to.host_str().unwrap_or_default();
                assert!(matches!(host, "oa.example.com" | "app.example.com"), "{payload:?} leads to {to}");
                assert!(to.scheme() == "https" && to.username().is_empty(), "{payload:?} leads to {to}");
            }
            None => assert_eq!(page.status, 410, "{payload:?}"),
        }
    }
    assert!(tried > 340 && arrived > 0, "{tried} {arrived}");
}
