//! What an answer means, written down: the call, its recipients, their messages and the lane in one transaction.

pub(super) mod store;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::claim::Claimed;
use super::verdict::{Trouble, Verdict};
use super::{Delivered, pauses};
use crate::base::clock::Timestamp;
use crate::message::store::{AT_ONCE, Lane};
use crate::message::{Messages, store as shared};

/// How long nothing is sent when WeCom's limit was reached once, twice, and more often in a row.
const LIMITED: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(600), LONGEST_LIMIT];
const LONGEST_LIMIT: Duration = Duration::from_secs(3600);

/// One more call at the same time after so many turns of a lane that was crowded.
const CALM: i64 = 16;

/// Pauses while the database does not take an outcome.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long an outcome is tried to be written once the process is to stop. What is not written then is repeated byte by
/// byte by whoever comes after the lease.
const PATIENCE: Duration = Duration::from_secs(4);

/// The lane after a call, `None` if it stays as it is. `trouble`: `None` if WeCom dealt with the call.
fn after(lane: &Lane, trouble: Option<&Trouble>, now: Timestamp) -> Option<Lane> {
    let mut next = lane.clone();
    match trouble {
        // Whoever was under way when it was held says nothing of it.
        None if !lane.is_held(now) => {
            next.holds = 0;
            next.hold_reason = String::new();
            next.hold_since = None;
            if lane.at_once < AT_ONCE && lane.turn % CALM == 0 {
                next.at_once += 1;
            }
        }
        None => {}
        Some(Trouble::Crowded) => next.at_once = (lane.at_once / 2).max(1),
        // Calls of one crowd hold it once.
        Some(_) if lane.is_held(now) => {}
        Some(Trouble::Limited(_)) => {
            // Probes of what was broken before were no limits in a row.
            let limits = if lane.hold_reason.is_empty() { lane.holds } else { 0 };
            let at = usize::try_from(limits).unwrap_or(0).min(LIMITED.len() - 1);
            next.hold_until = now.plus(LIMITED.get(at).copied().unwrap_or(LONGEST_LIMIT));
            next.hold_reason = String::new();
            next.holds = limits + 1;
            next.hold_since = lane.hold_since.or(Some(now));
        }
        Some(Trouble::Broken(reason)) => {
            // A limit that was waited for before says nothing of how long this has been broken.
            let since = lane.hold_since.filter(|_| lane.waits_for_an_administrator()).unwrap_or(now);
            next.hold_until = now.plus(pauses::probe_pause(since, now));
            next.hold_reason = reason.clone();
            next.holds += 1;
            next.hold_since = Some(since);
        }
    }
    (next != *lane).then_some(next)
}

impl Messages {
    /// Changes the lane as a call says; answers until when it is held.
    pub(super) async fn change_lane(
        &self,
        tx: &mut sqlx::AnyConnection,
        lane: &Lane,
        trouble: Option<&Trouble>,
        now: Timestamp,
    ) -> sqlx::Result<Timestamp> {
        let Some(next) = after(lane, trouble, now) else { return Ok(lane.hold_until) };
        shared::write_lane(tx, &self.0.settings.corp, &next).await?;
        if next.hold_until > lane.hold_until {
            let until = next.hold_until.rfc3339();
            match trouble {
                Some(Trouble::Broken(reason)) => {
                    tracing::warn!(until, "Messages wait for an administrator: {reason}");
                }
                _ => tracing::info!(until, "WeCom's limit is reached; messages wait until it has passed"),
            }
        }
        if lane.hold_since.is_some() && next.hold_since.is_none() {
            tracing::info!("WeCom takes messages again");
        }
        Ok(next.hold_until)
    }

    /// Writes what came of a call, for as long as the database is away; until `stop`, and a little longer.
    pub(super) async fn settle(
        &self,
        call: &Claimed,
        verdict: Verdict,
        stop: &CancellationToken,
    ) -> Delivered {
        let outcome = outcome(&verdict);
        let settled = persist(stop, || self.settle_once(call, &verdict)).await;
        let Some(delivered) = settled else {
            tracing::warn!(call = %call.id, outcome, "What came of a call could not be written; it is repeated inside WeCom's window");
            return Delivered::default();
        };
        self.0.metrics.call(outcome);
        self.0.metrics.recipients(&delivered);
        if let Verdict::Failed { label, .. } = &verdict {
            self.0.metrics.failed(label, delivered.failed);
        } else {
            self.0.metrics.failed("invalid_user", delivered.failed);
        }
        delivered
    }

