//! Delivery: what arrives at WeCom, how often, in which order, and what is known of it afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use gongpai::simulator::{InjectedFault, World};
use gongpai::testing::base::id::MessageId;
use gongpai::testing::message::Messages;
use gongpai::testing::message::commands::{CommandError, Requester};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::eventually;
use crate::support::messages::{
    read_calls, read_message_audit, read_messages, read_recipients, read_send_window,
};
use crate::support::post::{MessageReplica, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Longer than any text waits for others to share its call.
const LINGER: Duration = Duration::from_secs(2);

fn members(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("member{n:04}")).collect()
}

fn as_strs(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

async fn replica_with_members(count: usize) -> MessageReplica {
    let replica = MessageReplica::new().await;
    replica.site.wecom.change(|world: &mut World| world.populate(count));
    replica
}

fn refusal(code: i64) -> InjectedFault {
    InjectedFault::Errcode(code, format!("no, {code}"))
}

#[tokio::test]
async fn a_message_arrives_once_and_is_sent() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("请审批", &["ZhangSan"])).await;
    assert_eq!(replica.deliver().await.sent, 0, "it waits for company");
    let delivered = replica.deliver_after(LINGER).await;
    assert_eq!((delivered.sent, delivered.planned, delivered.calls), (1, 1, 1));
    assert_eq!(replica.inbox("zhangsan"), ["请审批"]);
    assert_eq!(replica.outcome(&id).await, ("sent".to_owned(), String::new()));
    assert_eq!(replica.deliver_after(HOUR).await, gongpai::testing::message::DeliveryCounts::default());
    assert_eq!(replica.calls(), 1);
}

#[tokio::test]
async fn a_message_that_is_like_no_other_does_not_wait_for_company() {
    let replica = MessageReplica::new().await;
    replica.put(&text_message("你的审批", &["zhangsan"]).unique()).await;
    assert_eq!(replica.deliver().await.sent, 1);
    let sent = replica.site.wecom.sent();
    assert_eq!(sent[0].request["duplicate_check_interval"], 14_400);
    assert_eq!(sent[0].request["enable_duplicate_check"], 1);
}

#[tokio::test]
async fn two_thousand_five_hundred_recipients_are_three_calls() {
    let replica = replica_with_members(2500).await;
    let everyone = members(2500);
    let id = replica.put(&text_message("全员通知", &as_strs(&everyone))).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 3);
    assert_eq!(replica.status(&id).await, "sent");
    for user in &everyone {
        assert_eq!(replica.inbox(user), ["全员通知"], "{user}");
    }
}

#[tokio::test]
async fn equal_texts_of_many_messages_are_one_call() {
    let replica = replica_with_members(50).await;
    let messages: Vec<_> = members(50).iter().map(|user| text_message("早上好", &[user])).collect();
    let ids = replica.put_all(&messages).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 1);
    for id in &ids {
        assert_eq!(replica.status(id).await, "sent");
    }
}

#[tokio::test]
async fn five_hundred_messages_to_one_member_arrive_in_order_and_wecom_drops_none() {
    let replica = MessageReplica::new().await;
    let texts: Vec<String> = (0..500).map(|n| format!("第{n}条")).collect();
    let messages: Vec<_> = texts.iter().map(|one| text_message(one, &["zhangsan"])).collect();
    replica.put_all(&messages).await;
    let mut minutes = 0;
    while replica.inbox("zhangsan").len() < 500 {
        let delivered = replica.deliver_after(Duration::from_secs(63)).await;
        assert!(delivered.sent <= 28, "{delivered:?}");
        minutes += 1;
        assert!(minutes < 30, "{} have arrived", replica.inbox("zhangsan").len());
    }
    assert_eq!(replica.inbox("zhangsan"), texts);
    assert!(replica.site.wecom.dropped().is_empty());
    assert!(replica.site.wecom.suppressed().is_empty());
    assert_eq!(minutes, 18, "28 a minute");
}

