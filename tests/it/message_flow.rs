//! Messages do not get into each other's way: order across replicas, and problems that stop or
//! delay only one of them.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use gongpai::simulator::{InjectedFault, World};
use gongpai::testing::message::commands::Requester;
use tokio_util::sync::CancellationToken;

use crate::support::message_damage::{add_failed_recipients, break_targets, mend_targets};
use crate::support::messages::{
    read_links, read_message, read_messages, read_recipients, read_send_window, write_link,
};
use crate::support::planted_rows::set_memberships;
use crate::support::post::{MessageReplica, TestMessage, deliver_until_idle, text_message};

const SECOND: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(2);

/// Counts recipients of messages behind one that is not written completely.
async fn count_overtakers(replica: &MessageReplica) -> usize {
    let messages = read_messages(&replica.db).await;
    let behind: HashSet<&str> = messages
        .iter()
        .skip_while(|message| message.expanded_at.is_some())
        .skip(1)
        .map(|m| m.id.as_str())
        .collect();
    read_recipients(&replica.db).await.iter().filter(|row| behind.contains(row.message.as_str())).count()
}

/// Drops `deed` after so many polls, as if the process died. Returns whether it was complete
/// before.
async fn completes_within_polls<T>(deed: impl Future<Output = T>, polls: usize) -> bool {
    let mut deed = pin!(deed);
    let mut polled = 0;
    poll_fn(|context| {
        if deed.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        polled += 1;
        if polled >= polls { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

#[tokio::test]
async fn nothing_of_a_message_is_written_while_an_earlier_one_is_not_whichever_replica_dies_when() {
    let replica = MessageReplica::new().await;
    let unit = replica.add_department(2, 0).await;
    replica.add_person("pa", "zhangsan", "active", &[&unit]).await;
    replica.add_person("pb", "lisi", "active", &[&unit]).await;
    let other = replica.second_replica().await;
    let many: Vec<String> = (0..20).map(|n| format!("member{n}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("wangwu");
    let mut expected = Vec::new();
    for polls in 1..40 {
        let (first, second) = (format!("先 {polls}"), format!("后 {polls}"));
        let several: TestMessage = if polls % 4 < 2 {
            text_message(&first, &[]).for_units(std::slice::from_ref(&unit)).for_persons(&[("wangwu", "pc")])
        } else {
            text_message(&first, &many).for_persons(&[("zhangsan", "pa")])
        };
        replica
            .put_all(&[
                several.unique(),
                text_message(&second, &[]).for_persons(&[("zhangsan", "pa")]).unique(),
            ])
            .await;
        let chosen = if polls % 2 == 0 { &replica.messages } else { &other };
        let worker = replica.worker(chosen, &CancellationToken::new()).await;
        completes_within_polls(deliver_until_idle(worker, &replica.site.clock), polls).await;
        assert_eq!(count_overtakers(&replica).await, 0, "died at step {polls}");
        expected.extend([first, second]);
        // The next replica goes on, without the limit of a minute in the way.
        replica.advance(63 * SECOND);
        replica.deliver_by(&other).await;
    }
    replica.deliver_after(63 * SECOND).await;
    assert_eq!(replica.inbox("zhangsan"), expected);
}

#[tokio::test]
async fn a_person_and_a_message_that_cannot_be_read_stop_nobody_else() {
    let replica = MessageReplica::new().await;
    let unit = replica.add_department(2, 0).await;
    replica.add_person("pa", "zhangsan", "active", &[&unit]).await;
    replica.add_person("pb", "lisi", "active", &[&unit]).await;
    set_memberships(&replica.db, "pa", "nonsense").await;
    let broken = replica.put(&text_message("坏", &["wangwu"]).expiring(60 * SECOND)).await;
    break_targets(&replica.db, &broken).await;
    let to_unit = replica.put(&text_message("部门", &[]).for_units(&[unit])).await;
    let single = replica.put(&text_message("单人", &["zhaoliu"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&to_unit).await, "sent");
    assert_eq!((replica.inbox("lisi").len(), replica.inbox("zhangsan").len()), (1, 0));
    assert_eq!(replica.status(&single).await, "sent");
    assert_eq!(replica.status(&broken).await, "accepted");
    replica.deliver_after(61 * SECOND).await;
    assert_eq!(replica.status(&broken).await, "expired", "it was swept all the same");
}

#[tokio::test]
async fn a_message_that_can_be_read_again_is_delivered() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("一", &["zhangsan"])).await;
    break_targets(&replica.db, &id).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "accepted");
    mend_targets(&replica.db, &id).await;
    replica.deliver_after(61 * SECOND).await;
    assert_eq!(replica.status(&id).await, "sent");
}

/// Returns how often the send window was locked.
async fn count_turns(replica: &MessageReplica) -> i64 {
    read_send_window(&replica.db).await.turn
}

/// A message to so many members, of which some wait and some are in calls that were not tried.
async fn replica_with_blocked_message(
    count: usize,
    message: impl Fn(TestMessage) -> TestMessage,
) -> (MessageReplica, gongpai::testing::base::id::MessageId) {
    let replica = MessageReplica::new().await;
    replica.site.wecom.change(|world: &mut World| world.populate(count));
    replica
        .site
        .wecom
        .fail_always("message/send", InjectedFault::Errcode(60020, "not allow to access".to_owned()));
    let members: Vec<String> = (1..=count).map(|n| format!("member{n:04}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let id = replica.put(&message(text_message("全员", &members))).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "accepted");
    replica.site.wecom.clear_faults();
    (replica, id)
}

#[tokio::test]
async fn of_a_message_to_many_what_waits_ends_a_thousand_rows_at_a_time() {
    let (replica, id) = replica_with_blocked_message(2500, |message| message.expiring(60 * SECOND)).await;
    let before = count_turns(&replica).await;
    assert_eq!(replica.deliver_after(61 * SECOND).await.expired, 2500);
    assert!(count_turns(&replica).await - before >= 3);
    assert_eq!(replica.status(&id).await, "expired");

    let before = count_turns(&replica).await;
    replica.messages.retry(&id, Requester::default()).await.unwrap();
    assert!(count_turns(&replica).await - before >= 3);
    assert!(read_recipients(&replica.db).await.iter().all(|row| row.status == "pending"));
    assert_eq!(replica.count_recipients(&id).await, 2500);
    let before = count_turns(&replica).await;
    replica.messages.bury(&id, "nobody needs it", Requester::default()).await.unwrap();
    assert!(count_turns(&replica).await - before >= 3);
    assert_eq!(replica.status(&id).await, "failed");
    replica.messages.retry(&id, Requester::default()).await.unwrap();
    replica.deliver_after(600 * SECOND).await;
    assert_eq!(replica.status(&id).await, "sent");
    assert_eq!(replica.inbox("member2500"), ["全员"]);
}

#[tokio::test]
async fn expired_messages_with_many_recipients_do_not_end_all_in_one_transaction() {
    let turns_of = async |recipients: i64| {
        let replica = MessageReplica::new().await;
        let message =
            |n: usize| text_message(&format!("第{n}条"), &["zhangsan"]).unique().expiring(60 * SECOND);
        replica
            .site
            .wecom
            .fail_always("message/send", InjectedFault::Errcode(60020, "not allow to access".to_owned()));
        let ids = replica.put_all(&[message(1), message(2), message(3)]).await;
        replica.deliver_after(LINGER).await;
        for id in &ids {
            add_failed_recipients(&replica.db, id, recipients).await;
        }
        let before = count_turns(&replica).await;
        assert_eq!(replica.deliver_after(61 * SECOND).await.expired, 3);
        count_turns(&replica).await - before
    };
    assert_eq!(turns_of(10_000).await - turns_of(1).await, 2, "each of the three in its own");
}

#[tokio::test]
async fn a_recall_that_was_cut_off_goes_on_by_itself_and_nothing_of_it_is_sent_meanwhile() {
    for polls in [1, 3, 6, 10, 14, 18, 22, 26, 30, 40, 60, 1000] {
        let (replica, id) = replica_with_blocked_message(1100, |message| message).await;
        let ids = [id.clone()];
        let done = completes_within_polls(replica.messages.recall(&ids, Requester::default()), polls).await;
        replica.deliver_after(600 * SECOND).await;
        let asked = read_message(&replica.db, id.as_str()).await.recall_at.is_some();
        assert_eq!(replica.status(&id).await, if asked { "recalled" } else { "sent" }, "at step {polls}");
        assert_eq!(replica.inbox("member0001").len(), usize::from(!asked));
        if done {
            return;
        }
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn the_links_of_an_expired_message_lead_somewhere_again_when_it_is_tried_again() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("请审批", &["zhangsan"]).expiring(SECOND)).await;
    let (gone, open) = (replica.now().plus(SECOND), replica.now().plus(1000 * SECOND));
    write_link(&replica.db, &replica.corp, "gone", id.as_str(), "/a", gone).await;
    write_link(&replica.db, &replica.corp, "open", id.as_str(), "/b", open).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "expired");
    replica.messages.retry(&id, Requester::default()).await.unwrap();
    let until = async |link: &str| {
        let links = read_links(&replica.db).await;
        links.iter().find(|row| row.id == link).expect("a link").expires_at
    };
    assert_eq!(until("gone").await, replica.now().plus(30 * 24 * 3600 * SECOND).millis());
    assert_eq!(until("open").await, open.millis());
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "sent");
}

#[tokio::test]
async fn repeats_of_one_text_wait_aside_and_hold_up_nothing_else() {
    let replica = MessageReplica::new().await;
    for _ in 0..5 {
        replica.put(&text_message("磁盘满", &["zhangsan"])).await;
        replica.deliver_after(10 * SECOND).await;
    }
    assert_eq!(replica.inbox("zhangsan"), ["磁盘满"]);
    let (todo, other) = (text_message("请审批", &["zhangsan"]).unique(), text_message("开会", &["zhangsan"]));
    let ids = replica.put_all(&[todo, other]).await;
    replica.deliver_after(LINGER).await;
    for id in &ids {
        assert_eq!(replica.status(id).await, "sent");
    }
    assert_eq!(replica.inbox("zhangsan"), ["磁盘满", "请审批", "开会"]);
    for _ in 0..4 {
        replica.deliver_after(126 * SECOND).await;
    }
    assert_eq!(replica.inbox("zhangsan").iter().filter(|text| *text == "磁盘满").count(), 5);
    assert!(replica.site.wecom.suppressed().is_empty());
    assert!(read_messages(&replica.db).await.iter().all(|message| message.status == "sent"));
}

#[tokio::test]
async fn what_waits_behind_a_limit_is_not_looked_at_before_there_is_room() {
    let replica = MessageReplica::new().await;
    let messages: Vec<_> =
        (0..100).map(|n| text_message(&format!("第{n}条"), &["zhangsan"]).unique()).collect();
    replica.put_all(&messages).await;
    assert_eq!(replica.deliver().await.sent, 28);
    let now = replica.now().millis();
    let recipients = read_recipients(&replica.db).await;
    assert!(!recipients.iter().any(|row| row.status == "pending" && row.due_at <= now));
    let other = replica.put(&text_message("别人", &["lisi"]).unique()).await;
    replica.deliver().await;
    assert_eq!(replica.status(&other).await, "sent");
    assert_eq!(replica.deliver_after(63 * SECOND).await.sent, 28);
}
