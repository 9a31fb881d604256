//! A background job as a value: its name, when it runs, and what it does. Rooms offer theirs, and
//! the supervisor runs them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

type JobFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A job that nobody has started yet.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) work: JobWork,
}

/// When a job runs, and what it does. It handles its own errors.
pub(crate) enum JobWork {
    /// The step is repeated, with this pause between the end of one and the beginning of the next.
    Repeated(Duration, Box<dyn FnMut() -> JobFuture + Send>),
    /// The work ends by itself once the token is cancelled, and not before.
    UntilStopped(Box<dyn FnOnce(CancellationToken) -> JobFuture + Send>),
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Job {
    /// Makes a job that repeats `step`.
    pub(crate) fn repeated<F, S>(name: &'static str, pause: Duration, mut step: F) -> Self
    where
        F: FnMut() -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        Self { name, work: JobWork::Repeated(pause, Box::new(move || Box::pin(step()))) }
    }

    /// Makes a job that runs as long as the process.
    pub(crate) fn until_stopped<F, W>(name: &'static str, work: F) -> Self
    where
        F: FnOnce(CancellationToken) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self { name, work: JobWork::UntilStopped(Box::new(move |stop| Box::pin(work(stop)))) }
    }
}

/// A part of the gateway as it is at each call. A reload of the configuration replaces parts, and a
/// job that asks here at each step follows it.
#[derive(Clone)]
pub(crate) struct CurrentPart<T>(Arc<dyn Fn() -> T + Send + Sync>);

impl<T> fmt::Debug for CurrentPart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurrentPart")
    }
}

impl<T> CurrentPart<T> {
    pub(crate) fn new(load: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(load))
    }

    /// Returns the part as it is now.
    pub(crate) fn load(&self) -> T {
        (self.0)()
    }
}
