//! `/api/v1/messages` and `/api/v1/media`: what is accepted, and how everything else is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gongpai::simulator::InjectedFault;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::message::accept::Sender;
use gongpai::testing::message::content::MessageRequest;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::api::{basic_auth, call, get, get_json, new_request, problem, send_request};
use crate::support::app::TestApp;
use crate::support::browser::Page;
use crate::support::feed::read_last_number;
use crate::support::messages::{read_links, read_message, read_message_audit, read_messages};
use crate::support::planted_rows::{hold_message_counter, mark_person_left, refuse_messages_with_boom};
use crate::support::sending::{
    MULTIPART_BOUNDARY, MULTIPART_TYPE, accept_order, accepted_id, post_message, post_message_as,
    sender_clients, sending_gateway, text_order, upload_form,
};

fn problem_text(page: &Page, status: u16, code: &str) -> String {
    assert_eq!(problem(page), (status, code.to_owned()), "{}", page.text());
    page.json::<Value>()["detail"].as_str().unwrap_or_default().to_owned()
}

async fn invalid_fields(t: &TestApp, order: &Value) -> String {
    problem_text(&post_message(t, order).await, 422, "message.invalid")
}

#[tokio::test]
async fn a_message_is_on_disk_when_it_is_accepted() {
    let t = sending_gateway().await;
    let page = post_message(&t, &text_order(&["zhangsan", "ZhangSan", "lisi"], "你好")).await;
    let answer: Value = page.json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "status"], "nothing was cut");
    let id = accepted_id(&page);
    let row = read_message(&t.app.db, &id).await;
    assert_eq!((row.content.as_str(), row.client.as_str()), (r#"{"content":"你好"}"#, "oa"));
    let shown = get_json(&t, &format!("/api/v1/messages/{id}")).await;
    assert_eq!(shown["id"], id.as_str());
    assert_eq!(shown["interactions"], json!([]));
    let users: Vec<&str> =
        shown["recipients"].as_array().unwrap().iter().map(|r| r["userid"].as_str().unwrap()).collect();
    assert_eq!(users, ["lisi", "zhangsan"], "somebody who is named twice gets it once");
}

#[tokio::test]
async fn a_client_sees_its_own_messages_only() {
    let t = sending_gateway().await;
    let theirs =
        accepted_id(&post_message_as(&t, "crm", None, &text_order(&["zhangsan"], "x").to_string()).await);
    for path in [format!("/api/v1/messages/{theirs}"), "/api/v1/messages/none".to_owned()] {
        problem_text(&get(&t, &path).await, 404, "api.not_found");
    }
    let own = new_request(&t, Method::GET, &format!("/api/v1/messages/{theirs}"))
        .header("authorization", &basic_auth("crm"));
    assert_eq!(send_request(own).await.status, 200);
    let none = new_request(&t, Method::GET, &format!("/api/v1/messages/{theirs}"))
        .header("authorization", &basic_auth("ro"));
    problem_text(&send_request(none).await, 403, "api.forbidden_scope");
}

#[tokio::test]
async fn who_may_send_and_to_whom_is_a_matter_of_scopes() {
    let t = sending_gateway().await;
    let order = text_order(&["zhangsan"], "x").to_string();
    let all = json!({"to": {"all": true}, "kind": "text", "content": {"content": "x"}}).to_string();
    problem_text(
        &send_request(new_request(&t, Method::POST, "/api/v1/messages").json(&order)).await,
        401,
        "api.unauthorized",
    );
    problem_text(&post_message_as(&t, "ro", None, &order).await, 403, "api.forbidden_scope");
    assert!(
        problem_text(&post_message_as(&t, "crm", None, &all).await, 403, "api.forbidden_scope")
            .contains("messages:all")
    );
    accepted_id(&post_message_as(&t, "oa", None, &all).await);
    let both = json!({"to": {"all": true, "users": ["lisi"]}, "kind": "text", "content": {"content": "x"}});
    assert!(invalid_fields(&t, &both).await.starts_with("to.all: "));
}

#[tokio::test]
async fn what_is_no_request_is_told_apart_from_what_cannot_be_sent() {
    let t = sending_gateway().await;
    for body in ["[]", "x", "{\"to\":", "\"text\""] {
        problem_text(&post_message_as(&t, "oa", None, body).await, 400, "api.bad_request");
    }
    let long = text_order(&["zhangsan"], &"x".repeat(1 << 20)).to_string();
    problem_text(&post_message_as(&t, "oa", None, &long).await, 413, "request.too_large");
    let query =
        call(&t, Method::POST, "/api/v1/messages?dry_run=1", &text_order(&["lisi"], "x").to_string()).await;
    problem_text(&query, 400, "api.bad_request");
    let kind = json!({"to": {"users": ["lisi"]}, "kind": "voice", "content": {}});
    assert_eq!(
        invalid_fields(&t, &kind).await,
        "kind: \"voice\" is none of text, markdown, textcard, news, template_card, image, file"
    );
    let several = json!({"to": {}, "kind": "textcard", "content": {"title": "t", "descripton": "d", "url": "x"},
                         "expires_at": "2026-11-22T07:59:59Z"});
    assert_eq!(
        invalid_fields(&t, &several).await,
        "to: names nobody: users, units, tags or all; \
         expires_at: 2026-11-22T07:59:59.000Z is not within the next 30 days; \
         content.description: is missing; content.url: is no URL that begins with http:// or https://; \
         content.descripton: is an unknown field"
    );
    let mut order = text_order(&["zhangsan"], "x");
    for (expires_at, good) in [
        ("2026-11-22T16:00:00.001+08:00", true),
        ("2026-12-22T08:00:00Z", true),
        ("2026-12-22T08:00:01Z", false),
    ] {
        order["expires_at"] = expires_at.into();
        assert_eq!(post_message(&t, &order).await.status == 202, good, "{expires_at}");
    }
    assert_eq!(t.count_rows("messages").await, 2, "what is refused leaves nothing behind");
}

#[tokio::test]
async fn recipients_who_cannot_get_it_are_named() {
    let t = sending_gateway().await;
    // Without a complete run WeCom knows better.
    accept_order(&t, &text_order(&["nobody"], "x")).await;
    let odd = invalid_fields(&t, &text_order(&["@all", "a|b", "张三"], "x")).await;
    assert_eq!(odd, "to.users: no userids of WeCom's: @all, a|b");
    t.sync_fully().await;
    let local = json!({"userid": "visitor", "name": "访客"}).to_string();
    assert_eq!(call(&t, Method::POST, "/api/v1/directory/persons", &local).await.status, 201);
    mark_person_left(&t.app.db, "wangwu", None).await;
    let users = text_order(&["zhangsan", "nobody", "visitor", "wangwu"], "x");
    assert_eq!(
        invalid_fields(&t, &users).await,
        "to.users: not in the directory: nobody; to.users: no account in WeCom: visitor; \
         to.users: left the company: wangwu"
    );
    let many: Vec<String> = (0..12).map(|n| format!("nobody{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(invalid_fields(&t, &text_order(&many, "x")).await.ends_with("nobody8, nobody9 and 2 more"));
    let many = vec!["lisi"; 10_001];
    assert_eq!(
        invalid_fields(&t, &text_order(&many, "x")).await,
        "to: 10001 users, units and tags, at most 10000"
    );
    accept_order(&t, &text_order(&many[1..], "x")).await;
    let units = json!({"to": {"units": ["wecom:2", "wecom:999", "x"], "tags": ["wecom:1", "wecom:77"]},
                       "kind": "text", "content": {"content": "x"}});
    assert_eq!(
        invalid_fields(&t, &units).await,
        "to.units: not in the directory: \"wecom:999\", \"x\"; to.tags: not in the directory: \"wecom:77\""
    );
    let unit = t.unit("财务部").await["id"].as_str().expect("an id").to_owned();
    let units = json!({"to": {"units": ["wecom:2", unit], "tags": ["wecom:1"], "users": ["ZHANGSAN"]},
                       "kind": "text", "content": {"content": "x"}});
    let id = accept_order(&t, &units).await;
    let targets: Value = serde_json::from_str(&read_message(&t.app.db, &id).await.targets).unwrap();
    assert_eq!(targets["units"], json!([unit]), "one unit named twice is one");
    assert_eq!(targets["tags"].as_array().unwrap().len(), 1);
    assert_eq!(targets["users"], json!([["ZHANGSAN", t.person("zhangsan").await["id"]]]));
    // A day later the directory does not prove anything any more.
    t.advance(Duration::from_secs(24 * 3600 + 60)).await;
    accept_order(&t, &text_order(&["nobody"], "x")).await;
}

#[tokio::test]
async fn the_same_key_with_the_same_request_is_the_same_message() {
    let t = sending_gateway().await;
    let order = text_order(&["zhangsan"], "<a href=\"https://app.example.com/\">x</a>");
    let first = accepted_id(&post_message_as(&t, "oa", Some("k 1"), &order.to_string()).await);
    let laid_out_differently = serde_json::to_string_pretty(&json!({
        "kind": "text", "expires_at": null, "content": {"content": "<a href=\"https://app.example.com/\">x</a>"},
        "to": {"users": ["zhangsan"], "units": []},
    }));
    assert_eq!(
        accepted_id(&post_message_as(&t, "oa", Some("k 1"), &laid_out_differently.unwrap()).await),
        first
    );
    // It does not matter what has happened to the recipient meanwhile.
    t.sync_fully().await;
    mark_person_left(&t.app.db, "zhangsan", None).await;
    assert_eq!(accepted_id(&post_message_as(&t, "oa", Some("k 1"), &order.to_string()).await), first);
    assert_eq!((t.count_rows("messages").await, t.count_rows("message_links").await), (1, 1));
    let other = text_order(&["lisi"], "other").to_string();
    problem_text(&post_message_as(&t, "oa", Some("k 1"), &other).await, 409, "message.key_reused");
    assert_ne!(
        accepted_id(&post_message_as(&t, "crm", Some("k 1"), &other).await),
        first,
        "keys are each client's own"
    );
    let empty = [
        post_message_as(&t, "oa", Some(""), &other).await,
        post_message_as(&t, "oa", Some(""), &other).await,
    ];
    assert_ne!(accepted_id(&empty[0]), accepted_id(&empty[1]), "an empty key is none");
    accepted_id(&post_message_as(&t, "oa", Some(&"k".repeat(255)), &other).await);
    for bad in ["k".repeat(256), "a\tb".to_owned()] {
        problem_text(&post_message_as(&t, "oa", Some(&bad), &other).await, 400, "api.bad_request");
    }
}

#[tokio::test]
async fn two_keys_are_none() {
    let t = sending_gateway().await;
    let body = text_order(&["lisi"], "x").to_string();
    let request = format!(
        "POST /api/v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\nidempotency-key: a\r\n\
         idempotency-key: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        basic_auth("oa"),
        body.len()
    );
    let mut wire = TcpStream::connect(t.address).await.unwrap();
    wire.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_at_the_same_time_is_one_message() {
    let t = Arc::new(sending_gateway().await);
    let mut calls = JoinSet::new();
    for _ in 0..32 {
        let t = Arc::clone(&t);
        let order = text_order(&["zhangsan"], "<a href='https://app.example.com/'>x</a>").to_string();
        calls.spawn(async move { accepted_id(&post_message_as(&t, "oa", Some("once"), &order).await) });
    }
    let mut ids = calls.join_all().await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!((t.count_rows("messages").await, t.count_rows("message_links").await), (1, 1));
}

async fn accept(t: &TestApp, content: String) -> Result<String, String> {
    let Value::Object(order) = text_order(&["zhangsan"], &content) else { unreachable!() };
    let chart = Arc::clone(&t.app.replica.chart());
    let order = MessageRequest::parse(order).expect("an order");
    let done = t.app.messages.accept(&chart, Sender::CommandLine, None, order).await;
    done.map(|accepted| accepted.id.to_string()).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_arrive_together_share_commits() {
    let t = Arc::new(sending_gateway().await);
    let mut producers = JoinSet::new();
    for producer in 0..64 {
        let t = Arc::clone(&t);
        producers.spawn(async move {
            for number in 0..20 {
                accept(&t, format!("{producer} {number}")).await.expect("accepted");
            }
        });
    }
    producers.join_all().await;
    let (messages, commits) = (t.count_rows("messages").await, t.app.messages.commits());
    assert_eq!(messages, 64 * 20);
    assert!(commits * 10 < 64 * 20, "{messages} messages took {commits} commits");
    let before = t.app.messages.commits();
    for number in 0..5 {
        accept(&t, format!("alone {number}")).await.expect("accepted");
    }
    assert_eq!(t.app.messages.commits() - before, 5);
}

#[tokio::test]
async fn seq_is_the_order_of_acceptance() {
    let t = sending_gateway().await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(accept_order(&t, &text_order(&["zhangsan"], &number.to_string())).await);
    }
    let stored: Vec<_> = read_messages(&t.app.db).await.into_iter().map(|message| message.id).collect();
    assert_eq!(stored, ids);
    assert_eq!(read_last_number(&t.app.db, "message").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_written_fails_alone() {
    let t = Arc::new(sending_gateway().await);
    refuse_messages_with_boom(&t.app.db).await;
    let mut calls = JoinSet::new();
    for number in 0..40 {
        let t = Arc::clone(&t);
        let content = if number % 10 == 3 { format!("boom {number}") } else { format!("fine {number}") };
        calls.spawn(async move { (content.starts_with("fine"), accept(&t, content).await.is_ok()) });
    }
    for (fine, written) in calls.join_all().await {
        assert_eq!(fine, written);
    }
    assert_eq!(t.count_rows("messages").await, 36);
}

#[tokio::test]
async fn whoever_hangs_up_while_writing_for_others_takes_nobody_along() {
    let t = Arc::new(sending_gateway().await);
    let mut stopped = t.app.db.write().await.unwrap();
    hold_message_counter(&mut stopped).await;
    let (mut calls, mut handles) = (JoinSet::new(), Vec::new());
    for number in 0..8 {
        let t = Arc::clone(&t);
        handles.push(calls.spawn(async move { accept(&t, number.to_string()).await }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The first caller writes its own message only. The second one gets the turn with all others in
    // the queue, and goes away too.
    for handle in &handles[..2] {
        handle.abort();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stopped.rollback().await.unwrap();
    let mut accepted = 0;
    while let Some(call) = calls.join_next().await {
        match call {
            Ok(answer) => {
                answer.expect("accepted");
                accepted += 1;
            }
            Err(gone) => assert!(gone.is_cancelled(), "{gone}"),
        }
    }
    assert_eq!(accepted, 6);
    assert_eq!(t.count_rows("messages").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_takes_nobody_along() {
    let t = Arc::new(sending_gateway().await);
    let mut calls = JoinSet::new();
    for number in 0..60_u64 {
        let t = Arc::clone(&t);
        calls.spawn(async move {
            let accept = accept(&t, number.to_string());
            if number % 3 == 0 {
                // Goes away at any moment, also in the middle of a transaction for others.
                tokio::time::timeout(Duration::from_micros(number * 100), accept).await.is_ok()
            } else {
                accept.await.expect("accepted");
                true
            }
        });
    }
    let answered = calls.join_all().await.into_iter().filter(|answered| *answered).count();
    let rows = usize::try_from(t.count_rows("messages").await).unwrap();
    assert!(answered >= 40 && (answered..=60).contains(&rows), "{answered} {rows}");
    let stored = read_messages(&t.app.db).await;
    let different: HashSet<&str> = stored.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(different.len(), stored.len(), "none is there twice");
}

#[tokio::test]
async fn links_to_our_hosts_are_wrapped_and_kept() {
    let t = sending_gateway().await;
    let order = json!({"to": {"users": ["zhangsan"]}, "kind": "textcard", "content": {
        "title": "待办", "url": "https://app.example.com/task?id=1#top",
        "description": "见<a href=\"https://elsewhere.example/\">外</a>，<a href=\"/x\">内</a>"}});
    let id = accept_order(&t, &order).await;
    let stored = read_message(&t.app.db, &id).await;
    assert!(stored.is_unique);
    let content: Value = serde_json::from_str(&stored.content).unwrap();
    let link =
        content["url"].as_str().unwrap().strip_prefix("https://oa.example.com/sso/m/").unwrap().to_owned();
    assert_eq!(content["description"], order["content"]["description"]);
    let links = read_links(&t.app.db).await;
    let target = "https://app.example.com/task?id=1#top";
    assert_eq!(
        (links[0].id.as_str(), links[0].message.as_str(), links[0].target.as_str()),
        (&*link, &*id, target)
    );
    let mut plain = order.clone();
    plain["url_signed_in"] = false.into();
    let id = accept_order(&t, &plain).await;
    let stored = read_message(&t.app.db, &id).await;
    assert!(!stored.is_unique && stored.content.contains("https://app.example.com/task"), "{stored:?}");
    // 50 links of 38 bytes are within the limit before they are wrapped.
    let many = text_order(&["zhangsan"], &"<a href=\"https://app.example.com\">x</a>".repeat(50));
    assert!(invalid_fields(&t, &many).await.starts_with("content.content: "), "limits count what is sent");
    assert_eq!(t.count_rows("message_links").await, 1);
}

#[tokio::test]
async fn what_is_too_long_is_cut_where_that_was_asked_for_and_named() {
    let t = sending_gateway().await;
    let mut order = json!({"to": {"users": ["zhangsan"]}, "kind": "news", "content": {"articles": [
        {"title": "短", "url": "https://e.example"},
        {"title": "题".repeat(60), "description": "d".repeat(513), "url": "https://e.example"}]}});
    assert_eq!(
        invalid_fields(&t, &order).await,
        "content.articles[1].title: 180 bytes, at most 128; content.articles[1].description: 513 bytes, at most 512"
    );
    order["truncate"] = true.into();
    let answers = [
        post_message_as(&t, "oa", Some("k"), &order.to_string()).await,
        post_message_as(&t, "oa", Some("k"), &order.to_string()).await,
    ];
    for page in answers {
        let answer: Value = page.json();
        assert_eq!(
            answer["truncated"],
            json!(["content.articles[1].title", "content.articles[1].description"])
        );
    }
    let content: Value = serde_json::from_str(&read_messages(&t.app.db).await[0].content).unwrap();
    assert_eq!(content["articles"][1]["title"], "题".repeat(42));
}

#[tokio::test]
async fn a_message_to_many_keeps_away_from_the_full_and_half_hour() {
    // The clock of the tests stands at eight o'clock sharp (UTC).
    let t = sending_gateway().await;
    let all = json!({"to": {"all": true}, "kind": "text", "content": {"content": "x"}});
    let (one, many) = (accept_order(&t, &text_order(&["zhangsan"], "x")).await, accept_order(&t, &all).await);
    let wait = async |id: &str| {
        let stored = read_message(&t.app.db, id).await;
        stored.not_before - stored.created_at
    };
    assert_eq!(wait(&one).await, 0);
    let put_off = wait(&many).await;
    assert!((0..180_000).contains(&put_off), "{put_off}");
    let mut waits = Vec::new();
    for _ in 0..5 {
        waits.push(wait(&accept_order(&t, &all).await).await);
    }
    assert!(waits.iter().any(|other| *other != put_off), "{waits:?}");
    t.advance(Duration::from_secs(60)).await;
    assert_eq!(wait(&accept_order(&t, &all).await).await, 0);
}

#[tokio::test]
async fn where_messages_are_switched_off_nothing_is_accepted_or_kept() {
    let t = TestApp::with(&sender_clients("").replacen(
        "[[api_clients]]",
        "[wecom]\nmessage_enable = false\n[[api_clients]]",
        1,
    ))
    .await;
    let page = post_message(&t, &text_order(&["zhangsan"], "x")).await;
    assert!(problem_text(&page, 409, "message.disabled").contains("wecom.message_enable"));
    problem_text(&upload(&t, "file", "a.txt", b"123456").await, 409, "message.disabled");
    assert_eq!(t.count_rows("messages").await, 0);
}

async fn upload_body(t: &TestApp, kind: &str, client: &str, body: Vec<u8>) -> Page {
    let call = new_request(t, Method::POST, &format!("/api/v1/media?type={kind}"))
        .header("authorization", &basic_auth(client))
        .header("content-type", MULTIPART_TYPE);
    send_request(call.body(body)).await
}

async fn upload(t: &TestApp, kind: &str, file_name: &str, bytes: &[u8]) -> Page {
    upload_body(t, kind, "oa", upload_form("media", file_name, bytes)).await
}

#[tokio::test]
async fn files_that_wecom_would_refuse_are_refused_before() {
    let t = sending_gateway().await;
    for (kind, name, bytes, said_of_it) in [
        ("file", "a.txt", b"12345".as_slice(), "media: 5 bytes, at least 6"),
        ("image", "a.png", b"GIF89a....", "media: is neither a JPG nor a PNG"),
        ("file", "a/b.txt", b"123456", "media.filename: contains a control character or a path separator"),
        ("file", "", b"123456", "media.filename: is missing"),
    ] {
        assert_eq!(problem_text(&upload(&t, kind, name, bytes).await, 422, "message.invalid"), said_of_it);
    }
    let large = [b"\xff\xd8\xff".as_slice(), &vec![0; 10 << 20]].concat();
    assert_eq!(
        problem_text(&upload(&t, "image", "a.jpg", &large).await, 422, "message.invalid"),
        "media: more than 10485760 bytes"
    );
    problem_text(&upload(&t, "file", "a", &vec![0; 21 << 20]).await, 413, "request.too_large");
    problem_text(&upload(&t, "voice", "a", b"123456").await, 400, "api.bad_request");
    problem_text(
        &upload_body(&t, "file", "oa", upload_form("file", "a", b"123456")).await,
        400,
        "api.bad_request",
    );
    problem_text(&upload_body(&t, "file", "oa", b"123456".to_vec()).await, 400, "api.bad_request");
    problem_text(
        &upload_body(&t, "file", "ro", upload_form("media", "a", b"123456")).await,
        403,
        "api.forbidden_scope",
    );
    let json = call(&t, Method::POST, "/api/v1/media?type=file", "{}").await;
    problem_text(&json, 400, "api.bad_request");
}

#[tokio::test]
async fn a_good_file_is_wecoms_for_three_days() {
    let t = sending_gateway().await;
    let png = b"\x89PNG\r\n\x1a\n........";
    let page = upload(&t, "image", "图 1.png", png).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let answer: Value = page.json();
    let media = answer["media_id"].as_str().expect("an id");
    let kept = t.wecom.media(media).expect("WeCom has it");
    assert_eq!(
        (kept.name.as_str(), kept.kind.as_str(), &kept.bytes[..]),
        ("图 1.png", "image", png.as_slice())
    );
    let until = (i64::try_from(kept.created_at).unwrap() + 3 * 86_400) * 1000;
    assert_eq!(answer["expires_at"], Timestamp::from_millis(until).rfc3339());
    let order = json!({"to": {"users": ["zhangsan"]}, "kind": "image", "content": {"media_id": media}});
    accept_order(&t, &order).await;
}

#[tokio::test]
async fn what_wecom_says_of_a_file_is_passed_on_as_far_as_it_helps() {
    let t = sending_gateway().await;
    for (errcode, status, code) in [
        (45009, 503, "wecom.busy"),
        (60020, 503, "setup.trusted_ip"),
        (50003, 503, "setup.app_disabled"),
        (40004, 422, "message.invalid"),
    ] {
        t.wecom.fail_next("media/upload", InjectedFault::Errcode(errcode, "no".to_owned()));
        problem_text(&upload(&t, "file", "a.txt", b"123456").await, status, code);
    }
    t.wecom.fail_always("media/upload", InjectedFault::Html502);
    problem_text(&upload(&t, "file", "a.txt", b"123456").await, 503, "wecom.unreachable");
}

#[tokio::test]
async fn a_client_takes_back_its_own_messages_only() {
    let t = sending_gateway().await;
    let recall = async |client: &str, id: &str, body: &str| {
        let path = format!("/api/v1/messages/{id}/recall");
        send_request(
            new_request(&t, Method::POST, &path).header("authorization", &basic_auth(client)).json(body),
        )
        .await
    };
    let id = accept_order(&t, &text_order(&["zhangsan"], "x")).await;
    problem_text(&recall("crm", &id, "{}").await, 404, "api.not_found");
    problem_text(&recall("oa", "none", "{}").await, 404, "api.not_found");
    problem_text(&recall("ro", &id, "{}").await, 403, "api.forbidden_scope");
    problem_text(&recall("oa", &id, r#"{"text":"x"}"#).await, 400, "api.bad_request");
    let page = recall("oa", &id, "{}").await;
    assert_eq!((page.status.as_u16(), &page.json::<Value>()["id"]), (202, &json!(id)), "{}", page.text());
    problem_text(&recall("oa", &id, "").await, 409, "message.not_sent");
    let audited = read_message_audit(&t.app.db, &t.app.config.wecom.corp_id).await;
    let recalls =
        audited.iter().filter(|row| row.detail.contains("recall") && row.detail.contains("API client oa"));
    assert_eq!(recalls.count(), 1);
}

#[tokio::test]
async fn a_body_without_a_length_is_read_no_further_than_the_limit() {
    let t = sending_gateway().await;
    let mut wire = TcpStream::connect(t.address).await.unwrap();
    let head = format!(
        "POST /api/v1/media?type=file HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ntransfer-encoding: chunked\r\n\
         content-type: {MULTIPART_TYPE}\r\n\r\n",
        basic_auth("oa")
    );
    wire.write_all(head.as_bytes()).await.unwrap();
    let beginning = upload_form("media", "a", b"");
    wire.write_all(format!("{:x}\r\n", beginning.len()).as_bytes()).await.unwrap();
    wire.write_all(
        &[&beginning[..beginning.len() - MULTIPART_BOUNDARY.len() - 8], &[b'x'; 200]].concat()
            [..beginning.len()],
    )
    .await
    .unwrap();
    let chunk = [b"\r\n10000\r\n".as_slice(), &vec![b'x'; 0x10000]].concat();
    let mut sent = 0;
    let sending = async {
        // The gateway hangs up long before this has ended.
        while wire.write_all(&chunk).await.is_ok() && sent < 100 << 20 {
            sent += 0x10000;
        }
    };
    tokio::time::timeout(crate::support::WAIT_TIMEOUT, sending).await.ok();
    assert!(sent < 40 << 20, "{sent} bytes were taken");
    let mut answer = [0; 12];
    if wire.read_exact(&mut answer).await.is_ok() {
        assert!(matches!(&answer[9..], b"422" | b"413"), "{}", String::from_utf8_lossy(&answer));
    }
}
