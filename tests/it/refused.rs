//! Who is not let in: each gets the page that says why, and neither a session nor a cookie.

use std::time::Duration;

use gongpai::simulator::{InjectedFault, SimulatedStatus};

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::audit::read_audit_trail;
use crate::support::browser::{Browser, DESKTOP, Page};
use crate::support::chart_rows::find_person_statuses;

/// Asserts that nobody was let in: the page has its code and both languages, and nothing could be a
/// session.
async fn assert_refused(t: &TestApp, browser: &Browser, page: &Page, status: u16, code: &str) {
    assert_eq!(page.status.as_u16(), status, "{}", page.text());
    let text = page.words();
    assert!(text.contains(code), "{code}: {text}");
    let row =
        gongpai::testing::http::words::Code::ALL.iter().find(|c| c.as_str() == code).expect("a code").row();
    assert!(text.contains(&*row.happened.zh) && text.contains(&*row.happened.en), "{code}: {text}");
    assert!(text.contains(page.header("x-request-id").expect("a request id")), "a number to quote");
    assert!(browser.cookies.all().all(|c| !c.name.ends_with("-gongpai")), "a session cookie");
    assert!(page.headers.get("location").is_none());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(t.check(browser, PUBLIC_URL).await.status, 401);
}

async fn try_sign_in(t: &TestApp, userid: &str) -> (Browser, Page) {
    let mut phone = t.phone_of(userid);
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    (phone, page)
}

#[tokio::test]
async fn case_21_an_external_contact_is_refused() {
    let t = TestApp::start().await;
    let (phone, page) = try_sign_in(&t, "oSimulatorCustomer000000000A").await;
    assert_refused(&t, &phone, &page, 403, "signin.not_member").await;
    assert_eq!(t.wecom.calls("user/get"), 0);
    assert_eq!((t.count_rows("sessions").await, t.count_rows("persons").await), (0, 0));
}

#[tokio::test]
async fn case_21_an_outsider_is_refused_in_every_spelling() {
    let t = TestApp::start().await;
    for answer in [
        r#"{"errcode":0,"errmsg":"ok","openid":"oABC"}"#,
        r#"{"errcode":0,"errmsg":"ok","OpenId":"oABC","DeviceId":""}"#,
        r#"{"errcode":0,"errmsg":"ok","external_userid":"wmABC"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":"","openid":"oABC"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan","openid":"oABC"}"#,
        r#"{"errcode":0,"errmsg":"ok","UserId":"zhangsan","OpenId":"oABC"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan","external_userid":"wmABC"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":""}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":" "}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":" zhangsan"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan\n"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":null}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan","userid":"lisi"}"#,
        r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan","UserId":"lisi"}"#,
        r#"{"errcode":0,"errmsg":"ok"}"#,
    ] {
        t.wecom.fail_next("auth/getuserinfo", InjectedFault::Text(answer.to_owned()));
        let (phone, page) = try_sign_in(&t, "zhangsan").await;
        assert!(page.status == 403 || page.status == 503, "{answer}: {}", page.status);
        assert!(phone.cookies.all().all(|c| !c.name.ends_with("-gongpai")), "{answer}");
        if page.status == 403 {
            assert_refused(&t, &phone, &page, 403, "signin.not_member").await;
        }
    }
    assert_eq!((t.count_rows("sessions").await, t.wecom.calls("user/get")), (0, 0));
}

