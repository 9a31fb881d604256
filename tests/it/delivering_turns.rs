//! Messages that wait: for the rest of their recipients, for another day, for their turn, for a
//! held window.

use std::time::Duration;

use gongpai::simulator::{InjectedFault, World};
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::MessageId;
use gongpai::testing::message::commands::Requester;
use gongpai::testing::message::state::FailureReason;
use gongpai::testing::message::views::MessageView;

use crate::support::message_damage::{
    delay_recipients_after, end_delay, forget_recipients_after, rewind_expansion, set_hold_until,
};
use crate::support::messages::{read_recipients, read_send_window, write_closed_window, write_count};
use crate::support::planted_rows::{mark_chart_complete, set_memberships};
use crate::support::post::{MessageReplica, TestMessage, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Longer than any text waits for others to share its call.
const LINGER: Duration = Duration::from_secs(2);

fn members(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("member{n:04}")).collect()
}

async fn replica_with_members(count: usize) -> MessageReplica {
    let replica = MessageReplica::new().await;
    replica.site.wecom.change(|world: &mut World| world.populate(count));
    replica
}

async fn find_message(replica: &MessageReplica, id: &MessageId) -> MessageView {
    replica.messages.find(id).await.expect("the database answers").expect("it is kept")
}

/// Leaves the tables as a process does that dies when 1 000 of a message's 2 500 recipients are
/// written and 500 of them have it.
///
/// `reached` is the progress that it has written, `member` the last member.
async fn die_after_a_thousand(
    replica: &MessageReplica,
    message: &TestMessage,
    reached: &str,
    member: &str,
) -> MessageId {
    let id = replica.put(message).await;
    let tomorrow = replica.site.clock.now().plus(24 * 60 * MINUTE);
    write_closed_window(&replica.db, &replica.corp, tomorrow).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(
        (replica.count_recipients(&id).await, replica.calls()),
        (2500, 0),
        "all are written, and nothing is sent"
    );
    // The first half of these thousand had its call while the rest was being written.
    forget_recipients_after(&replica.db, &id, member).await;
    delay_recipients_after(&replica.db, &id, "member0500").await;
    set_hold_until(&replica.db, Timestamp::from_millis(0)).await;
    replica.deliver().await;
    end_delay(&replica.db, &id).await;
    let sent = read_recipients(&replica.db).await.iter().filter(|row| row.status == "sent").count();
    assert_eq!((replica.count_recipients(&id).await, sent, replica.calls()), (1000, 500, 1));
    rewind_expansion(&replica.db, &id, reached).await;
    id
}

/// Everybody has it once. WeCom may swallow what is sent twice in a minute, so time passes first.
async fn assert_everybody_has_it_once(replica: &MessageReplica, id: &MessageId, what: &str) {
    replica.deliver_after(10 * MINUTE).await;
    replica.deliver_after(10 * MINUTE).await;
    assert_eq!(replica.status(id).await, "sent", "{what}");
    for user in members(2500) {
        assert_eq!(replica.inbox(&user), ["全员通知"], "{what}: {user}");
    }
    assert_eq!(replica.calls(), 3, "{what}: those who had it, and two calls for the others");
    assert_eq!(replica.count_recipients(id).await, 2500, "{what}");
}

#[tokio::test]
async fn a_list_of_recipients_that_was_half_written_is_completed_and_everybody_has_the_message_once() {
    // The progress is right, a chunk behind, or unreadable.
    for reached in ["users 1000", "users 500", "?"] {
        let replica = replica_with_members(2500).await;
        let everyone = members(2500);
        let names: Vec<&str> = everyone.iter().map(String::as_str).collect();
        let message = text_message("全员通知", &names);
        let id = die_after_a_thousand(&replica, &message, reached, "=member1000").await;
        assert_everybody_has_it_once(&replica, &id, reached).await;
    }
}

#[tokio::test]
async fn a_unit_that_was_half_written_is_completed_and_everybody_has_the_message_once() {
    for reached in ["persons p1000", "persons p0500", ""] {
        let replica = replica_with_members(2500).await;
        let unit = replica.add_department(2, 0).await;
        replica.add_persons(2500, &unit).await;
        let message = text_message("全员通知", &[]).for_units(&[unit]);
        let id = die_after_a_thousand(&replica, &message, reached, "p1000").await;
        assert_everybody_has_it_once(&replica, &id, reached).await;
    }
}

