//! One worker over many steps: what it remembers from one to the next, and when it wakes.

use std::time::Duration;

use gongpai::simulator::InjectedFault;
use gongpai::testing::base::id::MessageId;
use gongpai::testing::message::{Worker, WorkerStep};
use tokio_util::sync::CancellationToken;

use crate::support::message_damage::lease_due_calls;
use crate::support::messages::{read_calls, read_recipients, read_send_window};
use crate::support::post::{MessageReplica, text_message};

const SECOND: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(500);

/// Takes steps until nothing is due at this time, and returns the last one.
async fn step_until_idle(replica: &MessageReplica, worker: &mut Worker) -> WorkerStep {
    loop {
        let step = worker.step(replica.now()).await;
        if step.wake_at > replica.now() && worker.calls_in_flight() == 0 {
            return step;
        }
        worker.wait_until(step.wake_at).await;
    }
}

#[tokio::test]
async fn an_idle_worker_polls_and_wakes_earlier_for_what_is_due_earlier() {
    let replica = MessageReplica::new().await;
    let mut worker = replica.worker(&replica.messages, &CancellationToken::new()).await;
    let idle = step_until_idle(&replica, &mut worker).await;
    assert_eq!(idle.wake_at, replica.now().plus(POLL));
    replica.put(&text_message("请审批", &["zhangsan"])).await;
    let lingering = step_until_idle(&replica, &mut worker).await;
    assert!(lingering.wake_at < replica.now().plus(POLL), "it wakes when the batch is complete");
    replica.advance(lingering.wake_at.since(replica.now()));
    step_until_idle(&replica, &mut worker).await;
    assert_eq!(replica.inbox("zhangsan"), ["请审批"]);
}

#[tokio::test]
async fn a_step_waits_for_no_answer_and_an_answer_ends_the_wait() {
    let replica = MessageReplica::new().await;
    let mut worker = replica.worker(&replica.messages, &CancellationToken::new()).await;
    replica.site.wecom.hold_answers("message/send");
    replica.put(&text_message("请审批", &["zhangsan"]).unique()).await;
    while worker.calls_in_flight() == 0 {
        worker.step(replica.now()).await;
    }
    let waiting = worker.step(replica.now()).await;
    assert_eq!((waiting.did.calls, worker.calls_in_flight()), (0, 1));
    replica.site.wecom.release_answers("message/send");
    while worker.calls_in_flight() > 0 {
        worker.wait_until(replica.now().plus(60 * SECOND)).await;
    }
    let answered = worker.step(replica.now()).await;
    assert_eq!((answered.did.sent, answered.wake_at), (1, replica.now()), "its member may have another one");
}

#[tokio::test]
async fn a_worker_looks_for_expired_messages_again_and_again() {
    let replica = MessageReplica::new().await;
    let mut worker = replica.worker(&replica.messages, &CancellationToken::new()).await;
    replica.site.wecom.fail_always(
        "message/send",
        InjectedFault::Errcode(60020, "not allow to access from your ip".to_owned()),
    );
    for round in 0..3 {
        let id =
            replica.put(&text_message(&format!("第{round}条"), &["zhangsan"]).expiring(2 * SECOND)).await;
        replica.advance(SECOND);
        step_until_idle(&replica, &mut worker).await;
        assert_ne!(replica.status(&id).await, "expired");
        replica.advance(SECOND + POLL);
        step_until_idle(&replica, &mut worker).await;
        assert_eq!(replica.status(&id).await, "expired", "in round {round}");
    }
}

#[tokio::test]
async fn what_expired_before_it_was_expanded_still_names_its_recipients() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("请审批", &["zhangsan", "lisi"]).expiring(SECOND)).await;
    let delivered = replica.deliver_after(3600 * SECOND).await;
    assert_eq!((delivered.expired, replica.status(&id).await.as_str()), (2, "expired"));
    assert!(read_recipients(&replica.db).await.iter().all(|row| row.status == "failed"));
    assert_eq!(replica.count_recipients(&id).await, 2);
    assert_eq!(replica.calls(), 0);
}

