//! Messages that wait: for the rest of their recipients, for another day, for their turn, for a lane that is held.

use std::time::Duration;

use gongpai::base::id::MessageId;
use gongpai::message::commands::Requester;
use gongpai::message::views::MessageView;
use gongpai::simulator::{InjectedFault, World};

use crate::support::post::{MessageReplica, TestMessage, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Longer than any text waits for company.
const LINGER: Duration = Duration::from_secs(2);

/// The userids of the invented members.
fn members(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("member{n:04}")).collect()
}

async fn replica_with_members(count: usize) -> MessageReplica {
    let post = MessageReplica::new().await;
    post.place.wecom.change(|world: &mut World| world.populate(count));
    post
}

async fn find_message(post: &MessageReplica, id: &MessageId) -> MessageView {
    post.messages.find(id).await.expect("the database answers").expect("it is kept")
}

/// Writes a message's recipients with a process that dies when 1 000 of its 2 500 are written and 500 of these have
/// it: what that leaves in the tables. `reached`: how far it got, as it writes it; `member`: of the last one written.
async fn die_after_a_thousand(
    post: &MessageReplica,
    letter: &TestMessage,
    reached: &str,
    member: &str,
) -> MessageId {
    let id = post.put(letter).await;
    let lane =
        "INSERT INTO message_lanes (corp_id, turn, hold_until, hold_reason, hold_since, holds, at_once)";
    let tomorrow = post.place.clock.now().plus(24 * 60 * MINUTE).millis();
    post.execute(&format!("{lane} VALUES ('{}', 0, {tomorrow}, '', 0, 0, 10)", post.corp)).await;
    post.deliver_after(LINGER).await;
    let rows = format!("SELECT COUNT(*) FROM message_recipients WHERE message_id = '{id}'");
    assert_eq!(
        (post.query_number(&rows).await, post.calls()),
        (2500, 0),
        "all are written, and nothing is sent"
    );
    // The first half of these thousand had its call while the rest was being written.
    post.execute(&format!(
        "DELETE FROM message_recipients WHERE message_id = '{id}' AND member > '{member}'"
    ))
    .await;
    let half = format!(
        "UPDATE message_recipients SET due_at = 9223372036854775807 WHERE message_id = '{id}' AND userid > 'member0500'"
    );
    post.execute(&half).await;
    post.execute("UPDATE message_lanes SET hold_until = 0").await;
    post.deliver().await;
    post.execute(&format!("UPDATE message_recipients SET due_at = 0 WHERE message_id = '{id}'")).await;
    let sent =
        format!("SELECT COUNT(*) FROM message_recipients WHERE message_id = '{id}' AND status = 'sent'");
    assert_eq!(
        (post.query_number(&rows).await, post.query_number(&sent).await, post.calls()),
        (1000, 500, 1)
    );
    post.execute(&format!(
        "UPDATE messages SET expanded_at = NULL, expanded_to = '{reached}' WHERE id = '{id}'"
    ))
    .await;
    id
}

/// Everybody has it once: what is sent twice in a minute WeCom may swallow, and so time passes first.
async fn assert_everybody_has_it_once(post: &MessageReplica, id: &MessageId, what: &str) {
    post.deliver_after(10 * MINUTE).await;
    post.deliver_after(10 * MINUTE).await;
    assert_eq!(post.status(id).await, "sent", "{what}");
    for user in members(2500) {
        assert_eq!(post.inbox(&user), ["全员通知"], "{what}: {user}");
    }
    assert_eq!(post.calls(), 3, "{what}: those who had it, and two calls for the others");
    let rows = format!("SELECT COUNT(*) FROM message_recipients WHERE message_id = '{id}'");
    assert_eq!(post.query_number(&rows).await, 2500, "{what}");
}

