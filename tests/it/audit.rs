//! The audit trail: who, what, when, from where, decision, rule; and never a secret.

use std::time::Duration;

use gongpai::simulator::InjectedFault;
use gongpai::testing::audit::AuditRow;
use gongpai::testing::keys::store::list_keys;
use reqwest::Method;

use crate::support::app::{API_SECRET, APP_URL, PUBLIC_URL, TestApp};
use crate::support::audit::read_audit_trail;
use crate::support::browser::{Browser, BrowserRequest};
use crate::support::eventually;
use crate::support::feed::read_feed_texts;
use crate::support::sessions::{read_attempt_texts, read_session_texts, read_ticket_texts};

fn rows_of_event<'r>(rows: &'r [AuditRow], event: &str) -> Vec<&'r AuditRow> {
    rows.iter().filter(|row| row.event == event).collect()
}

#[tokio::test]
async fn a_sign_in_is_recorded_with_who_when_from_where_and_how() {
    let t = TestApp::start().await;
    t.signed_in("zhangsan").await;
    let rows = read_audit_trail(&t).await;
    let [row] = rows_of_event(&rows, "sign-in")[..] else { panic!("{rows:?}") };
    assert_eq!((&*row.userid, &*row.decision, &*row.host), ("zhangsan", "allowed", "oa.example.com"));
    assert_eq!((row.at, &*row.address), (t.app.clock.now(), "203.0.113.7"));
    assert!(row.detail.contains("wecom-app"), "{}", row.detail);
    assert!(!row.request_id.is_empty());
}

#[tokio::test]
async fn a_refused_sign_in_is_recorded_with_its_reason() {
    let t = TestApp::start().await;
    for userid in ["zhouba", "wujiu"] {
        let mut phone = t.phone_of(userid);
        let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
        assert_eq!(page.status, 403, "{userid}");
        let rows = read_audit_trail(&t).await;
        let row =
            rows_of_event(&rows, "sign-in").into_iter().find(|row| row.userid == userid).expect("a row");
        assert_eq!(row.decision, "refused");
        assert!(row.detail.starts_with("signin."), "{}", row.detail);
        assert_eq!(row.address, "203.0.113.7");
    }
}

#[tokio::test]
async fn while_wecom_is_down_the_trail_grows_by_a_row_a_minute_and_tells_how_many_there_were() {
    let t = TestApp::start().await;
    t.wecom.fail_always("auth/getuserinfo", InjectedFault::Errcode(60020, "not allow to access".to_owned()));
    let refused = async |times: usize| {
        for _ in 0..times {
            let page = t.phone_of("zhangsan").open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
            assert_eq!(page.status, 503);
        }
        let rows = read_audit_trail(&t).await;
        rows_of_event(&rows, "sign-in").into_iter().map(|row| row.detail.clone()).collect::<Vec<_>>()
    };
    let first = refused(7).await;
    assert_eq!(first.len(), 1, "{first:?}");
    t.advance(Duration::from_secs(61)).await;
    let second = refused(3).await;
    assert_eq!(second.len(), 2, "{second:?}");
    assert_eq!(second[1], format!("{}; 6 more like it before were not written", first[0]));
    // A sign-in that is allowed is written each time, and another reason is another refusal.
    t.wecom.clear_faults();
    t.signed_in("lisi").await;
    t.signed_in("lisi").await;
    let page = t.phone_of("zhouba").open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_eq!(page.status, 403);
    assert_eq!(rows_of_event(&read_audit_trail(&t).await, "sign-in").len(), 5);
    // A count without a later refusal is written at the end.
    t.app.close().await;
}

#[tokio::test]
async fn hand_off_sign_out_and_recheck_are_recorded() {
    let t = TestApp::start().await;
    let mut phone = t.signed_in("zhangsan").await;
    assert_eq!(phone.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await.status, 200);
    let rows = read_audit_trail(&t).await;
    let [row] = rows_of_event(&rows, "hand-off")[..] else { panic!("{rows:?}") };
    assert_eq!((&*row.userid, &*row.decision, &*row.host), ("zhangsan", "allowed", "app.example.com"));
    assert_eq!(row.address, "203.0.113.7");

    phone.open(format!("{PUBLIC_URL}/sso/logout?rd=/")).await;
    let rows = read_audit_trail(&t).await;
    let [row] = rows_of_event(&rows, "sign-out")[..] else { panic!("{rows:?}") };
    assert_eq!((&*row.userid, &*row.decision, &*row.host), ("zhangsan", "done", "oa.example.com"));

    t.signed_in("lisi").await;
    t.wecom.remove_member("lisi");
    t.advance(Duration::from_secs(11 * 60)).await;
    t.app.sso.recheck_due(Duration::from_secs(600)).await.expect("WeCom answers");
    // The job of the gateway itself may have been faster.
    let row = eventually("the recheck is recorded", async || {
        read_audit_trail(&t).await.into_iter().find(|row| row.event == "recheck")
    })
    .await;
    assert_eq!((&*row.userid, &*row.decision), ("lisi", "done"));
    assert!(row.detail.contains("left"), "{}", row.detail);
}

