//! The only place that spawns tasks: listeners, connections and repeated steps, and how they all
//! end.
//!
//! A worker that dies ends the process. A gateway that is half alive would let people in by old
//! memory or keep them out, and nobody would notice. The service manager starts it again.

mod connection_timer;
pub(crate) mod listen;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::base::job::{Job, JobWork};

/// How long running requests may take after the stop: longer than a sign-in waits for WeCom.
const WORKER_GRACE_PERIOD: Duration = Duration::from_secs(20);

/// The workers of the process.
#[derive(Debug, Default)]
pub struct Supervisor {
    workers: JoinSet<&'static str>,
    stop: CancellationToken,
}

/// The signals that ask the process to stop. They are caught from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    interrupt: Signal,
}

/// A worker ended that should have gone on.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended: the process stops, so that whoever runs it starts it again")]
pub struct WorkerEnded(String);

impl Supervisor {
    /// Builds a supervisor without workers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the token that ends everything. It also makes this instance not ready.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a job of a room.
    pub(crate) fn start(&mut self, job: Job) {
        match job.work {
            JobWork::Repeated(pause, step) => self.repeat(job.name, pause, step),
            JobWork::UntilStopped(work) => self.run(job.name, work),
        }
    }

    /// Runs `worker`, which must end by itself once the token it gets is cancelled.
    pub fn run<F, W>(&mut self, name: &'static str, worker: F)
    where
        F: FnOnce(CancellationToken) -> W,
        W: Future<Output = ()> + Send + 'static,
    {
        let work = worker(self.stop.clone());
        self.workers.spawn(async move {
            work.await;
            name
        });
    }

    /// Repeats `step`, with a pause of `every` between the end of one and the beginning of the
    /// next. A step handles its own errors.
    pub fn repeat<F, S>(&mut self, name: &'static str, every: Duration, mut step: F)
    where
        F: FnMut() -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        self.run(name, |stop| async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(every) => step().await,
                }
            }
        });
    }

    /// Waits for SIGTERM or SIGINT, then ends everything in order: listeners stop accepting,
    /// running requests finish, workers end.
    ///
    /// # Errors
    /// [`WorkerEnded`] if a worker died before. Everything else was still ended in order.
    pub async fn until_stopped(mut self, mut signals: Signals) -> Result<(), WorkerEnded> {
        let asked = tokio::select! {
            () = signals.any() => Ok(()),
            () = self.stop.cancelled() => Ok(()),
            Some(ended) = self.workers.join_next() => Err(WorkerEnded(match ended {
                Ok(name) => format!("the worker \"{name}\""),
                Err(error) => format!("a worker ({error})"),
            })),
        };
        self.stop.cancel();
        let all = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(WORKER_GRACE_PERIOD, all).await.is_err() {
            tracing::warn!(
                "Some requests did not end within {} s and are cut off",
                WORKER_GRACE_PERIOD.as_secs()
            );
            self.workers.shutdown().await;
        }
        asked
    }
}

/// SIGHUP, caught from the moment this is made, so that it no longer ends the process.
#[derive(Debug)]
pub struct HangupSignal(Signal);

impl HangupSignal {
    /// Starts to catch SIGHUP. Call it first of all, because until then SIGHUP ends the process.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next SIGHUP. All that arrive before this call count as one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime delivers no more signals, because it is ending.
            std::future::pending::<()>().await;
        }
    }
}

impl Signals {
    /// Starts to catch the signals. Call it before anybody is told that the gateway is ready: an
    /// early SIGTERM would end the process abruptly.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    }
}