#[tokio::test]
async fn nobody_who_comes_into_a_unit_after_it_was_written_gets_it_but_who_comes_before_does() {
    let replica = replica_with_members(2500).await;
    let unit = replica.add_department(2, 0).await;
    replica.add_persons(2500, &unit).await;
    replica.add_person("p1000a", "wangwu", "active", &[]).await;
    let message = text_message("全员通知", &[]).for_units(std::slice::from_ref(&unit));
    let id = die_after_a_thousand(&replica, &message, "persons p1000", "p1000").await;
    set_memberships(&replica.db, "p1000a", &format!("[[\"{unit}\", 0, 0]]")).await;
    replica.add_person("p0000", "zhangsan", "active", &[&unit]).await;
    replica.deliver_after(10 * MINUTE).await;
    assert_eq!(replica.status(&id).await, "sent");
    assert_eq!((replica.inbox("wangwu").len(), replica.inbox("zhangsan").len()), (1, 0));
}

/// Pretends that the directory was read completely and that so many recipients had a message today.
async fn set_recipients_today(replica: &MessageReplica, recipients: i64) {
    let now = replica.now();
    mark_chart_complete(&replica.db, now.millis()).await;
    for (ago, recipients) in [(17 * HOUR, 1_000_000), (10 * HOUR, recipients)] {
        write_count(&replica.db, &replica.corp, now.minus(ago), recipients).await;
    }
}

#[tokio::test]
async fn when_the_recipients_of_a_day_are_used_up_messages_wait_for_midnight_in_shanghai_and_say_why() {
    let replica = MessageReplica::new().await;
    // 16:00 in Shanghai; what was sent yesterday at 23:00 does not count.
    set_recipients_today(&replica, 200 * 200 - 1).await;
    let last = replica.put_row(&text_message("最后一条", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&last).await, "sent");
    let planned = replica.put_row(&text_message("明天见", &["zhangsan", "lisi"])).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put_row(&text_message("也是明天", &["wangwu"])).await;
    replica.deliver_after(LINGER).await;
    for id in [&planned, &waiting] {
        let shown = find_message(&replica, id).await;
        assert_eq!(shown.status.as_str(), "accepted");
        let reason = shown.reason.expect("a reason").to_string();
        assert!(reason.contains("40000 recipients a day"), "{reason}");
    }
    replica.deliver_after(8 * HOUR - 10 * SECOND).await;
    assert_eq!(replica.calls(), 1, "23:59:56");
    replica.deliver_after(4 * SECOND).await;
    assert_eq!(replica.calls(), 3, "00:00:00");
    for id in [&planned, &waiting] {
        let shown = find_message(&replica, id).await;
        assert_eq!((shown.status.as_str(), shown.reason), ("sent", None));
    }
    let window = read_send_window(&replica.db).await;
    assert_eq!((window.hold_code, window.hold_since), (None, None));
    assert_eq!(replica.inbox("zhangsan"), ["最后一条", "明天见"]);
}

#[tokio::test]
async fn a_day_has_as_many_recipients_as_the_directory_has_accounts_and_a_message_to_everybody_is_all_of_them()
 {
    let replica = replica_with_members(300).await;
    let unit = replica.add_department(2, 0).await;
    replica.add_persons(300, &unit).await;
    set_recipients_today(&replica, 200 * 300 - 300).await;
    let all = replica.put_row(&text_message("全员", &[]).for_all()).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&all).await, "sent");
    let one = replica.put_row(&text_message("再来一条", &["member0001"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&one).await, "accepted", "everybody was three hundred");
    let reason = find_message(&replica, &one).await.reason;
    assert!(reason.is_some_and(|reason| reason.to_string().contains("60000")));
}

#[tokio::test]
async fn how_many_recipients_a_day_has_is_not_known_before_the_directory_was_read() {
    let replica = MessageReplica::new().await;
    set_recipients_today(&replica, 1_000_000).await;
    mark_chart_complete(&replica.db, 0).await;
    let id = replica.put_row(&text_message("请审批", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "sent");
}

#[tokio::test]
async fn three_thousand_messages_to_one_member_keep_nobody_else_waiting() {
    let replica = MessageReplica::new().await;
    let messages: Vec<_> = (0..3000).map(|n| text_message(&format!("第{n}条"), &["zhangsan"])).collect();
    replica.put_all(&messages).await;
    // Accepted behind all of them.
    let single = replica.put(&text_message("只有一条", &["lisi"])).await;
    let all = replica.put(&text_message("全员", &[]).for_all()).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.status(&single).await, replica.status(&all).await), ("sent".into(), "sent".into()));
    let calls = replica.site.wecom.sent();
    let at = |text: &str| calls.iter().position(|call| call.request["text"]["content"] == text);
    assert!(at("只有一条").is_some_and(|at| at < 4), "{:?}", at("只有一条"));
    assert!(at("全员").is_some_and(|at| at < 4), "{:?}", at("全员"));
    // Also while the member waits for the next minute.
    let single = replica.put(&text_message("又一条", &["lisi"])).await;
    let all = replica.put(&text_message("又是全员", &[]).for_all()).await;
    let before = replica.calls();
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.status(&single).await, replica.status(&all).await), ("sent".into(), "sent".into()));
    assert_eq!(replica.calls(), before + 2, "he has had his 28 of this minute");
    assert_eq!(replica.inbox("zhangsan").len(), 28 + 2);
    assert!(replica.site.wecom.dropped().is_empty());
}

