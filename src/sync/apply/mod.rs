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

pub mod clear;
mod fault;
pub mod known;
mod publish;
mod report;
mod stage;
mod store;
mod work;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

pub use self::report::{Applied, Counts, Raised, Skipped, Tally};

use self::fault::Fault;
use self::publish::Publication;
use self::stage::Stage;
use self::work::Work;
use super::plan::{PersonChange, Plan};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, PersonId, RunId, UserId};
use crate::db::Db;
use crate::db::feed::Change;

/// How many records one transaction writes: on SQLite it then holds the write lock for some 30 ms.
const CHUNK: usize = 500;

/// How often a transaction is repeated that waited for another one in a circle.
const REPEATS: u32 = 5;

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
pub struct Target<'a> {
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
pub type Pause = dyn Fn(u64) -> Pin<Box<dyn Future<Output = Result<(), ApplyError>> + Send>> + Send + Sync;

/// How to write.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// Count and tell, write nothing.
    pub dry_run: bool,
    /// When the run began to read WeCom's directory.
    pub began: Timestamp,
    /// The same, if it read every detail of everything visible.
    pub complete_details_at: Option<Timestamp>,
    /// Where a run may be stopped.
    pub pause: Option<&'a Pause>,
}

impl std::fmt::Debug for How<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("How")
            .field("dry_run", &self.dry_run)
            .field("began", &self.began)
            .field("complete_details_at", &self.complete_details_at)
            .finish_non_exhaustive()
    }
}

/// Writes how a run ended, in the transaction that publishes what it did.
pub trait Ending: Sync {
    /// Writes it. `raised`: the questions of this run.
    fn write(
        &self,
        change: &mut Change,
        applied: &Applied,
        raised: Vec<Raised>,
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
pub async fn apply(
    target: &Target<'_>,
    plan: Plan,
    how: &How<'_>,
    ending: &impl Ending,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Applied, ApplyError> {
    if let Some(reason) = plan.refused.filter(|_| !how.dry_run) {
        return Err(ApplyError::Refused(reason));
    }
    let Plan { units, mut persons, tags, conflicts, notes, .. } = plan;
    persons.sort_by(|a, b| id_of(a).cmp(id_of(b)));
    let total = count(units.len() + persons.len() + tags.len());
    let stage = Stage::begin(target, how, moving(&persons), total == 0).await?;
    let mut work =
        chunks(units, Work::Units).chain(chunks(tags, Work::Tags)).chain(chunks(persons, Work::Persons));
    let mut publication = Publication::new(notes);
    let mut retry = VecDeque::new();
    let (mut done, mut made) = (0, 0);
    progress(done, total);
    while let Some((next, repeats)) = retry.pop_front().or_else(|| work.next().map(|next| (next, 0))) {
        match stage.write(&next, publication.staged(), publication.room()).await {
            Ok(outcome) => {
                publication.add(outcome);
                done += count(next.len());
            }
            Err(ApplyError::Store(error)) => match fault::of(&error) {
                Fault::Circle if repeats < REPEATS => {
                    retry.push_front((next, repeats + 1));
                    continue;
                }
                Fault::Record => match next.halves() {
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
                Fault::Circle | Fault::Database => return Err(ApplyError::Store(error)),
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
fn moving(persons: &[PersonChange]) -> Vec<(PersonId, UserId)> {
    let updates = persons.iter().filter_map(|change| match change {
        PersonChange::Update { id, said } => Some((id.clone(), said.userid.clone())),
        PersonChange::Create { .. } | PersonChange::Leave { .. } => None,
    });
    updates.collect()
}

fn id_of(change: &PersonChange) -> &PersonId {
    match change {
        PersonChange::Create { person, .. } => &person.id,
        PersonChange::Update { id, .. } | PersonChange::Leave { id } => id,
    }
}

fn chunks<T>(list: Vec<T>, work: fn(Vec<T>) -> Work) -> impl Iterator<Item = Work> {
    let mut left = list.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<T> = left.by_ref().take(CHUNK).collect();
        (!chunk.is_empty()).then(|| work(chunk))
    })
}

/// A number of records as the report writes it.
fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}

/// A transaction of this run: begun, and the lease renewed.
async fn begin(target: &Target<'_>) -> Result<crate::db::Tx, ApplyError> {
    let mut tx = target.db.write().await?;
    store::renew(&mut tx, target.fence, target.clock.now()).await?;
    Ok(tx)
}
