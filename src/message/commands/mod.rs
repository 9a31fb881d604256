//! Commands on messages by hand: recall, retry, bury and resume.
//!
//! A command is decided in one transaction, together with its row in the audit trail. The rows of a
//! message to many are changed in that transaction and in further ones, so that nobody else waits
//! long. If the process dies in between, a recall goes on by itself; after a retry or a burial the
//! rest stays as it was, and the command can be repeated.

pub(crate) mod resume;
mod store;

use std::net::IpAddr;
use std::time::Duration;

use super::accept::LINK_LIFETIME;
use super::deliver::expire::store::stop_expansion;
use super::deliver::expire::{FinalOutcome, end_unsent};
use super::deliver::recall::RECALL_WINDOW;
use super::deliver::recall::store::insert_recall;
use super::reason::DeliveryReason;
use super::state::FailureReason;
use super::{DeliveryCounts, MessageStatus, Messages, store as shared};
use crate::audit::{self, Actor, AuditEntry, AuditEvent};
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;

/// How long a call that is about to be dissolved is not made. This is longer than the process that
/// dissolves it can be gone.
const PARK_TIME: Duration = Duration::from_secs(24 * 3600);

/// Who requests a command, for the audit trail.
#[derive(Debug, Clone, Default)]
pub struct Requester {
    pub actor: Actor,
    /// The network address, if it came over the network.
    pub address: Option<IpAddr>,
    /// The id of the HTTP request; empty if there is none.
    pub request_id: String,
}

