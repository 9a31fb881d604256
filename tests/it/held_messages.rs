//! Holding: everything waits for what an administrator has to mend, and goes out when it is mended.

use std::time::Duration;

use gongpai::simulator::InjectedFault;
use gongpai::testing::base::id::MessageId;
use gongpai::testing::message::commands::{CommandError, Requester};
use gongpai::testing::message::state::HoldReason;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::eventually;
use crate::support::message_damage::begin_recall;
use crate::support::messages::{read_calls, read_message_audit};
use crate::support::post::{MessageReplica, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Longer than any text waits for others to share its call.
const LINGER: Duration = Duration::from_secs(2);

fn refusal(code: i64) -> InjectedFault {
    InjectedFault::Errcode(code, format!("no, {code}"))
}

/// Three messages, held because WeCom refuses the first one: it has had a call, the others have
/// not.
async fn held_replica(code: i64) -> (MessageReplica, [MessageId; 3]) {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(code));
    let first = replica.put(&text_message("一", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let second = replica.put(&text_message("二", &["lisi"])).await;
    let third = replica.put(&text_message("三", &["wangwu"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 1);
    (replica, [first, second, third])
}

async fn advance_in_steps(replica: &MessageReplica, by: Duration, step: Duration) {
    let mut passed = Duration::ZERO;
    while passed < by {
        replica.deliver_after(step).await;
        passed += step;
    }
}

async fn are_all_sent(replica: &MessageReplica, ids: &[MessageId]) -> bool {
    for id in ids {
        if replica.status(id).await != "sent" {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn what_is_mended_after_two_minutes_arrives_within_a_minute_without_a_command() {
    let replica = MessageReplica::new().await;
    let sent = replica.put(&text_message("零", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    replica.messages.recall(std::slice::from_ref(&sent), Requester::default()).await.unwrap();
    replica.site.wecom.fail_always("message/recall", refusal(60020));
    replica.site.wecom.fail_always("message/send", refusal(60020));
    let mut ids = vec![replica.put(&text_message("一", &["zhangsan"])).await];
    replica.deliver_after(LINGER).await;
    ids.push(replica.put(&text_message("二", &["lisi"])).await);
    advance_in_steps(&replica, 2 * MINUTE, 10 * SECOND).await;
    assert!(!are_all_sent(&replica, &ids[..1]).await);
    replica.site.wecom.clear_faults();
    advance_in_steps(&replica, MINUTE, 10 * SECOND).await;
    assert!(are_all_sent(&replica, &ids).await);
    assert_eq!(replica.status(&sent).await, "recalled", "what is to be taken back waits no longer");
}

#[tokio::test]
async fn a_hold_is_probed_once_a_minute_at_first_and_once_in_ten_minutes_later_also_after_a_restart() {
    let (replica, _) = held_replica(60020).await;
    advance_in_steps(&replica, 9 * MINUTE, 10 * SECOND).await;
    let probes = replica.calls() - 1;
    assert!((9..=12).contains(&probes), "{probes}");
    // Another process takes over, which has not seen the hold begin.
    let restarted = replica.second_replica().await;
    for (minutes, least, most) in [(1, 1, 2), (10, 1, 2), (10, 1, 1), (10, 1, 1)] {
        let before = replica.calls();
        for _ in 0..minutes * 6 {
            replica.advance(10 * SECOND);
            replica.deliver_by(&restarted).await;
        }
        let probes = replica.calls() - before;
        assert!((least..=most).contains(&probes), "{minutes} minutes: {probes}");
    }
}

#[tokio::test]
async fn resume_sends_everything_at_once_and_says_what_held_it() {
    let (replica, ids) = held_replica(60020).await;
    let began = replica.now().minus(LINGER);
    advance_in_steps(&replica, 15 * MINUTE, 30 * SECOND).await;
    replica.site.wecom.clear_faults();
    replica.deliver_after(SECOND).await;
    assert!(!are_all_sent(&replica, &ids[..1]).await, "the next probe is minutes away");
    let resumed = replica
        .messages
        .resume(Requester { actor: gongpai::testing::audit::Actor::Cli, ..Requester::default() })
        .await
        .unwrap();
    assert_eq!(resumed.waiting, 3);
    let hold = resumed.hold.expect("everything was held");
    assert_eq!(hold.since, began);
    assert_eq!(hold.code, HoldReason::NeedsAdministrator);
    assert!(hold.describe().en.contains("60020") && hold.describe().zh.contains("60020"), "{hold:?}");
    replica.deliver().await;
    assert!(are_all_sent(&replica, &ids).await);
    let audited = read_message_audit(&replica.db, &replica.corp).await;
    let [row] = &audited[..] else { panic!("one row: {}", audited.len()) };
    assert!(row.detail.starts_with("resume: 3 messages waited, held since 2026-"), "{}", row.detail);
    assert!(row.detail.contains("60020") && row.detail.ends_with(", by command line"), "{}", row.detail);
    let again = replica.messages.resume(Requester::default()).await.unwrap();
    assert_eq!((again.waiting, again.hold), (0, None));
}

#[tokio::test]
async fn resume_before_it_is_mended_costs_one_call_and_probes_are_quick_again() {
    let (replica, ids) = held_replica(60020).await;
    advance_in_steps(&replica, 15 * MINUTE, 30 * SECOND).await;
    let before = replica.calls();
    replica.messages.resume(Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.calls() - before, 1);
    replica.site.wecom.clear_faults();
    advance_in_steps(&replica, MINUTE, 10 * SECOND).await;
    assert!(are_all_sent(&replica, &ids).await);
}

#[tokio::test]
async fn retry_of_a_held_message_sends_it_first_and_all_others_after_it() {
    for which in [0, 1, 2] {
        let (replica, ids) = held_replica(60020).await;
        advance_in_steps(&replica, 15 * MINUTE, 30 * SECOND).await;
        replica.site.wecom.clear_faults();
        replica.messages.retry(&ids[which], Requester::default()).await.unwrap();
        replica.deliver().await;
        assert!(are_all_sent(&replica, &ids).await, "message {which}");
    }
    // Both were planned before the hold. The one that is retried becomes the probe.
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(60020));
    let messages =
        [text_message("一", &["zhangsan"]), text_message("二", &["lisi"]), text_message("三", &["wangwu"])];
    let ids = replica.put_all(&messages).await;
    replica.deliver_after(LINGER).await;
    advance_in_steps(&replica, 3 * MINUTE, 10 * SECOND).await;
    for (id, word) in ids.iter().zip(["一", "二", "三"]).rev() {
        let before = replica.calls();
        replica.messages.retry(id, Requester::default()).await.unwrap();
        replica.deliver().await;
        assert_eq!(replica.calls() - before, 1, "WeCom still refuses, and the others are not tried");
        let requests = replica.site.wecom.requests();
        let last = requests.iter().rfind(|request| request.api == "message/send");
        assert!(last.is_some_and(|request| request.body.contains(word)), "{word}");
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_and_is_not_held_back_is_not_retried() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("一", &["zhangsan"])).await;
    let refused = replica.messages.retry(&id, Requester::default()).await;
    assert!(matches!(refused, Err(CommandError::NothingToDo(..))), "{refused:?}");
    // But a message that waits for its own retry goes out.
    replica.site.wecom.fail_always("message/send", refusal(-1));
    advance_in_steps(&replica, 10 * MINUTE, 30 * SECOND).await;
    replica.site.wecom.clear_faults();
    replica.deliver().await;
    assert_eq!(replica.status(&id).await, "accepted");
    replica.messages.retry(&id, Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.status(&id).await, "sent");
}

#[tokio::test]
async fn retry_of_what_failed_in_a_hold_does_not_wait_for_the_hold() {
    let (replica, [first, ..]) = held_replica(60020).await;
    advance_in_steps(&replica, 15 * MINUTE, MINUTE).await;
    replica.messages.bury(&first, "never mind", Requester::default()).await.unwrap();
    replica.site.wecom.clear_faults();
    replica.messages.retry(&first, Requester::default()).await.unwrap();
    replica.deliver().await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&first).await, "sent");
}

#[tokio::test]
async fn a_hold_lifted_in_one_process_is_lifted_in_all_and_running_ones_notice_within_seconds() {
    let (replica, ids) = held_replica(60020).await;
    advance_in_steps(&replica, 15 * MINUTE, 30 * SECOND).await;
    replica.site.wecom.clear_faults();
    let (command, stop, mut workers) =
        (replica.second_replica().await, CancellationToken::new(), JoinSet::new());
    for messages in [replica.messages.clone(), replica.second_replica().await] {
        workers.spawn(replica.worker(&messages, &stop).await.run());
    }
    command.resume(Requester::default()).await.unwrap();
    eventually("everything is sent", async || are_all_sent(&replica, &ids).await.then_some(())).await;
    stop.cancel();
    workers.join_all().await;
    assert_eq!(replica.site.wecom.sent_count(), 3, "each once");
}

#[tokio::test]
async fn what_wecom_refused_at_gettoken_is_asked_for_at_once_too() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("gettoken", refusal(40001));
    let id = replica.put(&text_message("一", &["zhangsan"])).await;
    advance_in_steps(&replica, 20 * MINUTE, 30 * SECOND).await;
    replica.site.wecom.clear_faults();
    replica.deliver().await;
    assert_eq!(replica.status(&id).await, "accepted");
    replica.second_replica().await.resume(Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.status(&id).await, "sent");
}

#[tokio::test]
async fn a_limit_is_waited_out_as_long_as_wecom_wants_unless_somebody_says_it_is_over() {
    let (replica, ids) = held_replica(45009).await;
    advance_in_steps(&replica, 15 * MINUTE, 10 * SECOND).await;
    assert_eq!(replica.calls(), 3, "after a minute and after ten more, and not in between");
    replica.site.wecom.clear_faults();
    let resumed = replica.messages.resume(Requester::default()).await.unwrap();
    assert_eq!(resumed.hold.map(|hold| hold.code), Some(HoldReason::CallLimit));
    replica.deliver().await;
    assert!(are_all_sent(&replica, &ids).await);
}

#[tokio::test]
async fn what_is_being_recalled_is_not_sent_by_a_resume() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(60020));
    let id = replica.put(&text_message("一", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    // The recall was cut off before the waiting recipients were ended.
    let parked = replica.now().plus(1440 * MINUTE);
    begin_recall(&replica.db, replica.now(), parked).await;
    replica.site.wecom.clear_faults();
    replica.messages.resume(Requester::default()).await.unwrap();
    let calls = read_calls(&replica.db).await;
    assert!(
        !calls.is_empty() && calls.iter().all(|call| call.next_at == parked.millis()),
        "it waits for its hour"
    );
    replica.deliver().await;
    assert_eq!((replica.status(&id).await.as_str(), replica.calls()), ("recalled", 1));
}
