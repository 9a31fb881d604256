//! The worker: one part prepares calls, the other makes them, side by side in one task.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::in_flight::InFlightCalls;
use super::{DeliveryCounts, MAX_PARALLEL_CALLS};
use crate::message::Messages;
use crate::session::Sessions;

/// How often rows are looked at that nobody here rang for: other replicas write some, and time makes others due.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// And while messages come: those that wait for company are not to wait for us, too.
const BUSY_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long after the last work that is.
const BUSY_PERIOD: Duration = Duration::from_secs(2);

/// How often it is looked for what is no longer to be sent.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The longest pause while the database is away.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// Tells once that the database is away, and once that it is back.
#[derive(Debug, Default)]
struct DatabaseOutage {
    pause: Option<Duration>,
}

impl DatabaseOutage {
    /// It failed; answers how long to wait.
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
    /// Delivers until `stop`; then no call is begun any more, and those under way are finished and written down.
    pub async fn work_until(&self, sessions: Sessions, stop: CancellationToken) {
        if let Some(why) = &self.0.settings.unavailable {
            tracing::info!("No messages are sent: {why}");
            return stop.cancelled().await;
        }
        tokio::join!(self.prepare_until(&sessions, &stop), self.call_until(&sessions, &stop));
    }

    /// Recipients and calls, whenever something is new.
    async fn prepare_until(&self, sessions: &Sessions, stop: &CancellationToken) {
        let mut trouble = DatabaseOutage::default();
        let (mut swept, mut worked) = (None, tokio::time::Instant::now());
        while !stop.is_cancelled() {
            let step = async {
                let mut now = self.prepare(&Arc::clone(&sessions.chart())).await?;
                if swept.is_none_or(|at: tokio::time::Instant| at.elapsed() >= SWEEP_INTERVAL) {
                    now += self.expire().await?;
                    swept = Some(tokio::time::Instant::now());
                }
                Ok::<DeliveryCounts, sqlx::Error>(now)
            };
            let pause = match step.await {
                Ok(now) => {
                    trouble.worked("Messages are prepared again");
                    if now.planned > 0 {
                        self.0.worker.calls_planned.notify_one();
                    }
                    if !now.is_empty() {
                        worked = tokio::time::Instant::now();
                        continue;
                    }
                    if worked.elapsed() < BUSY_PERIOD { BUSY_POLL_INTERVAL } else { POLL_INTERVAL }
                }
                Err(error) => {
                    let pause = trouble.failed(&error, "Messages cannot be prepared");
                    // A bell does not bring the database back.
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => continue,
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.accepted_signal.notified() => {}
                () = self.0.worker.call_settled.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Calls, whenever there is one and a place for it.
    async fn call_until(&self, sessions: &Sessions, stop: &CancellationToken) {
        let mut under_way = InFlightCalls::new();
        let mut trouble = DatabaseOutage::default();
        loop {
            if stop.is_cancelled() {
                while under_way.len() > 0 {
                    under_way.next().await;
                }
                return;
            }
            let chart = Arc::clone(&sessions.chart());
            let (taken, ended) = self.take_calls_while_running(&chart, &mut under_way).await;
            if !ended.is_empty() {
                self.0.worker.call_settled.notify_one();
            }
            let pause = match taken {
                Ok(taken) => {
                    trouble.worked("Messages are sent again");
                    let any = !taken.is_empty();
                    for ours in taken {
                        self.start_task(ours, &mut under_way, stop);
                    }
                    if any && under_way.len() < MAX_PARALLEL_CALLS {
                        continue;
                    }
                    if under_way.len() > 0 { BUSY_POLL_INTERVAL } else { POLL_INTERVAL }
                }
                Err(error) => trouble.failed(&error, "No calls can be taken up"),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = under_way.next() => self.0.worker.call_settled.notify_one(),
                () = self.0.worker.calls_planned.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
