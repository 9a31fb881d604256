//! Everything is held back: by what WeCom refuses until an administrator mends it, and until when.

use std::time::Duration;

use gongpai::base::id::MessageId;
use gongpai::message::commands::resume::HoldCause;
use gongpai::message::commands::{CommandError, Requester};
use gongpai::simulator::InjectedFault;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::eventually;
use crate::support::post::{MessageReplica, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Longer than any text waits for company.
const LINGER: Duration = Duration::from_secs(2);

fn refusal(code: i64) -> InjectedFault {
    InjectedFault::Errcode(code, format!("no, {code}"))
}

/// Three messages, held back because WeCom refuses the first of them: it has had a call, the others have not.
async fn held_replica(code: i64) -> (MessageReplica, [MessageId; 3]) {
    let post = MessageReplica::new().await;
    post.place.wecom.fail_always("message/send", refusal(code));
    let first = post.put(&text_message("一", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    let second = post.put(&text_message("二", &["lisi"])).await;
    let third = post.put(&text_message("三", &["wangwu"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.calls(), 1);
    (post, [first, second, third])
}

async fn advance_in_steps(post: &MessageReplica, by: Duration, step: Duration) {
    let mut passed = Duration::ZERO;
    while passed < by {
        post.deliver_after(step).await;
        passed += step;
    }
}

async fn are_all_sent(post: &MessageReplica, ids: &[MessageId]) -> bool {
    for id in ids {
        if post.status(id).await != "sent" {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn what_is_mended_after_two_minutes_arrives_within_a_minute_without_a_command() {
    let post = MessageReplica::new().await;
    let sent = post.put(&text_message("零", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    post.messages.recall(std::slice::from_ref(&sent), Requester::default()).await.unwrap();
    post.place.wecom.fail_always("message/recall", refusal(60020));
    post.place.wecom.fail_always("message/send", refusal(60020));
    let mut ids = vec![post.put(&text_message("一", &["zhangsan"])).await];
    post.deliver_after(LINGER).await;
    ids.push(post.put(&text_message("二", &["lisi"])).await);
    advance_in_steps(&post, 2 * MINUTE, 10 * SECOND).await;
    assert!(!are_all_sent(&post, &ids[..1]).await);
    post.place.wecom.clear_faults();
    advance_in_steps(&post, MINUTE, 10 * SECOND).await;
    assert!(are_all_sent(&post, &ids).await);
    assert_eq!(post.status(&sent).await, "recalled", "what is to be taken back waits no longer");
}

#[tokio::test]
async fn a_hold_is_probed_once_a_minute_at_first_and_once_in_ten_minutes_later_also_after_a_restart() {
    let (post, _) = held_replica(60020).await;
    advance_in_steps(&post, 9 * MINUTE, 10 * SECOND).await;
    let probes = post.calls() - 1;
    assert!((9..=12).contains(&probes), "{probes}");
    // Another process takes over: it has not seen the hold begin.
    let restarted = post.second_replica().await;
    for (minutes, least, most) in [(1, 1, 2), (10, 1, 2), (10, 1, 1), (10, 1, 1)] {
        let before = post.calls();
        for _ in 0..minutes * 6 {
            post.advance(10 * SECOND);
            restarted.deliver_due(&post.chart().await).await.unwrap();
        }
        let probes = post.calls() - before;
        assert!((least..=most).contains(&probes), "{minutes} minutes: {probes}");
    }
}

#[tokio::test]
async fn resume_sends_everything_at_once_and_says_what_held_it() {
    let (post, ids) = held_replica(60020).await;
    let began = post.now().minus(LINGER);
    advance_in_steps(&post, 15 * MINUTE, 30 * SECOND).await;
    post.place.wecom.clear_faults();
    post.deliver_after(SECOND).await;
    assert!(!are_all_sent(&post, &ids[..1]).await, "the next probe is minutes away");
    let resumed = post
        .messages
        .resume(Requester { who: "by a test".to_owned(), ..Requester::default() })
        .await
        .unwrap();
    assert_eq!(resumed.waiting, 3);
    let hold = resumed.hold.expect("everything was held");
    assert_eq!(hold.since, began);
    assert!(matches!(&hold.cause, HoldCause::Administrator(reason) if reason.contains("60020")), "{hold:?}");
    post.deliver().await;
    assert!(are_all_sent(&post, &ids).await);
    let audited = "SELECT COUNT(*) FROM audit WHERE event = 'message' AND detail LIKE 'resume: 3 messages waited, \
                   held since 2026-%60020%by a test'";
    assert_eq!(post.query_number(audited).await, 1);
    let again = post.messages.resume(Requester::default()).await.unwrap();
    assert_eq!((again.waiting, again.hold), (0, None));
}

#[tokio::test]
async fn resume_before_it_is_mended_costs_one_call_and_probes_are_quick_again() {
    let (post, ids) = held_replica(60020).await;
    advance_in_steps(&post, 15 * MINUTE, 30 * SECOND).await;
    let before = post.calls();
    post.messages.resume(Requester::default()).await.unwrap();
    post.deliver().await;
    assert_eq!(post.calls() - before, 1);
    post.place.wecom.clear_faults();
    advance_in_steps(&post, MINUTE, 10 * SECOND).await;
    assert!(are_all_sent(&post, &ids).await);
}

#[tokio::test]
async fn retry_of_a_held_message_sends_it_first_and_all_others_after_it() {
    for which in [0, 1, 2] {
        let (post, ids) = held_replica(60020).await;
        advance_in_steps(&post, 15 * MINUTE, 30 * SECOND).await;
        post.place.wecom.clear_faults();
        post.messages.retry(&ids[which], Requester::default()).await.unwrap();
        post.deliver().await;
        assert!(are_all_sent(&post, &ids).await, "message {which}");
    }
    // Two that were planned before the hold: the one that is asked for is the probe.
    let post = MessageReplica::new().await;
    post.place.wecom.fail_always("message/send", refusal(60020));
    let letters =
        [text_message("一", &["zhangsan"]), text_message("二", &["lisi"]), text_message("三", &["wangwu"])];
    let ids = post.put_all(&letters).await;
    post.deliver_after(LINGER).await;
    advance_in_steps(&post, 3 * MINUTE, 10 * SECOND).await;
    for (id, word) in ids.iter().zip(["一", "二", "三"]).rev() {
        let before = post.calls();
        post.messages.retry(id, Requester::default()).await.unwrap();
        post.deliver().await;
        assert_eq!(post.calls() - before, 1, "WeCom still refuses, and the others are not tried");
        let requests = post.place.wecom.requests();
        let last = requests.iter().rfind(|request| request.api == "message/send");
        assert!(last.is_some_and(|request| request.body.contains(word)), "{word}");
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_and_is_not_held_back_is_not_retried() {
    let post = MessageReplica::new().await;
    let id = post.put(&text_message("一", &["zhangsan"])).await;
    let refused = post.messages.retry(&id, Requester::default()).await;
    assert!(matches!(refused, Err(CommandError::NothingToDo(..))), "{refused:?}");
    // But what waits for a later try of its own goes out.
    post.place.wecom.fail_always("message/send", refusal(-1));
    advance_in_steps(&post, 10 * MINUTE, 30 * SECOND).await;
    post.place.wecom.clear_faults();
    post.deliver().await;
    assert_eq!(post.status(&id).await, "accepted");
    post.messages.retry(&id, Requester::default()).await.unwrap();
    post.deliver().await;
    assert_eq!(post.status(&id).await, "sent");
}

#[tokio::test]
async fn retry_of_what_failed_in_a_hold_does_not_wait_for_the_hold() {
    let (post, [first, ..]) = held_replica(60020).await;
    advance_in_steps(&post, 15 * MINUTE, MINUTE).await;
    post.messages.bury(&first, "never mind", Requester::default()).await.unwrap();
    post.place.wecom.clear_faults();
    post.messages.retry(&first, Requester::default()).await.unwrap();
    post.deliver().await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&first).await, "sent");
}

#[tokio::test]
async fn a_hold_lifted_in_one_process_is_lifted_in_all_and_running_ones_notice_within_seconds() {
    let (post, ids) = held_replica(60020).await;
    advance_in_steps(&post, 15 * MINUTE, 30 * SECOND).await;
    post.place.wecom.clear_faults();
    let (command, stop, mut workers) =
        (post.second_replica().await, CancellationToken::new(), JoinSet::new());
    for replica in [post.messages.clone(), post.second_replica().await] {
        let (sessions, stop) = (post.sessions().await, stop.clone());
        workers.spawn(async move { replica.work_until(sessions, stop).await });
    }
    command.resume(Requester::default()).await.unwrap();
    eventually("everything is sent", async || are_all_sent(&post, &ids).await.then_some(())).await;
    stop.cancel();
    workers.join_all().await;
    assert_eq!(post.place.wecom.sent_count(), 3, "each once");
}

#[tokio::test]
async fn what_wecom_refused_at_gettoken_is_asked_for_at_once_too() {
    let post = MessageReplica::new().await;
    post.place.wecom.fail_always("gettoken", refusal(40001));
    let id = post.put(&text_message("一", &["zhangsan"])).await;
    advance_in_steps(&post, 20 * MINUTE, 30 * SECOND).await;
    post.place.wecom.clear_faults();
    post.deliver().await;
    assert_eq!(post.status(&id).await, "accepted");
    post.second_replica().await.resume(Requester::default()).await.unwrap();
    post.deliver().await;
    assert_eq!(post.status(&id).await, "sent");
}

#[tokio::test]
async fn a_limit_is_waited_out_as_long_as_wecom_wants_unless_somebody_says_it_is_over() {
    let (post, ids) = held_replica(45009).await;
    advance_in_steps(&post, 15 * MINUTE, 10 * SECOND).await;
    assert_eq!(post.calls(), 3, "after a minute and after ten more, and not in between");
    post.place.wecom.clear_faults();
    let resumed = post.messages.resume(Requester::default()).await.unwrap();
    assert_eq!(resumed.hold.map(|hold| hold.cause), Some(HoldCause::CallLimit));
    post.deliver().await;
    assert!(are_all_sent(&post, &ids).await);
}

#[tokio::test]
async fn what_is_being_recalled_is_not_sent_by_a_resume() {
    let post = MessageReplica::new().await;
    post.place.wecom.fail_always("message/send", refusal(60020));
    let id = post.put(&text_message("一", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    // The recall was cut off before what waits was ended.
    post.execute(&format!("UPDATE messages SET recall_at = {}", post.now().millis())).await;
    let parked = post.now().plus(1440 * MINUTE).millis();
    post.execute(&format!("UPDATE message_calls SET next_at = {parked}")).await;
    post.place.wecom.clear_faults();
    post.messages.resume(Requester::default()).await.unwrap();
    assert_eq!(post.query_number("SELECT MIN(next_at) FROM message_calls").await, parked);
    post.deliver().await;
    assert_eq!((post.status(&id).await.as_str(), post.calls()), ("recalled", 1));
}
