//! Leads one run through its steps, from the claim to the end that its row records.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::{
    self, ApplyError, ApplyOptions, ApplyResult, ApplyTarget, RaisedConflict, RunEndWriter, RunFence,
};
use super::fetch::{FetchError, FetchRequest};
use super::plan::{SyncPolicy, make_plan};
use super::progress::{SyncProgress, SyncStep};
use super::queue::{RUN_LEASE, SyncRun, SyncRunEnd, store};
use super::report::{Counts, SyncReport};
use super::state::{SyncRunReason, SyncRunStatus};
use super::{SyncInner, SyncService};
use crate::base::clock::Timestamp;
use crate::base::id::PersonId;
use crate::db::feed::FeedTransaction;

/// How often a run renews its lease and reports its progress: several times in a lease, and often
/// enough to watch.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// How often a process looks for runs that another process requested.
const QUEUE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How the work on a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkResult {
    /// The run ended, with this status in its row.
    Ended(SyncRunStatus),
    /// The run is no longer this process's, or its end could not be written. Its lease runs out,
    /// and another run is queued in its place.
    Lost,
}

/// What the steps of a run resulted in.
enum RunOutcome {
    /// The plan was published; the publishing transaction also recorded the end.
    Published(Counts),
    /// Nothing was published; the end still has to be recorded.
    Ended(Box<SyncRunEnd>),
    /// Another process holds the run.
    Lost,
}

impl From<SyncRunEnd> for RunOutcome {
    fn from(end: SyncRunEnd) -> Self {
        Self::Ended(Box::new(end))
    }
}

/// Why a run fails.
#[derive(Debug, thiserror::Error)]
enum RunFailure {
    /// The synchronisation is switched off or not set up.
    #[error("the directory may not be read")]
    Obstacle(SyncRunReason),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the plan could not be made: {0}")]
    Planner(String),
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<RunFailure> for SyncRunReason {
    fn from(failure: RunFailure) -> Self {
        match failure {
            RunFailure::Obstacle(reason) => reason,
            RunFailure::Fetch(error) => Self::Unread {
                part: error.part,
                secret: format!("wecom.{}", error.secret),
                errcode: error.cause.code(),
                error: error.cause.to_string(),
            },
            RunFailure::Apply(ApplyError::Refused(excess)) => Self::ExcessiveRemovals(excess),
            RunFailure::Apply(ApplyError::Changed(change)) => Self::Overtaken(change),
            RunFailure::Apply(ApplyError::Lost | ApplyError::Stopped) => Self::ProcessStopped,
            RunFailure::Planner(error) => Self::PlannerFailed { error },
            RunFailure::Apply(ApplyError::Store(error)) | RunFailure::Store(error) => {
                Self::DatabaseFailed { error: error.to_string() }
            }
        }
    }
}

impl SyncService {
    /// Works on runs, one after another, until `stop`. A run that `stop` interrupts is queued
    /// again.
    pub async fn work_until(&self, stop: CancellationToken) {
        let queue = &self.inner.queue;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = queue.wait_for_request(QUEUE_POLL_INTERVAL) => {}
            }
            loop {
                let run = match queue.claim().await {
                    Ok(Some(run)) => run,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "It could not be seen whether a synchronisation waits");
                        break;
                    }
                };
                let progress = SyncProgress::default();
                tokio::select! {
                    _ = self.work(&run, &progress) => {}
                    // An open transaction is rolled back. If it was just committed, the run has
                    // already ended and handing it back changes nothing.
                    () = stop.cancelled() => return self.hand_back(&run).await,
                }
                if stop.is_cancelled() {
                    return;
                }
            }
        }
    }

    /// Puts a claimed run back into the queue.
    async fn hand_back(&self, run: &SyncRun) {
        match self.inner.queue.hand_back(run).await {
            Ok(()) => {
                tracing::info!(run = %run.id, "The synchronisation stops with the process and waits again");
            }
            Err(error) => {
                tracing::warn!(run = %run.id, %error, "The synchronisation is taken up again once its lease is over");
            }
        }
    }

    /// Works on a claimed run: fetches, plans, writes, and records its end in its row.
    ///
    /// The lease is renewed meanwhile. If this future is dropped early, the run must be [handed
    /// back](super::queue::SyncQueue::hand_back).
    pub async fn work(&self, run: &SyncRun, progress: &SyncProgress) -> WorkResult {
        let SyncInner { clock, metrics, .. } = &*self.inner;
        let began = clock.now();
        tracing::info!(run = %run.id, kind = run.kind.as_str(), cause = %run.cause, dry_run = run.dry_run, "A synchronisation begins");
        let outcome = tokio::select! {
            outcome = self.execute(run, progress, began) => outcome,
            () = self.keep_lease(run, progress) => Ok(RunOutcome::Lost),
        };
        let outcome = outcome.unwrap_or_else(|failure| match failure {
            RunFailure::Apply(ApplyError::Lost) => RunOutcome::Lost,
            failure => SyncRunEnd::failed(failure.into()).into(),
        });
        let took = clock.now().since(began);
        let (status, counts) = match outcome {
            RunOutcome::Published(counts) => (SyncRunStatus::Done, counts),
            RunOutcome::Ended(end) => match self.inner.queue.end(&run.id, &end).await {
                Ok(true) => {
                    log_end(run, &end);
                    (end.status, end.counts)
                }
                Ok(false) => return log_lost(run),
                Err(error) => {
                    tracing::error!(run = %run.id, %error, reason = end.reason_text(), "How the synchronisation ended could not be written");
                    return WorkResult::Lost;
                }
            },
            RunOutcome::Lost => return log_lost(run),
        };
        metrics.record_run(run, status, took, &counts);
        if status == SyncRunStatus::Done {
            tracing::info!(run = %run.id, seconds = took.as_secs(), ?counts, "The synchronisation is done");
        }
        WorkResult::Ended(status)
    }

    /// Renews the lease; returns when it is lost.
    async fn keep_lease(&self, run: &SyncRun, progress: &SyncProgress) {
        let SyncInner { queue, clock, .. } = &*self.inner;
        let mut renewed = clock.now();
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            match queue.renew(&run.id, progress.snapshot()).await {
                Ok(true) => renewed = clock.now(),
                Ok(false) => return,
                // The transactions of the run renew the lease too, and notice themselves if that
                // fails. This loop is for the long fetch, during which nothing is written.
                Err(error) if clock.now().since(renewed) < RUN_LEASE => {
                    tracing::debug!(run = %run.id, %error, "The lease of a synchronisation could not be renewed");
                }
                Err(_) => return,
            }
        }
    }

    async fn execute(
        &self,
        run: &SyncRun,
        progress: &SyncProgress,
        began: Timestamp,
    ) -> Result<RunOutcome, RunFailure> {
        let SyncInner { settings, db, clock, fetcher, queue, .. } = &*self.inner;
        if let Some(reason) = settings.find_obstacle() {
            return Err(RunFailure::Obstacle(reason));
        }
        let fence = RunFence { run: run.id.clone(), holder: queue.holder().to_owned(), lease: RUN_LEASE };
        let target = ApplyTarget { db, corp: &settings.corp, clock, fence: &fence };
        progress.begin(SyncStep::Beginning, 0);
        if !run.dry_run {
            apply::cleanup::remove_leftovers(&target).await?;
        }
        let known = apply::baseline::load_known_directory(db, &settings.corp).await?;
        let request = FetchRequest { kind: run.kind, known: &known, force: run.force };
        let remote = fetcher.fetch(request, progress).await?;
        // The fetch is over: with 100 000 members this frees memory before the plan needs it.
        drop(known);
        progress.begin(SyncStep::Comparing, 0);
        let (complete, way) = (remote.completeness, remote.mode);
        let local = apply::baseline::load_local_directory(db, &settings.corp).await?;
        let policy = SyncPolicy {
            link_by: settings.link_by.clone(),
            max_removals: settings.max_removals,
            force: run.force,
        };
        let now = clock.now();
        // Comparing is pure CPU work. For a large company it takes longer than a check of the gate
        // may wait for this thread.
        let planned = tokio::task::spawn_blocking(move || {
            make_plan(remote, &local, &policy, now, &mut || PersonId::generate(now))
        });
        let plan = planned.await.map_err(|error| RunFailure::Planner(error.to_string()))?;
        let everything = complete.units && complete.persons;
        let refused = plan.refused.map(SyncRunReason::ExcessiveRemovals);
        let report = SyncReport::from_plan(way, plan.removals, plan.notes.clone());
        // A dry run goes on: it shows what was refused.
        if let Some(reason) = refused.clone().filter(|_| !run.dry_run) {
            let end = SyncRunEnd {
                status: SyncRunStatus::Refused,
                complete: everything,
                counts: Counts::default(),
                report,
                reason: Some(reason),
            };
            return Ok(end.into());
        }
        progress.begin(SyncStep::Writing, 0);
        let options = ApplyOptions {
            dry_run: run.dry_run,
            began,
            complete_details_at: Some(began).filter(|_| everything && complete.details),
            pause: None,
        };
        let publishing =
            PublishedRunEnd { run, holder: queue.holder(), complete: everything, report: &report };
        let moved = |done, total| progress.set_done(done, total);
        let applied = apply::apply_plan(&target, plan, &options, &publishing, &moved).await?;
        if !run.dry_run {
            return Ok(RunOutcome::Published(applied.counts));
        }
        let status = if refused.is_some() { SyncRunStatus::Refused } else { SyncRunStatus::Done };
        let end = SyncRunEnd {
            status,
            complete: everything,
            counts: applied.counts,
            report: report.with_applied(&applied, Vec::new()),
            reason: refused,
        };
        Ok(end.into())
    }
}