#[tokio::test]
async fn a_thousand_and_more_an_hour_wait_for_the_next_hour() {
    let replica = MessageReplica::new().await;
    let messages: Vec<_> =
        (0..1100).map(|n| text_message(&format!("第{n}条"), &["zhangsan"]).unique()).collect();
    replica.put_all(&messages).await;
    for _ in 0..50 {
        replica.deliver_after(Duration::from_secs(63)).await;
    }
    assert_eq!(replica.inbox("zhangsan").len(), 980, "within 52 minutes");
    for _ in 0..20 {
        replica.deliver_after(Duration::from_secs(63)).await;
    }
    assert_eq!(replica.inbox("zhangsan").len(), 1100);
    assert!(replica.site.wecom.dropped().is_empty());
}

#[tokio::test]
async fn an_equal_text_to_the_same_member_waits_until_wecom_no_longer_takes_it_for_the_same() {
    let replica = MessageReplica::new().await;
    let first = replica.put(&text_message("开会", &["zhangsan", "lisi"])).await;
    replica.deliver_after(LINGER).await;
    let second = replica.put(&text_message("开会", &["zhangsan"])).await;
    let elsewhere = replica.put(&text_message("开会", &["wangwu"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&first).await, "sent");
    assert_eq!(replica.status(&second).await, "accepted");
    assert_eq!(replica.status(&elsewhere).await, "sent");
    replica.deliver_after(MINUTE).await;
    assert_eq!(replica.inbox("zhangsan").len(), 1);
    replica.deliver_after(MINUTE + 10 * SECOND).await;
    assert_eq!(replica.inbox("zhangsan"), ["开会", "开会"]);
    assert_eq!(replica.status(&second).await, "sent");
    assert!(replica.site.wecom.suppressed().is_empty());
}

#[tokio::test]
async fn an_equal_text_to_everybody_waits_too() {
    let replica = MessageReplica::new().await;
    replica.put(&text_message("开会", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let all = replica.put(&text_message("开会", &[]).for_all()).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&all).await, "accepted");
    replica.deliver_after(3 * MINUTE).await;
    assert_eq!(replica.status(&all).await, "sent");
    let after = replica.put(&text_message("开会", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&after).await, "accepted");
    replica.deliver_after(3 * MINUTE).await;
    assert_eq!(replica.status(&after).await, "sent");
    assert!(replica.site.wecom.suppressed().is_empty());
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (2, 2));
}

