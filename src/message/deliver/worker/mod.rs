//! The worker: prepares calls, makes them and settles them, step by step.
//!
//! [`Worker::step`] does what is due and returns without waiting for WeCom. The calls stay in
//! flight in the worker and make progress in every await of it, so a call that settles never waits
//! for a step that waits for its lock. The loop of the process is a step, then
//! [`Worker::wait_until`], and the same again; tests take the same steps with a clock of their own.
//!
//! From one step to the next the worker remembers only its calls in flight, what of them was settled
//! meanwhile, when the database failed, and when expired messages were looked for. What is due is
//! found by the rows.

pub(super) mod store;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use tokio_util::sync::CancellationToken;

use super::in_flight::InFlightCalls;
use super::{DeliveryCounts, MAX_PARALLEL_CALLS};
use crate::base::clock::Timestamp;
use crate::directory::chart::Chart;
use crate::message::{Messages, store as shared};

/// How often rows are polled, because other replicas and commands write some.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often expired and recalled messages are looked for while there are none.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The longest pause while the database is away.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// Returns the chart that is published now.
type ChartSource = Box<dyn Fn() -> Arc<Chart> + Send + Sync>;

/// What a step did, and when the next one is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStep {
    /// Since the step before, including calls that were settled between the two.
    pub did: DeliveryCounts,
    /// When the next step is due, unless a message is accepted or WeCom answers before. It is the
    /// time of the step itself if more may be due already.
    pub wake_at: Timestamp,
}

/// Delivers the messages of one process. Dropping it is as if the process died: its calls are taken
/// over when their leases end.
pub struct Worker {
    messages: Messages,
    chart: ChartSource,
    /// Cancelled when no further call may begin.
    stop: CancellationToken,
    in_flight: InFlightCalls<DeliveryCounts>,
    /// What was settled since the last step; `None` if nothing was.
    settled: Option<DeliveryCounts>,
    prepare_outage: DatabaseOutage,
    sweep_outage: DatabaseOutage,
    claim_outage: DatabaseOutage,
    /// When no expired or recalled message was found; `None` if there may be some.
    swept_at: Option<Timestamp>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("in_flight", &self.calls_in_flight()).finish_non_exhaustive()
    }
}

/// Keeps the pauses while the database is away, and logs once that it is and once that it is back.
#[derive(Debug, Default)]
struct DatabaseOutage {
    /// The current pause, and when it ends.
    pause: Option<(Duration, Timestamp)>,
}

impl DatabaseOutage {
    fn note_failure(&mut self, error: &sqlx::Error, what: &str, now: Timestamp) {
        let pause = match self.pause {
            None => {
                tracing::warn!(%error, "{what}; it is tried again until it works");
                POLL_INTERVAL
            }
            Some((pause, _)) => {
                tracing::debug!(%error, "{what}");
                (pause * 2).min(MAX_OUTAGE_PAUSE)
            }
        };
        self.pause = Some((pause, now.plus(pause)));
    }

    fn note_success(&mut self, what: &str) {
        if self.pause.take().is_some() {
            tracing::info!("{what}");
        }
    }

    /// Returns when the database may be tried again, if that is later than `now`.
    fn retry_at(&self, now: Timestamp) -> Option<Timestamp> {
        // A later end was written before the clock was set back.
        self.pause.map(|(_, ends_at)| ends_at).filter(|at| *at > now && *at <= now.plus(MAX_OUTAGE_PAUSE))
    }
}