#[tokio::test]
async fn a_list_of_recipients_that_was_half_written_is_completed_and_everybody_has_the_message_once() {
    // Where it is noted how far it got, where the note is a chunk behind, and where it cannot be read.
    for reached in ["users 1000", "users 500", "?"] {
        let post = replica_with_members(2500).await;
        let everyone = members(2500);
        let names: Vec<&str> = everyone.iter().map(String::as_str).collect();
        let letter = text_message("全员通知", &names);
        let id = die_after_a_thousand(&post, &letter, reached, "=member1000").await;
        assert_everybody_has_it_once(&post, &id, reached).await;
    }
}

#[tokio::test]
async fn a_unit_that_was_half_written_is_completed_and_everybody_has_the_message_once() {
    for reached in ["persons p1000", "persons p0500", ""] {
        let post = replica_with_members(2500).await;
        let unit = post.add_department(2, 0).await;
        post.add_persons(2500, &unit).await;
        let letter = text_message("全员通知", &[]).for_units(&[unit]);
        let id = die_after_a_thousand(&post, &letter, reached, "p1000").await;
        assert_everybody_has_it_once(&post, &id, reached).await;
    }
}

#[tokio::test]
async fn nobody_who_comes_into_a_unit_after_it_was_written_gets_it_but_who_comes_before_does() {
    let post = replica_with_members(2500).await;
    let unit = post.add_department(2, 0).await;
    post.add_persons(2500, &unit).await;
    post.add_person("p1000a", "wangwu", "active", &[]).await;
    let letter = text_message("全员通知", &[]).for_units(std::slice::from_ref(&unit));
    let id = die_after_a_thousand(&post, &letter, "persons p1000", "p1000").await;
    let moves =
        format!("UPDATE person_rows SET memberships = '[[\"{unit}\", 0, 0]]' WHERE person_id = 'p1000a'");
    post.execute(&moves).await;
    post.add_person("p0000", "zhangsan", "active", &[&unit]).await;
    post.deliver_after(10 * MINUTE).await;
    assert_eq!(post.status(&id).await, "sent");
    assert_eq!((post.inbox("wangwu").len(), post.inbox("zhangsan").len()), (1, 0));
}

/// The directory has been read completely, and so many recipients had something today.
async fn set_recipients_today(post: &MessageReplica, recipients: i64) {
    let now = post.now().millis();
    post.execute(&format!("UPDATE charts SET complete_at = {now}")).await;
    for (bucket, recipients) in [(now - 17 * 3_600_000, 1_000_000), (now - 10 * 3_600_000, recipients)] {
        let corp = &post.corp;
        post.execute(&format!("INSERT INTO message_pace VALUES ('{corp}', {bucket}, 1, {recipients})")).await;
    }
}

#[tokio::test]
async fn when_the_recipients_of_a_day_are_used_up_messages_wait_for_midnight_in_shanghai_and_say_why() {
    let post = MessageReplica::new().await;
    // 16:00 in Shanghai; what was sent yesterday at 23:00 does not count.
    set_recipients_today(&post, 200 * 200 - 1).await;
    let last = post.put(&text_message("最后一条", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&last).await, "sent");
    let planned = post.put(&text_message("明天见", &["zhangsan", "lisi"])).await;
    post.deliver_after(LINGER).await;
    let waiting = post.put(&text_message("也是明天", &["wangwu"])).await;
    post.deliver_after(LINGER).await;
    for id in [&planned, &waiting] {
        let shown = find_message(&post, id).await;
        assert_eq!(shown.status.as_str(), "accepted");
        let reason = shown.reason.expect("a reason");
        assert!(reason.contains("40000 recipients a day"), "{reason}");
    }
    post.deliver_after(8 * HOUR - 10 * SECOND).await;
    assert_eq!(post.calls(), 1, "23:59:56");
    post.deliver_after(4 * SECOND).await;
    assert_eq!(post.calls(), 3, "00:00:00");
    for id in [&planned, &waiting] {
        let shown = find_message(&post, id).await;
        assert_eq!((shown.status.as_str(), shown.reason), ("sent", None));
    }
    let free = "SELECT COUNT(*) FROM message_lanes WHERE hold_reason = '' AND hold_since = 0";
    assert_eq!(post.query_number(free).await, 1);
    assert_eq!(post.inbox("zhangsan"), ["最后一条", "明天见"]);
}

