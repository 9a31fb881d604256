//! Recalls: a call is taken back when all its messages are recalled ([design:
//! recall](crate::design#recall)).

pub(crate) mod store;

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::claim::CALL_LEASE;
use super::verdict::{CallAnswer, SendObstacle};
use super::{DeliveryCounts, backoff, settle};
use crate::base::clock::Timestamp;
use crate::base::id::CallId;
use crate::message::reason::DeliveryReason;
use crate::message::state::{FailureReason, HoldReason, RecallStatus};
use crate::message::store::SendWindow;
use crate::message::{Messages, store as shared};
use crate::wecom::SendRefusal;

/// How long WeCom takes a message back (document 94867).
pub(crate) const RECALL_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// A call whose recall this process has leased.
#[derive(Debug, Clone)]
pub(super) struct ClaimedRecall {
    pub(super) id: CallId,
    pub(super) msgid: String,
    /// The number of this attempt.
    pub(super) number: i64,
    /// When WeCom took the call.
    pub(super) sent_at: Timestamp,
    /// Whether an earlier answer to the call was lost. Then the msgid need not be that of the
    /// message that arrived.
    pub(super) uncertain: bool,
}

/// Whether nothing can be recalled now.
///
/// The limit of recipients a day stops messages until tomorrow but no recalls: these have no
/// recipients.
fn is_recall_held(window: &SendWindow, now: Timestamp) -> bool {
    window.is_held(now) && !window.is_held_for(HoldReason::DailyLimit)
}

/// What happens to a recall after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecallOutcome {
    Done,
    Retry { at: Timestamp, reason: DeliveryReason, obstacle: Option<SendObstacle> },
    Failed { reason: DeliveryReason },
}

/// Decides what happens to a recall.
///
/// A recall can be made twice without harm, so it does not matter whether an earlier attempt has
/// worked.
pub(super) fn decide_recall_outcome(
    answer: CallAnswer,
    recall: &ClaimedRecall,
    now: Timestamp,
) -> RecallOutcome {
    let (reason, obstacle) = match answer {
        CallAnswer::Taken { .. } => return RecallOutcome::Done,
        CallAnswer::NotMade(reason) | CallAnswer::Uncertain(reason) => (reason, None),
        CallAnswer::Refused(refusal) => {
            let obstacle = match refusal.class {
                SendRefusal::Retry => None,
                SendRefusal::ReduceParallelism => Some(SendObstacle::TooManyCalls),
                SendRefusal::AwaitQuota => Some(SendObstacle::LimitReached),
                SendRefusal::NeedsAdministrator => {
                    Some(SendObstacle::NeedsAdministrator(refusal.reason.clone()))
                }
                SendRefusal::SplitRecipients | SendRefusal::NoRecipient | SendRefusal::RejectedMessage => {
                    return RecallOutcome::Failed { reason: refusal.reason };
                }
            };
            (refusal.reason, obstacle)
        }
    };
    // WeCom would refuse every further attempt.
    if now.since(recall.sent_at) >= RECALL_WINDOW {
        return RecallOutcome::Failed { reason };
    }
    RecallOutcome::Retry {
        at: now.plus(backoff::retry_pause(recall.number, recall.id.as_str())),
        reason,
        obstacle,
    }
}