#[tokio::test]
async fn messages_to_everybody_and_own_ones_are_together_within_the_limit() {
    let replica = MessageReplica::new().await;
    let mut messages: Vec<_> = (0..4).map(|n| text_message(&format!("通知{n}"), &[]).for_all()).collect();
    messages.extend((0..40).map(|n| text_message(&format!("第{n}条"), &["zhangsan"])));
    replica.put_all(&messages).await;
    for minute in 1..=3 {
        replica.deliver_after(Duration::from_secs(63)).await;
        assert!(replica.inbox("zhangsan").len() <= 30 * minute, "{minute}");
    }
    assert_eq!(replica.inbox("zhangsan").len(), 44);
    assert!(replica.site.wecom.dropped().is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_bytes_and_the_message_arrives_once() {
    for fault in [
        InjectedFault::Html502,
        InjectedFault::Close,
        InjectedFault::CloseMidAnswer,
        InjectedFault::Truncated,
        InjectedFault::EmptyBody,
    ] {
        let replica = MessageReplica::new().await;
        replica.site.wecom.fail_times("message/send", 2, fault.clone().having_acted());
        let id = replica.put(&text_message("一次", &["zhangsan"])).await;
        replica.deliver_after(LINGER).await;
        assert_eq!(replica.status(&id).await, "accepted", "{fault:?}");
        for _ in 0..5 {
            replica.deliver_after(4 * SECOND).await;
        }
        assert_eq!(replica.status(&id).await, "sent", "{fault:?}");
        assert_eq!(replica.inbox("zhangsan"), ["一次"], "{fault:?}");
        assert_eq!(replica.calls(), 3, "{fault:?}");
        let bodies: BTreeSet<String> = replica
            .site
            .wecom
            .requests()
            .into_iter()
            .filter(|request| request.api == "message/send")
            .map(|request| request.body)
            .collect();
        assert_eq!(bodies.len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn silence_is_a_lost_answer() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Hang.having_acted());
    let id = replica.put(&text_message("一次", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "accepted");
    replica.deliver_after(4 * SECOND).await;
    assert_eq!(replica.status(&id).await, "sent");
    assert_eq!(replica.inbox("zhangsan"), ["一次"]);
}

#[tokio::test]
async fn when_the_window_has_passed_nobody_knows_and_nothing_is_sent_twice() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let id = replica.put(&text_message("一次", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let delivered = replica.deliver_after(2 * MINUTE).await;
    assert_eq!(delivered.unknown, 1);
    assert_eq!(replica.status(&id).await, "unknown");
    assert_eq!(replica.calls(), 1);
    replica.deliver_after(24 * HOUR).await;
    assert_eq!((replica.calls(), replica.status(&id).await), (1, "unknown".to_owned()));
    assert_eq!(replica.inbox("zhangsan"), ["一次"]);
}

#[tokio::test]
async fn a_lost_answer_of_a_message_like_no_other_can_be_asked_for_again_for_hours() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let id = replica.put(&text_message("一次", &["zhangsan"]).unique()).await;
    replica.deliver().await;
    replica.deliver_after(3 * HOUR).await;
    assert_eq!(replica.status(&id).await, "sent");
    assert_eq!((replica.calls(), replica.inbox("zhangsan").len()), (2, 1));
}

#[tokio::test]
async fn a_call_that_nobody_can_answer_for_ends_as_unknown_within_its_window() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", InjectedFault::Html502);
    let id = replica.put(&text_message("一次", &["zhangsan"])).await;
    for _ in 0..60 {
        replica.deliver_after(3 * SECOND).await;
    }
    assert_eq!(replica.status(&id).await, "unknown");
    assert!((3..=7).contains(&replica.calls()), "{}", replica.calls());
}

#[tokio::test]
async fn a_busy_wecom_is_asked_again_with_growing_pauses() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_times("message/send", 3, refusal(-1));
    let id = replica.put(&text_message("请审批", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 1);
    for (seconds, calls) in [(2, 2), (1, 2), (2, 3), (7, 4)] {
        replica.deliver_after(Duration::from_secs(seconds)).await;
        assert_eq!(replica.calls(), calls, "after {seconds} s");
    }
    assert_eq!(replica.status(&id).await, "sent");
}

#[tokio::test]
async fn what_is_refused_for_a_day_fails_with_what_wecom_said_last() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(-1));
    let id = replica.put(&text_message("请审批", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    replica.deliver_after(12 * HOUR).await;
    assert_eq!(replica.status(&id).await, "accepted");
    replica.deliver_after(12 * HOUR).await;
    let (status, reason) = replica.outcome(&id).await;
    assert_eq!(status, "failed");
    assert!(reason.contains("-1"), "{reason}");
    let calls = replica.calls();
    replica.site.wecom.clear_faults();
    replica.deliver_after(HOUR).await;
    assert_eq!(replica.calls(), calls);
}

#[tokio::test]
async fn wecoms_own_limit_holds_everything_until_it_has_passed() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_times("message/send", 2, refusal(45009));
    let one = replica.put(&text_message("一", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let other = replica.put(&text_message("二", &["lisi"])).await;
    replica.deliver_after(50 * SECOND).await;
    assert_eq!(replica.calls(), 1, "nothing is sent for a minute");
    replica.deliver_after(15 * SECOND).await;
    assert_eq!(replica.calls(), 2, "then one call goes first, and is refused, too");
    replica.deliver_after(9 * MINUTE).await;
    assert_eq!(replica.calls(), 2, "now it is ten minutes");
    replica.deliver_after(2 * MINUTE).await;
    assert_eq!(
        (replica.status(&one).await, replica.status(&other).await),
        ("sent".to_owned(), "sent".to_owned())
    );
    let window = read_send_window(&replica.db).await;
    assert_eq!((window.holds, window.hold_since), (0, None));
}

#[tokio::test]
async fn too_many_calls_at_the_same_time_become_fewer_and_slowly_more_again() {
    let replica = replica_with_members(200).await;
    replica.site.wecom.fail_next("message/send", refusal(45033));
    let messages: Vec<_> = members(200).iter().map(|user| text_message(user, &[user])).collect();
    replica.put_all(&messages[..10]).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(read_send_window(&replica.db).await.max_concurrent_calls, 5);
    replica.put_all(&messages[10..]).await;
    replica.deliver_after(LINGER).await;
    replica.deliver_after(LINGER).await;
    assert!(read_send_window(&replica.db).await.max_concurrent_calls > 5);
    assert_eq!(replica.count_with_status("sent").await, 200);
}

#[tokio::test]
async fn what_an_administrator_has_to_mend_holds_messages_with_its_reason_and_they_go_out_when_it_is_mended()
{
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(60020));
    let id = replica.put(&text_message("请审批", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let later = replica.put(&text_message("再请审批", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 1);
    assert_eq!(replica.status(&id).await, "accepted");
    let window = read_send_window(&replica.db).await;
    assert_eq!(window.hold_code.as_deref(), Some("needs_administrator"));
    assert!(window.hold_detail.is_some_and(|detail| detail.contains("60020")));
    for calls in 2..5 {
        replica.deliver_after(10 * MINUTE).await;
        assert_eq!(replica.calls(), calls, "once in ten minutes");
    }
    replica.site.wecom.clear_faults();
    replica.deliver_after(10 * MINUTE).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.inbox("zhangsan"), ["请审批"]);
    assert_eq!(
        (replica.status(&id).await, replica.status(&later).await),
        ("sent".to_owned(), "sent".to_owned())
    );
    let window = read_send_window(&replica.db).await;
    assert_eq!((window.hold_code, window.hold_since), (None, None));
}

#[tokio::test]
async fn what_nobody_mends_for_a_day_fails_with_that_reason() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(48002));
    let tried = replica.put(&text_message("一", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put(&text_message("二", &["lisi"])).await;
    for _ in 0..25 {
        replica.deliver_after(HOUR).await;
    }
    for id in [&tried, &waiting] {
        let (status, reason) = replica.outcome(id).await;
        assert_eq!(status, "failed");
        assert!(reason.contains("48002"), "{reason}");
    }
}

#[tokio::test]
async fn recipients_whom_wecom_does_not_know_fail_and_the_others_have_it() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("通知", &["ZhangSan", "NoSuchUser", "lisi"])).await;
    let nobody = replica.put(&text_message("只有你", &["AnotherNobody"])).await;
    replica.deliver_after(LINGER).await;
    let (status, reason) = replica.outcome(&id).await;
    assert_eq!(status, "partly_failed");
    assert!(reason.contains("does not know this userid"), "{reason}");
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (1, 1));
    let recipients = read_recipients(&replica.db).await;
    let unknown = recipients.iter().find(|recipient| recipient.userid == "NoSuchUser").expect("a recipient");
    assert_eq!((unknown.status.as_str(), unknown.counted_at), ("failed", None));
    assert_eq!(replica.status(&nobody).await, "failed", "81013");
    assert!(replica.outcome(&nobody).await.1.contains("81013"));
}

#[tokio::test]
async fn a_call_refused_for_one_of_its_recipients_is_made_for_each_of_them() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", refusal(40003));
    let id = replica.put(&text_message("通知", &["zhangsan", "lisi", "wangwu"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 4);
    assert_eq!(replica.status(&id).await, "sent");
    for user in ["zhangsan", "lisi", "wangwu"] {
        assert_eq!(replica.inbox(user), ["通知"], "{user}");
    }
}

#[tokio::test]
async fn a_message_that_wecom_does_not_take_fails_with_its_words_and_is_never_sent_again() {
    for code in [40058, 45002, 987_654] {
        let replica = MessageReplica::new().await;
        replica.site.wecom.fail_next("message/send", refusal(code));
        let id = replica.put(&text_message("坏", &["zhangsan", "lisi"])).await;
        replica.deliver_after(LINGER).await;
        replica.deliver_after(HOUR).await;
        let (status, reason) = replica.outcome(&id).await;
        assert_eq!((status.as_str(), replica.calls()), ("failed", 1), "{code}");
        assert!(reason.contains(&code.to_string()), "{reason}");
    }
}

#[tokio::test]
async fn who_left_in_between_is_not_written_to() {
    let replica = MessageReplica::new().await;
    replica.add_person("p1", "zhangsan", "active", &[]).await;
    replica.add_person("p2", "lisi", "left", &[]).await;
    let id = replica.put(&text_message("通知", &[]).for_persons(&[("zhangsan", "p1"), ("lisi", "p2")])).await;
    let gone = replica.put(&text_message("只有你", &[]).for_persons(&[("lisi", "p2")])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "partly_failed");
    assert_eq!(
        replica.outcome(&gone).await,
        ("failed".to_owned(), "The person has left the corporation.".to_owned())
    );
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (1, 0));
}

#[tokio::test]
async fn somebody_whose_userid_changed_in_between_gets_it_under_the_new_one() {
    let replica = MessageReplica::new().await;
    replica.add_person("p1", "lisi", "active", &[]).await;
    let id = replica.put(&text_message("通知", &[]).for_persons(&[("oldname", "p1")])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.status(&id).await.as_str(), replica.inbox("lisi").len()), ("sent", 1));
}

#[tokio::test]
async fn what_expires_before_its_turn_is_not_sent() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_always("message/send", refusal(60020));
    let tried = replica.put(&text_message("一", &["zhangsan"]).expiring(5 * MINUTE)).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put(&text_message("二", &["lisi"]).expiring(5 * MINUTE)).await;
    let unexpanded = replica.put(&text_message("三", &["wangwu"]).expiring(SECOND)).await;
    replica.site.wecom.clear_faults();
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&unexpanded).await, "expired");
    replica.deliver_after(10 * MINUTE).await;
    assert_eq!(
        (replica.status(&tried).await, replica.status(&waiting).await),
        ("expired".into(), "expired".into())
    );
    assert_eq!(replica.site.wecom.sent_count(), 0);
}