/// Why nothing was done. The text is for the requester.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no message {0}")]
    NotFound(MessageId),
    /// WeCom takes nothing back after 24 hours.
    #[error("message {0} was sent more than 24 hours ago, and WeCom takes nothing back after that")]
    TooLate(MessageId),
    /// It went out in one call with a message that is not being recalled.
    #[error(
        "message {0} went out together with {1}, which has the same text: WeCom takes back both or none, \
         so both have to be named"
    )]
    Shared(MessageId, MessageId),
    #[error("message {0}: {1}")]
    NothingToDo(MessageId, &'static str),
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

impl Messages {
    /// Recalls messages: what waits is not sent, and WeCom takes back what it took within the last
    /// 24 hours.
    ///
    /// Either all of them are recalled or none ([design: recall](crate::design#recall)). Whether
    /// WeCom took them back is seen in the messages later.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn recall(&self, ids: &[MessageId], requester: Requester) -> Result<(), CommandError> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        let now = self.0.clock.now();
        for id in ids {
            let message = store::find_message(&mut tx, corp, id)
                .await?
                .ok_or_else(|| CommandError::NotFound(id.clone()))?;
            if message.recall_at.is_some() {
                return Err(CommandError::NothingToDo(id.clone(), "it is being recalled already"));
            }
            // All are marked before any is examined: messages that share a call are recalled
            // together.
            store::mark_recall_requested(&mut tx, id, now).await?;
        }
        for id in ids {
            let waits = store::count_unsent_recipients(&mut tx, id).await? > 0;
            // No worker may make these calls before they are dissolved, after this transaction.
            store::park_untried_calls(&mut tx, id, now.plus(PARK_TIME)).await?;
            let end = FinalOutcome::new(MessageStatus::Recalled, FailureReason::Recalled.into());
            stop_expansion(&mut tx, id, &end, now).await?;
            let out = self.recall_sent(&mut tx, id, now).await?;
            if !waits && !out && !store::is_recalled(&mut tx, id).await? {
                return Err(CommandError::NothingToDo(
                    id.clone(),
                    "none of its recipients has it or will get it",
                ));
            }
        }
        for id in ids {
            audit::store::insert_entry(&mut tx, corp, &audit_entry(&requester, format!("recall {id}")), now)
                .await?;
        }
        tx.commit().await?;
        // The recall is decided. If this fails, the next sweep does it.
        if let Err(error) = self.end_messages(ids, usize::MAX).await {
            tracing::warn!(%error, "Messages are being recalled; what waits of them ends with the next sweep");
        }
        self.0.accepted_signal.notify_one();
        Ok(())
    }

    /// Marks the calls that carried a message for recall. Returns `false` if no call did or will
    /// carry it.
    async fn recall_sent(
        &self,
        tx: &mut sqlx::AnyConnection,
        id: &MessageId,
        now: Timestamp,
    ) -> Result<bool, CommandError> {
        if let Some(other) = store::find_unrecalled_companion(tx, id).await? {
            return Err(CommandError::Shared(id.clone(), other));
        }
        let calls = store::find_carrying_calls(tx, id).await?;
        if calls.iter().any(|call| call.sent_at.is_some_and(|at| now.since(at) >= RECALL_WINDOW)) {
            return Err(CommandError::TooLate(id.clone()));
        }
        for call in calls.iter().filter(|call| call.sent_at.is_some()) {
            insert_recall(tx, &call.id, now).await?;
        }
        Ok(!calls.is_empty())
    }

    /// Retries the recipients that were not reached, or whose outcome is not known.
    ///
    /// If WeCom's answer was lost, somebody may get the message twice. Links that have expired work
    /// again, as long as new ones.
    ///
    /// The message goes out at once: a hold of the send window is lifted, and calls of this message
    /// that wait for their retry go before all others. If WeCom takes one, the rest follows; if
    /// not, everything is held as before.
    ///
    /// Recipients are changed a thousand at a time. If the database fails in between, the others
    /// stay as they were, and the command can be repeated.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn retry(&self, id: &MessageId, requester: Requester) -> Result<(), CommandError> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        let window = shared::lock_send_window(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let message = store::find_message(&mut tx, corp, id)
            .await?
            .ok_or_else(|| CommandError::NotFound(id.clone()))?;
        if message.recall_at.is_some() {
            return Err(CommandError::NothingToDo(id.clone(), "it was recalled"));
        }
        let is_held = window.is_held(now);
        let not_reached = store::count_not_reached(&mut tx, id).await?;
        let held_back = store::count_held_back(&mut tx, id, is_held, now).await?;
        // Its units and tags had no members, and may have some now.
        let anew = not_reached == 0 && message.is_finished() && store::has_no_recipients(&mut tx, id).await?;
        if not_reached > 0 || anew {
            store::reopen_message(&mut tx, id, anew, now, now.plus(LINK_LIFETIME)).await?;
        } else if held_back == 0 && (!is_held || message.is_expanded()) {
            return Err(CommandError::NothingToDo(
                id.clone(),
                "all its recipients have it or are still to get it, and nothing holds it back",
            ));
        }
        if is_held {
            // A call of this message becomes the probe.
            resume::lift_hold(&mut tx, corp, &window, now).await?;
        }
        store::prioritize_calls(&mut tx, id).await?;
        let recipients = not_reached.saturating_add(held_back);
        let detail = format!("retry {id}: {recipients} recipients");
        audit::store::insert_entry(&mut tx, corp, &audit_entry(&requester, detail), now).await?;
        let mut reached = store::retry_recipients(&mut tx, id, "", now).await?;
        tx.commit().await?;
        self.0.accepted_signal.notify_one();
        // The remaining recipients. Between two transactions others get the send window.
        while let Some(after) = reached {
            let mut tx = self.0.db.write().await?;
            shared::lock_send_window(&mut tx, corp).await?;
            let message = store::find_message(&mut tx, corp, id).await?;
            // It was recalled or deleted meanwhile.
            if message.as_ref().is_none_or(|message| message.recall_at.is_some()) {
                return Ok(());
            }
            reached = store::retry_recipients(&mut tx, id, &after, now).await?;
            if reached.is_some() && message.is_some_and(|message| message.is_finished()) {
                // The recipients of the first transactions have finished the message already.
                store::reopen_message(&mut tx, id, false, now, now.plus(LINK_LIFETIME)).await?;
            }
            tx.commit().await?;
            self.0.accepted_signal.notify_one();
        }
        Ok(())
    }

    /// Gives a message up: recipients that have not got it do not get it. Calls in progress are not
    /// stopped.
    ///
    /// Recipients are changed a thousand at a time, and some of the others may get it meanwhile. If
    /// the database fails in between, the others do get it unless the command is repeated.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn bury(&self, id: &MessageId, why: &str, requester: Requester) -> Result<(), CommandError> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        let message = store::find_message(&mut tx, corp, id)
            .await?
            .ok_or_else(|| CommandError::NotFound(id.clone()))?;
        if message.is_finished() {
            return Err(CommandError::NothingToDo(id.clone(), "it has ended"));
        }
        let recipients = store::count_unsent_recipients(&mut tx, id).await?;
        if recipients == 0 && message.is_expanded() {
            return Err(CommandError::NothingToDo(
                id.clone(),
                "its calls are under way; nothing of it waits",
            ));
        }
        let detail = format!("bury {id}: {recipients} recipients, {why}");
        let detail = audit_entry(&requester, detail.replace('\0', "\u{fffd}"));
        audit::store::insert_entry(&mut tx, corp, &detail, self.0.clock.now()).await?;
        let end = FinalOutcome::new(MessageStatus::Failed, DeliveryReason::buried(why));
        loop {
            let now = self.0.clock.now();
            let (ended, is_all) =
                end_unsent(&mut tx, id, &end, &mut { shared::MAX_ROWS_PER_TRANSACTION }, now).await?;
            if is_all {
                shared::finish_messages(&mut tx, std::slice::from_ref(id), now).await?;
            }
            tx.commit().await?;
            self.0.metrics.add_recipients(&DeliveryCounts { failed: ended, ..DeliveryCounts::default() });
            self.0.metrics.add_failures("buried", ended);
            if is_all {
                return Ok(());
            }
            tx = self.0.db.write().await?;
            shared::lock_send_window(&mut tx, corp).await?;
        }
    }
}

fn audit_entry(requester: &Requester, detail: String) -> AuditEntry {
    AuditEntry {
        address: requester.address,
        request_id: requester.request_id.clone(),
        ..AuditEntry::of_deed(requester.actor.clone(), AuditEvent::Message, detail)
    }
}
