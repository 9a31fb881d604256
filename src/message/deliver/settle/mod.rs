//! Settling: writes the outcome of a call to the call, its recipients, their messages and the send
//! window, in one transaction.

pub(super) mod store;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::claim::ClaimedCall;
use super::recall::store::insert_recall;
use super::verdict::{SendObstacle, Verdict};
use super::{DeliveryCounts, backoff};
use crate::base::clock::Timestamp;
use crate::message::reason::SendHold;
use crate::message::state::{CallStatus, HoldReason};
use crate::message::store::{MAX_CONCURRENT_CALLS, SendWindow};
use crate::message::{Messages, store as shared};

/// How long the send window is held when WeCom's limit was reached once, twice, and more often in a
/// row.
const LIMIT_HOLDS: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(600), MAX_LIMIT_HOLD];
const MAX_LIMIT_HOLD: Duration = Duration::from_secs(3600);

/// After so many turns without trouble a crowded window allows one more concurrent call.
const TURNS_PER_EXTRA_CALL: i64 = 16;

/// The pauses while the database does not accept an outcome.
const FIRST_WRITE_PAUSE: Duration = Duration::from_millis(100);
const MAX_WRITE_PAUSE: Duration = Duration::from_secs(2);

/// How long writing an outcome is tried once the process is to stop.
///
/// An outcome that is not written is found by whoever takes the call after its lease and sends the
/// same bytes again.
const SHUTDOWN_WRITE_TIME: Duration = Duration::from_secs(4);

/// Returns the send window after a call, or `None` if it does not change. `obstacle` is `None` if
/// WeCom dealt with the call.
fn next_send_window(
    window: &SendWindow,
    obstacle: Option<&SendObstacle>,
    now: Timestamp,
) -> Option<SendWindow> {
    let mut next = window.clone();
    match obstacle {
        // A call that was in flight when the send window was held says nothing about the hold.
        None if !window.is_held(now) => {
            next.holds = 0;
            next.hold = None;
            if window.max_concurrent_calls < MAX_CONCURRENT_CALLS && window.turn % TURNS_PER_EXTRA_CALL == 0 {
                next.max_concurrent_calls += 1;
            }
        }
        None => {}
        // Halved at once, and raised again one by one.
        Some(SendObstacle::TooManyCalls) => {
            next.max_concurrent_calls = (window.max_concurrent_calls / 2).max(1);
        }
        // Calls that fail together hold the send window once.
        Some(_) if window.is_held(now) => {}
        Some(SendObstacle::LimitReached) => {
            // Probes of what was broken before do not count as limits in a row.
            let in_a_row = window.hold.is_none() || window.is_held_for(HoldReason::CallLimit);
            let limits = if in_a_row { window.holds } else { 0 };
            let at = usize::try_from(limits).unwrap_or(0).min(LIMIT_HOLDS.len() - 1);
            next.hold_until = now.plus(LIMIT_HOLDS.get(at).copied().unwrap_or(MAX_LIMIT_HOLD));
            next.hold = Some(SendHold::call_limit(window.hold.as_ref().map_or(now, |hold| hold.since)));
            next.holds = limits + 1;
        }
        Some(SendObstacle::NeedsAdministrator(reason)) => {
            // A limit that was waited for before says nothing about how long this has been broken.
            let since = window
                .hold
                .as_ref()
                .filter(|hold| hold.code == HoldReason::NeedsAdministrator)
                .map_or(now, |hold| hold.since);
            next.hold_until = now.plus(backoff::probe_pause(since, now));
            next.hold = Some(SendHold::needs_administrator(reason.clone(), since));
            next.holds += 1;
        }
    }
    (next != *window).then_some(next)
}

impl Messages {
    /// Changes the send window after a call and returns until when it is held.
    pub(super) async fn change_send_window(
        &self,
        tx: &mut sqlx::AnyConnection,
        window: &SendWindow,
        obstacle: Option<&SendObstacle>,
        now: Timestamp,
    ) -> sqlx::Result<Timestamp> {
        let Some(next) = next_send_window(window, obstacle, now) else { return Ok(window.hold_until) };
        shared::update_send_window(tx, &self.0.settings.corp, &next).await?;
        if next.hold_until > window.hold_until {
            let until = next.hold_until.rfc3339();
            match obstacle {
                Some(SendObstacle::NeedsAdministrator(reason)) => {
                    tracing::warn!(until, "Messages wait for an administrator: {reason}");
                }
                _ => tracing::info!(until, "WeCom's limit is reached; messages wait until it has passed"),
            }
        }
        if window.hold.is_some() && next.hold.is_none() {
            tracing::info!("WeCom takes messages again");
        }
        Ok(next.hold_until)
    }

