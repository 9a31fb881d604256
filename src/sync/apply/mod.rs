//! Writes a plan: rows of the next version in short transactions, unseen, then one that publishes
//! them.
//!
//! | module | does |
//! |---|---|
//! | [`baseline`] | reads the published chart for a fetch and for a plan |
//! | [`cleanup`] | removes leftovers of crashes, purged persons, old entries of the change feed |
//! | `stage` | writes rows of the next version, one short transaction at a time |
//! | `publish` | makes the version visible in one transaction |
//! | `report` | counts and describes what was done |
//! | `chunk` | what one transaction writes, and what it did |
//! | `store` | SQL |
//!
//! Every transaction first renews the run's lease ([`RunFence`]); a run that lost it writes nothing
//! more. Members sign in meanwhile. Both sides change all rows of a person together, and what WeCom
//! said about a person after the run began outweighs what the run read.

pub(crate) mod baseline;
mod chunk;
pub(crate) mod cleanup;
mod publish;
mod report;
mod stage;
mod store;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

pub(crate) use self::report::SkippedRecord;
pub use self::report::{ApplyResult, Counts, RaisedConflict, Tally};

use self::chunk::WaitingRecords;
use self::publish::PendingPublication;
use self::stage::StagedVersion;
use super::plan::{ExcessiveRemovals, PlannedPersonChange, SyncPlan};
use super::state::InterveningChange;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, PersonId, RunId, UserId};
use crate::db::Db;
use crate::db::error::{WriteErrorKind, classify_write_error};
use crate::db::feed::FeedTransaction;
use crate::db::hot_statement::HotStatement;

/// How often a transaction is repeated that deadlocked with another one.
const MAX_DEADLOCK_RETRIES: u32 = 5;

/// What every transaction of a run proves first: that the run may still write.
#[derive(Debug, Clone)]
pub struct RunFence {
    /// The run, whose row in `sync_runs` is running.
    pub run: RunId,
    /// The process that the row names.
    pub holder: String,
    /// For how long each transaction renews the lease.
    pub lease: Duration,
}

/// Where a plan is written, and by which run.
#[derive(Debug, Clone, Copy)]
pub struct ApplyTarget<'a> {
    pub db: &'a Db,
    pub corp: &'a CorpId,
    pub clock: &'a Clock,
    pub fence: &'a RunFence,
}

/// A hook called between two transactions with how many were made; an error ends the run there, as
/// a crash would.
pub type PauseHook =
    dyn Fn(u64) -> Pin<Box<dyn Future<Output = Result<(), ApplyError>> + Send>> + Send + Sync;

/// How a plan is written.
#[derive(Clone, Copy)]
pub struct ApplyOptions<'a> {
    /// Whether to count and report only.
    pub dry_run: bool,
    /// When the run began to read WeCom's directory.
    pub began: Timestamp,
    /// The same instant, if every detail of everything visible was read.
    pub complete_details_at: Option<Timestamp>,
    pub pause: Option<&'a PauseHook>,
}

impl std::fmt::Debug for ApplyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApplyOptions")
            .field("dry_run", &self.dry_run)
            .field("began", &self.began)
            .field("complete_details_at", &self.complete_details_at)
            .finish_non_exhaustive()
    }
}