#[tokio::test]
async fn units_with_what_is_below_them_and_tags_are_their_members_each_once() {
    let replica = MessageReplica::new().await;
    let (top, below, other) = (
        replica.add_department(2, 0).await,
        replica.add_department(3, 2).await,
        replica.add_department(4, 0).await,
    );
    replica.add_person("p1", "zhangsan", "active", &[&top]).await;
    replica.add_person("p2", "lisi", "active", &[&below, &other]).await;
    replica.add_person("p3", "wangwu", "active", &[&other]).await;
    replica.add_person("p4", "zhaoliu", "disabled", &[&top]).await;
    let tag = replica.add_tag(7, &["LiSi"], &[&other]).await;
    let unit = replica.put(&text_message("部门", &[]).for_units(std::slice::from_ref(&top))).await;
    let tagged = replica.put(&text_message("标签", &["zhangsan"]).for_tags(&[tag])).await;
    let both = replica
        .put(&text_message("都有", &[]).for_persons(&[("zhangsan", "p1")]).for_units(&[top, other]))
        .await;
    let empty = replica.add_department(9, 0).await;
    let nobody = replica.put(&text_message("没人", &[]).for_units(&[empty])).await;
    replica.deliver_after(LINGER).await;
    replica.deliver_after(LINGER).await;
    let rows = async |id: &MessageId| replica.count_recipients(id).await;
    assert_eq!((rows(&unit).await, rows(&tagged).await, rows(&both).await), (2, 3, 3));
    assert_eq!(replica.inbox("zhangsan"), ["部门", "标签", "都有"]);
    assert_eq!(replica.inbox("lisi"), ["部门", "标签", "都有"]);
    assert_eq!(replica.inbox("wangwu"), ["标签", "都有"]);
    assert_eq!(replica.status(&nobody).await, "failed");
}