    /// Writes the outcome of a call, and waits for the database until `stop` and a little longer.
    pub(super) async fn settle(
        &self,
        call: &ClaimedCall,
        verdict: Verdict,
        stop: &CancellationToken,
    ) -> DeliveryCounts {
        let outcome = outcome_label(&verdict);
        let settled = retry_until_written(stop, || self.settle_once(call, &verdict)).await;
        let Some(delivered) = settled else {
            tracing::warn!(call = %call.id, outcome, "What came of a call could not be written; it is repeated inside WeCom's window");
            return DeliveryCounts::default();
        };
        self.0.metrics.add_call(outcome);
        self.0.metrics.add_recipients(&delivered);
        if let Verdict::Failed { label, .. } = &verdict {
            self.0.metrics.add_failures(label, delivered.failed);
        } else {
            self.0.metrics.add_failures("invalid_user", delivered.failed);
        }
        delivered
    }

    async fn settle_once(&self, call: &ClaimedCall, verdict: &Verdict) -> sqlx::Result<DeliveryCounts> {
        let (corp, holder) = (&self.0.settings.corp, &*self.0.delivery_memory.holder);
        let mut tx = self.0.db.write().await?;
        let window = shared::lock_send_window(&mut tx, corp).await?;
        let now = self.0.clock.now();
        let obstacle = match verdict {
            Verdict::Retry { obstacle, .. } => obstacle.as_ref(),
            _ => None,
        };
        // A call that WeCom did not deal with says nothing about the send window.
        let tells = obstacle.is_some()
            || matches!(
                verdict,
                Verdict::Sent { .. } | Verdict::SendSeparately { .. } | Verdict::Failed { .. }
            );
        let held_until = if tells {
            self.change_send_window(&mut tx, &window, obstacle, now).await?
        } else {
            window.hold_until
        };
        let mut delivered = DeliveryCounts { calls: 1, ..DeliveryCounts::default() };
        let ours = match verdict {
            Verdict::Sent { msgid, response_code, invalid, unlicensed } => {
                let marked =
                    store::mark_sent(&mut tx, call, (msgid.as_deref(), response_code.as_deref()), now)
                        .await?;
                if let Some(marked) = &marked {
                    if marked.before == store::PriorCallState::Unknown {
                        store::reopen_messages(&mut tx, &call.id, now).await?;
                    }
                    if marked.is_unwanted {
                        insert_recall(&mut tx, &call.id, now).await?;
                    }
                    delivered.failed =
                        store::refuse_recipients(&mut tx, &call.id, invalid, unlicensed).await?;
                    delivered.sent = store::mark_recipients_sent(&mut tx, &call.id, now).await?;
                }
                marked.is_some()
            }
            Verdict::Retry { at, uncertain_at, reason, obstacle } => {
                let held = obstacle.as_ref().is_some_and(SendObstacle::holds);
                // A call with an uncertain outcome cannot wait for the end of the hold: it must be
                // retried inside WeCom's duplicate window.
                let at = if held && uncertain_at.is_none() { held_until.max(now) } else { *at };
                store::mark_retry(&mut tx, call, holder, (at, *uncertain_at, reason)).await?
            }
            Verdict::SendSeparately { reason } => {
                let end = (CallStatus::Failed, reason);
                let ours = store::mark_ended(&mut tx, call, holder, end, now).await?;
                if ours {
                    store::separate_recipients(&mut tx, &call.id, reason).await?;
                }
                ours
            }
            Verdict::Failed { reason, .. } => {
                let end = (CallStatus::Failed, reason);
                let ours = store::mark_ended(&mut tx, call, holder, end, now).await?;
                if ours {
                    delivered.failed = store::end_recipients(&mut tx, &call.id, end, now).await?;
                }
                ours
            }
            Verdict::Unknown { reason } => {
                let end = (CallStatus::Unknown, reason);
                let ours = store::mark_ended(&mut tx, call, holder, end, now).await?;
                if ours {
                    delivered.unknown = store::end_recipients(&mut tx, &call.id, end, now).await?;
                }
                ours
            }
        };
        // Another process has taken the call over, and its outcome is the one that counts.
        if !ours {
            tx.rollback().await?;
            tracing::info!(call = %call.id, "The call is somebody else's by now");
            return Ok(DeliveryCounts::default());
        }
        if verdict.surely_sent_nothing() {
            store::return_usage(&mut tx, corp, call).await?;
        }
        if !matches!(verdict, Verdict::Retry { .. } | Verdict::SendSeparately { .. }) {
            shared::finish_messages_of_call(&mut tx, &call.id, now).await?;
        }
        tx.commit().await?;
        Ok(delivered)
    }
}

/// Repeats `step` until it works; `None` if the process stops meanwhile.
pub(super) async fn retry_until_written<T, F>(
    stop: &CancellationToken,
    mut step: impl FnMut() -> F,
) -> Option<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let (mut pause, mut told) = (FIRST_WRITE_PAUSE, false);
    let mut patience = SHUTDOWN_WRITE_TIME;
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
        pause = (pause * 2).min(MAX_WRITE_PAUSE);
    }
}

