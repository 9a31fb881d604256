//! The views of messages while these travel.

use std::time::Duration;

use gongpai::testing::base::id::{ClientId, MessageId};
use gongpai::testing::message::MessageStatus;
use gongpai::testing::message::views::{MessageFilter, MessageView};
use serde_json::{Value, json};

use crate::support::api::get_json;
use crate::support::app::TestApp;
use crate::support::messages::{CallFixture, MessageFixture, ReasonFixture, RecipientFixture, write_hold};

async fn find_message(t: &TestApp, id: &str) -> MessageView {
    t.app.messages.find(&MessageId::new(id)).await.expect("the database answers").expect("a message")
}

async fn as_json(t: &TestApp, id: &str) -> Value {
    get_json(t, &format!("/api/v1/messages/{id}")).await
}

async fn list_ids(t: &TestApp, filter: MessageFilter) -> Vec<String> {
    let listed = t.app.messages.list(filter).await.expect("the database answers");
    listed.into_iter().map(|m| m.id.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_message_is_shown_from_acceptance_on_as_the_api_promises() {
    let t = TestApp::start().await;
    let (db, corp, now) = (&t.app.db, &t.app.config.wecom.corp_id, t.app.clock.now());
    let stored = MessageFixture { expanded: false, ..MessageFixture::to("m1", 1, &["zhangsan", "LiSi"]) };
    stored.write(db, corp, now).await;
    let at = now.rfc3339();
    let pending = |userid: &str| json!({"userid": userid, "status": "pending", "reason": null});
    let want = json!({
        "id": "m1", "status": "accepted", "recipients": [pending("LiSi"), pending("zhangsan")], "interactions": [],
        "reason": null, "attempts": 0, "created_at": at, "updated_at": at,
    });
    assert_eq!(as_json(&t, "m1").await, want);
    assert_eq!(find_message(&t, "m1").await.internals.counts.pending, 2);

    // Half of the recipients are written: each is shown once.
    RecipientFixture::pending("m1", "=lisi", "LiSi").write(db, corp).await;
    let written = as_json(&t, "m1").await;
    assert_eq!(written["recipients"], json!([pending("LiSi"), pending("zhangsan")]));
    assert_eq!(find_message(&t, "m1").await.internals.counts.pending, 2);
    assert!(t.app.messages.find(&MessageId::new("m2")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_is_sending_once_a_recipient_had_a_call_or_one_was_tried() {
    let t = TestApp::start().await;
    let (db, corp, now) = (&t.app.db, &t.app.config.wecom.corp_id, t.app.clock.now());
    for (id, seq) in [("planned", 1), ("tried", 2), ("half", 3)] {
        MessageFixture::to(id, seq, &["a", "b"]).write(db, corp, now).await;
    }
    CallFixture::due("c0", 0).write(db, corp).await;
    CallFixture::due("c3", 3).write(db, corp).await;
    let calling = |id, call| RecipientFixture {
        status: "calling",
        call: Some(call),
        ..RecipientFixture::pending(id, "=a", "a")
    };
    calling("planned", "c0").write(db, corp).await;
    calling("tried", "c3").write(db, corp).await;
    RecipientFixture { status: "sent", ..RecipientFixture::pending("half", "=a", "a") }.write(db, corp).await;
    RecipientFixture::pending("half", "=b", "b").write(db, corp).await;
    let of = async |id| {
        let shown = find_message(&t, id).await;
        (shown.status, shown.attempts)
    };
    assert_eq!(of("planned").await, (MessageStatus::Accepted, 0));
    assert_eq!(of("tried").await, (MessageStatus::Sending, 3));
    assert_eq!(of("half").await, (MessageStatus::Sending, 0));
    let with = |status| MessageFilter { status: Some(status), ..MessageFilter::default() };
    assert_eq!(list_ids(&t, with(MessageStatus::Sending)).await, ["half", "tried"]);
    assert_eq!(list_ids(&t, with(MessageStatus::Accepted)).await, ["planned"]);
}

#[tokio::test]
async fn of_an_unknown_outcome_it_is_said_that_the_message_may_have_arrived() {
    let t = TestApp::start().await;
    let (db, corp, now) = (&t.app.db, &t.app.config.wecom.corp_id, t.app.clock.now());
    MessageFixture { status: "unknown", ..MessageFixture::to("m1", 1, &["a", "b"]) }
        .write(db, corp, now)
        .await;
    let unknown = RecipientFixture { status: "unknown", ..RecipientFixture::pending("m1", "=a", "a") };
    unknown.write(db, corp).await;
    let refused = RecipientFixture {
        status: "failed",
        reason: ReasonFixture::of("person_left"),
        ..RecipientFixture::pending("m1", "=b", "b")
    };
    refused.write(db, corp).await;
    let shown = as_json(&t, "m1").await;
    assert_eq!((&shown["status"], &shown["recipients"][0]["status"]), (&json!("unknown"), &json!("failed")));
    let reason = shown["recipients"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("Nobody knows") && reason.contains("may have arrived"), "{reason}");
    assert_eq!(
        shown["recipients"][1],
        json!({"userid": "b", "status": "failed", "reason": "The person has left the corporation."})
    );
}

#[tokio::test]
async fn while_nothing_can_be_sent_open_messages_say_why() {
    let t = TestApp::start().await;
    let (db, corp, now) = (&t.app.db, &t.app.config.wecom.corp_id, t.app.clock.now());
    MessageFixture::to("open", 1, &["a"]).write(db, corp, now).await;
    let ended = MessageFixture {
        status: "failed",
        reason: ReasonFixture::buried("why"),
        ..MessageFixture::to("ended", 2, &["a"])
    };
    ended.write(db, corp, now).await;
    write_hold(db, corp, [now, now.plus(Duration::from_secs(600))], (60020, "not trusted")).await;
    let reason_of = async |id| find_message(&t, id).await.reason.map(|reason| reason.to_string());
    assert_eq!(reason_of("open").await.as_deref(), Some("WeCom refused message/send: 60020 not trusted"));
    assert_eq!(reason_of("ended").await.as_deref(), Some("Given up by hand: why"));
    t.advance(Duration::from_secs(601)).await;
    assert_eq!(find_message(&t, "open").await.reason, None);
}

#[tokio::test]
async fn a_list_is_newest_first_by_person_client_and_page() {
    let t = TestApp::start().await;
    let (db, corp, now) = (&t.app.db, &t.app.config.wecom.corp_id, t.app.clock.now());
    for (id, seq, user) in [("m1", 1, "a_b"), ("m2", 2, "aXb"), ("m3", 3, "c"), ("m4", 4, "a_b")] {
        let expanded = id != "m4";
        let client = if id == "m3" { "" } else { "oa" };
        MessageFixture { expanded, client, ..MessageFixture::to(id, seq, &[user]) }
            .write(db, corp, now)
            .await;
        if expanded {
            let person = (id == "m2").then_some("p-2");
            let member = if id == "m2" { "p-2".to_owned() } else { format!("={user}") };
            RecipientFixture { person, ..RecipientFixture::pending(id, &member, user) }.write(db, corp).await;
        }
    }
    let by = |userid: &str| MessageFilter { userid: Some(userid.to_owned()), ..MessageFilter::default() };
    assert_eq!(list_ids(&t, by("A_B")).await, ["m4", "m1"], "an unexpanded one too; `_` is no wildcard");
    assert_eq!(list_ids(&t, by("p-2")).await, ["m2"], "by the person's id");
    assert_eq!(list_ids(&t, by("users")).await, Vec::<String>::new());
    let client = MessageFilter { client: Some(ClientId::new("")), ..MessageFilter::default() };
    assert_eq!(list_ids(&t, client).await, ["m3"]);
    assert_eq!(
        list_ids(&t, MessageFilter { limit: 3, ..MessageFilter::default() }).await,
        ["m4", "m3", "m2"]
    );
    assert_eq!(list_ids(&t, MessageFilter { before: Some(2), ..MessageFilter::default() }).await, ["m1"]);
}
