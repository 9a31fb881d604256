//! Ends messages that are no longer to be sent: recalled, expired, or tried for a day.

pub(in crate::message) mod store;

use std::time::Duration;

use sqlx::AnyConnection;

use super::DeliveryCounts;
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;
use crate::message::reason::{DeliveryReason, SendHold};
use crate::message::state::{FailureReason, MessageStatus};
use crate::message::{Messages, store as shared};

/// How long a message is retried.
pub(super) const MAX_RETRY_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// How many messages are looked for at a time.
const MESSAGES_PER_SWEEP: i64 = 100;

/// How many transactions one sweep has at most, because planning waits for it.
const TRANSACTIONS_PER_SWEEP: usize = 20;

/// The most recipients that one transaction reads for the final status of their messages, except
/// those of a single message.
const FINISHED_ROWS_PER_TRANSACTION: u64 = 10_000;

/// Why a message is no longer to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::message) enum StopReason {
    Recalled,
    Expired,
    RetryPeriodOver,
}

impl StopReason {
    /// Derives the reason from the columns; `None` if the message is to be sent.
    pub(super) fn from_times(
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
            (now.since(since) >= MAX_RETRY_PERIOD).then_some(Self::RetryPeriodOver)
        }
    }

    /// Returns how the message ends. `held_for`: why nothing can be sent at the moment, if that is
    /// the better reason.
    fn final_outcome(self, held_for: Option<DeliveryReason>) -> FinalOutcome {
        match (self, held_for) {
            (Self::Recalled, _) => FinalOutcome::new(MessageStatus::Recalled, FailureReason::Recalled.into()),
            (Self::Expired, _) => FinalOutcome::new(MessageStatus::Expired, FailureReason::Expired.into()),
            (Self::RetryPeriodOver, Some(reason)) => FinalOutcome::new(MessageStatus::Failed, reason),
            (Self::RetryPeriodOver, None) => FinalOutcome {
                keeps_reason: true,
                ..FinalOutcome::new(MessageStatus::Failed, FailureReason::RetryPeriodOver.into())
            },
        }
    }
}

/// How the unsent part of a message ends.
#[derive(Debug, Clone)]
pub(in crate::message) struct FinalOutcome {
    /// The status of the message if it has no recipient at all.
    pub(in crate::message) status: MessageStatus,
    pub(in crate::message) reason: DeliveryReason,
    /// Whether WeCom's last words about a recipient are the better reason.
    pub(in crate::message) keeps_reason: bool,
}

impl FinalOutcome {
    pub(in crate::message) const fn new(status: MessageStatus, reason: DeliveryReason) -> Self {
        Self { status, reason, keeps_reason: false }
    }
}

/// Ends recipients that certainly have not got a message, about `row_budget` rows at most.
///
/// That keeps short how long others wait for the send window, which the caller has locked. Returns
/// how many recipients ended, and whether none is left.
pub(in crate::message) async fn end_unsent(
    tx: &mut AnyConnection,
    id: &MessageId,
    end: &FinalOutcome,
    row_budget: &mut u64,
    now: Timestamp,
) -> sqlx::Result<(u64, bool)> {
    store::stop_expansion(tx, id, end, now).await?;
    for call in shared::find_untried_calls(tx, id).await? {
        let recipients = u64::try_from(call.recipients).unwrap_or(0);
        // A call never has more recipients than one transaction may change.
        if recipients > *row_budget && *row_budget < shared::MAX_ROWS_PER_TRANSACTION {
            return Ok((0, false));
        }
        shared::dissolve_call(tx, &call.id, now).await?;
        *row_budget = row_budget.saturating_sub(recipients);
    }
    let ended = store::fail_pending_recipients(tx, id, end, *row_budget).await?;
    *row_budget -= ended.min(*row_budget);
    Ok((ended, *row_budget > 0))
}

impl Messages {
    /// Ends the recipients that are no longer to be reached and certainly were not.
    pub(super) async fn expire(&self) -> sqlx::Result<DeliveryCounts> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        let found = store::find_stopped_messages(db.pool(), corp, clock.now(), MESSAGES_PER_SWEEP).await?;
        self.end_messages(&found, TRANSACTIONS_PER_SWEEP).await
    }

    /// Ends the unsent recipients of messages in at most `most` short transactions. The next sweep
    /// finds what is left.
    pub(in crate::message) async fn end_messages(
        &self,
        found: &[MessageId],
        most: usize,
    ) -> sqlx::Result<DeliveryCounts> {
        let mut all = DeliveryCounts::default();
        let mut left = found;
        for _ in 0..most {
            if left.is_empty() {
                return Ok(all);
            }
            let (delivered, rest) = self.end_first_messages(left).await?;
            all += delivered;
            left = rest;
        }
        all.messages += u64::from(!left.is_empty());
        Ok(all)
    }

    /// Runs one of these transactions and returns the messages that are left.
    async fn end_first_messages<'a>(
        &self,
        found: &'a [MessageId],
    ) -> sqlx::Result<(DeliveryCounts, &'a [MessageId])> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        let mut delivered = DeliveryCounts::default();
        let mut tx = db.write().await?;
        let window = shared::lock_send_window(&mut tx, corp).await?;
        let now = clock.now();
        let (mut left, mut row_budget) = (found, shared::MAX_ROWS_PER_TRANSACTION);
        let mut finish_budget = FINISHED_ROWS_PER_TRANSACTION;
        while row_budget > 0
            && finish_budget > 0
            && let Some((id, rest)) = left.split_first()
        {
            // Checked again: somebody may have retried the message meanwhile.
            if let Some(stop_reason) = store::find_stop_reason(&mut tx, id, now).await? {
                let end = stop_reason.final_outcome(window.hold.as_ref().and_then(SendHold::reason));
                let (ended, is_all) = end_unsent(&mut tx, id, &end, &mut row_budget, now).await?;
                match stop_reason {
                    StopReason::Recalled => delivered.recalled += ended,
                    StopReason::Expired => delivered.expired += ended,
                    StopReason::RetryPeriodOver => delivered.failed += ended,
                }
                if !is_all {
                    break;
                }
                delivered.messages += 1;
                let read = store::count_recipients(&mut tx, id, finish_budget).await?;
                finish_budget = finish_budget.saturating_sub(read);
            }
            left = rest;
        }
        let ended = found.get(..found.len() - left.len()).unwrap_or(found);
        shared::finish_messages(&mut tx, ended, now).await?;
        tx.commit().await?;
        self.0.metrics.add_recipients(&delivered);
        self.0.metrics.add_failures("tried_long", delivered.failed);
        Ok((delivered, left))
    }
}
