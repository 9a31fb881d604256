//! Cards with a `task_id`: WeCom takes each id once (42014), and all recipients get the card all
//! the same.

use std::time::Duration;

use gongpai::simulator::{InjectedFault, World};

use crate::support::messages::read_messages;
use crate::support::post::{MessageReplica, card_message};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns the `task_id` of every call that WeCom took, in their order.
fn sent_task_ids(replica: &MessageReplica) -> Vec<String> {
    let sent = replica.site.wecom.sent().into_iter();
    sent.filter_map(|s| s.request.pointer("/template_card/task_id")?.as_str().map(str::to_owned)).collect()
}

/// Whether a call has a suffix of its own behind the sender's `task_id`.
fn is_own_task_id(task: &str, of: &str) -> bool {
    let own = task.strip_prefix(of).and_then(|rest| rest.strip_prefix('-'));
    own.is_some_and(|own| own.len() == 12 && own.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
}

#[tokio::test]
async fn a_card_to_more_recipients_than_a_call_has_reaches_all_of_them() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.change(|world: &mut World| world.populate(1500));
    let users: Vec<String> = (1..=1500).map(|n| format!("member{n:04}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let id = replica.put(&card_message("审批", "task-1", &users)).await;
    replica.deliver().await;
    assert_eq!(replica.outcome(&id).await, ("sent".to_owned(), String::new()));
    assert_eq!(replica.calls(), 2);
    for user in users {
        assert_eq!(replica.site.wecom.inbox(user).len(), 1, "{user}");
    }
    let mut tasks = sent_task_ids(&replica);
    tasks.sort();
    assert_eq!(tasks[0], "task-1", "the first call has what was asked for");
    assert!(is_own_task_id(&tasks[1], "task-1"), "{tasks:?}");
}

#[tokio::test]
async fn the_same_card_posted_twice_arrives_twice() {
    let replica = MessageReplica::new().await;
    let one = replica.put(&card_message("审批", "task-1", &["zhangsan"])).await;
    replica.deliver().await;
    let other = replica.put(&card_message("审批", "task-1", &["zhangsan"])).await;
    replica.deliver().await;
    assert_eq!((replica.status(&one).await, replica.status(&other).await), ("sent".into(), "sent".into()));
    assert_eq!(replica.site.wecom.inbox("zhangsan").len(), 2);
    let tasks = sent_task_ids(&replica);
    assert_eq!(tasks[0], "task-1");
    assert!(is_own_task_id(&tasks[1], "task-1"), "{tasks:?}");
    let messages = read_messages(&replica.db).await;
    assert_eq!(messages.len(), 2);
    for message in messages {
        assert!(message.content.contains("\"task_id\":\"task-1\""), "it stays what was asked for");
    }
}

#[tokio::test]
async fn a_card_arrives_after_a_call_was_taken_apart_and_after_a_retry_by_hand() {
    let replica = MessageReplica::new().await;
    replica.site.wecom.fail_next("message/send", InjectedFault::Errcode(40003, "no".to_owned()));
    let apart = replica.put(&card_message("审批", "task-1", &["zhangsan", "lisi"])).await;
    replica.deliver().await;
    assert_eq!((replica.status(&apart).await.as_str(), replica.calls()), ("sent", 3));

    // WeCom acted, its answer was lost, and the message is retried by hand.
    replica.site.wecom.fail_next("message/send", InjectedFault::Html502.having_acted());
    let lost = replica.put(&card_message("催办", "task-2", &["zhangsan"])).await;
    replica.deliver().await;
    replica.deliver_after(5 * HOUR).await;
    assert_eq!(replica.status(&lost).await, "unknown");
    replica.messages.retry(&lost, Default::default()).await.unwrap();
    replica.deliver().await;
    assert_eq!(replica.outcome(&lost).await, ("sent".to_owned(), String::new()));
    assert_eq!((replica.site.wecom.inbox("zhangsan").len(), replica.site.wecom.inbox("lisi").len()), (3, 1));
}