#[tokio::test]
async fn a_day_has_as_many_recipients_as_the_directory_has_accounts_and_a_message_to_everybody_is_all_of_them()
 {
    let post = replica_with_members(300).await;
    let unit = post.add_department(2, 0).await;
    post.add_persons(300, &unit).await;
    set_recipients_today(&post, 200 * 300 - 300).await;
    let all = post.put(&text_message("全员", &[]).for_all()).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&all).await, "sent");
    let one = post.put(&text_message("再来一条", &["member0001"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&one).await, "accepted", "everybody was three hundred");
    assert!(find_message(&post, &one).await.reason.is_some_and(|reason| reason.contains("60000")));
}

#[tokio::test]
async fn how_many_recipients_a_day_has_is_not_known_before_the_directory_was_read() {
    let post = MessageReplica::new().await;
    set_recipients_today(&post, 1_000_000).await;
    post.execute("UPDATE charts SET complete_at = 0").await;
    let id = post.put(&text_message("请审批", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&id).await, "sent");
}

#[tokio::test]
async fn three_thousand_messages_to_one_member_keep_nobody_else_waiting() {
    let post = MessageReplica::new().await;
    let letters: Vec<_> = (0..3000).map(|n| text_message(&format!("第{n}条"), &["zhangsan"])).collect();
    post.put_all(&letters).await;
    // Accepted behind all of them.
    let single = post.put(&text_message("只有一条", &["lisi"])).await;
    let all = post.put(&text_message("全员", &[]).for_all()).await;
    post.deliver_after(LINGER).await;
    assert_eq!((post.status(&single).await, post.status(&all).await), ("sent".into(), "sent".into()));
    let calls = post.place.wecom.sent();
    let at = |text: &str| calls.iter().position(|call| call.request["text"]["content"] == text);
    assert!(at("只有一条").is_some_and(|at| at < 4), "{:?}", at("只有一条"));
    assert!(at("全员").is_some_and(|at| at < 4), "{:?}", at("全员"));
    // And while he waits for his next minute.
    let single = post.put(&text_message("又一条", &["lisi"])).await;
    let all = post.put(&text_message("又是全员", &[]).for_all()).await;
    let before = post.calls();
    post.deliver_after(LINGER).await;
    assert_eq!((post.status(&single).await, post.status(&all).await), ("sent".into(), "sent".into()));
    assert_eq!(post.calls(), before + 2, "he has had his 28 of this minute");
    assert_eq!(post.inbox("zhangsan").len(), 28 + 2);
    assert!(post.place.wecom.dropped().is_empty());
}

/// WeCom's own limit is reached: the lane is held for a minute, and nobody has to do anything.
async fn held_replica() -> MessageReplica {
    let post = MessageReplica::new().await;
    post.place.wecom.fail_next(
        "message/send",
        InjectedFault::Errcode(45009, "reach max api daily quota limit".to_owned()),
    );
    post
}