#[tokio::test]
async fn case_22_a_member_of_a_linked_corporation_is_refused() {
    let t = TestApp::start().await;
    let (phone, page) = try_sign_in(&t, "wwfedcba9876543210/liwei").await;
    assert_refused(&t, &phone, &page, 403, "signin.linked_corp").await;
    // Not even one with the userid of a member of this corporation.
    t.wecom.fail_next(
        "auth/getuserinfo",
        InjectedFault::Text(r#"{"errcode":0,"userid":"wwfedcba9876543210/zhangsan"}"#.to_owned()),
    );
    let (phone, page) = try_sign_in(&t, "zhangsan").await;
    assert_refused(&t, &phone, &page, 403, "signin.linked_corp").await;
    assert_eq!(t.wecom.calls("user/get"), 0);
}

#[tokio::test]
async fn case_22_the_same_userid_in_two_corporations_is_two_persons() {
    let wecom = gongpai::simulator::Simulator::start().await.unwrap();
    let database = crate::support::database::TestDatabase::create().await;
    let t = TestApp::with_parts(wecom, database, "").await;
    t.signed_in("zhangsan").await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    let first: serde_json::Value = desktop.get(format!("{PUBLIC_URL}/sso/session")).await.json();
    let other = gongpai::simulator::Simulator::start().await.unwrap();
    other.change(|w| w.corp_id = "wwaaaaaaaaaaaaaaaa".to_owned());
    let second = t.another(other).await;
    let mut there = second.signed_in("zhangsan").await;
    let me: serde_json::Value = there.get(format!("{PUBLIC_URL}/sso/session")).await.json();
    assert_eq!(me["userid"], first["userid"]);
    assert_ne!(me["sub"], first["sub"]);
    assert_eq!(t.count_rows("persons").await, 2);
    // A session of one corporation is not valid in another.
    assert_eq!(second.check(&desktop, PUBLIC_URL).await.status, 401);
    assert_eq!(t.check(&there, PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn disabled_not_activated_left_and_invisible_members_each_get_their_page() {
    let t = TestApp::start().await;
    t.wecom.change_member("sunqi", |m| m.status = SimulatedStatus::Left);
    t.wecom.change(|w| w.members.retain(|m| m.userid != "zhaoliu"));
    for (userid, code, errcode) in [
        ("zhouba", "signin.disabled", None),
        ("wujiu", "signin.not_activated", None),
        ("sunqi", "signin.left", None),
        ("zhengshi", "signin.not_visible", Some("60011")),
        ("zhaoliu", "signin.not_visible", Some("60111")),
        ("nobody", "signin.not_visible", Some("60111")),
    ] {
        let (phone, page) = try_sign_in(&t, userid).await;
        assert_refused(&t, &phone, &page, 403, code).await;
        if let Some(errcode) = errcode {
            assert!(page.text().contains(errcode), "{userid}: {}", page.text());
        }
        assert!(page.link_with("logout").is_none(), "inside WeCom accounts are switched in the app");
    }
    assert_eq!(t.count_rows("sessions").await, 0);
    let trail = read_audit_trail(&t).await;
    assert!(!trail.is_empty() && trail.iter().all(|row| row.decision == "refused"), "{trail:?}");
}

#[tokio::test]
async fn only_status_1_is_let_in() {
    let t = TestApp::start().await;
    for status in ["2", "3", "4", "5", "6", "0", "-1", "11", "\"2\"", "null", "[1]", "\"\""] {
        let answer =
            format!(r#"{{"errcode":0,"errmsg":"ok","userid":"zhangsan","name":"张三","status":{status}}}"#);
        t.wecom.fail_next("user/get", InjectedFault::Text(answer));
        let (phone, page) = try_sign_in(&t, "zhangsan").await;
        assert!(page.status == 403 || page.status == 503, "{status}: {}", page.status);
        assert!(phone.cookies.all().all(|c| !c.name.ends_with("-gongpai")), "{status}");
    }
    let nothing = r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan","name":"张三"}"#;
    t.wecom.fail_next("user/get", InjectedFault::Text(nothing.to_owned()));
    let (_, page) = try_sign_in(&t, "zhangsan").await;
    assert_eq!(page.status, 403);
    assert_eq!(t.count_rows("sessions").await, 0);
}

#[tokio::test]
async fn an_answer_about_somebody_else_signs_nobody_in() {
    let t = TestApp::start().await;
    let answer = r#"{"errcode":0,"errmsg":"ok","userid":"lisi","name":"李四","status":1}"#;
    t.wecom.fail_next("user/get", InjectedFault::Text(answer.to_owned()));
    let (phone, page) = try_sign_in(&t, "zhangsan").await;
    assert_ne!(page.status, 200, "{}", page.text());
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 401);
    assert_eq!(t.count_rows("sessions").await, 0);
}

#[tokio::test]
async fn on_a_desk_the_refused_page_offers_another_account() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    let back = scan_page(&t, &page, "zhouba").await;
    let page = desktop.open(back).await;
    assert_refused(&t, &desktop, &page, 403, "signin.disabled").await;
    let other = page.link_with("/sso/logout").expect("换个账号");
    assert!(page.text().contains("换个账号"));
    let page = desktop.get(other).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/x"));
    let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    let page = desktop.open(page.link_with("again=1").expect("a button")).await;
    let back = scan_page(&t, &page, "zhangsan").await;
    assert_eq!(desktop.open(back).await.url.as_str(), format!("{PUBLIC_URL}/x"));
}

/// Scans the panel of a scan page, confirms on the phone of `userid`, and returns where the panel
/// goes.
async fn scan_page(t: &TestApp, page: &Page, userid: &str) -> String {
    let frame = page
        .text()
        .split("<iframe src=\"")
        .nth(1)
        .expect("a panel")
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    Browser::new(DESKTOP).get(&frame).await;
    let url: url::Url = frame.parse().unwrap();
    let state = url.query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
    t.wecom.confirm_scan(&state, userid).expect("a scan")
}

#[tokio::test]
async fn a_scan_signs_in_by_qr_and_its_page_is_as_the_design_says() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    let frame = text.split("<iframe ").nth(1).unwrap().split('>').next().unwrap().replace("&#38;", "&");
    assert!(frame.contains("allow=\"local-network-access\""), "{frame}");
    let wanted = [
        "/wwlogin/sso/login?login_type=CorpApp&appid=",
        "&agentid=1000002&redirect_uri=https%3A%2F%2Foa.example.com%2Fsso%2Fcallback",
        "&state=",
        "&redirect_type=top&panel_size=middle&lang=zh",
    ];
    assert!(wanted.iter().all(|w| frame.contains(w)), "{frame}");
    assert!(!frame.contains("redirect_type=self"));
    let link = page.link_with("/wwlogin/sso/login").expect("the plain link");
    assert!(!link.as_str().contains("redirect_type"));
    assert_eq!(page.header("refresh"), Some("480"), "renews its attempt every 8 minutes");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors 'none'") && policy.contains("frame-src http://127.0.0.1:"),
        "{policy}"
    );
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let back = scan_page(&t, &page, "zhangsan").await;
    let me: serde_json::Value = desktop.open(back).await.json();
    assert_eq!((&me["userid"], &me["amr"][0]), (&"zhangsan".into(), &"wecom-qr".into()));
}

#[tokio::test]
async fn a_scan_page_shown_for_more_than_five_minutes_counts_as_no_restart() {
    let t = TestApp::start().await;
    t.wecom.fail_always("auth/getuserinfo", InjectedFault::Errcode(40029, "invalid code".to_owned()));
    let mut desktop = t.desktop();
    let mut page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    for _ in 0..3 {
        t.advance(Duration::from_secs(290)).await;
        let back = scan_page(&t, &page, "zhangsan").await;
        t.advance(Duration::from_secs(11)).await;
        let restart = desktop.get(back).await;
        let to = restart.location().unwrap_or_else(|| panic!("{}", restart.text()));
        assert!(to.path() == "/sso/login" && !to.query().unwrap().contains("r=1"), "{to}");
        page = desktop.get(to).await;
    }
    // A quick one counts: one restart, then the page.
    let back = scan_page(&t, &page, "zhangsan").await;
    let restart = desktop.get(back).await.location().unwrap();
    assert!(restart.query().unwrap().contains("r=1"), "{restart}");
    let page = desktop.get(restart).await;
    let back = scan_page(&t, &page, "zhangsan").await;
    let end = desktop.get(back).await;
    assert_refused(&t, &desktop, &end, 400, "signin.code_used").await;
}

#[tokio::test]
async fn case_24_a_sign_in_that_learns_that_a_person_is_gone_ends_the_persons_sessions() {
    let change = |t: &TestApp, status| assert!(t.wecom.change_member("zhangsan", |m| m.status = status));
    for (n, status) in ["disabled", "inactive", "left", "left", "left"].into_iter().enumerate() {
        let t = TestApp::start().await;
        let before = t.signed_in("zhangsan").await;
        let other = t.signed_in("lisi").await;
        assert_eq!(t.check(&before, PUBLIC_URL).await.status, 200);
        match n {
            0 => change(&t, SimulatedStatus::Disabled),
            1 => change(&t, SimulatedStatus::NotActivated),
            2 => change(&t, SimulatedStatus::Left),
            3 => t.wecom.hide_from_app("zhangsan"),
            _ => t.wecom.remove_member("zhangsan"),
        }
        let (_, page) = try_sign_in(&t, "ZhangSan").await;
        assert_eq!(page.status, 403);
        t.advance(Duration::ZERO).await;
        assert_eq!(t.check(&before, PUBLIC_URL).await.status, 401, "{status}");
        assert_eq!(t.check(&other, PUBLIC_URL).await.status, 200);
        assert_eq!(find_person_statuses(&t.app.db, "zhangsan").await, [status]);
    }
}

#[tokio::test]
async fn a_person_who_comes_back_is_the_same_person() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    let sub = |me: serde_json::Value| me["sub"].as_str().unwrap().to_owned();
    let first = sub(phone.get(format!("{PUBLIC_URL}/sso/session")).await.json());
    t.wecom.change_member("zhangsan", |m| m.status = SimulatedStatus::Disabled);
    assert_eq!(try_sign_in(&t, "zhangsan").await.1.status, 403);
    t.wecom.change_member("zhangsan", |m| {
        m.status = SimulatedStatus::Active;
        m.name = "张三丰".to_owned();
        m.userid = "ZhangSan".to_owned();
    });
    let mut phone = t.signed_in("ZhangSan").await;
    t.advance(Duration::ZERO).await;
    let me: serde_json::Value = phone.get(format!("{PUBLIC_URL}/sso/session")).await.json();
    assert_eq!(
        (&me["userid"], &me["name"]),
        (&"ZhangSan".into(), &"张三丰".into()),
        "as WeCom writes it now"
    );
    assert_eq!(sub(me), first);
    assert_eq!(t.count_rows("persons").await, 1);
}

