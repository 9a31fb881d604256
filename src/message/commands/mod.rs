//! Messages steered by hand: taken back, tried once more, buried.
//!
//! A deed is decided in one transaction with its row in the audit trail. What a message to many has of rows is changed in
//! that one and in more after it, so that nobody else waits long: a recall goes on by itself if the process dies in
//! between; after a retry or a burial the rest stays as it was, and it can be asked for again.

pub mod resume;
mod store;

use std::net::IpAddr;
use std::time::Duration;

use super::accept::LINK_LIFETIME;
use super::deliver::expire::store::stop_expansion;
use super::deliver::expire::{FinalOutcome, end_unsent};
use super::deliver::recall::RECALL_WINDOW;
use super::{DeliveryCounts, Messages, store as shared};
use crate::audit::{self, AuditEntry};
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;

/// How long a call is not made that is about to be dissolved: longer than whoever dissolves it can be gone.
const PARK_TIME: Duration = Duration::from_secs(24 * 3600);

/// Who does it.
#[derive(Debug, Clone, Default)]
pub struct Requester {
    /// For people: `API client oa`, `root on this machine`.
    pub who: String,
    /// From where, if over the network.
    pub address: Option<IpAddr>,
    /// The request's id, if there is one.
    pub request_id: String,
}

/// Why nothing was done. Its text is for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no message of that id.
    #[error("there is no message {0}")]
    NotFound(MessageId),
    /// WeCom takes nothing back any more.
    #[error("message {0} was sent more than 24 hours ago, and WeCom takes nothing back after that")]
    TooLate(MessageId),
    /// It went out in one call with a message that is to stay.
    #[error(
        "message {0} went out together with {1}, which has the same text: WeCom takes back both or none, \
         so both have to be named"
    )]
    Shared(MessageId, MessageId),
    /// There is nothing that could be done.
    #[error("message {0}: {1}")]
    NothingToDo(MessageId, &'static str),
    /// The database failed.
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

impl Messages {
    /// Takes messages back: what waits is not sent, and what WeCom took within the last 24 hours it takes back. All of
    /// them, or none. Whether WeCom did is seen in the messages later.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn recall(&self, ids: &[MessageId], by: Requester) -> Result<(), CommandError> {
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
            store::mark_recall_requested(&mut tx, id, now).await?;
        }
        for id in ids {
            let waits = store::count_unsent_recipients(&mut tx, id).await? > 0;
            store::park_untried_calls(&mut tx, id, now.plus(PARK_TIME)).await?;
            stop_expansion(&mut tx, id, ("recalled", shared::RECALLED_REASON), now).await?;
            let out = self.recall_sent(&mut tx, id, now).await?;
            if !waits && !out && !store::is_recalled(&mut tx, id).await? {
                return Err(CommandError::NothingToDo(
                    id.clone(),
                    "none of its recipients has it or will get it",
                ));
            }
        }
        for id in ids {
            audit::store::insert_entry(&mut tx, corp, &audit_entry(&by, format!("recall {id}")), now).await?;
        }
        tx.commit().await?;
        if let Err(error) = self.end_messages(ids, usize::MAX).await {
            tracing::warn!(%error, "Messages are being recalled; what waits of them ends with the next sweep");
        }
        self.0.accepted_signal.notify_one();
        Ok(())
    }

    /// Marks the calls that carried a message; `false`: none did, or will.
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
            store::recall_call(tx, &call.id, now).await?;
        }
        Ok(!calls.is_empty())
    }

    /// Lets the recipients that were not reached, or of whom nobody knows, be tried once more. If WeCom's answer was
    /// lost, somebody may get it twice. Links that have expired lead somewhere again, for as long as new ones.
    ///
    /// It goes out at once: what holds everything back is lifted, and calls of this message that wait for their next try
    /// go before all others. If WeCom takes one, the rest follows; if not, all is held as before.
    ///
    /// Of many recipients a thousand at a time: if the database fails in between, the others stay as they were, and
    /// it can be asked for again.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn retry(&self, id: &MessageId, by: Requester) -> Result<(), CommandError> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        let lane = shared::lock_send_window(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let message = store::find_message(&mut tx, corp, id)
            .await?
            .ok_or_else(|| CommandError::NotFound(id.clone()))?;
        if message.recall_at.is_some() {
            return Err(CommandError::NothingToDo(id.clone(), "it was recalled"));
        }
        let is_held = lane.is_held(now);
        let not_reached = store::count_not_reached(&mut tx, id).await?;
        let held_back = store::count_held_back(&mut tx, id, is_held, now).await?;
        let anew = not_reached == 0 && message.is_finished && store::has_no_recipients(&mut tx, id).await?;
        if not_reached > 0 || anew {
            store::reopen_message(&mut tx, id, anew, now, now.plus(LINK_LIFETIME)).await?;
        } else if held_back == 0 && (!is_held || message.is_expanded) {
            return Err(CommandError::NothingToDo(
                id.clone(),
                "all its recipients have it or are still to get it, and nothing holds it back",
            ));
        }
        if is_held {
            resume::lift_hold(&mut tx, corp, &lane, now).await?;
        }
        store::prioritize_calls(&mut tx, id).await?;
        let recipients = not_reached.saturating_add(held_back);
        let detail = format!("retry {id}: {recipients} recipients");
        audit::store::insert_entry(&mut tx, corp, &audit_entry(&by, detail), now).await?;
        let mut reached = store::retry_recipients(&mut tx, id, "", now).await?;
        tx.commit().await?;
        self.0.accepted_signal.notify_one();
        while let Some(after) = reached {
            let mut tx = self.0.db.write().await?;
            shared::lock_send_window(&mut tx, corp).await?;
            let message = store::find_message(&mut tx, corp, id).await?;
            if message.as_ref().is_none_or(|message| message.recall_at.is_some()) {
                return Ok(());
            }
            reached = store::retry_recipients(&mut tx, id, &after, now).await?;
            if reached.is_some() && message.is_some_and(|message| message.is_finished) {
                // Those before were quicker.
                store::reopen_message(&mut tx, id, false, now, now.plus(LINK_LIFETIME)).await?;
            }
            tx.commit().await?;
            self.0.accepted_signal.notify_one();
        }
        Ok(())
    }

    /// Gives a message up: whoever has not got it does not get it. Calls under way are not stopped.
    ///
    /// Of many recipients a thousand at a time: some of the others may get it meanwhile, and if the database fails in
    /// between, they do unless it is asked for again.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn bury(&self, id: &MessageId, why: &str, by: Requester) -> Result<(), CommandError> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        let message = store::find_message(&mut tx, corp, id)
            .await?
            .ok_or_else(|| CommandError::NotFound(id.clone()))?;
        if message.is_finished {
            return Err(CommandError::NothingToDo(id.clone(), "it has ended"));
        }
        let recipients = store::count_unsent_recipients(&mut tx, id).await?;
        if recipients == 0 && message.is_expanded {
            return Err(CommandError::NothingToDo(
                id.clone(),
                "its calls are under way; nothing of it waits",
            ));
        }
        let detail = format!("bury {id}: {recipients} recipients, {why}");
        let detail = audit_entry(&by, detail.replace('\0', "\u{fffd}"));
        audit::store::insert_entry(&mut tx, corp, &detail, self.0.clock.now()).await?;
        let reason = format!("Given up by hand: {}", why.replace('\0', "\u{fffd}"));
        let end = FinalOutcome { status: "failed", reason: &reason, keeps_reason: false };
        loop {
            let now = self.0.clock.now();
            let (ended, is_all) =
                end_unsent(&mut tx, id, end, &mut { shared::MAX_ROWS_PER_TRANSACTION }, now).await?;
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

fn audit_entry(by: &Requester, detail: String) -> AuditEntry {
    AuditEntry {
        event: audit::AuditEvent::Message,
        person: None,
        userid: String::new(),
        address: by.address,
        host: String::new(),
        decision: "done",
        detail: if by.who.is_empty() { detail } else { format!("{detail}, {}", by.who) },
        request_id: by.request_id.clone(),
    }
}