/// The end of a run whose plan is being published.
struct PublishedRunEnd<'a> {
    run: &'a SyncRun,
    holder: &'a str,
    complete: bool,
    report: &'a SyncReport,
}

impl RunEndWriter for PublishedRunEnd<'_> {
    async fn write(
        &self,
        change: &mut FeedTransaction,
        applied: &ApplyResult,
        raised: Vec<RaisedConflict>,
    ) -> sqlx::Result<()> {
        let now = change.now();
        let end = SyncRunEnd {
            status: SyncRunStatus::Done,
            complete: self.complete,
            counts: applied.counts,
            report: self.report.with_applied(applied, raised),
            reason: None,
        };
        if store::end_run(change.tx(), &self.run.id, self.holder, &end, now).await? {
            Ok(())
        } else {
            // The same transaction renewed the lease when it began, so another process cannot have
            // taken the run since. Something else is wrong: the transaction must not commit.
            Err(sqlx::Error::RowNotFound)
        }
    }
}

fn log_lost(run: &SyncRun) -> WorkResult {
    tracing::warn!(run = %run.id, "The synchronisation is no longer this process's: it was held up for longer than its lease");
    WorkResult::Lost
}

/// Logs every run that did not do what was requested.
fn log_end(run: &SyncRun, end: &SyncRunEnd) {
    match end.status {
        SyncRunStatus::Refused if !run.dry_run => {
            tracing::warn!(run = %run.id, reason = end.reason_text(), "The synchronisation was refused; nothing was changed");
        }
        SyncRunStatus::Failed => {
            tracing::warn!(run = %run.id, reason = end.reason_text(), "The synchronisation failed; nothing was changed");
        }
        _ => {}
    }
}
