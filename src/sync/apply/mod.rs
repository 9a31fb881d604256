//! Writes a plan: the rows of the next version in short transactions, unseen, then one that publishes them.
//!
//! | module | does |
//! |---|---|
//! | [`known`] | reads what a fetch and a plan need of ours |
//! | [`clear`] | removes what a crash left behind, persons that left long ago, old entries of the change feed |
//! | `stage` | one short transaction: rows of the next version |
//! | `publish` | the one transaction that everybody sees |
//! | `fault` | whether an error is a record's or the database's |
//! | `report` | what was done, counted and told |
//! | `work` | what one transaction writes, and what it did |
//! | `store` | SQL |
//!
//! Every transaction first renews the run's lease ([`Fence`]); a run that lost it writes nothing more. Signing in goes
//! on all the time: both sides change all rows of a person together, and what WeCom said of somebody after the run
//! began reading stands against what the run read.

pub mod baseline;
mod chunk;
pub mod cleanup;
mod publish;
mod report;
mod stage;
mod store;
mod write_error;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

pub use self::report::{ApplyResult, Counts, RaisedConflict, SkippedRecord, Tally};

use self::chunk::RecordChunk;
use self::publish::PendingPublication;
use self::stage::StagedVersion;
use self::write_error::WriteErrorKind;
use super::plan::{PlannedPersonChange, SyncPlan};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, PersonId, RunId, UserId};
use crate::db::Db;
use crate::db::feed::FeedTransaction;

/// How many records one transaction writes: on SQLite it then holds the write lock for some 30 ms.
const CHUNK_RECORDS: usize = 500;

/// How often a transaction is repeated that waited for another one in a circle.
const MAX_DEADLOCK_RETRIES: u32 = 5;

/// By what a run proves, in every transaction, that it is still the one that may write.
#[derive(Debug, Clone)]
pub struct Fence {
    /// The run; its row in `sync_runs` is running.
    pub run: RunId,
    /// The process that the row names.
    pub holder: String,
    /// For so long each transaction renews the lease.
    pub lease: Duration,
}

/// Where to write.
#[derive(Debug, Clone, Copy)]
pub struct ApplyTarget<'a> {
    /// The database.
    pub db: &'a Db,
    /// Whose directory.
    pub corp: &'a CorpId,
    /// What time it is.
    pub clock: &'a Clock,
    /// Who writes.
    pub fence: &'a Fence,
}

/// Asked between two transactions, with how many were made: an error ends the run there, as a crash would.
pub type PauseHook =
    dyn Fn(u64) -> Pin<Box<dyn Future<Output = Result<(), ApplyError>> + Send>> + Send + Sync;

/// How to write.
#[derive(Clone, Copy)]
pub struct ApplyOptions<'a> {
    /// Count and tell, write nothing.
    pub dry_run: bool,
    /// When the run began to read WeCom's directory.
    pub began: Timestamp,
    /// The same, if it read every detail of everything visible.
    pub complete_details_at: Option<Timestamp>,
    /// Where a run may be stopped.
    pub pause: Option<&'a PauseHook>,
}

impl std::fmt::Debug for ApplyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("How")
            .field("dry_run", &self.dry_run)
            .field("began", &self.began)
            .field("complete_details_at", &self.complete_details_at)
            .finish_non_exhaustive()
    }
}

/// Writes how a run ended, in the transaction that publishes what it did.
pub trait RunEndWriter: Sync {
    /// Writes it. `raised`: the questions of this run.
    fn write(
        &self,
        change: &mut FeedTransaction,
        applied: &ApplyResult,
        raised: Vec<RaisedConflict>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// Why a plan was not published; what was staged is removed by the next run ([`clear::heal`]).
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another process runs, or the run was ended: this one writes nothing more.
    #[error("the run is no longer this process's")]
    Lost,
    /// The plan removes too much.
    #[error("the plan {0}")]
    Refused(String),
    /// Somebody signed in, or an entry was edited, so that the plan does not fit any more; the next run repeats it.
    #[error("{0} while the run wrote; the next run brings it")]
    Changed(String),
    /// It was asked to stop.
    #[error("stopped between two transactions")]
    Stopped,
    /// The database failed.
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

/// Writes `plan` and publishes it; with [`How::dry_run`] only says what would change. `ending` is written in the
/// publishing transaction, also where nothing changed; in a rehearsal it is not. `progress` is told how many records
/// are done, of how many.
///
/// A record that the database refuses, or whose old row cannot be read, is skipped and told.
///
/// # Errors
/// [`ApplyError`]; then nothing of it is visible.
pub async fn apply_plan(
    target: &ApplyTarget<'_>,
    plan: SyncPlan,
    how: &ApplyOptions<'_>,
    ending: &impl RunEndWriter,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<ApplyResult, ApplyError> {
    if let Some(reason) = plan.refused.filter(|_| !how.dry_run) {
        return Err(ApplyError::Refused(reason));
    }
    let SyncPlan { units, mut persons, tags, conflicts, notes, .. } = plan;
    persons.sort_by(|a, b| person_id(a).cmp(person_id(b)));
    let total = to_count(units.len() + persons.len() + tags.len());
    let stage = StagedVersion::begin(target, how, collect_userid_targets(&persons), total == 0).await?;
    let mut work = split_into_chunks(units, RecordChunk::Units)
        .chain(split_into_chunks(tags, RecordChunk::Tags))
        .chain(split_into_chunks(persons, RecordChunk::Persons));
    let mut publication = PendingPublication::new(notes);
    let mut retry = VecDeque::new();
    let (mut done, mut made) = (0, 0);
    progress(done, total);
    while let Some((next, repeats)) = retry.pop_front().or_else(|| work.next().map(|next| (next, 0))) {
        match stage.write(&next, publication.staged(), publication.remaining_lines()).await {
            Ok(outcome) => {
                publication.add(outcome);
                done += to_count(next.len());
            }
            Err(ApplyError::Store(error)) => match write_error::classify_error(&error) {
                WriteErrorKind::Deadlock if repeats < MAX_DEADLOCK_RETRIES => {
                    retry.push_front((next, repeats + 1));
                    continue;
                }
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
        if let Some(pause) = how.pause {
            pause(made).await?;
        }
        // Whoever waits to write, writes now.
        tokio::task::yield_now().await;
    }
    publication.publish(target, how, &stage, conflicts, ending).await
}

/// Who is to have which userid: a userid that one of these gives up is free for somebody new.
fn collect_userid_targets(persons: &[PlannedPersonChange]) -> Vec<(PersonId, UserId)> {
    let updates = persons.iter().filter_map(|change| match change {
        PlannedPersonChange::Update { id, said } => Some((id.clone(), said.userid.clone())),
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

fn split_into_chunks<T>(list: Vec<T>, work: fn(Vec<T>) -> RecordChunk) -> impl Iterator<Item = RecordChunk> {
    let mut left = list.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<T> = left.by_ref().take(CHUNK_RECORDS).collect();
        (!chunk.is_empty()).then(|| work(chunk))
    })
}

/// A number of records as the report writes it.
fn to_count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}

/// A transaction of this run: begun, and the lease renewed.
async fn begin_transaction(target: &ApplyTarget<'_>) -> Result<crate::db::Tx, ApplyError> {
    let mut tx = target.db.write().await?;
    store::renew_lease(&mut tx, target.fence, target.clock.now()).await?;
    Ok(tx)
}