#[tokio::test]
async fn a_message_to_everybody_is_one_call() {
    let replica = replica_with_members(300).await;
    let id = replica.put(&text_message("全员", &[]).for_all()).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.calls(), replica.status(&id).await.as_str()), (1, "sent"));
    assert_eq!(replica.inbox("member0299"), ["全员"]);
}

#[tokio::test]
async fn two_replicas_never_make_the_same_call() {
    let replica = replica_with_members(300).await;
    let other = replica.second_replica().await;
    replica.site.wecom.set_latency("message/send", Duration::from_millis(20));
    let messages: Vec<_> = members(300).iter().map(|user| text_message(user, &[user])).collect();
    replica.put_all(&messages).await;
    replica.advance(LINGER);
    // A replica that finds all places taken has nothing to do for the moment, and comes back.
    let until_all_are_sent = async |messages: &Messages| {
        let mut sent = 0;
        while read_messages(&replica.db).await.iter().any(|message| message.finished_at.is_none()) {
            sent += replica.deliver_by(messages).await.sent;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sent
    };
    let (one, two) = tokio::join!(until_all_are_sent(&replica.messages), until_all_are_sent(&other));
    assert_eq!(one + two, 300);
    assert!(one > 0 && two > 0, "{one} {two}");
    assert_eq!(replica.calls(), 300);
    let most = replica.site.wecom.most_calls_at_once_of("message/send");
    assert!((2..=10).contains(&most), "{most} calls at once");
}

#[tokio::test]
async fn a_call_of_a_process_that_died_is_taken_over_when_its_lease_is_over() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("一次", &["zhangsan"])).await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Hang.having_acted());
    replica.advance(LINGER);
    // Dropped while it waits for WeCom, as if the process were killed.
    {
        let delivering = replica.deliver();
        tokio::pin!(delivering);
        let made = eventually("the call is being made", async || (replica.calls() == 1).then_some(()));
        tokio::select! {
            delivered = &mut delivering => panic!("it waits for WeCom: {delivered:?}"),
            () = made => {}
        }
    }
    let calls = read_calls(&replica.db).await;
    assert_eq!(calls.iter().filter(|call| call.status == "calling").count(), 1);
    assert_eq!(replica.inbox("zhangsan"), ["一次"], "WeCom has acted");
    let other = replica.second_replica().await;
    replica.advance(29 * SECOND);
    replica.deliver_by(&other).await;
    assert_eq!(
        (replica.calls(), replica.status(&id).await.as_str()),
        (1, "accepted"),
        "the lease still runs"
    );
    replica.advance(2 * SECOND);
    replica.deliver_by(&other).await;
    assert_eq!((replica.calls(), replica.status(&id).await.as_str()), (2, "sent"));
    assert_eq!(replica.inbox("zhangsan"), ["一次"]);
    let requests = replica.site.wecom.requests().into_iter().filter(|request| request.api == "message/send");
    let bodies: BTreeSet<String> = requests.map(|request| request.body).collect();
    assert_eq!(bodies.len(), 1, "the same bytes");
}