impl Worker {
    /// Makes a worker. When `stop` is cancelled, it begins no further call.
    pub fn new(
        messages: Messages,
        chart: impl Fn() -> Arc<Chart> + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Self {
        Self {
            messages,
            chart: Box::new(chart),
            stop,
            in_flight: InFlightCalls::new(),
            settled: None,
            prepare_outage: DatabaseOutage::default(),
            sweep_outage: DatabaseOutage::default(),
            claim_outage: DatabaseOutage::default(),
            swept_at: None,
        }
    }

    /// Delivers until the worker is told to stop. Then no new call begins, and those in flight are
    /// finished and settled.
    pub async fn run(mut self) {
        if let Some(why) = &self.messages.0.settings.unavailable {
            tracing::info!("No messages are sent: {why}");
            return self.stop.cancelled().await;
        }
        while !self.stop.is_cancelled() {
            let step = self.step(self.messages.0.clock.now()).await;
            self.wait_until(step.wake_at).await;
        }
        while self.calls_in_flight() > 0 {
            self.in_flight.next().await;
        }
    }

    /// Returns how many calls wait for WeCom's answer.
    pub fn calls_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Expands, plans and ends what is due, and begins as many calls as there are places for.
    ///
    /// It waits for the database and never for WeCom. `now` is the time of the worker's clock, which
    /// each transaction reads again once it has its locks.
    pub async fn step(&mut self, now: Timestamp) -> WorkerStep {
        let settled = self.settled.take();
        let (mut did, mut is_more_due) = (settled.unwrap_or_default(), settled.is_some());
        if self.messages.0.settings.unavailable.is_none() {
            is_more_due |= self.prepare_and_call(now, &mut did).await;
        }
        let wake_at =
            if is_more_due || self.stop.is_cancelled() { now } else { self.find_wake_time(now).await };
        // WeCom may have answered meanwhile.
        let wake_at = if self.settled.is_some() { now } else { wake_at };
        WorkerStep { did, wake_at }
    }

    /// Waits until `wake_at`, but at most five seconds, or until a message is accepted, a call is settled,
    /// or the worker is told to stop.
    pub async fn wait_until(&mut self, wake_at: Timestamp) {
        // The clock may have been set back since `wake_at` was computed.
        let pause = wake_at.since(self.messages.0.clock.now()).min(MAX_OUTAGE_PAUSE);
        if pause.is_zero() {
            return;
        }
        tokio::select! {
            () = self.stop.cancelled() => {}
            one = self.in_flight.next() => *self.settled.get_or_insert_default() += one,
            () = self.messages.0.accepted_signal.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Prepares calls once, and meanwhile and afterwards begins those that are due. Returns whether
    /// more may be due already.
    async fn prepare_and_call(&mut self, now: Timestamp, did: &mut DeliveryCounts) -> bool {
        let (messages, chart) = (self.messages.clone(), (self.chart)());
        let mut preparing = pin!(Fuse::terminated());
        let mut claiming = pin!(Fuse::terminated());
        if !self.stop.is_cancelled() && self.prepare_outage.retry_at(now).is_none() {
            preparing.set(prepare_and_sweep(&messages, &chart, self.is_sweep_due(now)).fuse());
        }
        let mut may_claim = self.claim_outage.retry_at(now).is_none();
        // What the preparation ends is not claimed before, unless it takes long.
        let (mut is_claim_due, mut is_more_due) = (preparing.is_terminated(), false);
        loop {
            if is_claim_due && may_claim && claiming.is_terminated() && !self.stop.is_cancelled() {
                let free = MAX_PARALLEL_CALLS.saturating_sub(self.in_flight.len());
                if free > 0 {
                    claiming.set(messages.take_calls(&chart, free, self.in_flight.ids()).fuse());
                    is_claim_due = false;
                }
            }
            if preparing.is_terminated() && claiming.is_terminated() {
                return is_more_due;
            }
            // Calls in flight continue while the database is asked: one of them may hold the lock
            // that a statement waits for.
            tokio::select! {
                (prepared, swept) = &mut preparing => {
                    is_more_due |= self.note_prepared(prepared, did);
                    is_more_due |= swept.is_some_and(|swept| self.note_swept(swept, did));
                    is_claim_due = true;
                }
                taken = &mut claiming => match taken {
                    Ok(taken) => {
                        self.claim_outage.note_success("Messages are sent again");
                        // There may be more calls than one claim takes.
                        is_claim_due |= !taken.is_empty();
                        for task in taken {
                            messages.start_task(task, &mut self.in_flight, &self.stop);
                        }
                    }
                    Err(error) => {
                        self.claim_outage.note_failure(&error, "No calls can be taken up", self.clock_now());
                        may_claim = false;
                    }
                },
                one = self.in_flight.next() => {
                    *did += one;
                    // The next messages of its recipients may be planned. Its place is filled here only
                    // while calls are prepared, and otherwise by the next step.
                    is_more_due = true;
                    is_claim_due |= !preparing.is_terminated();
                }
                // A long preparation does not keep a retry waiting until WeCom's duplicate window is
                // over, nor a recall, nor what another process left behind.
                () = tokio::time::sleep(POLL_INTERVAL), if !preparing.is_terminated() => {
                    is_claim_due = true;
                }
            }
        }
    }

    fn clock_now(&self) -> Timestamp {
        self.messages.0.clock.now()
    }

    /// Whether it is time to look for what is no longer to be sent.
    fn is_sweep_due(&self, now: Timestamp) -> bool {
        // A later sweep was made before the clock was set back.
        let is_due = self.swept_at.is_none_or(|at| now.since(at) >= SWEEP_INTERVAL || at > now);
        is_due && self.sweep_outage.retry_at(now).is_none()
    }

    /// Notes what a preparation did. Returns whether it did anything.
    fn note_prepared(&mut self, prepared: sqlx::Result<DeliveryCounts>, did: &mut DeliveryCounts) -> bool {
        match prepared {
            Ok(done) => {
                self.prepare_outage.note_success("Messages are prepared again");
                *did += done;
                !done.is_empty()
            }
            Err(error) => {
                self.prepare_outage.note_failure(&error, "Messages cannot be prepared", self.clock_now());
                false
            }
        }
    }

    /// Notes what a sweep ended. Returns whether it ended anything.
    ///
    /// Its outage is its own: while nothing can be ended, messages are still prepared.
    fn note_swept(&mut self, swept: sqlx::Result<DeliveryCounts>, did: &mut DeliveryCounts) -> bool {
        match swept {
            Ok(ended) => {
                self.sweep_outage.note_success("Expired messages end again");
                // There may be more than one sweep ends.
                self.swept_at = ended.is_empty().then(|| self.clock_now());
                *did += ended;
                !ended.is_empty()
            }
            Err(error) => {
                self.sweep_outage.note_failure(&error, "Expired messages cannot be ended", self.clock_now());
                false
            }
        }
    }

    /// Returns when a step is due if nothing is to be done now.
    async fn find_wake_time(&mut self, now: Timestamp) -> Timestamp {
        let poll_at = now.plus(POLL_INTERVAL);
        match (self.prepare_outage.retry_at(now), self.claim_outage.retry_at(now)) {
            (Some(prepare_at), Some(claim_at)) => prepare_at.min(claim_at),
            (Some(at), None) | (None, Some(at)) => at.min(poll_at),
            (None, None) if self.messages.0.settings.unavailable.is_some() => poll_at,
            (None, None) => {
                let swept_again_at = self.swept_at.map(|at| at.plus(SWEEP_INTERVAL));
                let sweep_at = self.sweep_outage.retry_at(now).or(swept_again_at).unwrap_or(poll_at);
                let messages = self.messages.clone();
                let due_at = self.run_with_calls(messages.find_next_due_time(now)).await;
                // An outage shows in the next step.
                let due_at = due_at.unwrap_or_default().unwrap_or(poll_at);
                poll_at.min(due_at).min(sweep_at)
            }
        }
    }

    /// Waits for `work` while the calls in flight continue.
    async fn run_with_calls<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                one = self.in_flight.next() => *self.settled.get_or_insert_default() += one,
            }
        }
    }
}