#[tokio::test]
async fn what_expires_while_the_lane_is_held_ends_there_and_then_and_takes_nobody_with_it() {
    let post = held_replica().await;
    // One call for both, which was refused.
    let tried = post.put(&text_message("同文", &["zhangsan"]).expiring(20 * SECOND)).await;
    let beside = post.put(&text_message("同文", &["lisi"])).await;
    post.deliver_after(LINGER).await;
    let waiting = post.put(&text_message("等着", &["wangwu"]).expiring(20 * SECOND)).await;
    let behind = post.put(&text_message("同一个人的下一条", &["wangwu"])).await;
    post.deliver_after(15 * SECOND).await;
    for id in [&tried, &beside, &waiting, &behind] {
        assert_eq!(find_message(&post, id).await.internals.finished_at, None);
    }
    post.deliver_after(10 * SECOND).await;
    for id in [&tried, &waiting] {
        let shown = find_message(&post, id).await;
        assert_eq!(shown.status.as_str(), "expired");
        assert_eq!(shown.recipients[0].status.as_str(), "failed");
        assert_eq!(shown.recipients[0].reason.as_deref(), Some("It expired before it could be sent."));
    }
    assert_eq!(post.calls(), 1, "all this while nothing may be sent");
    post.deliver_after(MINUTE).await;
    post.deliver_after(LINGER).await;
    assert_eq!((post.status(&beside).await, post.status(&behind).await), ("sent".into(), "sent".into()));
    assert_eq!((post.inbox("zhangsan").len(), post.inbox("lisi").len()), (0, 1));
    assert_eq!(post.inbox("wangwu"), ["同一个人的下一条"]);
}

#[tokio::test]
async fn what_is_recalled_while_the_lane_is_held_is_recalled_at_once_if_nobody_has_it() {
    let post = held_replica().await;
    let tried = post.put(&text_message("试过", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    let waiting = post.put(&text_message("等着", &["lisi"])).await;
    post.deliver_after(LINGER).await;
    let unwritten = post.put(&text_message("还没写", &["wangwu"])).await;
    let stays = post.put(&text_message("留着", &["zhangsan"])).await;
    let ids = [tried, waiting, unwritten];
    post.messages.recall(&ids, Requester::default()).await.unwrap();
    for id in &ids {
        assert_eq!(find_message(&post, id).await.status.as_str(), "recalled");
    }
    for _ in 0..3 {
        post.deliver_after(MINUTE).await;
    }
    assert_eq!(post.status(&stays).await, "sent");
    assert_eq!(post.calls(), 2, "the one that was refused, and the one that stays");
    assert_eq!((post.inbox("zhangsan").len(), post.inbox("lisi").len()), (1, 0));
    assert!(post.inbox("wangwu").is_empty());
}

#[tokio::test]
async fn what_wecom_has_is_taken_back_when_the_lane_is_free_again() {
    let post = MessageReplica::new().await;
    let sent = post.put(&text_message("发了", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    // Of this one nobody knows yet whether WeCom has it.
    post.place.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let unsure = post.put(&text_message("不知道", &["lisi"])).await;
    post.deliver_after(LINGER).await;
    post.place.wecom.fail_next(
        "message/send",
        InjectedFault::Errcode(45009, "reach max api daily quota limit".to_owned()),
    );
    post.put(&text_message("限流", &["wangwu"])).await;
    post.deliver_after(SECOND).await;
    assert_eq!(post.calls(), 3);
    let ids = [sent, unsure];
    post.messages.recall(&ids, Requester::default()).await.unwrap();
    post.deliver_after(30 * SECOND).await;
    assert_eq!((post.calls(), post.place.wecom.calls("message/recall")), (3, 0), "nothing is asked of WeCom");
    assert_eq!((post.inbox("zhangsan").len(), post.inbox("lisi").len()), (1, 1));
    for _ in 0..4 {
        post.deliver_after(15 * SECOND).await;
    }
    let [sent, unsure] = ids;
    assert_eq!(post.status(&sent).await, "recalled");
    // Of what was asked for twice WeCom has two msgids, and we know the second: it may take back the copy or not.
    let unsure = find_message(&post, &unsure).await;
    assert_eq!(unsure.status.as_str(), "sent");
    assert!(unsure.reason.as_deref().is_some_and(|why| why.contains("may still")), "{:?}", unsure.reason);
    assert_eq!(post.place.wecom.calls("message/recall"), 2);
    assert!(post.inbox("zhangsan").is_empty());
}