    async fn settle_once(&self, call: &Claimed, verdict: &Verdict) -> sqlx::Result<Delivered> {
        let (corp, holder) = (&self.0.settings.corp, &*self.0.worker.holder);
        let mut tx = self.0.db.write().await?;
        let lane = shared::take_lane(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let trouble = match verdict {
            Verdict::Again { lane, .. } => lane.as_ref(),
            _ => None,
        };
        // A call that was not dealt with says nothing of the lane.
        let tells = trouble.is_some()
            || matches!(verdict, Verdict::Sent { .. } | Verdict::Apart { .. } | Verdict::Failed { .. });
        let held_until =
            if tells { self.change_lane(&mut tx, &lane, trouble, now).await? } else { lane.hold_until };
        let mut delivered = Delivered { calls: 1, ..Delivered::default() };
        let ours = match verdict {
            Verdict::Sent { msgid, response_code, invalid, unlicensed } => {
                let before =
                    store::sent(&mut tx, call, (msgid.as_deref(), response_code.as_deref()), now).await?;
                if before == Some(store::Before::Unknown) {
                    store::reopen(&mut tx, &call.id, now).await?;
                }
                if before.is_some() {
                    delivered.failed = store::refuse(&mut tx, &call.id, invalid, unlicensed).await?;
                    delivered.sent = store::reach(&mut tx, &call.id, now).await?;
                }
                before.is_some()
            }
            Verdict::Again { at, uncertain_at, reason, lane } => {
                let held = lane.as_ref().is_some_and(Trouble::holds);
                let at = if held && uncertain_at.is_none() { held_until.max(now) } else { *at };
                store::again(&mut tx, call, holder, (at, *uncertain_at, reason)).await?
            }
            Verdict::Apart { reason } => {
                let ours = store::ended(&mut tx, call, holder, ("failed", reason), now).await?;
                if ours {
                    store::set_apart(&mut tx, &call.id, reason).await?;
                }
                ours
            }
            Verdict::Failed { reason, .. } => {
                let ours = store::ended(&mut tx, call, holder, ("failed", reason), now).await?;
                if ours {
                    delivered.failed = store::fail(&mut tx, &call.id, reason).await?;
                }
                ours
            }
            Verdict::Unknown { reason } => {
                let ours = store::ended(&mut tx, call, holder, ("unknown", reason), now).await?;
                if ours {
                    delivered.unknown = store::unknown(&mut tx, &call.id, reason, now).await?;
                }
                ours
            }
        };
        if !ours {
            tx.rollback().await?;
            tracing::info!(call = %call.id, "The call is somebody else's by now");
            return Ok(Delivered::default());
        }
        if verdict.surely_nothing() {
            store::give_back(&mut tx, corp, call).await?;
        }
        if !matches!(verdict, Verdict::Again { .. } | Verdict::Apart { .. }) {
            shared::finish_of_call(&mut tx, &call.id, now).await?;
        }
        tx.commit().await?;
        Ok(delivered)
    }
}

/// Tries until it works; `None`: the process stops, and it did not work for a while.
pub(super) async fn persist<T, F>(stop: &CancellationToken, mut step: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let (mut pause, mut told) = (FIRST_PAUSE, false);
    let mut patience = PATIENCE;
    loop {
        match step().await {
            Ok(done) => return Some(done),
            Err(error) if told => tracing::debug!(%error, "What came of a call still cannot be written"),
            Err(error) => {
                tracing::warn!(%error, "What came of a call cannot be written yet");
                told = true;
            }
        }
        if stop.is_cancelled() {
            patience = patience.saturating_sub(pause);
            if patience.is_zero() {
                return None;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Sent { .. } => "sent",
        Verdict::Again { lane: Some(trouble), .. } if trouble.holds() => "held",
        Verdict::Again { .. } => "again",
        Verdict::Apart { .. } => "apart",
        Verdict::Failed { .. } => "failed",
        Verdict::Unknown { .. } => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn lane() -> Lane {
        Lane {
            turn: 3,
            hold_until: Timestamp::from_millis(0),
            hold_reason: String::new(),
            hold_since: None,
            holds: 0,
            at_once: 10,
        }
    }

    #[test]
    fn a_limit_is_waited_out_longer_each_time_in_a_row() {
        let (mut lane, mut now) = (lane(), NOW);
        for minutes in [1, 10, 60, 60] {
            lane = after(&lane, Some(&Trouble::Limited("45009".to_owned())), now).unwrap();
            assert_eq!(lane.hold_until.since(now), Duration::from_secs(minutes * 60));
            assert!(lane.hold_reason.is_empty());
            now = lane.hold_until;
        }
        assert_eq!(lane.hold_since, Some(NOW));
        let mended = after(&lane, None, now).unwrap();
        assert_eq!((mended.holds, mended.hold_since), (0, None));
    }

    #[test]
    fn calls_that_fail_together_hold_the_lane_once() {
        let held = after(&lane(), Some(&Trouble::Broken("60020".to_owned())), NOW).unwrap();
        assert_eq!(held.hold_until, NOW.plus(pauses::probe_pause(NOW, NOW)));
        assert_eq!(held.hold_reason, "60020");
        assert_eq!(after(&held, Some(&Trouble::Broken("60020".to_owned())), NOW), None);
        assert_eq!(after(&held, Some(&Trouble::Limited("45009".to_owned())), NOW), None);
        assert_eq!(after(&held, None, NOW), None, "one that was under way ends no hold");
    }

    #[test]
    fn how_often_is_probed_depends_on_how_long_it_has_been_broken_and_on_nothing_else() {
        let broken = |lane: &Lane, now| after(lane, Some(&Trouble::Broken("60020".to_owned())), now).unwrap();
        let limited =
            |lane: &Lane, now| after(lane, Some(&Trouble::Limited("45009".to_owned())), now).unwrap();
        let mut lane = broken(&lane(), NOW);
        let mut probes = 0;
        while lane.hold_until.since(NOW) < Duration::from_secs(600) {
            lane = broken(&lane, lane.hold_until);
            probes += 1;
        }
        assert!((10..=20).contains(&probes), "{probes} in the first ten minutes");
        assert_eq!(lane.hold_since, Some(NOW));
        let slow = broken(&lane, lane.hold_until);
        assert_eq!(slow.hold_until.since(lane.hold_until), Duration::from_secs(600));
        // A limit after so many probes is the first in its row, and what breaks after it has just broken.
        let limit = limited(&slow, slow.hold_until);
        assert_eq!(limit.hold_until.since(slow.hold_until), Duration::from_secs(60));
        let anew = broken(&limit, limit.hold_until);
        assert_eq!(anew.hold_since, Some(limit.hold_until));
        assert!(anew.hold_until.since(limit.hold_until) < Duration::from_secs(60));
        let used_up = Lane { hold_reason: super::super::pace::used_up(40_000), ..limit };
        assert_eq!(broken(&used_up, used_up.hold_until).hold_since, Some(used_up.hold_until));
    }

    #[test]
    fn a_crowded_lane_halves_and_grows_again_one_by_one() {
        let mut crowded = lane();
        for at_once in [5, 2, 1] {
            crowded = after(&crowded, Some(&Trouble::Crowded), NOW).unwrap();
            assert_eq!(crowded.at_once, at_once);
        }
        assert_eq!(after(&crowded, Some(&Trouble::Crowded), NOW), None);
        assert_eq!(after(&crowded, None, NOW), None);
        let calm = Lane { turn: CALM, ..crowded };
        assert_eq!(after(&calm, None, NOW).unwrap().at_once, 2);
        assert_eq!(after(&Lane { turn: CALM, ..lane() }, None, NOW), None, "ten is the most");
    }
}