const fn outcome_label(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Sent { .. } => "sent",
        Verdict::Retry { obstacle: Some(obstacle), .. } if obstacle.holds() => "held",
        Verdict::Retry { .. } => "again",
        Verdict::SendSeparately { .. } => "apart",
        Verdict::Failed { .. } => "failed",
        Verdict::Unknown { .. } => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::state::FailureReason;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn send_window() -> SendWindow {
        SendWindow { turn: 3, ..SendWindow::UNUSED }
    }

    fn needs_administrator() -> SendObstacle {
        SendObstacle::NeedsAdministrator(FailureReason::Refused.into())
    }

    fn held_since(window: &SendWindow) -> Option<Timestamp> {
        window.hold.as_ref().map(|hold| hold.since)
    }

    #[test]
    fn a_limit_is_waited_out_longer_each_time_in_a_row() {
        let (mut window, mut now) = (send_window(), NOW);
        for minutes in [1, 10, 60, 60] {
            window = next_send_window(&window, Some(&SendObstacle::LimitReached), now).unwrap();
            assert_eq!(window.hold_until.since(now), Duration::from_secs(minutes * 60));
            assert!(window.is_held_for(HoldReason::CallLimit));
            now = window.hold_until;
        }
        assert_eq!(held_since(&window), Some(NOW));
        let mended = next_send_window(&window, None, now).unwrap();
        assert_eq!((mended.holds, mended.hold), (0, None));
    }

    #[test]
    fn calls_that_fail_together_hold_the_lane_once() {
        let held = next_send_window(&send_window(), Some(&needs_administrator()), NOW).unwrap();
        assert_eq!(held.hold_until, NOW.plus(backoff::probe_pause(NOW, NOW)));
        assert_eq!(held.hold.as_ref().and_then(SendHold::reason), Some(FailureReason::Refused.into()));
        assert_eq!(next_send_window(&held, Some(&needs_administrator()), NOW), None);
        assert_eq!(next_send_window(&held, Some(&SendObstacle::LimitReached), NOW), None);
        assert_eq!(next_send_window(&held, None, NOW), None, "one that was under way ends no hold");
    }

    #[test]
    fn how_often_is_probed_depends_on_how_long_it_has_been_broken_and_on_nothing_else() {
        let broken =
            |window: &SendWindow, now| next_send_window(window, Some(&needs_administrator()), now).unwrap();
        let limited = |window: &SendWindow, now| {
            next_send_window(window, Some(&SendObstacle::LimitReached), now).unwrap()
        };
        let mut window = broken(&send_window(), NOW);
        let mut probes = 0;
        while window.hold_until.since(NOW) < Duration::from_secs(600) {
            window = broken(&window, window.hold_until);
            probes += 1;
        }
        assert!((10..=20).contains(&probes), "{probes} in the first ten minutes");
        assert_eq!(held_since(&window), Some(NOW));
        let slow = broken(&window, window.hold_until);
        assert_eq!(slow.hold_until.since(window.hold_until), Duration::from_secs(600));
        // A limit after so many probes is the first of its row, and what breaks after it has just
        // broken.
        let limit = limited(&slow, slow.hold_until);
        assert_eq!(limit.hold_until.since(slow.hold_until), Duration::from_secs(60));
        let anew = broken(&limit, limit.hold_until);
        assert_eq!(held_since(&anew), Some(limit.hold_until));
        assert!(anew.hold_until.since(limit.hold_until) < Duration::from_secs(60));
        let used_up = SendWindow { hold: Some(SendHold::daily_limit(40_000, NOW)), ..limit };
        assert_eq!(held_since(&broken(&used_up, used_up.hold_until)), Some(used_up.hold_until));
    }

    #[test]
    fn a_crowded_lane_halves_and_grows_again_one_by_one() {
        let mut crowded = send_window();
        for at_once in [5, 2, 1] {
            crowded = next_send_window(&crowded, Some(&SendObstacle::TooManyCalls), NOW).unwrap();
            assert_eq!(crowded.max_concurrent_calls, at_once);
        }
        assert_eq!(next_send_window(&crowded, Some(&SendObstacle::TooManyCalls), NOW), None);
        assert_eq!(next_send_window(&crowded, None, NOW), None);
        let calm = SendWindow { turn: TURNS_PER_EXTRA_CALL, ..crowded };
        assert_eq!(next_send_window(&calm, None, NOW).unwrap().max_concurrent_calls, 2);
        assert_eq!(
            next_send_window(&SendWindow { turn: TURNS_PER_EXTRA_CALL, ..send_window() }, None, NOW),
            None,
            "ten is the most"
        );
    }
}
