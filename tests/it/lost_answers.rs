//! Answers of WeCom that were lost, came late, or came to another holder; and clocks that were set
//! back.

use std::time::Duration;

use gongpai::simulator::InjectedFault;
use gongpai::testing::message::Messages;
use gongpai::testing::message::commands::Requester;

use crate::support::eventually;
use crate::support::message_damage::{date_calls, lease_due_calls, set_counted_recipients};
use crate::support::messages::{read_counted_recipients, read_recipients, read_send_window};
use crate::support::planted_rows::{mark_chart_complete, set_chart_version};
use crate::support::post::{MessageReplica, TestMessage, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Longer than any text waits for others to share its call.
const LINGER: Duration = Duration::from_secs(2);

fn refusal(code: i64) -> InjectedFault {
    InjectedFault::Errcode(code, format!("no, {code}"))
}

fn unique(content: &str) -> TestMessage {
    text_message(content, &["zhangsan"]).unique()
}

#[tokio::test]
async fn what_was_taken_back_after_a_lost_answer_may_still_be_on_phones_and_is_not_called_recalled() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let lost = replica.put(&text_message("一", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    replica.deliver_after(4 * SECOND).await;
    let sure = replica.put(&text_message("二", &["lisi"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.status(&lost).await, replica.status(&sure).await), ("sent".into(), "sent".into()));
    replica.messages.recall(&[lost.clone(), sure.clone()], Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.site.wecom.calls("message/recall"), 2, "WeCom is asked all the same");
    assert_eq!(replica.inbox("zhangsan"), ["一"], "the msgid was not that of the message that arrived");
    let (status, reason) = replica.outcome(&lost).await;
    assert_eq!(status, "sent");
    assert!(reason.contains("an earlier answer") && reason.contains("still be on phones"), "{reason}");
    assert_eq!(replica.outcome(&sure).await, ("recalled".to_owned(), String::new()));
}

#[tokio::test]
async fn a_recall_that_is_made_again_leaves_the_attempts_of_its_send_as_they_were() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&unique("一")).await;
    replica.deliver().await;
    replica.site.wecom.fail_next("message/recall", refusal(-1));
    replica.messages.recall(std::slice::from_ref(&id), Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.status(&id).await, "sent");
    replica.deliver_after(MINUTE).await;
    assert_eq!(replica.site.wecom.calls("message/recall"), 2);
    let shown = replica.messages.find(&id).await.unwrap().unwrap();
    assert_eq!((shown.status.as_str(), shown.attempts), ("recalled", 1));
}

/// Delivers a call whose yes comes after 2.5 s. Meanwhile 31 s pass, and `meanwhile` runs. Returns
/// how many recipients the yes was for.
async fn deliver_with_late_yes(replica: &MessageReplica, meanwhile: impl AsyncFnOnce(Messages)) -> u64 {
    replica
        .site
        .wecom
        .fail_next("message/send", InjectedFault::Slow(Duration::from_millis(2500)).having_acted());
    let other = replica.second_replica().await;
    let (delivered, ()) = tokio::join!(replica.deliver(), async {
        eventually("the call is being made", async || (replica.calls() == 1).then_some(())).await;
        replica.advance(31 * SECOND);
        meanwhile(other).await;
    });
    delivered.sent
}

#[tokio::test]
async fn wecoms_yes_counts_although_somebody_else_has_the_call_by_now() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&unique("一次")).await;
    let sent = deliver_with_late_yes(&replica, async |other: Messages| {
        // The call is taken over, and its own answer is lost before the first one comes.
        replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
        replica.deliver_by(&other).await;
        assert_eq!((replica.calls(), replica.status(&id).await.as_str()), (2, "accepted"));
    })
    .await;
    assert_eq!(sent, 1);
    assert_eq!(replica.outcome(&id).await, ("sent".to_owned(), String::new()));
    replica.deliver_after(HOUR).await;
    assert_eq!((replica.calls(), replica.inbox("zhangsan").len()), (2, 1));
}

#[tokio::test]
async fn wecoms_yes_counts_although_the_other_holder_is_still_calling_who_finds_it_ended() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&unique("一次")).await;
    let other = replica.second_replica().await;
    let sent = deliver_with_late_yes(&replica, async |_| {
        replica.site.wecom.fail_next("message/send", InjectedFault::Slow(4 * SECOND));
        let taken_over = replica.deliver_by(&other).await;
        assert_eq!((taken_over.calls, taken_over.sent), (0, 0), "it had ended");
    })
    .await;
    assert_eq!(sent, 1);
    assert_eq!((replica.status(&id).await.as_str(), replica.calls()), ("sent", 2));
    assert_eq!(replica.inbox("zhangsan").len(), 1);
}