#[tokio::test]
async fn while_the_database_fails_the_worker_pauses_longer_each_time_and_then_goes_on() {
    let replica = MessageReplica::new().await;
    let mut worker = replica.worker(&replica.messages, &CancellationToken::new()).await;
    step_until_idle(&replica, &mut worker).await;
    replica.put(&text_message("请审批", &["zhangsan"])).await;
    replica.execute("ALTER TABLE message_lanes RENAME TO message_lanes_away").await;
    for pause_ms in [500, 1000, 2000, 4000, 5000, 5000] {
        let step = step_until_idle(&replica, &mut worker).await;
        assert_eq!(step.wake_at.since(replica.now()), Duration::from_millis(pause_ms));
        let early = worker.step(replica.now()).await;
        assert_eq!(early.wake_at, step.wake_at, "it does not try before");
        replica.advance(Duration::from_millis(pause_ms));
    }
    replica.execute("ALTER TABLE message_lanes_away RENAME TO message_lanes").await;
    step_until_idle(&replica, &mut worker).await;
    // A missing table looks like a message that cannot be written, which is left alone for a while.
    replica.advance(600 * SECOND);
    step_until_idle(&replica, &mut worker).await;
    assert_eq!(replica.inbox("zhangsan"), ["请审批"]);
}

/// Lets one worker sleep from each step to the next until a message is sent, and returns when that
/// was.
async fn walk_until_sent(replica: &MessageReplica, worker: &mut Worker, id: &MessageId) -> i64 {
    for _ in 0..1000 {
        let step = step_until_idle(replica, worker).await;
        if replica.status(id).await == "sent" {
            return replica.now().millis();
        }
        replica.advance(step.wake_at.since(replica.now()));
    }
    panic!("it was not sent");
}

#[tokio::test]
async fn a_worker_wakes_for_a_retry_when_it_is_due_and_for_a_lapsed_lease_when_it_lapses() {
    for lease in [None, Some(Duration::from_millis(7_310))] {
        let replica = MessageReplica::new().await;
        let mut worker = replica.worker(&replica.messages, &CancellationToken::new()).await;
        replica.site.wecom.fail_next("message/send", InjectedFault::Errcode(-1, "system busy".to_owned()));
        let id = replica.put(&text_message("请审批", &["zhangsan"])).await;
        replica.advance(SECOND);
        step_until_idle(&replica, &mut worker).await;
        let mut due_at = read_calls(&replica.db).await[0].next_at;
        assert!(due_at > replica.now().millis());
        if let Some(lease) = lease {
            let until = replica.now().plus(lease);
            lease_due_calls(&replica.db, until).await;
            due_at = until.millis();
        }
        assert_eq!(walk_until_sent(&replica, &mut worker, &id).await, due_at, "{lease:?}");
        assert_eq!(replica.inbox("zhangsan"), ["请审批"]);
    }
}

#[tokio::test]
async fn a_worker_wakes_when_a_hold_ends_and_sends_all_that_waited() {
    let replica = MessageReplica::new().await;
    let mut worker = replica.worker(&replica.messages, &CancellationToken::new()).await;
    replica
        .site
        .wecom
        .fail_next("message/send", InjectedFault::Errcode(60020, "not allow to access".to_owned()));
    let first = replica.put(&text_message("一", &["zhangsan"])).await;
    replica.advance(SECOND);
    step_until_idle(&replica, &mut worker).await;
    let held_since = read_send_window(&replica.db).await.hold_since.expect("a hold");
    let second = replica.put(&text_message("二", &["lisi"])).await;
    let sent_at = walk_until_sent(&replica, &mut worker, &first).await;
    assert_eq!(sent_at, held_since + 50_000, "the first probe");
    assert_eq!(walk_until_sent(&replica, &mut worker, &second).await, sent_at, "the rest follows at once");
    assert_eq!(read_send_window(&replica.db).await.hold_since, None);
}
