//! Messages steered by hand: taken back, tried once more, buried.
//!
//! A deed is decided in one transaction with its row in the audit trail. What a message to many has of rows is changed in
//! that one and in more after it, so that nobody else waits long: a recall goes on by itself if the process dies in
//! between; after a retry or a burial the rest stays as it was, and it can be asked for again.

pub mod resume;
mod store;

use std::net::IpAddr;
use std::time::Duration;

use super::accept::LINKS_LAST;
use super::deliver::expire::store::no_more_recipients;
use super::deliver::expire::{End, end_some};
use super::deliver::recall::RECALLABLE;
use super::{Delivered, Messages, store as shared};
use crate::audit::{self, Entry};
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;

/// How long a call is not made that is about to be dissolved: longer than whoever dissolves it can be gone.
const PARKED: Duration = Duration::from_secs(24 * 3600);

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
        for id in ids {
            let waits = store::waiting(&mut tx, id).await? > 0;
            store::park(&mut tx, id, now.plus(PARKED)).await?;
            no_more_recipients(&mut tx, id, ("recalled", shared::RECALLED), now).await?;
            let out = self.recall_sent(&mut tx, id, now).await?;
            if !waits && !out && !store::is_recalled(&mut tx, id).await? {
                return Err(Refused::NothingToDo(id.clone(), "none of its recipients has it or will get it"));
            }
        }
        for id in ids {
            audit::store::insert(&mut tx, corp, &deed(&by, format!("recall {id}")), now).await?;
        }
        tx.commit().await?;
        if let Err(error) = self.end(ids, usize::MAX).await {
            tracing::warn!(%error, "Messages are being recalled; what waits of them ends with the next sweep");
        }
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
    pub async fn retry(&self, id: &MessageId, by: By) -> Result<(), Refused> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        let lane = shared::take_lane(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let message = store::find(&mut tx, corp, id).await?.ok_or_else(|| Refused::NotFound(id.clone()))?;
        if message.recall_at.is_some() {
            return Err(Refused::NothingToDo(id.clone(), "it was recalled"));
        }
        let is_held = lane.is_held(now);
        let not_reached = store::not_reached(&mut tx, id).await?;
        let held_back = store::held_back(&mut tx, id, is_held, now).await?;
        let anew = not_reached == 0 && message.is_finished && store::has_no_recipients(&mut tx, id).await?;
        if not_reached > 0 || anew {
            store::reopen(&mut tx, id, anew, now, now.plus(LINKS_LAST)).await?;
        } else if held_back == 0 && (!is_held || message.is_expanded) {
            return Err(Refused::NothingToDo(
                id.clone(),
                "all its recipients have it or are still to get it, and nothing holds it back",
            ));
        }
        if is_held {
            resume::lift_hold(&mut tx, corp, &lane, now).await?;
        }
        store::send_first(&mut tx, id).await?;
        let recipients = not_reached.saturating_add(held_back);
        let detail = format!("retry {id}: {recipients} recipients");
        audit::store::insert(&mut tx, corp, &deed(&by, detail), now).await?;
        let mut reached = store::try_again(&mut tx, id, "", now).await?;
        tx.commit().await?;
        self.0.news.notify_one();
        while let Some(after) = reached {
            let mut tx = self.0.db.write().await?;
            shared::take_lane(&mut tx, corp).await?;
            let message = store::find(&mut tx, corp, id).await?;
            if message.as_ref().is_none_or(|message| message.recall_at.is_some()) {
                return Ok(());
            }
            reached = store::try_again(&mut tx, id, &after, now).await?;
            if reached.is_some() && message.is_some_and(|message| message.is_finished) {
                // Those before were quicker.
                store::reopen(&mut tx, id, false, now, now.plus(LINKS_LAST)).await?;
            }
            tx.commit().await?;
            self.0.news.notify_one();
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
    pub async fn bury(&self, id: &MessageId, why: &str, by: By) -> Result<(), Refused> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        let message = store::find(&mut tx, corp, id).await?.ok_or_else(|| Refused::NotFound(id.clone()))?;
        if message.is_finished {
            return Err(Refused::NothingToDo(id.clone(), "it has ended"));
        }
        let recipients = store::waiting(&mut tx, id).await?;
        if recipients == 0 && message.is_expanded {
            return Err(Refused::NothingToDo(id.clone(), "its calls are under way; nothing of it waits"));
        }
        let detail = format!("bury {id}: {recipients} recipients, {why}");
        let detail = deed(&by, detail.replace('\0', "\u{fffd}"));
        audit::store::insert(&mut tx, corp, &detail, self.0.clock.now()).await?;
        let reason = format!("Given up by hand: {}", why.replace('\0', "\u{fffd}"));
        let end = End { status: "failed", reason: &reason, keep: false };
        loop {
            let now = self.0.clock.now();
            let (ended, is_all) = end_some(&mut tx, id, end, &mut { shared::ROWS }, now).await?;
            if is_all {
                shared::finish(&mut tx, std::slice::from_ref(id), now).await?;
            }
            tx.commit().await?;
            self.0.metrics.recipients(&Delivered { failed: ended, ..Delivered::default() });
            self.0.metrics.failed("buried", ended);
            if is_all {
                return Ok(());
            }
            tx = self.0.db.write().await?;
            shared::take_lane(&mut tx, corp).await?;
        }
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
