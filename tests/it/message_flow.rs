//! Messages that must not get into each other's way: order across replicas, and what stops or delays one of them only.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use gongpai::message::Messages;

use crate::support::post::{Letter, Post, text};

const SECOND: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(2);

/// Recipients of messages behind one that is not written completely.
const OVERTAKERS: &str = "SELECT COUNT(*) FROM message_recipients r WHERE EXISTS (\
     SELECT 1 FROM messages m WHERE m.seq < r.seq AND m.expanded_at IS NULL)";

/// Delivers, and dies at the given step. Whether it came to its end before.
async fn deliver_until(messages: &Messages, post: &Post, polls: usize) -> bool {
    let chart = post.chart().await;
    let mut delivering = pin!(messages.deliver_due(&chart));
    let mut polled = 0;
    poll_fn(|context| {
        if delivering.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        polled += 1;
        if polled >= polls { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

#[tokio::test]
async fn nothing_of_a_message_is_written_while_an_earlier_one_is_not_whichever_replica_dies_when() {
    let post = Post::new().await;
    let unit = post.department(2, 0).await;
    post.person("pa", "zhangsan", "active", &[&unit]).await;
    post.person("pb", "lisi", "active", &[&unit]).await;
    let other = post.another().await;
    let many: Vec<String> = (0..20).map(|n| format!("member{n}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("wangwu");
    let mut expected = Vec::new();
    for polls in 1..40 {
        let (first, second) = (format!("先 {polls}"), format!("后 {polls}"));
        let several: Letter = if polls % 4 < 2 {
            text(&first, &[]).for_units(std::slice::from_ref(&unit)).for_persons(&[("wangwu", "pc")])
        } else {
            text(&first, &many).for_persons(&[("zhangsan", "pa")])
        };
        post.put_all(&[several.unique(), text(&second, &[]).for_persons(&[("zhangsan", "pa")]).unique()])
            .await;
        let replica = if polls % 2 == 0 { &post.messages } else { &other };
        deliver_until(replica, &post, polls).await;
        assert_eq!(post.number(OVERTAKERS).await, 0, "died at step {polls}");
        expected.extend([first, second]);
        // Whoever comes next goes on, without the limit of a minute in the way.
        post.pass(63 * SECOND);
        other.deliver_due(&post.chart().await).await.expect("the database answers");
    }
    post.deliver_after(63 * SECOND).await;
    assert_eq!(post.inbox("zhangsan"), expected);
}

#[tokio::test]
async fn a_person_and_a_message_that_cannot_be_read_stop_nobody_else() {
    let post = Post::new().await;
    let unit = post.department(2, 0).await;
    post.person("pa", "zhangsan", "active", &[&unit]).await;
    post.person("pb", "lisi", "active", &[&unit]).await;
    post.run("UPDATE person_rows SET memberships = 'nonsense' WHERE person_id = 'pa'").await;
    let broken = post.put(&text("坏", &["wangwu"]).expiring(60 * SECOND)).await;
    post.run(&format!("UPDATE messages SET targets = 'nonsense' WHERE id = '{broken}'")).await;
    let to_unit = post.put(&text("部门", &[]).for_units(&[unit])).await;
    let single = post.put(&text("单人", &["zhaoliu"])).await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&to_unit).await, "sent");
    assert_eq!((post.inbox("lisi").len(), post.inbox("zhangsan").len()), (1, 0));
    assert_eq!(post.status(&single).await, "sent");
    assert_eq!(post.status(&broken).await, "accepted");
    post.deliver_after(61 * SECOND).await;
    assert_eq!(post.status(&broken).await, "expired", "it was swept all the same");
}

#[tokio::test]
async fn a_message_that_can_be_read_again_is_delivered() {
    let post = Post::new().await;
    let id = post.put(&text("一", &["zhangsan"])).await;
    post.run("UPDATE messages SET expanded_to = targets, targets = 'nonsense'").await;
    post.deliver_after(LINGER).await;
    assert_eq!(post.status(&id).await, "accepted");
    post.run("UPDATE messages SET targets = expanded_to, expanded_to = ''").await;
    post.deliver_after(61 * SECOND).await;
    assert_eq!(post.status(&id).await, "sent");
}