#[tokio::test]
async fn case_23_nobody_is_matched_by_mail_and_a_hostile_name_is_only_a_name() {
    let t = TestApp::start().await;
    let hostile = "\"><script>alert(1)</script>\r\nRemote-User: admin\u{0}";
    t.wecom.change_member("lisi", |m| {
        m.biz_mail = "zhangsan@example.wecom.work".to_owned();
        m.name = hostile.to_owned();
    });
    t.signed_in("zhangsan").await;
    let mut lisi = t.signed_in("lisi").await;
    assert_eq!(t.count_rows("persons").await, 2);
    let check = t.check(&lisi, PUBLIC_URL).await;
    assert_eq!(check.header("remote-user"), Some("lisi"));
    assert!(check.header("remote-name").unwrap().bytes().all(|b| b.is_ascii_graphic()), "{check:?}");
    let home = lisi.get(format!("{PUBLIC_URL}/")).await;
    assert!(!home.text().contains("<script>alert"), "case 35: {}", home.text());
}

#[tokio::test]
async fn case_35_what_comes_from_outside_is_escaped_on_every_page() {
    let t = TestApp::start().await;
    let payload = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    let encoded = urlencoding::encode(payload);
    for url in [
        format!("{PUBLIC_URL}/sso/login?rd=/{encoded}"),
        format!("{PUBLIC_URL}/sso/login?rd={encoded}"),
        format!("{PUBLIC_URL}/sso/login?h={encoded}"),
        format!("{PUBLIC_URL}/sso/callback?state={encoded}"),
        format!("{PUBLIC_URL}/sso/callback?state={encoded}&error_description={encoded}&rd=/{encoded}"),
        format!("{PUBLIC_URL}/sso/callback?code={encoded}&r=1"),
        format!("{PUBLIC_URL}/sso/logout?rd={encoded}"),
        format!("{PUBLIC_URL}/{encoded}"),
        format!("{APP_URL}/_gongpai/finish?ticket={encoded}"),
        format!("{APP_URL}/_gongpai/denied?rd=/{encoded}"),
    ] {
        let page = t.desktop().open(&url).await;
        let text = page.text();
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{url}: {text}");
        let policy =
            page.header("content-security-policy").unwrap_or_else(|| panic!("{url}: {}", page.status));
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    }
    let mut phone = t.desktop();
    let framed = crate::support::browser::BrowserRequest::navigate(&format!(
        "{PUBLIC_URL}/sso/callback?code={encoded}&state=x"
    ))
    .header("sec-fetch-dest", "iframe");
    assert!(!phone.send(framed).await.text().contains("<script>alert"));
}
