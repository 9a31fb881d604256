//! A database as the first schema left it is opened by today's program, on the engine of this run,
//! and everything in it can be read and goes on.
//!
//! The dumps in `tests/data/schema` were written from a running gateway with
//! `cargo nextest run --test it --run-ignored only write_the_dump`. They are written once for a
//! schema: a migration that is added gets dumps of its own, and these stay as they are.

use std::sync::Arc;
use std::time::Duration;

use gongpai::testing::directory::store::load_chart;
use gongpai::testing::message::Worker;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::api::{call, get_json, item_texts, items};
use crate::support::app::TestApp;
use crate::support::audit::audit_rows;
use crate::support::database::TestDatabase;
use crate::support::directory::find_holder;
use crate::support::messages::read_messages;
use crate::support::planted_rows::{ConflictFixture, insert_binding, insert_schedule, insert_ticket};
use crate::support::post::deliver_until_idle;
use crate::support::schema_dump::{load_dump, write_dump};
use crate::support::sending::{accept_order, sender_clients, text_order};
use crate::support::sessions::find_open_session_ids;

fn items_of(message: &Value, list: &str) -> Vec<String> {
    let items = message[list].as_array().expect("a list").iter();
    items.map(|item| item["userid"].as_str().expect("a userid").to_owned()).collect()
}

/// Delivers until a message has one of these statuses.
async fn deliver(t: &TestApp, message: &str, statuses: &[&str]) -> Value {
    for _ in 0..50 {
        let shown = get_json(t, &format!("/api/v1/messages/{message}")).await;
        if statuses.contains(&shown["status"].as_str().expect("a status")) {
            return shown;
        }
        t.advance(Duration::from_secs(3)).await;
        let chart = Arc::new(load_chart(&t.app.db, &t.app.config.wecom.corp_id).await.expect("the chart"));
        let worker =
            Worker::new(t.app.messages.clone(), move || Arc::clone(&chart), CancellationToken::new());
        deliver_until_idle(worker, &t.app.clock).await;
    }
    panic!("{message} never became {statuses:?}");
}

#[tokio::test]
#[ignore = "writes the dumps of a schema that is new"]
async fn write_the_dump() {
    let t = TestApp::with(&sender_clients("")).await;
    assert_eq!(t.app.db.engine(), "sqlite", "both dumps are written from SQLite");
    let (db, corp) = (&t.app.db, t.app.config.wecom.corp_id.as_str());
    t.signed_in("zhangsan").await;
    t.sync_fully().await;
    t.signed_in("lisi").await;
    let (zhangsan, lisi) = (find_holder(&t, "zhangsan").await, find_holder(&t, "lisi").await);
    ConflictFixture::open("c1", "reused", &zhangsan, &[&lisi]).write(db, corp).await;
    insert_binding(db, corp, "zhangsan", &zhangsan).await;
    insert_schedule(db, corp, "full", t.app.clock.now().millis()).await;
    let session = find_open_session_ids(db).await.remove(0);
    insert_ticket(db, corp, "a", &session, t.app.clock.now().millis()).await;
    let card = json!({"to": {"users": ["zhangsan"]}, "kind": "textcard",
                      "content": {"title": "请假", "description": "三天", "url": "https://oa.example.com/leave/1"}});
    let recalled = accept_order(&t, &card).await;
    deliver(&t, &recalled, &["sent"]).await;
    let page = call(&t, Method::POST, &format!("/api/v1/messages/{recalled}/recall"), "{}").await;
    assert_eq!(page.status, 202, "{}", page.text());
    deliver(&t, &recalled, &["recalled"]).await;
    accept_order(&t, &text_order(&["lisi"], "还没有发出")).await;
    write_dump(db, "0001").await;
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_read_and_goes_on() {
    let database = TestDatabase::create().await;
    load_dump(&database, "0001").await;
    let wecom = gongpai::simulator::Simulator::start().await.expect("the simulator starts");
    let t = TestApp::with_parts(wecom, database, &sender_clients("")).await;

    // What is read: the chart, the runs, what waits for a human, sessions, messages, the audit trail.
    let userids = item_texts(&get_json(&t, "/api/v1/directory/persons").await, "userid");
    assert!(userids.contains(&"zhangsan".to_owned()) && userids.contains(&"lisi".to_owned()), "{userids:?}");
    assert!(!items(&get_json(&t, "/api/v1/directory/units").await).is_empty());
    assert!(!items(&get_json(&t, "/api/v1/directory/tags").await).is_empty());
    assert!(!items(&get_json(&t, "/api/v1/directory/changes").await).is_empty());
    let runs = get_json(&t, "/api/v1/directory/sync").await;
    assert_eq!(item_texts(&runs, "status"), ["done"], "{runs}");
    let conflicts = get_json(&t, "/api/v1/directory/conflicts").await;
    assert_eq!(item_texts(&conflicts, "kind"), ["reused"]);
    assert_eq!(item_texts(&get_json(&t, "/api/v1/sessions").await, "userid"), ["zhangsan", "lisi"]);
    let ids: Vec<String> = read_messages(&t.app.db).await.into_iter().map(|message| message.id).collect();
    let [recalled, waiting] = &ids[..] else { panic!("two messages: {ids:?}") };
    let recalled = get_json(&t, &format!("/api/v1/messages/{recalled}")).await;
    assert_eq!(recalled["status"], "recalled");
    assert_eq!(items_of(&recalled, "recipients"), ["zhangsan"]);
    assert_eq!(audit_rows(&t, "sign-in").await.len(), 2);

    // What goes on: signing in, a run, and the message that waited.
    t.signed_in("zhangsan").await;
    t.sync_fully().await;
    deliver(&t, waiting, &["sent"]).await;
}