#[tokio::test]
async fn what_waits_is_recalled_at_once_and_what_was_sent_is_taken_back() {
    let replica = MessageReplica::new().await;
    let sent = replica.put(&text_message("一", &["zhangsan", "lisi"])).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put(&text_message("二", &["zhangsan"])).await;
    let by = || Requester { actor: gongpai::testing::audit::Actor::Cli, ..Requester::default() };
    replica.messages.recall(&[sent.clone(), waiting.clone()], by()).await.unwrap();
    assert_eq!(replica.status(&waiting).await, "recalled");
    assert_eq!(replica.status(&sent).await, "sent", "WeCom has not been asked yet");
    replica.deliver().await;
    assert_eq!(replica.status(&sent).await, "recalled");
    assert!(replica.inbox("zhangsan").is_empty() && replica.inbox("lisi").is_empty());
    replica.deliver_after(LINGER).await;
    assert!(replica.inbox("zhangsan").is_empty());
    assert_eq!(read_message_audit(&replica.db, &replica.corp).await.len(), 2);
    let again = replica.messages.recall(&[sent], by()).await;
    assert!(matches!(again, Err(CommandError::NothingToDo(..))), "{again:?}");
}

#[tokio::test]
async fn a_planned_call_that_never_went_out_is_taken_apart_by_a_recall() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", refusal(60020));
    let one = replica.put(&text_message("同文", &["zhangsan"])).await;
    let other = replica.put(&text_message("同文", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    replica.messages.recall(std::slice::from_ref(&one), Requester::default()).await.unwrap();
    assert_eq!(replica.status(&one).await, "recalled");
    replica.deliver_after(10 * MINUTE).await;
    assert_eq!(replica.status(&other).await, "sent");
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (0, 1));
}

