//! The only place that spawns: listeners, connections and repeated steps, and how they all end.
//!
//! A worker that dies takes the process with it: a gateway that is half alive lets people in by old memory or
//! keeps them out, and nobody notices. Whoever runs us starts us again.

mod connection_timer;
pub mod listen;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long requests under way may take after a stop was asked for: longer than a sign-in waits for WeCom.
const WORKER_GRACE_PERIOD: Duration = Duration::from_secs(20);

/// Everything that runs.
#[derive(Debug, Default)]
pub struct Supervisor {
    workers: JoinSet<&'static str>,
    stop: CancellationToken,
}

/// What asks the process to stop, listened for from the moment this is made.
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
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everything to end; ready instances take themselves out by it.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `worker` until it ends by itself once the token it gets is cancelled.
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

    /// Repeats `step` with a pause of `every` between the end of one and the beginning of the next. A step deals
    /// with its own errors.
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

    /// Waits for SIGTERM or SIGINT, then ends everything in order: listeners stop accepting, requests under way
    /// finish, workers end.
    ///
    /// # Errors
    /// [`WorkerEnded`] if a worker died before; everything else was ended in order even then.
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

/// SIGHUP, caught from the moment this is made: the process no longer ends by it.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Begins to listen: make it first of all, because until then SIGHUP ends the process.
    ///
    /// # Errors
    /// If the operating system does not let us.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one. Those that come before this is called count as one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime delivers no more signals: it is ending.
            std::future::pending::<()>().await;
        }
    }
}

impl Signals {
    /// Begins to listen: make it before anybody is told that we are ready, or an early SIGTERM ends the process
    /// without order.
    ///
    /// # Errors
    /// If the operating system does not let us.
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