#[tokio::test]
async fn wecoms_yes_counts_although_the_call_was_given_up_meanwhile() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("一次", &["zhangsan"])).await;
    replica.advance(LINGER);
    let sent = deliver_with_late_yes(&replica, async |other: Messages| {
        replica.advance(2 * MINUTE);
        assert_eq!(replica.deliver_by(&other).await.unknown, 1);
        assert_eq!(replica.status(&id).await, "unknown");
    })
    .await;
    assert_eq!(sent, 1);
    assert_eq!(replica.outcome(&id).await, ("sent".to_owned(), String::new()));
    let recipients = read_recipients(&replica.db).await;
    assert_eq!(recipients.iter().filter(|row| row.status == "sent").count(), 1);
    assert_eq!((replica.calls(), replica.inbox("zhangsan").len()), (1, 1));
}

#[tokio::test]
async fn a_late_yes_takes_nothing_back_although_its_recipients_were_retried_meanwhile() {
    let replica = MessageReplica::new().await;
    let id = replica.put(&text_message("一次", &["zhangsan"])).await;
    replica.advance(LINGER);
    let sent = deliver_with_late_yes(&replica, async |other: Messages| {
        replica.advance(2 * MINUTE);
        assert_eq!(replica.deliver_by(&other).await.unknown, 1);
        replica.messages.retry(&id, Requester::default()).await.unwrap();
    })
    .await;
    assert_eq!((sent, replica.status(&id).await.as_str()), (0, "accepted"), "it waits for another call");
    assert_eq!((replica.inbox("zhangsan").len(), replica.site.wecom.calls("message/recall")), (1, 0));
    replica.deliver_after(HOUR).await;
    assert_eq!((replica.status(&id).await.as_str(), replica.inbox("zhangsan").len()), ("sent", 2));
    assert_eq!(replica.site.wecom.calls("message/recall"), 0, "nobody asked for it");
}

#[tokio::test]
async fn what_may_have_arrived_has_not_failed_whatever_wecom_says_later() {
    for code in [40003, 81013, 40058] {
        let replica = MessageReplica::new().await;
        replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
        let id = replica.put(&text_message("一次", &["zhangsan"])).await;
        replica.deliver_after(LINGER).await;
        replica.site.wecom.fail_next("message/send", refusal(code));
        replica.deliver_after(4 * SECOND).await;
        let (status, reason) = replica.outcome(&id).await;
        assert_eq!((status.as_str(), replica.calls()), ("unknown", 2), "{code}");
        assert!(reason.contains(&code.to_string()), "{reason}");
    }
}

#[tokio::test]
async fn a_try_that_surely_did_nothing_takes_nothing_from_the_day() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", refusal(-1));
    replica.put(&text_message("一", &["zhangsan", "lisi"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.calls(), read_counted_recipients(&replica.db).await), (1, 0));
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.calls(), read_counted_recipients(&replica.db).await), (2, 2));
    // Refused for one of them, and made for each.
    replica.site.wecom.fail_next("message/send", refusal(40003));
    replica.put(&text_message("二", &["zhangsan", "lisi"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!((replica.calls(), read_counted_recipients(&replica.db).await), (5, 4));
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    replica.put(&text_message("三", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(read_counted_recipients(&replica.db).await, 5, "of this one nobody knows");
}

#[tokio::test]
async fn recipients_that_are_used_up_for_today_stop_messages_and_no_recalls() {
    let replica = MessageReplica::new().await;
    let sent = replica.put(&unique("一")).await;
    replica.deliver().await;
    // Pretends that a whole day's recipients had their call and that the directory was read
    // completely.
    replica.add_person("p1", "zhangsan", "active", &[]).await;
    mark_chart_complete(&replica.db, 1).await;
    set_chart_version(&replica.db, 1).await;
    set_counted_recipients(&replica.db, 40_000).await;
    let waiting = replica.put(&unique("二")).await;
    replica.deliver().await;
    assert_eq!((replica.calls(), replica.status(&waiting).await.as_str()), (1, "accepted"));
    assert_eq!(read_send_window(&replica.db).await.hold_code.as_deref(), Some("daily_limit"));
    replica.messages.recall(std::slice::from_ref(&sent), Requester::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.status(&sent).await, "recalled");
    assert_eq!(replica.calls(), 1, "messages still wait");
    assert_eq!(read_send_window(&replica.db).await.hold_code.as_deref(), Some("daily_limit"));
}

#[tokio::test]
async fn a_clock_that_was_put_back_neither_stops_messages_nor_sends_any_twice() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let lost = replica.put(&unique("一次")).await;
    replica.deliver().await;
    let later = replica.now().plus(48 * HOUR);
    // As a clock two days ahead would have left them.
    date_calls(&replica.db, later).await;
    let next = replica.put(&text_message("下一条", &["zhangsan"])).await;
    replica.deliver_after(LINGER).await;
    replica.deliver().await;
    assert_eq!((replica.status(&lost).await, replica.status(&next).await), ("unknown".into(), "sent".into()));
    assert_eq!(replica.inbox("zhangsan"), ["一次", "下一条"]);
    assert_eq!(replica.calls(), 2);

    let fresh = replica.put(&unique("三")).await;
    replica.site.wecom.fail_next("message/send", refusal(-1));
    replica.deliver().await;
    lease_due_calls(&replica.db, later).await;
    replica.deliver_after(LINGER).await;
    assert_eq!(replica.status(&fresh).await, "sent");
}