#[tokio::test]
async fn what_went_out_together_is_recalled_together_or_not_at_all_and_nothing_after_a_day() {
    let replica = MessageReplica::new().await;
    let one = replica.put(&text_message("同文", &["zhangsan"])).await;
    let other = replica.put(&text_message("同文", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.calls(), 1);
    let shared = replica.messages.recall(std::slice::from_ref(&one), Requester::default()).await;
    assert!(matches!(&shared, Err(CommandError::Shared(a, b)) if (a, b) == (&one, &other)), "{shared:?}");
    assert!(read_messages(&replica.db).await.iter().all(|message| message.recall_at.is_none()));
    replica.messages.recall(&[one.clone(), other.clone()], Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(
        (replica.status(&one).await, replica.status(&other).await),
        ("recalled".into(), "recalled".into())
    );
    let late = replica.put(&text_message("旧", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    replica.advance(24 * HOUR);
    let refused = replica.messages.recall(&[late], Requester::default()).await;
    assert!(matches!(refused, Err(CommandError::TooLate(_))), "{refused:?}");
    let unknown = replica.messages.recall(&[MessageId::new("none")], Requester::default()).await;
    assert!(matches!(unknown, Err(CommandError::NotFound(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_failed_message_can_be_tried_again_by_hand_and_a_waiting_one_be_buried() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", refusal(40058));
    let id = replica.put(&text_message("请审批", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&id).await, "failed");
    replica.advance(30 * HOUR);
    replica.messages.retry(&id, Requester::default()).await.unwrap();
    assert_eq!(replica.status(&id).await, "accepted");
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.status(&id).await.as_str(), replica.inbox("zhangsan").len()), ("sent", 1));
    let sent = replica.messages.retry(&id, Requester::default()).await;
    assert!(matches!(sent, Err(CommandError::NothingToDo(..))), "{sent:?}");

    replica.site.wecom.fail_next("message/send", refusal(60020));
    let tried = replica.put(&text_message("二", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    let waiting = replica.put(&text_message("三", &["lisi"])).await;
    for id in [&tried, &waiting] {
        replica.messages.bury(id, "nobody needs it", Requester::default()).await.unwrap();
        let (status, reason) = replica.outcome(id).await;
        assert_eq!(status, "failed");
        assert!(reason.contains("nobody needs it"), "{reason}");
    }
    replica.deliver_after(HOUR).await;
    assert_eq!((replica.inbox("zhangsan").len(), replica.inbox("lisi").len()), (1, 0));
    assert_eq!(read_message_audit(&replica.db, &replica.corp).await.len(), 3);
}

#[tokio::test]
async fn with_sending_switched_off_rows_stay_as_they_are() {
    let replica = MessageReplica::with("[wecom]\nmessage_enable = false\n").await;
    let id = replica.put_row(&text_message("请审批", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.status(&id).await.as_str(), replica.calls()), ("accepted", 0));
    assert!(read_recipients(&replica.db).await.is_empty());
}

#[tokio::test]
async fn the_worker_delivers_by_itself_and_finishes_what_is_under_way_when_it_is_asked_to_stop() {
    let replica = MessageReplica::new().await;
    let stop = CancellationToken::new();
    let mut worker = JoinSet::new();
    worker.spawn(replica.worker(&replica.messages, &stop).await.run());
    let first = replica.put(&text_message("一", &["zhangsan"]).unique()).await;
    eventually("the first message is sent", async || (replica.status(&first).await == "sent").then_some(()))
        .await;
    replica.site.wecom.set_latency("message/send", SECOND);
    let second = replica.put(&text_message("二", &["zhangsan"]).unique()).await;
    eventually("the second call is being made", async || (replica.calls() == 2).then_some(())).await;
    let third = replica.put(&text_message("三", &["lisi"]).unique()).await;
    stop.cancel();
    worker.join_all().await;
    assert_eq!(
        (replica.status(&second).await, replica.status(&third).await),
        ("sent".into(), "accepted".into())
    );
    assert_eq!(replica.calls(), 2);
}

#[tokio::test]
async fn a_slow_call_holds_nobody_up() {
    let replica = MessageReplica::new().await;
    let stop = CancellationToken::new();
    let mut worker = JoinSet::new();
    worker.spawn(replica.worker(&replica.messages, &stop).await.run());
    replica.site.wecom.fail_next("message/send", InjectedFault::Slow(4 * SECOND));
    let slow = replica.put(&text_message("慢", &["zhangsan"]).unique()).await;
    eventually("the slow call is being made", async || (replica.calls() == 1).then_some(())).await;
    let quick = replica.put(&text_message("快", &["lisi"]).unique()).await;
    let behind = replica.put(&text_message("慢之后", &["zhangsan"]).unique()).await;
    eventually("the quick one is sent", async || (replica.status(&quick).await == "sent").then_some(()))
        .await;
    assert_eq!(
        (replica.status(&slow).await, replica.status(&behind).await),
        ("accepted".into(), "accepted".into())
    );
    eventually("both arrive", async || (replica.status(&behind).await == "sent").then_some(())).await;
    assert_eq!(replica.inbox("zhangsan"), ["慢", "慢之后"]);
    stop.cancel();
    worker.join_all().await;
}

#[tokio::test]
async fn ten_thousand_messages_of_one_text_leave_in_tens_of_calls() {
    let replica = replica_with_members(10_000).await;
    let messages: Vec<_> =
        (1..=10_000).map(|n| text_message("系统将于今晚维护", &[&format!("member{n:04}")])).collect();
    for part in messages.chunks(1000) {
        replica.put_all(part).await;
    }
    replica.advance(LINGER);
    let began = std::time::Instant::now();
    let delivered = replica.deliver().await;
    println!("10 000 messages: {:?} for everything, {delivered:?}", began.elapsed());
    replica.deliver_after(LINGER).await;
    assert!((10..=20).contains(&replica.calls()), "{} calls", replica.calls());
    assert_eq!(replica.count_with_status("sent").await, 10_000);
    assert_eq!(replica.inbox("member0042").len(), 1);
}
