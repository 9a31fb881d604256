//! One run, from its beginning to its end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::{self, Applied, ApplyError, Ending, Fence, How, Raised, Target};
use super::fetch::{Ask, FetchError};
use super::plan::{Policy, plan};
use super::progress::{Progress, Step};
use super::queue::{End, LEASE, Run, Status, store};
use super::report::{Counts, Report};
use super::{Inner, Sync};
use crate::base::clock::Timestamp;
use crate::base::id::PersonId;
use crate::db::feed::Change;

/// How often a run that is worked on says so, and how far it is: several times in a lease, and often enough to watch.
const BEAT: Duration = Duration::from_secs(3);

/// How often a process looks whether a run waits that another one asked for.
const LOOK: Duration = Duration::from_secs(1);

/// How work on a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// It came to an end, which its row says.
    Ended(Status),
    /// It is no longer this process's, or the database does not take its end: its lease runs out, and another one is
    /// queued in its place.
    Lost,
}

/// What the parts came to.
enum Outcome {
    /// Published, and its row says so.
    Published(Counts),
    /// Nothing was published.
    Ended(Box<End>),
    /// The run is somebody else's.
    Lost,
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        Self::Ended(Box::new(end))
    }
}

/// Why a run fails.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It is not set up, or switched off.
    #[error("{0}")]
    Unavailable(String),
    /// WeCom's directory was not read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The plan was not written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The plan was not made.
    #[error("the plan could not be made: {0}")]
    Planner(String),
    /// The database.
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

impl Failure {
    /// In words: what happened, and what mends it where that is known.
    fn reason(&self) -> String {
        let meaning = match self {
            Self::Fetch(error) => error.meaning(),
            Self::Unavailable(_) | Self::Apply(_) | Self::Planner(_) | Self::Store(_) => None,
        };
        let Some(meaning) = meaning else { return self.to_string() };
        let page = meaning.console.map_or_else(String::new, |page| format!(" ({page})"));
        format!("{self}. {} {}{page}", meaning.en, meaning.remedy_en)
    }
}

