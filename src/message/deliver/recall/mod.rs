//! Taking back what WeCom took: a call is recalled when all its messages are.

pub(super) mod store;

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::claim::LEASE;
use super::verdict::{Answer, Trouble};
use super::{Delivered, pace, pauses, settle};
use crate::base::clock::Timestamp;
use crate::base::id::CallId;
use crate::message::store::Lane;
use crate::message::{Messages, store as shared};
use crate::wecom::SendRefusal;

/// For how long WeCom takes a message back (document 94867).
pub const RECALLABLE: Duration = Duration::from_secs(24 * 3600);

/// A call that is ours to recall.
#[derive(Debug, Clone)]
pub(super) struct Recall {
    pub(super) id: CallId,
    pub(super) msgid: String,
    /// The number of this try.
    pub(super) number: i64,
    /// When WeCom took the call.
    pub(super) sent_at: Timestamp,
    /// Whether an earlier answer to the call was lost: then what is taken back need not be what arrived.
    pub(super) uncertain: bool,
}

/// Why a message stays what it was although WeCom took it back.
const MAY_STAY: &str =
    "WeCom took it back, but an earlier answer of WeCom's about it was lost, and it may still be on phones.";

/// Whether nothing can be taken back now. What stops messages until tomorrow, because the recipients of a day are used
/// up, does not: a recall has none.
fn is_held(lane: &Lane, now: Timestamp) -> bool {
    lane.is_held(now) && !pace::is_used_up(&lane.hold_reason)
}

/// What becomes of a recall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Again { at: Timestamp, reason: String, lane: Option<Trouble> },
    Failed { reason: String },
}

/// Decides it. A recall can be made twice without harm, so it does not matter whether one may have worked.
pub(super) fn judge(answer: Answer, recall: &Recall, now: Timestamp) -> End {
    let (reason, lane) = match answer {
        Answer::Taken { .. } => return End::Done,
        Answer::NotMade(reason) | Answer::Unsure(reason) => (reason, None),
        Answer::Refused(refusal) => {
            let lane = match refusal.class {
                SendRefusal::Again => None,
                SendRefusal::Fewer => Some(Trouble::Crowded),
                SendRefusal::Wait => Some(Trouble::Limited(refusal.words.clone())),
                SendRefusal::Administrator => Some(Trouble::Broken(refusal.words.clone())),
                SendRefusal::Recipients | SendRefusal::Nobody | SendRefusal::Message => {
                    return End::Failed { reason: refusal.words };
                }
            };
            (refusal.words, lane)
        }
    };
    if now.since(recall.sent_at) >= RECALLABLE {
        return End::Failed { reason };
    }
    End::Again { at: now.plus(pauses::again(recall.number, recall.id.as_str())), reason, lane }
}

impl Messages {
    /// Takes recalls whose time has come, `most` at the most, leaving out those that are `under_way` here.
    pub(super) async fn claim_recalls(
        &self,
        most: usize,
        under_way: &HashSet<CallId>,
    ) -> sqlx::Result<Vec<Recall>> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        if most == 0
            || is_held(&self.look_at_lane().await?, clock.now())
            || !store::is_work(db.pool(), corp, clock.now()).await?
        {
            return Ok(Vec::new());
        }
        let mut tx = db.write().await?;
        let lane = shared::take_lane(&mut tx, corp).await?;
        let now = clock.now();
        let most = if is_held(&lane, now) { 0 } else { i64::try_from(most).unwrap_or(i64::MAX) };
        let mut recalls = store::due(&mut tx, corp, now, most).await?;
        recalls.retain(|recall| !under_way.contains(&recall.id));
        for recall in &mut recalls {
            recall.number += 1;
            store::take(&mut tx, recall, &self.0.worker.holder, now.plus(LEASE)).await?;
        }
        tx.commit().await?;
        Ok(recalls)
    }

    /// Makes the recall and writes what came of it.
    pub(super) async fn recall_call(&self, recall: &Recall, stop: &CancellationToken) -> Delivered {
        let answer = self.take_back(&recall.msgid).await;
        let end = judge(answer, recall, self.0.clock.now());
        self.0.metrics.call(match &end {
            End::Done => "recalled",
            End::Again { .. } => "again",
            End::Failed { .. } => "not_recalled",
        });
        let settled = settle::persist(stop, || self.settle_recall(recall, &end)).await;
        settled.map_or_else(Delivered::default, |recalled| {
            let delivered = Delivered { calls: 1, recalled, ..Delivered::default() };
            self.0.metrics.recipients(&delivered);
            delivered
        })
    }

    async fn settle_recall(&self, recall: &Recall, end: &End) -> sqlx::Result<u64> {
        let (corp, holder) = (&self.0.settings.corp, &*self.0.worker.holder);
        let mut tx = self.0.db.write().await?;
        let lane = shared::take_lane(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let (ours, recipients) = match end {
            End::Done => {
                self.change_lane(&mut tx, &lane, None, now).await?;
                let ours = store::ended(&mut tx, recall, holder, ("done", "")).await?;
                let mut recipients = 0;
                if ours && recall.uncertain {
                    store::note(&mut tx, &recall.id, MAY_STAY, now).await?;
                } else if ours {
                    recipients = store::recipients(&mut tx, &recall.id).await?;
                    store::finish(&mut tx, &recall.id, now).await?;
                }
                (ours, recipients)
            }
            End::Again { at, reason, lane: trouble } => {
                let mut at = *at;
                if let Some(trouble) = trouble {
                    let held_until = self.change_lane(&mut tx, &lane, Some(trouble), now).await?;
                    if trouble.holds() {
                        at = held_until.max(now);
                    }
                }
                (store::again(&mut tx, recall, holder, at, reason).await?, 0)
            }
            End::Failed { reason } => {
                let ours = store::ended(&mut tx, recall, holder, ("failed", reason)).await?;
                if ours {
                    tracing::info!(call = %recall.id, reason, "A message could not be recalled");
                    let reason = format!("It was not recalled: {reason}");
                    store::note(&mut tx, &recall.id, &reason, now).await?;
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
    use super::super::verdict::Refusal;
    use super::*;

    #[test]
    fn a_recall_is_tried_again_for_a_day_and_not_at_all_where_wecom_says_never() {
        let sent_at = Timestamp::from_millis(1_000_000);
        let recall =
            Recall { id: CallId::new("c"), msgid: "m".to_owned(), number: 1, sent_at, uncertain: false };
        let soon = sent_at.plus(Duration::from_secs(60));
        let refused = |class| Answer::Refused(Refusal { class, code: Some(1), words: "no".to_owned() });
        let taken = Answer::Taken { msgid: None, response_code: None, invalid: vec![], unlicensed: vec![] };
        assert_eq!(judge(taken, &recall, soon), End::Done);
        for answer in [
            Answer::Unsure("silence".to_owned()),
            Answer::NotMade("no connection".to_owned()),
            refused(SendRefusal::Again),
            refused(SendRefusal::Wait),
            refused(SendRefusal::Administrator),
        ] {
            assert!(matches!(judge(answer.clone(), &recall, soon), End::Again { .. }), "{answer:?}");
            let late = sent_at.plus(RECALLABLE);
            assert!(matches!(judge(answer.clone(), &recall, late), End::Failed { .. }), "{answer:?}");
        }
        let never = judge(refused(SendRefusal::Message), &recall, soon);
        assert_eq!(never, End::Failed { reason: "no".to_owned() });
    }
}
