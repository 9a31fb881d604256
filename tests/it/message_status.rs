//! A message has the status that its recipients give it: what the statements write and what a
//! reader is shown is what the one function says.

use std::sync::atomic::{AtomicI64, Ordering};

use gongpai::testing::base::id::{CallId, MessageId};
use gongpai::testing::message::MessageStatus;
use gongpai::testing::message::deliver::recall::store::finish_recalled_messages;
use gongpai::testing::message::state::RecipientTally;
use gongpai::testing::message::store::finish_messages;
use gongpai::testing::message::views::MessageFilter;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use crate::support::message_damage::end_all_recalls;
use crate::support::messages::{CallFixture, MessageFixture, ReasonFixture, RecipientFixture, read_message};
use crate::support::post::MessageReplica;

/// Calls of one message, of which a recipient names one by its position.
const CALLS: usize = 2;

#[derive(Debug, Clone)]
struct GeneratedCall {
    attempts: i64,
    uncertain: bool,
    recall: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct GeneratedRecipient {
    status: &'static str,
    expired: bool,
    call: usize,
}

#[derive(Debug, Clone)]
struct GeneratedMessage {
    expanded: bool,
    recalled: bool,
    calls: Vec<GeneratedCall>,
    recipients: Vec<GeneratedRecipient>,
}

fn generated_message() -> impl Strategy<Value = GeneratedMessage> {
    let recall = prop_oneof![
        Just(None),
        prop::sample::select(vec!["due", "calling", "done", "failed"]).prop_map(Some)
    ];
    let call = (0..2_i64, prop::bool::weighted(0.3), recall)
        .prop_map(|(attempts, uncertain, recall)| GeneratedCall { attempts, uncertain, recall });
    // Mostly ended recipients, because an open one decides everything.
    let statuses = vec!["sent", "sent", "sent", "failed", "failed", "unknown", "pending", "calling"];
    let recipient = (prop::sample::select(statuses), any::<bool>(), 0..CALLS)
        .prop_map(|(status, expired, call)| GeneratedRecipient { status, expired, call });
    (
        prop::bool::weighted(0.9),
        any::<bool>(),
        prop::collection::vec(call, CALLS),
        prop::collection::vec(recipient, 1..4),
    )
        .prop_map(|(expanded, recalled, calls, recipients)| GeneratedMessage {
            // A recall ends the expansion.
            expanded: expanded || recalled,
            recalled,
            calls,
            recipients,
        })
}

impl GeneratedRecipient {
    fn has_call(&self) -> bool {
        self.status != "pending"
    }

    fn has_expired(&self) -> bool {
        self.status == "failed" && self.expired
    }
}

impl GeneratedMessage {
    fn tally(&self) -> RecipientTally {
        let mut tally = RecipientTally::default();
        for recipient in &self.recipients {
            let call = &self.calls[recipient.call];
            let is_taken_back = call.recall == Some("done") && !call.uncertain;
            match recipient.status {
                "pending" => tally.pending += 1,
                "calling" => tally.calling += 1,
                "sent" => tally.sent += 1,
                "failed" => tally.failed += 1,
                _ => tally.unknown += 1,
            }
            tally.kept += i64::from(matches!(recipient.status, "sent" | "unknown") && !is_taken_back);
            tally.tried += i64::from(recipient.status == "calling" && call.attempts > 0);
            tally.expired += i64::from(recipient.has_expired());
        }
        tally
    }

    fn status(&self) -> MessageStatus {
        self.tally().message_status(self.expanded, self.recalled)
    }

    /// The same message after WeCom has answered "ok" to every recall of it.
    fn taken_back(&self) -> Self {
        let mut after = self.clone();
        for call in &mut after.calls {
            call.recall = call.recall.map(|_| "done");
        }
        after
    }

