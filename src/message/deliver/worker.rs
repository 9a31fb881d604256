//! The worker: in one task, one loop prepares calls while the other makes them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::in_flight::InFlightCalls;
use super::{DeliveryCounts, MAX_PARALLEL_CALLS};
use crate::message::Messages;
use crate::replica::Replica;

/// How often rows are polled. Other replicas write some, and others become due with time.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The same while messages come: those that wait for a shared call should not wait for us too.
const BUSY_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long after the last work messages are said to come.
const BUSY_PERIOD: Duration = Duration::from_secs(2);

/// How often expired and recalled messages are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The longest pause while the database is away.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// Logs once that the database is away, and once that it is back.
#[derive(Debug, Default)]
struct DatabaseOutage {
    pause: Option<Duration>,
}

impl DatabaseOutage {
    /// Notes a failure and returns how long to wait.
    fn failed(&mut self, error: &sqlx::Error, what: &str) -> Duration {
        let pause = match self.pause {
            None => {
                tracing::warn!(%error, "{what}; it is tried again until it works");
                POLL_INTERVAL
            }
            Some(pause) => {
                tracing::debug!(%error, "{what}");
                (pause * 2).min(MAX_OUTAGE_PAUSE)
            }
        };
        self.pause = Some(pause);
        pause
    }

    fn worked(&mut self, what: &str) {
        if self.pause.take().is_some() {
            tracing::info!("{what}");
        }
    }
}

impl Messages {
    /// Delivers until `stop`. Then no new call begins, and those in flight are finished and
    /// settled.
    pub async fn work_until(&self, replica: Replica, stop: CancellationToken) {
        if let Some(why) = &self.0.settings.unavailable {
            tracing::info!("No messages are sent: {why}");
            return stop.cancelled().await;
        }
        tokio::join!(self.prepare_until(&replica, &stop), self.call_until(&replica, &stop));
    }

    /// Expands messages and plans calls, whenever there is something new.
    async fn prepare_until(&self, replica: &Replica, stop: &CancellationToken) {
        let mut outage = DatabaseOutage::default();
        let (mut swept, mut worked) = (None, tokio::time::Instant::now());
        while !stop.is_cancelled() {
            let step = async {
                let mut step = self.prepare(&Arc::clone(&replica.chart())).await?;
                if swept.is_none_or(|at: tokio::time::Instant| at.elapsed() >= SWEEP_INTERVAL) {
                    step += self.expire().await?;
                    swept = Some(tokio::time::Instant::now());
                }
                Ok::<DeliveryCounts, sqlx::Error>(step)
            };
            let pause = match step.await {
                Ok(done) => {
                    outage.worked("Messages are prepared again");
                    if done.planned > 0 {
                        self.0.delivery_memory.calls_planned.notify_one();
                    }
                    if !done.is_empty() {
                        // There may be more to do, so it looks again at once.
                        worked = tokio::time::Instant::now();
                        continue;
                    }
                    if worked.elapsed() < BUSY_PERIOD { BUSY_POLL_INTERVAL } else { POLL_INTERVAL }
                }
                Err(error) => {
                    let pause = outage.failed(&error, "Messages cannot be prepared");
                    // A notification does not bring the database back, so only time is waited for.
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => continue,
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.accepted_signal.notified() => {}
                () = self.0.delivery_memory.call_settled.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Makes calls, whenever one is due and a place is free.
    async fn call_until(&self, replica: &Replica, stop: &CancellationToken) {
        let mut in_flight = InFlightCalls::new();
        let mut outage = DatabaseOutage::default();
        loop {
            if stop.is_cancelled() {
                // No call begins any more, but those in flight are settled.
                while in_flight.len() > 0 {
                    in_flight.next().await;
                }
                return;
            }
            let chart = Arc::clone(&replica.chart());
            let (taken, ended) = self.take_calls_while_running(&chart, &mut in_flight).await;
            if !ended.is_empty() {
                self.0.delivery_memory.call_settled.notify_one();
            }
            let pause = match taken {
                Ok(taken) => {
                    outage.worked("Messages are sent again");
                    let any = !taken.is_empty();
                    for task in taken {
                        self.start_task(task, &mut in_flight, stop);
                    }
                    // There are free places, and there may be more calls.
                    if any && in_flight.len() < MAX_PARALLEL_CALLS {
                        continue;
                    }
                    if in_flight.len() > 0 { BUSY_POLL_INTERVAL } else { POLL_INTERVAL }
                }
                Err(error) => outage.failed(&error, "No calls can be taken up"),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = in_flight.next() => self.0.delivery_memory.call_settled.notify_one(),
                () = self.0.delivery_memory.calls_planned.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