/// WeCom's own limit is reached: the window is held for a minute, and nobody has to do anything.
async fn held_replica() -> MessageReplica {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next(
        "message/send",
        InjectedFault::Errcode(45009, "reach max api daily quota limit".to_owned()),
    );
    replica
}

#[tokio::test]
async fn what_expires_while_the_lane_is_held_ends_there_and_then_and_takes_nobody_with_it() {
    let replica = held_replica().await;
    // One call for both, which was refused.
    let tried = replica.put(&text_message("同文", &["zhangsan"]).expiring(20 * SECOND)).await;
    let beside = replica.put(&text_message("同文", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put(&text_message("等着", &["wangwu"]).expiring(20 * SECOND)).await;
    let behind = replica.put(&text_message("同一个人的下一条", &["wangwu"])).await;
    replica.deliver_after(15 * SECOND).await;
    for id in [&tried, &beside, &waiting, &behind] {
        assert_eq!(find_message(&replica, id).await.internals.finished_at, None);
    }
    replica.deliver_after(10 * SECOND).await;
    for id in [&tried, &waiting] {
        let shown = find_message(&replica, id).await;
        assert_eq!(shown.status.as_str(), "expired");
        assert_eq!(shown.recipients[0].status.as_str(), "failed");
        let code = shown.recipients[0].reason.as_ref().map(|reason| reason.code);
        assert_eq!(code, Some(FailureReason::Expired));
    }
    assert_eq!(replica.calls(), 1, "all this while nothing may be sent");
    replica.deliver_after(MINUTE).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(
        (replica.status(&beside).await, replica.status(&behind).await),
        ("sent".into(), "sent".into())
    );
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (0, 1));
    assert_eq!(replica.inbox("wangwu"), ["同一个人的下一条"]);
}

#[tokio::test]
async fn what_is_recalled_while_the_lane_is_held_is_recalled_at_once_if_nobody_has_it() {
    let replica = held_replica().await;
    let tried = replica.put(&text_message("试过", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put(&text_message("等着", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    let unwritten = replica.put(&text_message("还没写", &["wangwu"])).await;
    let stays = replica.put(&text_message("留着", &["zhangsan"])).await;
    let ids = [tried, waiting, unwritten];
    replica.messages.recall(&ids, Requester::default()).await.unwrap();
    for id in &ids {
        assert_eq!(find_message(&replica, id).await.status.as_str(), "recalled");
    }
    for _ in 0..3 {
        replica.deliver_after(MINUTE).await;
    }
    assert_eq!(replica.status(&stays).await, "sent");
    assert_eq!(replica.calls(), 2, "the one that was refused, and the one that stays");
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (1, 0));
    assert!(replica.inbox("wangwu").is_empty());
}

#[tokio::test]
async fn what_wecom_has_is_taken_back_when_the_lane_is_free_again() {
    let replica = MessageReplica::new().await;
    let sent = replica.put(&text_message("发了", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    // Of this one it is not known whether WeCom has it.
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let unsure = replica.put(&text_message("不知道", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    replica.site.wecom.fail_next(
        "message/send",
        InjectedFault::Errcode(45009, "reach max api daily quota limit".to_owned()),
    );
    replica.put(&text_message("限流", &["wangwu"])).await;
    replica.deliver_after(SECOND).await;
    assert_eq!(replica.calls(), 3);
    let ids = [sent, unsure];
    replica.messages.recall(&ids, Requester::default()).await.unwrap();
    replica.deliver_after(30 * SECOND).await;
    assert_eq!(
        (replica.calls(), replica.site.wecom.calls("message/recall")),
        (3, 0),
        "nothing is asked of WeCom"
    );
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (1, 1));
    for _ in 0..4 {
        replica.deliver_after(15 * SECOND).await;
    }
    let [sent, unsure] = ids;
    assert_eq!(replica.status(&sent).await, "recalled");
    // WeCom gave two msgids to what was sent twice, and we know the second: it may take back the
    // copy or not.
    let unsure = find_message(&replica, &unsure).await;
    assert_eq!(unsure.status.as_str(), "sent");
    let code = unsure.reason.as_ref().map(|reason| reason.code);
    assert_eq!(code, Some(FailureReason::CopyMayRemain));
    assert_eq!(replica.site.wecom.calls("message/recall"), 2);
    assert!(replica.inbox("zhangsan").is_empty());
}
