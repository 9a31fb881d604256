//! Messages steered by hand: taken back, tried once more, buried.
//!
//! Each deed is one transaction with its row in the audit trail.

mod store;

use std::net::IpAddr;

use super::deliver::expire::Over;
use super::deliver::recall::RECALLABLE;
use super::{Delivered, Messages, store as shared};
use crate::audit::{self, Entry};
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;

/// Who does it.
#[derive(Debug, Clone, Default)]
pub struct By {
    /// For people: `API client oa`, `root on this machine`.
    pub who: String,
    /// From where, if over the network.
    pub address: Option<IpAddr>,
    /// The request's id, if there is one.
    pub request_id: String,
}

/// Why nothing was done. Its text is for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
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
    pub async fn recall(&self, ids: &[MessageId], by: By) -> Result<(), Refused> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        let now = self.0.clock.now();
        for id in ids {
            let message =
                store::find(&mut tx, corp, id).await?.ok_or_else(|| Refused::NotFound(id.clone()))?;
            if message.recall_at.is_some() {
                return Err(Refused::NothingToDo(id.clone(), "it is being recalled already"));
            }
            store::ask_for_recall(&mut tx, id, now).await?;
        }
        let mut recalled = 0;
        for id in ids {
            let waited = self.end_pending(&mut tx, id, (Over::Recalled, ""), now).await?;
            recalled += waited;
            let out = self.recall_sent(&mut tx, id, now).await?;
            if waited == 0 && !out && !store::is_recalled(&mut tx, id).await? {
                return Err(Refused::NothingToDo(id.clone(), "none of its recipients has it or will get it"));
            }
        }
        shared::finish(&mut tx, ids, now).await?;
        for id in ids {
            audit::store::insert(&mut tx, corp, &deed(&by, format!("recall {id}")), now).await?;
        }
        tx.commit().await?;
        self.0.metrics.recipients(&Delivered { recalled, ..Delivered::default() });
        self.0.news.notify_one();
        Ok(())
    }

    /// Marks the calls that carried a message; `false`: none did, or will.
    async fn recall_sent(
        &self,
        tx: &mut sqlx::AnyConnection,
        id: &MessageId,
        now: Timestamp,
    ) -> Result<bool, Refused> {
        if let Some(other) = store::stays(tx, id).await? {
            return Err(Refused::Shared(id.clone(), other));
        }
        let calls = store::calls_out(tx, id).await?;
        if calls.iter().any(|call| call.sent_at.is_some_and(|at| now.since(at) >= RECALLABLE)) {
            return Err(Refused::TooLate(id.clone()));
        }
        for call in calls.iter().filter(|call| call.sent_at.is_some()) {
            store::recall_call(tx, &call.id, now).await?;
        }
        Ok(!calls.is_empty())
    }

    /// Lets the recipients that were not reached, or of whom nobody knows, be tried once more. If WeCom's answer was
    /// lost, somebody may get it twice.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn retry(&self, id: &MessageId, by: By) -> Result<(), Refused> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let message = store::find(&mut tx, corp, id).await?.ok_or_else(|| Refused::NotFound(id.clone()))?;
        if message.recall_at.is_some() {
            return Err(Refused::NothingToDo(id.clone(), "it was recalled"));
        }
        let recipients = store::try_again(&mut tx, id, now).await?;
        if recipients == 0 && !(message.is_finished && store::has_no_recipients(&mut tx, id).await?) {
            return Err(Refused::NothingToDo(
                id.clone(),
                "all its recipients have it or are still to get it",
            ));
        }
        store::reopen(&mut tx, id, recipients == 0, now).await?;
        let detail = format!("retry {id}: {recipients} recipients");
        audit::store::insert(&mut tx, corp, &deed(&by, detail), now).await?;
        tx.commit().await?;
        self.0.news.notify_one();
        Ok(())
    }

    /// Gives a message up: whoever has not got it does not get it. Calls under way are not stopped.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn bury(&self, id: &MessageId, why: &str, by: By) -> Result<(), Refused> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let message = store::find(&mut tx, corp, id).await?.ok_or_else(|| Refused::NotFound(id.clone()))?;
        if message.is_finished {
            return Err(Refused::NothingToDo(id.clone(), "it has ended"));
        }
        for call in shared::untried_calls(&mut tx, id).await? {
            shared::dissolve(&mut tx, &call, now).await?;
        }
        let reason = format!("Given up by hand: {}", why.replace('\0', "\u{fffd}"));
        let recipients = shared::fail_pending(&mut tx, id, &reason).await?;
        if recipients == 0 && message.is_expanded {
            return Err(Refused::NothingToDo(id.clone(), "its calls are under way; nothing of it waits"));
        }
        store::no_more_recipients(&mut tx, id, &reason, now).await?;
        shared::finish(&mut tx, std::slice::from_ref(id), now).await?;
        let detail = format!("bury {id}: {recipients} recipients, {why}");
        audit::store::insert(&mut tx, corp, &deed(&by, detail.replace('\0', "\u{fffd}")), now).await?;
        tx.commit().await?;
        self.0.metrics.recipients(&Delivered { failed: recipients, ..Delivered::default() });
        self.0.metrics.failed("buried", recipients);
        Ok(())
    }
}

fn deed(by: &By, detail: String) -> Entry {
    Entry {
        event: audit::Event::Message,
        person: None,
        userid: String::new(),
        address: by.address,
        host: String::new(),
        decision: "done",
        detail: if by.who.is_empty() { detail } else { format!("{detail}, {}", by.who) },
        request_id: by.request_id.clone(),
    }
}