impl Sync {
    /// Works on runs, one after another, until `stop`. A run that is cut off by it waits again.
    pub async fn work_until(&self, stop: CancellationToken) {
        let queue = &self.inner.queue;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = queue.until_asked(LOOK) => {}
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
                let progress = Progress::default();
                tokio::select! {
                    _ = self.work(&run, &progress) => {}
                    // A transaction under way is undone; one that was just committed has ended the run.
                    () = stop.cancelled() => return self.hand_back(&run).await,
                }
                if stop.is_cancelled() {
                    return;
                }
            }
        }
    }

    /// Lets a run that was claimed here wait again.
    async fn hand_back(&self, run: &Run) {
        match self.inner.queue.hand_back(run).await {
            Ok(()) => {
                tracing::info!(run = %run.id, "The synchronisation stops with the process and waits again");
            }
            Err(error) => {
                tracing::warn!(run = %run.id, %error, "The synchronisation is taken up again once its lease is over");
            }
        }
    }

    /// Works on a run that was claimed here: reads, compares, writes, and says in its row how it ended. The lease is
    /// renewed all the while. Dropped before its end, it leaves a run to [`hand back`](super::queue::Queue::hand_back).
    pub async fn work(&self, run: &Run, progress: &Progress) -> Worked {
        let Inner { clock, metrics, .. } = &*self.inner;
        let began = clock.now();
        tracing::info!(run = %run.id, kind = run.kind.as_str(), cause = run.cause, dry_run = run.dry_run, "A synchronisation begins");
        let outcome = tokio::select! {
            outcome = self.parts(run, progress, began) => outcome,
            () = self.keep(run, progress) => Ok(Outcome::Lost),
        };
        let outcome = outcome.unwrap_or_else(|failure| match failure {
            Failure::Apply(ApplyError::Lost) => Outcome::Lost,
            failure => End::failed(failure.reason()).into(),
        });
        let took = clock.now().since(began);
        let (status, counts) = match outcome {
            Outcome::Published(counts) => (Status::Done, counts),
            Outcome::Ended(end) => match self.inner.queue.end(&run.id, &end).await {
                Ok(true) => {
                    tell(run, &end);
                    (end.status, end.counts)
                }
                Ok(false) => return lost(run),
                Err(error) => {
                    tracing::error!(run = %run.id, %error, reason = end.reason, "How the synchronisation ended could not be written");
                    return Worked::Lost;
                }
            },
            Outcome::Lost => return lost(run),
        };
        metrics.ended(run, status, took, &counts);
        if status == Status::Done {
            tracing::info!(run = %run.id, seconds = took.as_secs(), ?counts, "The synchronisation is done");
        }
        Worked::Ended(status)
    }

    /// Renews the lease until it is lost.
    async fn keep(&self, run: &Run, progress: &Progress) {
        let Inner { queue, clock, .. } = &*self.inner;
        let mut renewed = clock.now();
        loop {
            tokio::time::sleep(BEAT).await;
            match queue.renew(&run.id, progress.snapshot()).await {
                Ok(true) => renewed = clock.now(),
                Ok(false) => return,
                // The transactions of the run renew it too, and fail by themselves; this is for the long fetch.
                Err(error) if clock.now().since(renewed) < LEASE => {
                    tracing::debug!(run = %run.id, %error, "The lease of a synchronisation could not be renewed");
                }
                Err(_) => return,
            }
        }
    }

    async fn parts(&self, run: &Run, progress: &Progress, began: Timestamp) -> Result<Outcome, Failure> {
        let Inner { settings, db, clock, fetcher, queue, .. } = &*self.inner;
        if let Some(why) = &settings.unavailable {
            return Err(Failure::Unavailable(why.clone()));
        }
        let fence = Fence { run: run.id.clone(), holder: queue.holder().to_owned(), lease: LEASE };
        let target = Target { db, corp: &settings.corp, clock, fence: &fence };
        progress.begin(Step::Beginning);
        if !run.dry_run {
            apply::clear::heal(&target).await?;
        }
        let known = apply::known::known_departments(db, &settings.corp).await?;
        progress.fetching();
        let remote =
            fetcher.fetch(Ask { kind: run.kind, known: &known, force: run.force }, &progress.fetch).await?;
        drop(known);
        progress.begin(Step::Comparing);
        let (complete, way) = (remote.complete, remote.way);
        let local = apply::known::load(db, &settings.corp).await?;
        let policy = Policy {
            link_by: settings.link_by.clone(),
            max_removals: settings.max_removals,
            force: run.force,
        };
        let now = clock.now();
        // Pure, and for a large company longer than a check may wait for its thread.
        let planned = tokio::task::spawn_blocking(move || {
            plan(remote, &local, &policy, now, &mut || PersonId::generate(now))
        });
        let plan = planned.await.map_err(|error| Failure::Planner(error.to_string()))?;
        let everything = complete.units && complete.persons;
        let refused = plan.refused.clone();
        let report = Report::planned(way, plan.removals, plan.notes.clone());
        if let Some(reason) = refused.clone().filter(|_| !run.dry_run) {
            let reason = format!("The run {reason}.");
            let end = End {
                status: Status::Refused,
                complete: everything,
                counts: Counts::default(),
                report,
                reason,
            };
            return Ok(end.into());
        }
        progress.begin(Step::Writing);
        let how = How {
            dry_run: run.dry_run,
            began,
            complete_details_at: Some(began).filter(|_| everything && complete.details),
            pause: None,
        };
        let publishing = Publishing { run, holder: queue.holder(), complete: everything, report: &report };
        let moved = |done, total| progress.set(done, total);
        let applied = apply::apply(&target, plan, &how, &publishing, &moved).await?;
        if !run.dry_run {
            return Ok(Outcome::Published(applied.counts));
        }
        let status = if refused.is_some() { Status::Refused } else { Status::Done };
        let end = End {
            status,
            complete: everything,
            counts: applied.counts,
            report: report.with(&applied, Vec::new()),
            reason: refused.map_or_else(String::new, |reason| format!("The run {reason}.")),
        };
        Ok(end.into())
    }
}

/// Writes in the publishing transaction how the run ended.
struct Publishing<'a> {
    run: &'a Run,
    holder: &'a str,
    complete: bool,
    report: &'a Report,
}

impl Ending for Publishing<'_> {
    async fn write(&self, change: &mut Change, applied: &Applied, raised: Vec<Raised>) -> sqlx::Result<()> {
        let now = change.now();
        let end = End {
            status: Status::Done,
            complete: self.complete,
            counts: applied.counts,
            report: self.report.with(applied, raised),
            reason: String::new(),
        };
        if store::end(change.tx(), &self.run.id, self.holder, &end, now).await? {
            Ok(())
        } else {
            // The lease was renewed at the beginning of this transaction, so that this is no ordinary loss.
            Err(sqlx::Error::RowNotFound)
        }
    }
}

fn lost(run: &Run) -> Worked {
    tracing::warn!(run = %run.id, "The synchronisation is no longer this process's: it was held up for longer than its lease");
    Worked::Lost
}

/// A run that did not do what it was asked for is told every time.
fn tell(run: &Run, end: &End) {
    match end.status {
        Status::Refused if !run.dry_run => {
            tracing::warn!(run = %run.id, reason = end.reason, "The synchronisation was refused; nothing was changed");
        }
        Status::Failed => {
            tracing::warn!(run = %run.id, reason = end.reason, "The synchronisation failed; nothing was changed");
        }
        _ => {}
    }
}