impl Messages {
    /// Claims recalls that are due, at most `most`, leaving out those that are in flight here.
    pub(super) async fn claim_recalls(
        &self,
        most: usize,
        in_flight: &HashSet<CallId>,
    ) -> sqlx::Result<Vec<ClaimedRecall>> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        if most == 0
            || is_recall_held(&self.check_send_window().await?, clock.now())
            || !store::has_due_recalls(db.pool(), corp, clock.now()).await?
        {
            return Ok(Vec::new());
        }
        let mut tx = db.write().await?;
        let window = shared::lock_send_window(&mut tx, corp).await?;
        let now = clock.now();
        let most = if is_recall_held(&window, now) { 0 } else { i64::try_from(most).unwrap_or(i64::MAX) };
        let mut recalls = store::find_due_recalls(&mut tx, corp, now, most).await?;
        recalls.retain(|recall| !in_flight.contains(&recall.id));
        for recall in &mut recalls {
            recall.number += 1;
            store::lease_recall(&mut tx, recall, &self.0.delivery_memory.holder, now.plus(CALL_LEASE))
                .await?;
        }
        tx.commit().await?;
        Ok(recalls)
    }

    /// Makes a recall and settles it.
    pub(super) async fn recall_call(
        &self,
        recall: &ClaimedRecall,
        stop: &CancellationToken,
    ) -> DeliveryCounts {
        let answer = self.take_back(&recall.msgid).await;
        let end = decide_recall_outcome(answer, recall, self.0.clock.now());
        self.0.metrics.add_call(match &end {
            RecallOutcome::Done => "recalled",
            RecallOutcome::Retry { .. } => "again",
            RecallOutcome::Failed { .. } => "not_recalled",
        });
        let settled = settle::retry_until_written(stop, || self.settle_recall(recall, &end)).await;
        settled.map_or_else(DeliveryCounts::default, |recalled| {
            let delivered = DeliveryCounts { calls: 1, recalled, ..DeliveryCounts::default() };
            self.0.metrics.add_recipients(&delivered);
            delivered
        })
    }

    async fn settle_recall(&self, recall: &ClaimedRecall, end: &RecallOutcome) -> sqlx::Result<u64> {
        let (corp, holder) = (&self.0.settings.corp, &*self.0.delivery_memory.holder);
        let mut tx = self.0.db.write().await?;
        let window = shared::lock_send_window(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let (ours, recipients) = match end {
            RecallOutcome::Done => {
                self.change_send_window(&mut tx, &window, None, now).await?;
                let ours = store::end_recall(&mut tx, recall, holder, RecallStatus::Done, None).await?;
                let mut recipients = 0;
                if ours && recall.uncertain {
                    let reason = FailureReason::CopyMayRemain.into();
                    store::note_reason(&mut tx, &recall.id, &reason, now).await?;
                } else if ours {
                    recipients = store::count_sent_recipients(&mut tx, &recall.id).await?;
                    store::finish_recalled_messages(&mut tx, &recall.id, now).await?;
                }
                (ours, recipients)
            }
            RecallOutcome::Retry { at, reason, obstacle } => {
                let mut at = *at;
                if let Some(obstacle) = obstacle {
                    let held_until = self.change_send_window(&mut tx, &window, Some(obstacle), now).await?;
                    if obstacle.holds() {
                        at = held_until.max(now);
                    }
                }
                (store::retry_recall(&mut tx, recall, holder, at, reason).await?, 0)
            }
            RecallOutcome::Failed { reason } => {
                let ours =
                    store::end_recall(&mut tx, recall, holder, RecallStatus::Failed, Some(reason)).await?;
                if ours {
                    tracing::info!(call = %recall.id, %reason, "A message could not be recalled");
                    let reason = DeliveryReason::because(FailureReason::NotRecalled, reason.clone());
                    store::note_reason(&mut tx, &recall.id, &reason, now).await?;
                }
                (ours, 0)
            }
        };
        if ours {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(recipients)
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::CallRefusal;
    use super::*;

    #[test]
    fn a_recall_is_tried_again_for_a_day_and_not_at_all_where_wecom_says_never() {
        let sent_at = Timestamp::from_millis(1_000_000);
        let recall = ClaimedRecall {
            id: CallId::new("c"),
            msgid: "m".to_owned(),
            number: 1,
            sent_at,
            uncertain: false,
        };
        let soon = sent_at.plus(Duration::from_secs(60));
        let refused = |class| {
            let reason = FailureReason::Refused.into();
            CallAnswer::Refused(CallRefusal { class, code: Some(1), reason })
        };
        let taken =
            CallAnswer::Taken { msgid: None, response_code: None, invalid: vec![], unlicensed: vec![] };
        assert_eq!(decide_recall_outcome(taken, &recall, soon), RecallOutcome::Done);
        for answer in [
            CallAnswer::Uncertain(FailureReason::Timeout.into()),
            CallAnswer::NotMade(FailureReason::Unreachable.into()),
            refused(SendRefusal::Retry),
            refused(SendRefusal::AwaitQuota),
            refused(SendRefusal::NeedsAdministrator),
        ] {
            assert!(
                matches!(decide_recall_outcome(answer.clone(), &recall, soon), RecallOutcome::Retry { .. }),
                "{answer:?}"
            );
            let late = sent_at.plus(RECALL_WINDOW);
            assert!(
                matches!(decide_recall_outcome(answer.clone(), &recall, late), RecallOutcome::Failed { .. }),
                "{answer:?}"
            );
        }
        let never = decide_recall_outcome(refused(SendRefusal::RejectedMessage), &recall, soon);
        assert_eq!(never, RecallOutcome::Failed { reason: FailureReason::Refused.into() });
    }
}