/// Records the end of a run in the transaction that publishes its plan.
pub trait RunEndWriter: Sync {
    /// Records the end. `raised` lists the conflicts that this run raised.
    fn write(
        &self,
        change: &mut FeedTransaction,
        applied: &ApplyResult,
        raised: Vec<RaisedConflict>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// Why a plan was not published. The next run removes what was staged
/// ([`cleanup::remove_leftovers`]).
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another process has the run, or the run was ended; this process writes nothing more.
    #[error("the run is no longer this process's")]
    Lost,
    /// The plan removes too much.
    #[error("the plan {0}")]
    Refused(ExcessiveRemovals),
    /// The plan no longer fits, because somebody signed in or an entry was edited meanwhile.
    #[error("{0} while the run wrote; the next run brings it")]
    Changed(InterveningChange),
    /// A [`PauseHook`] asked to stop.
    #[error("stopped between two transactions")]
    Stopped,
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

/// Writes `plan` and publishes it; with [`ApplyOptions::dry_run`] it only reports what would
/// change.
///
/// `ending` is called in the publishing transaction, also if nothing changed, but not in a dry run.
/// `progress` receives how many records are done, of how many. A record that the database refuses,
/// or whose old row cannot be read, is skipped and reported.
///
/// # Errors
/// [`ApplyError`]; then nothing of the plan is visible.
pub async fn apply_plan(
    target: &ApplyTarget<'_>,
    plan: SyncPlan,
    options: &ApplyOptions<'_>,
    ending: &impl RunEndWriter,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<ApplyResult, ApplyError> {
    if let Some(excess) = plan.refused.filter(|_| !options.dry_run) {
        return Err(ApplyError::Refused(excess));
    }
    let SyncPlan { units, mut persons, tags, conflicts, notes, .. } = plan;
    // Every transaction locks persons in the order of their ids, as sign-ins do, so that two of
    // them seldom deadlock.
    persons.sort_unstable_by(|a, b| person_id(a).cmp(person_id(b)));
    let total = to_count(units.len() + persons.len() + tags.len());
    let stage = StagedVersion::begin(target, options, collect_userid_targets(&persons), total == 0).await?;
    let mut waiting = WaitingRecords::new(units, tags, persons);
    let mut publication = PendingPublication::new(notes);
    let mut retry = VecDeque::new();
    let (mut done, mut made) = (0, 0);
    progress(done, total);
    while let Some((next, repeats)) = retry.pop_front().or_else(|| waiting.next_chunk().map(|next| (next, 0)))
    {
        match stage.write(&next, publication.staged(), publication.remaining_lines()).await {
            Ok(outcome) => {
                waiting.adapt_size(&next, outcome.held);
                publication.add(outcome);
                done += to_count(next.len());
            }
            Err(ApplyError::Store(error)) => match classify_write_error(&error) {
                WriteErrorKind::Deadlock if repeats < MAX_DEADLOCK_RETRIES => {
                    retry.push_front((next, repeats + 1));
                    continue;
                }
                // Halving finds the bad record in a few transactions; the others of its chunk are
                // written.
                WriteErrorKind::Record => match next.split_in_half() {
                    Ok((first, second)) => {
                        retry.push_front((second, 0));
                        retry.push_front((first, 0));
                        continue;
                    }
                    Err(only) => {
                        publication.skip(&only, &error);
                        done += 1;
                    }
                },
                WriteErrorKind::Deadlock | WriteErrorKind::Database => return Err(ApplyError::Store(error)),
            },
            Err(error) => return Err(error),
        }
        progress(done, total);
        made += 1;
        if let Some(pause) = options.pause {
            pause(made).await?;
        }
        // Other writers get their turn between two transactions.
        tokio::task::yield_now().await;
    }
    publication.publish(target, options, &stage, conflicts, ending).await
}

/// Returns the statements that hold the write lock.
pub(super) fn hot_statements() -> Vec<HotStatement> {
    [store::hot_statements(), publish::hot_statements()].concat()
}

/// Returns the userid that the plan gives to each known person; one that a person gives up is free
/// for somebody new.
fn collect_userid_targets(persons: &[PlannedPersonChange]) -> Vec<(PersonId, UserId)> {
    let updates = persons.iter().filter_map(|change| match change {
        PlannedPersonChange::Update { id, reported } => Some((id.clone(), reported.userid.clone())),
        PlannedPersonChange::Create { .. } | PlannedPersonChange::Leave { .. } => None,
    });
    updates.collect()
}

fn person_id(change: &PlannedPersonChange) -> &PersonId {
    match change {
        PlannedPersonChange::Create { person, .. } => &person.id,
        PlannedPersonChange::Update { id, .. } | PlannedPersonChange::Leave { id } => id,
    }
}

/// Converts a number of records for the report.
fn to_count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}

/// Begins a transaction of this run, with its lease renewed.
async fn begin_transaction(target: &ApplyTarget<'_>) -> Result<crate::db::Tx, ApplyError> {
    let mut tx = target.db.write().await?;
    store::renew_lease(&mut tx, target.fence, target.clock.now()).await?;
    Ok(tx)
}
