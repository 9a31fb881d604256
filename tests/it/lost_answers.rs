//! Answers of WeCom that were lost, came late, or came to somebody else; and clocks that were put back.

use std::time::Duration;

use gongpai::message::Messages;
use gongpai::message::commands::Requester;
use gongpai::simulator::InjectedFault;

use crate::support::eventually;
use crate::support::post::{MessageReplica, TestMessage, text_message};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Longer than any text waits for company.
const LINGER: Duration = Duration::from_secs(2);

fn refusal(code: i64) -> InjectedFault {
    InjectedFault::Errcode(code, format!("no, {code}"))
}

fn unique(content: &str) -> TestMessage {
    text_message(content, &["zhangsan"]).unique()
}

#[tokio::test]
async fn what_was_taken_back_after_a_lost_answer_may_still_be_on_phones_and_is_not_called_recalled() {
    let post = MessageReplica::new().await;
    post.place.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let lost = post.put(&text_message("一", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    post.deliver_after(4 * SECOND).await;
    let sure = post.put(&text_message("二", &["lisi"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!((post.status(&lost).await, post.status(&sure).await), ("sent".into(), "sent".into()));
    post.messages.recall(&[lost.clone(), sure.clone()], Requester::default()).await.unwrap();
    post.deliver().await;
    assert_eq!(post.place.wecom.calls("message/recall"), 2, "WeCom is asked all the same");
    assert_eq!(post.inbox("zhangsan"), ["一"], "the msgid was not that of the message that arrived");
    let (status, reason) = post.outcome(&lost).await;
    assert_eq!(status, "sent");
    assert!(reason.contains("an earlier answer") && reason.contains("still be on phones"), "{reason}");
    assert_eq!(post.outcome(&sure).await, ("recalled".to_owned(), String::new()));
}

/// One who waits 2.5 s for WeCom's yes; meanwhile 31 s pass, and `other` does something.
async fn deliver_with_late_yes(post: &MessageReplica, meanwhile: impl AsyncFnOnce(Messages)) {
    post.place
        .wecom
        .fail_next("message/send", InjectedFault::Slow(Duration::from_millis(2500)).having_acted());
    let (other, chart) = (post.second_replica().await, post.chart().await);
    let (delivered, ()) = tokio::join!(post.messages.deliver_due(&chart), async {
        eventually("the call is being made", async || (post.calls() == 1).then_some(())).await;
        post.advance(31 * SECOND);
        meanwhile(other).await;
    });
    assert_eq!(delivered.unwrap().sent, 1);
}

#[tokio::test]
async fn wecoms_yes_counts_although_somebody_else_has_the_call_by_now() {
    let post = MessageReplica::new().await;
    let id = post.put(&unique("一次")).await;
    let chart = post.chart().await;
    deliver_with_late_yes(&post, async |other: Messages| {
        // Taken over, and its own answer is lost while the first one is still to come.
        post.place.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
        other.deliver_due(&chart).await.unwrap();
        assert_eq!((post.calls(), post.status(&id).await.as_str()), (2, "accepted"));
    })
    .await;
    assert_eq!(post.outcome(&id).await, ("sent".to_owned(), String::new()));
    post.deliver_after(HOUR).await;
    assert_eq!((post.calls(), post.inbox("zhangsan").len()), (2, 1));
}

#[tokio::test]
async fn wecoms_yes_counts_although_the_other_holder_is_still_calling_who_finds_it_ended() {
    let post = MessageReplica::new().await;
    let id = post.put(&unique("一次")).await;
    let chart = post.chart().await;
    let other = post.second_replica().await;
    deliver_with_late_yes(&post, async |_| {
        post.place.wecom.fail_next("message/send", InjectedFault::Slow(4 * SECOND));
        let taken_over = other.deliver_due(&chart).await.unwrap();
        assert_eq!((taken_over.calls, taken_over.sent), (0, 0), "it had ended");
    })
    .await;
    assert_eq!((post.status(&id).await.as_str(), post.calls()), ("sent", 2));
    assert_eq!(post.inbox("zhangsan").len(), 1);
}

#[tokio::test]
async fn wecoms_yes_counts_although_the_call_was_given_up_meanwhile() {
    let post = MessageReplica::new().await;
    let id = post.put(&text_message("一次", &["zhangsan"])).await;
    post.advance(LINGER);
    let chart = post.chart().await;
    deliver_with_late_yes(&post, async |other: Messages| {
        post.advance(2 * MINUTE);
        assert_eq!(other.deliver_due(&chart).await.unwrap().unknown, 1);
        assert_eq!(post.status(&id).await, "unknown");
    })
    .await;
    assert_eq!(post.outcome(&id).await, ("sent".to_owned(), String::new()));
    assert_eq!(post.query_number("SELECT COUNT(*) FROM message_recipients WHERE status = 'sent'").await, 1);
    assert_eq!((post.calls(), post.inbox("zhangsan").len()), (1, 1));
}

#[tokio::test]
async fn what_may_have_arrived_has_not_failed_whatever_wecom_says_later() {
    for code in [40003, 81013, 40058] {
        let post = MessageReplica::new().await;
        post.place.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
        let id = post.put(&text_message("一次", &["zhangsan"])).await;
        post.deliver_after(LINGER).await;
        post.place.wecom.fail_next("message/send", refusal(code));
        post.deliver_after(4 * SECOND).await;
        let (status, reason) = post.outcome(&id).await;
        assert_eq!((status.as_str(), post.calls()), ("unknown", 2), "{code}");
        assert!(reason.contains(&code.to_string()), "{reason}");
    }
}

#[tokio::test]
async fn a_try_that_surely_did_nothing_takes_nothing_from_the_day() {
    let recipients = "SELECT CAST(COALESCE(SUM(recipients), 0) AS BIGINT) FROM message_pace";
    let post = MessageReplica::new().await;
    post.place.wecom.fail_next("message/send", refusal(-1));
    post.put(&text_message("一", &["zhangsan", "lisi"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!((post.calls(), post.query_number(recipients).await), (1, 0));
    post.deliver_after(LINGER).await;
    assert_eq!((post.calls(), post.query_number(recipients).await), (2, 2));
    // Refused for one of them, and made for each.
    post.place.wecom.fail_next("message/send", refusal(40003));
    post.put(&text_message("二", &["zhangsan", "lisi"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!((post.calls(), post.query_number(recipients).await), (5, 4));
    post.place.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    post.put(&text_message("三", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.query_number(recipients).await, 5, "of this one nobody knows");
}

#[tokio::test]
async fn recipients_that_are_used_up_for_today_stop_messages_and_no_recalls() {
    let post = MessageReplica::new().await;
    let sent = post.put(&unique("一")).await;
    post.deliver().await;
    // As if a whole day's recipients had had their call, of a corporation that was read completely.
    post.add_person("p1", "zhangsan", "active", &[]).await;
    post.execute("UPDATE charts SET complete_at = 1, version = version + 1").await;
    post.execute("UPDATE message_pace SET recipients = 40000").await;
    let waiting = post.put(&unique("二")).await;
    post.deliver().await;
    assert_eq!((post.calls(), post.status(&waiting).await.as_str()), (1, "accepted"));
    let held = "SELECT COUNT(*) FROM message_lanes WHERE hold_reason LIKE '%used up%'";
    assert_eq!(post.query_number(held).await, 1);
    post.messages.recall(std::slice::from_ref(&sent), Requester::default()).await.unwrap();
    post.deliver().await;
    assert_eq!(post.status(&sent).await, "recalled");
    assert_eq!((post.calls(), post.query_number(held).await), (1, 1), "messages still wait");
}

#[tokio::test]
async fn a_clock_that_was_put_back_neither_stops_messages_nor_sends_any_twice() {
    let post = MessageReplica::new().await;
    post.place.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let lost = post.put(&unique("一次")).await;
    post.deliver().await;
    let later = post.now().plus(48 * HOUR).millis();
    // As a clock two days ahead would have left them.
    post.execute(&format!(
        "UPDATE message_calls SET next_at = 0, uncertain_at = {later}, lease_until = {later}"
    ))
    .await;
    post.execute("UPDATE message_calls SET status = 'calling', holder = 'somebody'").await;
    post.execute(&format!("UPDATE message_lanes SET hold_until = {later}")).await;
    let next = post.put(&text_message("下一条", &["zhangsan"])).await;
    post.deliver_after(LINGER).await;
    post.deliver().await;
    assert_eq!((post.status(&lost).await, post.status(&next).await), ("unknown".into(), "sent".into()));
    assert_eq!(post.inbox("zhangsan"), ["一次", "下一条"]);
    assert_eq!(post.calls(), 2);

    let fresh = post.put(&unique("三")).await;
    post.place.wecom.fail_next("message/send", refusal(-1));
    post.deliver().await;
    post.execute(&format!("UPDATE message_calls SET lease_until = {later} WHERE status = 'due'")).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&fresh).await, "sent");
}