#[tokio::test]
async fn a_refusal_of_the_gate_is_recorded_with_its_rule_once_a_minute() {
    let t = TestApp::with(
        "[[rules]]\nhost = \"oa.example.com\"\npath = \"/finance/**\"\nallow = [\"user:lisi\"]\n\
         [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n",
    )
    .await;
    let phone = t.signed_in("zhangsan").await;
    let refused = async |path: &str| {
        assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}{path}")).await.status, 403);
    };
    let rows = async |count: usize| {
        eventually(&format!("{count} rows"), async || {
            let rows: Vec<AuditRow> =
                read_audit_trail(&t).await.into_iter().filter(|r| r.event == "gate").collect();
            (rows.len() >= count).then_some(rows)
        })
        .await
    };
    for n in 0..20 {
        refused(&format!("/finance/books?token=SECRET{n}")).await;
    }
    let first = rows(1).await;
    assert_eq!(first.len(), 1);
    let row = &first[0];
    assert_eq!((&*row.userid, &*row.decision, &*row.host), ("zhangsan", "refused", "oa.example.com"));
    assert!(row.detail.contains("rule 1") && row.detail.contains("user:lisi"), "{}", row.detail);
    assert!(row.detail.contains("GET") && row.detail.contains("/finance/books"), "{}", row.detail);
    assert!(!row.detail.contains("SECRET"), "{}", row.detail);
    assert_eq!((row.at, &*row.address), (t.app.clock.now(), "127.0.0.1"));
    // Refused every half minute: that is a row a minute, and not a single one.
    for _ in 0..4 {
        t.advance(Duration::from_secs(31)).await;
        refused("/finance/x").await;
    }
    assert_eq!(rows(3).await.len(), 3);
    // No known person was refused, so nothing is recorded.
    let nobody = Browser::new("x");
    assert_eq!(t.check(&nobody, &format!("{PUBLIC_URL}/finance/x")).await.status, 401);
}

#[tokio::test]
async fn no_row_of_the_trail_and_none_of_the_database_has_a_token_code_or_secret() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let mut secrets = vec![API_SECRET.to_owned(), t.wecom.world().app.secret];
    for start in
        [format!("{PUBLIC_URL}/sso/login?rd=/"), format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")]
    {
        let mut page = phone.get(&start).await;
        while let Some(next) = page.location() {
            let named = next.query_pairs().filter(|(k, _)| matches!(&**k, "code" | "state" | "ticket" | "h"));
            secrets.extend(named.map(|(_, v)| v.into_owned()));
            page = phone.send(BrowserRequest::navigate(next.as_str())).await;
        }
        assert_eq!(page.status, 200);
    }
    secrets.extend(phone.cookies.all().map(|c| c.value.clone()).filter(|v| v.len() > 8));
    let ask = BrowserRequest::bare(
        Method::GET,
        &format!("{PUBLIC_URL}/sso/callback?code=JUNKCODE123456&state=JUNKSTATE123456"),
    );
    phone.send(ask).await;
    secrets.extend(["JUNKCODE123456".to_owned(), "JUNKSTATE123456".to_owned()]);
    assert!(secrets.len() > 8);
    let trail = format!("{:?}", read_audit_trail(&t).await);
    for secret in &secrets {
        assert!(!trail.contains(secret), "{secret} in {trail}");
    }
    // A copy of the database signs nobody in.
    let db = &t.app.db;
    let keys = list_keys(db).await.expect("the database answers");
    for (table, rows) in [
        ("sessions", read_session_texts(db).await),
        ("attempts", read_attempt_texts(db).await),
        ("tickets", read_ticket_texts(db).await),
        ("signing_keys", keys.iter().map(|key| format!("{}{}", key.jwk, key.sealed)).collect()),
        ("feed", read_feed_texts(db).await),
    ] {
        for row in rows {
            for secret in &secrets {
                assert!(!row.contains(secret), "{table}: {secret} in {row}");
            }
            assert!(!row.contains("PRIVATE") && !row.contains("\"d\""), "{table}: {row}");
        }
    }
}

#[tokio::test]
async fn whatever_a_browser_or_wecom_sends_can_be_recorded() {
    let t = TestApp::start().await;
    t.wecom.change_member("zhangsan", |m| m.name = "张\u{0}三\r\n\u{1b}[31m".to_owned());
    let mut phone = t.phone_of("zhangsan");
    phone.user_agent = format!("{} \t{}", phone.user_agent, "x".repeat(300));
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/%00%0d%0a")).await;
    assert!(matches!(page.status.as_u16(), 200 | 400 | 404), "{} {}", page.status, page.text());
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let page = t.check(&phone, &format!("{PUBLIC_URL}/x")).await;
    assert_eq!(page.status, 200, "{} {:?}", page.text(), phone.cookies);
    let name = page.header("remote-name").expect("a name");
    assert!(name.is_ascii() && !name.contains(['\r', '\n']), "{name}");
}
