//! What is no longer to be sent: recalled, expired, or tried for a day.

pub(super) mod store;

use std::time::Duration;

use super::Delivered;
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;
use crate::message::{Messages, store as shared};

/// How long what can be tried again is tried.
pub(super) const TRIED: Duration = Duration::from_secs(24 * 3600);

/// How many messages one transaction is about.
const MESSAGES: i64 = 100;

const A_DAY: &str = "It could not be sent for 24 hours.";

/// Why a message is not to be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::message) enum Over {
    Recalled,
    Expired,
    TriedLong,
}

impl Over {
    /// Why, from the columns; `None`: it is to be sent.
    pub(super) fn of(
        recall_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Self> {
        if recall_at.is_some() {
            Some(Self::Recalled)
        } else if expires_at.is_some_and(|at| at <= now) {
            Some(Self::Expired)
        } else {
            (now.since(since) >= TRIED).then_some(Self::TriedLong)
        }
    }

    /// What a message without a single recipient becomes.
    const fn status(self) -> &'static str {
        match self {
            Self::Recalled => "recalled",
            Self::Expired => "expired",
            Self::TriedLong => "failed",
        }
    }
}

impl Messages {
    /// Ends recipients that nobody is to reach any more and that surely nobody reached.
    pub(super) async fn expire(&self) -> sqlx::Result<Delivered> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        let found = store::over(db.pool(), corp, clock.now(), MESSAGES).await?;
        let mut delivered = Delivered::default();
        if found.is_empty() {
            return Ok(delivered);
        }
        let mut tx = db.write().await?;
        let lane = shared::take_lane(&mut tx, corp).await?;
        let now = clock.now();
        for id in &found {
            // Looked at again: somebody may have let it be tried once more.
            let Some(over) = store::why(&mut tx, id, now).await? else { continue };
            let ended = self.end_pending(&mut tx, id, (over, &lane.hold_reason), now).await?;
            match over {
                Over::Recalled => delivered.recalled += ended,
                Over::Expired => delivered.expired += ended,
                Over::TriedLong => delivered.failed += ended,
            }
            delivered.messages += 1;
        }
        shared::finish(&mut tx, &found, now).await?;
        tx.commit().await?;
        self.0.metrics.recipients(&delivered);
        self.0.metrics.failed("tried_long", delivered.failed);
        Ok(delivered)
    }

    /// Ends what of a message surely nobody has got; answers how many recipients. The lane is taken.
    pub(in crate::message) async fn end_pending(
        &self,
        tx: &mut sqlx::AnyConnection,
        id: &MessageId,
        (over, held_for): (Over, &str),
        now: Timestamp,
    ) -> sqlx::Result<u64> {
        for call in shared::untried_calls(tx, id).await? {
            shared::dissolve(tx, &call, now).await?;
        }
        let ended = match over {
            Over::Recalled => shared::fail_pending(tx, id, shared::RECALLED).await?,
            Over::Expired => shared::fail_pending(tx, id, shared::EXPIRED).await?,
            Over::TriedLong => {
                let reason = if held_for.is_empty() { A_DAY } else { held_for };
                store::fail_tried_long(tx, id, (!held_for.is_empty(), reason)).await?
            }
        };
        let reason = match over {
            Over::Recalled => shared::RECALLED,
            Over::Expired => shared::EXPIRED,
            Over::TriedLong => A_DAY,
        };
        store::no_more_recipients(tx, id, (over.status(), reason), now).await?;
        Ok(ended)
    }
}