/// Expands messages and plans calls, then ends what is no longer to be sent if `is_sweep_due`.
///
/// In this order, so that a message that expired before it was expanded still names its recipients.
async fn prepare_and_sweep(
    messages: &Messages,
    chart: &Chart,
    is_sweep_due: bool,
) -> (sqlx::Result<DeliveryCounts>, Option<sqlx::Result<DeliveryCounts>>) {
    let prepared = messages.prepare(chart).await;
    let swept = if is_sweep_due && prepared.is_ok() { Some(messages.expire().await) } else { None };
    (prepared, swept)
}

impl Messages {
    /// Returns the earliest time after `now` at which a row becomes due; `None` if there is none.
    async fn find_next_due_time(&self, now: Timestamp) -> sqlx::Result<Option<Timestamp>> {
        let (pool, corp) = (self.0.db.pool(), &self.0.settings.corp);
        let window = shared::find_send_window(pool, corp).await?;
        if window.is_held(now) {
            return Ok(Some(window.hold_until));
        }
        store::find_next_due_time(pool, corp, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_waited_out_longer_each_time_and_never_longer_than_five_seconds() {
        let (mut outage, mut now) = (DatabaseOutage::default(), Timestamp::from_millis(1_000_000));
        for pause_ms in [500, 1000, 2000, 4000, 5000, 5000] {
            outage.note_failure(&sqlx::Error::PoolTimedOut, "It fails", now);
            let ends_at = now.plus(Duration::from_millis(pause_ms));
            assert_eq!(outage.retry_at(now), Some(ends_at));
            assert_eq!(outage.retry_at(ends_at), None, "it is tried again");
            now = ends_at;
        }
        outage.note_success("It works");
        assert_eq!(outage.retry_at(now), None);
        outage.note_failure(&sqlx::Error::PoolTimedOut, "It fails", now);
        assert_eq!(outage.retry_at(now), Some(now.plus(POLL_INTERVAL)), "it begins anew");
        let set_back = now.minus(Duration::from_secs(3600));
        assert_eq!(outage.retry_at(set_back), None, "a clock that was set back does not prolong it");
    }
}