    async fn write(&self, replica: &MessageReplica, seq: i64) -> MessageId {
        let (db, corp, now) = (&replica.db, &replica.corp, replica.now());
        let id = format!("message-{seq}");
        let recall_at = self.recalled.then_some(1);
        MessageFixture { expanded: self.expanded, recall_at, ..MessageFixture::to(&id, seq, &["a"]) }
            .write(db, corp, now)
            .await;
        for (n, call) in self.calls.iter().enumerate() {
            let (attempts, uncertain, recall) = (call.attempts, call.uncertain, call.recall);
            CallFixture { id: &call_id(&id, n), attempts, uncertain, recall }.write(db, corp).await;
        }
        for (n, recipient) in self.recipients.iter().enumerate() {
            let (member, call) = (n.to_string(), call_id(&id, recipient.call));
            let reason = match recipient.status {
                "failed" if recipient.expired => ReasonFixture::of("expired"),
                "failed" | "unknown" => ReasonFixture::refused(60111, "no such member"),
                _ => ReasonFixture::NONE,
            };
            RecipientFixture {
                status: recipient.status,
                reason,
                call: recipient.has_call().then_some(call.as_str()),
                ..RecipientFixture::pending(&id, &member, &member)
            }
            .write(db, corp)
            .await;
        }
        MessageId::new(id)
    }
}

fn call_id(message: &str, n: usize) -> String {
    format!("{message}-call-{n}")
}

const fn is_open(status: MessageStatus) -> bool {
    matches!(status, MessageStatus::Accepted | MessageStatus::Sending)
}

/// Compares what the rows and a reader say with the function.
async fn check_shown(
    replica: &MessageReplica,
    messages: &[(MessageId, GeneratedMessage)],
) -> Result<(), TestCaseError> {
    for (id, message) in messages {
        let shown = replica.messages.find(id).await.expect("the database answers").expect("it is there");
        prop_assert_eq!(shown.status, message.status(), "{:?}", message);
        let row = read_message(&replica.db, id.as_str()).await;
        prop_assert_eq!(row.finished_at.is_none(), is_open(message.status()), "{:?}", message);
    }
    for status in MessageStatus::ALL {
        let filter = MessageFilter { status: Some(*status), ..MessageFilter::default() };
        let listed = replica.messages.list(filter).await.expect("the database answers");
        let (expected, listed): (Vec<_>, Vec<_>) = messages
            .iter()
            .map(|(id, message)| (message.status() == *status, listed.iter().any(|one| one.id == *id)))
            .unzip();
        prop_assert_eq!(expected, listed, "{:?}", status);
    }
    Ok(())
}

async fn check_messages(
    replica: &MessageReplica,
    first_seq: i64,
    generated: &[GeneratedMessage],
) -> Result<(), TestCaseError> {
    let mut messages = Vec::new();
    for (seq, message) in (first_seq..).zip(generated) {
        messages.push((message.write(replica, seq).await, message.clone()));
    }
    let ids: Vec<MessageId> = messages.iter().map(|(id, _)| id.clone()).collect();
    let mut tx = replica.db.write().await.expect("a transaction");
    finish_messages(&mut tx, &ids, replica.now()).await.expect("they end");
    tx.commit().await.expect("committed");
    check_shown(replica, &messages).await?;

    end_all_recalls(&replica.db).await;
    let mut tx = replica.db.write().await.expect("a transaction");
    for (id, message) in &mut messages {
        *message = message.taken_back();
        for n in 0..CALLS {
            let call = CallId::new(call_id(id.as_str(), n));
            finish_recalled_messages(&mut tx, &call, replica.now()).await.expect("they are recalled");
        }
    }
    tx.commit().await.expect("committed");
    check_shown(replica, &messages).await
}

#[test]
fn the_status_of_a_message_is_the_one_that_its_recipients_give_it() {
    let runtime = Runtime::new().expect("a runtime");
    let replica = runtime.block_on(MessageReplica::new());
    let next_seq = AtomicI64::new(1);
    let mut runner = TestRunner::new(Config { cases: 16, ..Config::default() });
    let checked = runner.run(&prop::collection::vec(generated_message(), 1..24), |generated| {
        let count = i64::try_from(generated.len()).expect("a few");
        let first_seq = next_seq.fetch_add(count, Ordering::Relaxed);
        runtime.block_on(check_messages(&replica, first_seq, &generated))
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}
