//! What is no longer to be sent: recalled, expired, or tried for a day.

pub(in crate::message) mod store;

use std::time::Duration;

use sqlx::AnyConnection;

use super::Delivered;
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;
use crate::message::{Messages, store as shared};

/// How long what can be tried again is tried.
pub(super) const TRIED: Duration = Duration::from_secs(24 * 3600);

/// How many messages are looked for at a time.
const MESSAGES: i64 = 100;

/// How many transactions one sweep is: whatever else is to be planned waits for it.
const TRANSACTIONS: usize = 20;

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

    /// How it ends; `held_for`: why nothing can be sent, if so.
    fn end(self, held_for: &str) -> End<'_> {
        match self {
            Self::Recalled => End { status: "recalled", reason: shared::RECALLED, keep: false },
            Self::Expired => End { status: "expired", reason: shared::EXPIRED, keep: false },
            Self::TriedLong if held_for.is_empty() => End { status: "failed", reason: A_DAY, keep: true },
            Self::TriedLong => End { status: "failed", reason: held_for, keep: false },
        }
    }
}

/// How what waits of a message ends.
#[derive(Debug, Clone, Copy)]
pub(in crate::message) struct End<'a> {
    /// What the message becomes if it has not a single recipient.
    pub(in crate::message) status: &'static str,
    /// Why.
    pub(in crate::message) reason: &'a str,
    /// Whether what WeCom said of a recipient last is the better reason.
    pub(in crate::message) keep: bool,
}

/// Ends some of what of a message surely nobody has got, about so many rows as there is `room` for, so that nobody waits
/// long for the lane, which is taken. Answers how many recipients ended, and whether nothing is left.
pub(in crate::message) async fn end_some(
    tx: &mut AnyConnection,
    id: &MessageId,
    end: End<'_>,
    room: &mut u64,
    now: Timestamp,
) -> sqlx::Result<(u64, bool)> {
    store::no_more_recipients(tx, id, (end.status, end.reason), now).await?;
    for (call, recipients) in shared::untried_calls(tx, id).await? {
        // A call has as many at the most as a whole transaction.
        if recipients > *room && *room < shared::ROWS {
            return Ok((0, false));
        }
        shared::dissolve(tx, &call, now).await?;
        *room = room.saturating_sub(recipients);
    }
    let ended = store::fail_pending(tx, id, end, *room).await?;
    *room -= ended.min(*room);
    Ok((ended, *room > 0))
}

impl Messages {
    /// Ends recipients that nobody is to reach any more and that surely nobody reached.
    pub(super) async fn expire(&self) -> sqlx::Result<Delivered> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        let found = store::over(db.pool(), corp, clock.now(), MESSAGES).await?;
        self.end(&found, TRANSACTIONS).await
    }

    /// Ends what waits of messages that are over, in short transactions, `most` of them: by their rows the next sweep
    /// finds what is left.
    pub(in crate::message) async fn end(&self, found: &[MessageId], most: usize) -> sqlx::Result<Delivered> {
        let mut all = Delivered::default();
        let mut left = found;
        for _ in 0..most {
            if left.is_empty() {
                return Ok(all);
            }
            let (delivered, rest) = self.end_first(left).await?;
            all += delivered;
            left = rest;
        }
        all.messages += u64::from(!left.is_empty());
        Ok(all)
    }

    /// One transaction of it; answers which messages are left.
    async fn end_first<'a>(&self, found: &'a [MessageId]) -> sqlx::Result<(Delivered, &'a [MessageId])> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        let mut delivered = Delivered::default();
        let mut tx = db.write().await?;
        let lane = shared::take_lane(&mut tx, corp).await?;
        let now = clock.now();
        let (mut left, mut room) = (found, shared::ROWS);
        while room > 0
            && let Some((id, rest)) = left.split_first()
        {
            // Looked at again: somebody may have let it be tried once more.
            if let Some(over) = store::why(&mut tx, id, now).await? {
                let (ended, is_all) =
                    end_some(&mut tx, id, over.end(&lane.hold_reason), &mut room, now).await?;
                match over {
                    Over::Recalled => delivered.recalled += ended,
                    Over::Expired => delivered.expired += ended,
                    Over::TriedLong => delivered.failed += ended,
                }
                if !is_all {
                    break;
                }
                delivered.messages += 1;
            }
            left = rest;
        }
        let ended = found.get(..found.len() - left.len()).unwrap_or(found);
        shared::finish(&mut tx, ended, now).await?;
        tx.commit().await?;
        self.0.metrics.recipients(&delivered);
        self.0.metrics.failed("tried_long", delivered.failed);
        Ok((delivered, left))
    }
}
