//! Members of old corporations with userids that WeCom no longer gives out: kept, shown, signed in
//! and written to.

use std::time::Duration;

use gongpai::simulator::SimulatedMember;
use serde_json::json;

use crate::support::app::{PUBLIC_URL, TestApp};
use crate::support::eventually;
use crate::support::sending::{accept_order, post_message, text_order};

/// Each userid, and its form in `Remote-User`.
const ODD: [(&str, &str); 5] =
    [("a+b", "a+b"), ("w#1", "w#1"), ("张三", "%E5%BC%A0%E4%B8%89"), ("_lead", "_lead"), ("c,d", "c%2Cd")];

async fn app_with_old_userids() -> TestApp {
    let t = TestApp::with(
        "[[rules]]\nhost = \"oa.example.com\"\npath = \"/boss\"\nallow = [\"user:张三\"]\n\
         [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n",
    )
    .await;
    t.wecom.change(|world| {
        world
            .members
            .extend(ODD.iter().map(|(userid, _)| SimulatedMember::new(userid, userid).with_departments([2])));
        // These cannot be addressed: they would mean two people, and everybody.
        world.members.push(SimulatedMember::new("x|y", "竖线").with_departments([2]));
        world.members.push(SimulatedMember::new("@all", "全体").with_departments([2]));
    });
    t
}

#[tokio::test]
async fn a_member_with_a_userid_that_wecom_would_not_give_today_is_shown_signed_in_and_written_to() {
    let t = app_with_old_userids().await;
    t.sync_fully().await;
    let listed = t.list("/directory/persons").await;
    assert!(
        listed.iter().all(|person| person["userid"] != "x|y" && person["userid"] != "@all"),
        "{listed:?}"
    );
    for (userid, header) in ODD {
        let encoded = urlencoding::encode(userid).into_owned();
        let person = t.person(&encoded).await;
        assert_eq!((&person["userid"], &person["status"]), (&json!(userid), &json!("active")), "{userid}");
        let phone = t.signed_in(userid).await;
        let page = t.check(&phone, &format!("{PUBLIC_URL}/x")).await;
        assert_eq!((page.status.as_u16(), page.header("remote-user")), (200, Some(header)), "{userid}");
        let boss = t.check(&phone, &format!("{PUBLIC_URL}/boss")).await.status;
        assert_eq!(boss == 200, userid == "张三", "user: rules compare as it is written");
        let sessions = t.get(&format!("/sessions?userid={encoded}")).await;
        assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1), "{userid}: {sessions}");
    }
    let users = ODD.map(|(userid, _)| userid);
    accept_order(&t, &text_order(&users, "通知")).await;
    for userid in users {
        eventually(userid, async || {
            t.advance(Duration::from_secs(1)).await;
            (!t.wecom.inbox(userid).is_empty()).then_some(())
        })
        .await;
    }
    for several in ["x|y", "@all", "ww1/zhangsan"] {
        assert_eq!(post_message(&t, &text_order(&[several], "通知")).await.status, 422, "{several}");
    }
}

#[tokio::test]
async fn a_member_with_an_odd_userid_signs_in_before_any_run_and_a_linked_corporations_never_does() {
    let t = app_with_old_userids().await;
    for (userid, header) in ODD {
        let phone = t.signed_in(userid).await;
        assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.header("remote-user"), Some(header));
    }
    let mut phone = t.phone_of("x|y");
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert!(
        page.text().contains("signin.not_member") && page.status == 403,
        "{} {}",
        page.status,
        page.text()
    );
}
