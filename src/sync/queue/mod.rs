//! The runs: asked for, worked on one at a time across replicas, and kept.
//!
//! A run is a row. Two unique indexes are the whole of the agreement between replicas: one running, one waiting (a
//! rehearsal may wait beside it). Whoever works on a run holds it by a lease that it renews; a run whose lease is over
//! belongs to a process that was killed, and another one is queued in its place.

pub mod store;

use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use super::progress::ProgressSnapshot;
use super::remote::SyncKind;
use super::report::{Counts, SyncReport};
use crate::audit;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{ClientId, CorpId, RunId, uuid_v7};
use crate::db::Db;

/// How long a run is held without a sign of life.
pub const RUN_LEASE: Duration = Duration::from_secs(30);

/// How long runs are kept; the last complete one for ever.
pub const RUN_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// How often a request is tried again that met another one on its way into the table.
const MAX_QUEUE_ATTEMPTS: usize = 10;

/// Who asked for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncCause {
    /// A schedule.
    Cron,
    /// An application, through the API.
    Api(ClientId),
    /// Somebody at the command line.
    CommandLine,
    /// The first start: there was no chart yet.
    FirstStart,
    /// A run whose process was killed.
    KilledRun,
}

impl SyncCause {
    /// As the table writes it: a word, and of an API client its id.
    pub fn as_text(&self) -> String {
        match self {
            Self::Cron => "cron".to_owned(),
            Self::Api(client) => format!("api:{client}"),
            Self::CommandLine => "command".to_owned(),
            Self::FirstStart => "start".to_owned(),
            Self::KilledRun => "again".to_owned(),
        }
    }

    /// For the audit trail, if somebody asked; nobody did where a clock or a start did.
    fn requester(&self) -> Option<String> {
        match self {
            Self::Api(client) => Some(format!("by the API client {client}")),
            Self::CommandLine => Some("by command line".to_owned()),
            Self::Cron | Self::FirstStart | Self::KilledRun => None,
        }
    }
}

/// A run that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// How thoroughly.
    pub kind: SyncKind,
    /// By whom.
    pub cause: SyncCause,
    /// Only say what would change.
    pub dry_run: bool,
    /// Remove however much is missing.
    pub force: bool,
}

/// What a waiting run and a new request become together: the stronger in each respect, so that nobody gets less than
/// they asked for.
pub const fn combine_requests(waiting: (SyncKind, bool), asked: (SyncKind, bool)) -> (SyncKind, bool) {
    let kind = match (waiting.0, asked.0) {
        (SyncKind::Update, SyncKind::Update) => SyncKind::Update,
        _ => SyncKind::Full,
    };
    (kind, waiting.1 || asked.1)
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncRunStatus {
    /// Waits for its turn.
    Queued,
    /// Somebody works on it.
    Running,
    /// It came to its end.
    Done,
    /// It would remove too much: nothing was written.
    Refused,
    /// It came to no end: nothing was published.
    Failed,
}

impl SyncRunStatus {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Refused, Self::Failed];

    /// As the table and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Reads the table's word; anything unknown has failed.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Failed)
    }

    /// Whether nothing more will become of it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// A run. Serialises as the API shows it (DESIGN §4.1).
#[derive(Debug, Clone)]
pub struct SyncRun {
    /// Its id.
    pub id: RunId,
    /// How thorough it is.
    pub kind: SyncKind,
    /// Who asked, see [`Cause::text`].
    pub cause: String,
    /// Whether it only says what would change.
    pub dry_run: bool,
    /// Whether it removes however much is missing.
    pub force: bool,
    /// Where it stands.
    pub status: SyncRunStatus,
    /// Whether it read every department and every member.
    pub complete: bool,
    /// What it changed; of a rehearsal, what it would.
    pub counts: Counts,
    /// How far it is.
    pub progress: Option<ProgressSnapshot>,
    /// What it says about itself.
    pub report: SyncReport,
    /// Why it was refused or failed; empty otherwise.
    pub reason: String,
    /// Since when it waits.
    pub requested_at: Timestamp,
    /// Since when it is worked on.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Serialize for SyncRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Run", 9)?;
        object.serialize_field("id", &self.id)?;
        object.serialize_field("kind", &self.kind)?;
        object.serialize_field("status", &self.status)?;
        object.serialize_field("complete", &self.complete)?;
        object.serialize_field("counts", &self.counts)?;
        object.serialize_field("conflicts", &self.report.conflicts)?;
        object.serialize_field("reason", &Some(self.reason.as_str()).filter(|reason| !reason.is_empty()))?;
        object.serialize_field("started_at", &self.started_at)?;
        object.serialize_field("finished_at", &self.finished_at)?;
        object.end()
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct SyncRunEnd {
    /// One of the final ones.
    pub status: SyncRunStatus,
    /// Whether every department and every member was read.
    pub complete: bool,
    /// What changed.
    pub counts: Counts,
    /// What it says about itself.
    pub report: SyncReport,
    /// Why it was refused or failed.
    pub reason: String,
}

impl SyncRunEnd {
    /// One that came to no end.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            status: SyncRunStatus::Failed,
            complete: false,
            counts: Counts::default(),
            report: SyncReport::default(),
            reason: reason.into(),
        }
    }
}

/// The runs of one corporation, as one process sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SyncQueue {
    db: Db,
    corp: CorpId,
    clock: Clock,
    /// Who this process is, in the runs that it works on.
    holder: Arc<str>,
    /// Rings when this process asked for a run, so that its worker need not wait for its next look.
    worker_wakeup: Arc<Notify>,
}

impl SyncQueue {
    /// The queue of `corp`, for a process that works on runs under a name of its own.
    pub fn new(db: Db, corp: CorpId, clock: Clock) -> Self {
        let holder = format!("{} {}", std::process::id(), uuid_v7(clock.now()));
        Self { db, corp, clock, holder: holder.into(), worker_wakeup: Arc::default() }
    }

    /// Who this process is, in the runs that it works on.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Asks for a run. If one waits already, that one becomes as strong as both, and its id is answered; a rehearsal
    /// is never made one with a run that writes.
    ///
    /// # Errors
    /// If the database fails; then nothing was asked for.
    pub async fn request(&self, request: &SyncRequest) -> sqlx::Result<RunId> {
        let mut tries = 0;
        let id = loop {
            tries += 1;
            let mut tx = self.db.write().await?;
            let now = self.clock.now();
            match self.enqueue(&mut tx, request, now).await {
                Ok(Some(id)) => {
                    tx.commit().await?;
                    break id;
                }
                // Somebody else's request or claim came first: look again.
                Ok(None) if tries < MAX_QUEUE_ATTEMPTS => tx.rollback().await?,
                Err(error) if tries < MAX_QUEUE_ATTEMPTS && is_unique_violation(&error) => {
                    tx.rollback().await?
                }
                Ok(None) => return Err(sqlx::Error::RowNotFound),
                Err(error) => return Err(error),
            }
        };
        self.wake_worker();
        Ok(id)
    }

    /// As [`request`](Self::request), in a transaction of somebody else's. `None`: the run that waited is taken just
    /// now. After a unique violation the transaction is over.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn enqueue(
        &self,
        tx: &mut sqlx::AnyConnection,
        request: &SyncRequest,
        now: Timestamp,
    ) -> sqlx::Result<Option<RunId>> {
        let id = match store::find_queued(tx, &self.corp, request.dry_run).await? {
            Some(waiting) => {
                let before = (waiting.kind, waiting.force);
                let both = combine_requests(before, (request.kind, request.force));
                let cause = if both == before { waiting.cause.clone() } else { request.cause.as_text() };
                if !store::strengthen_queued(tx, &waiting, both, &cause).await? {
                    return Ok(None);
                }
                waiting.id
            }
            None => {
                let id = RunId::generate(now);
                store::insert_run(tx, &self.corp, &id, request, now).await?;
                id
            }
        };
        if let Some(asker) = request.cause.requester() {
            let force = if request.force { ", forced" } else { "" };
            let dry = if request.dry_run { ", dry run" } else { "" };
            let detail = format!("{} run {id}{force}{dry}, {asker}", request.kind.as_str());
            audit::store::insert_entry(tx, &self.corp, &audit_entry("allowed", detail), now).await?;
        }
        Ok(Some(id))
    }

    /// Takes the oldest run that waits, if nobody works on one. A run whose process was killed becomes failed first,
    /// and another one is queued in its place, unless it was a rehearsal.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim(&self) -> sqlx::Result<Option<SyncRun>> {
        // Looked at before the write lock is asked for: nearly always there is nothing to do.
        if !store::has_work(self.db.pool(), &self.corp, self.clock.now()).await? {
            return Ok(None);
        }
        let mut tx = self.db.write().await?;
        match self.take_next(&mut tx).await {
            Ok(Some(run)) => {
                tx.commit().await?;
                Ok(run)
            }
            Ok(None) => {
                tx.rollback().await?;
                Ok(None)
            }
            Err(error) if is_unique_violation(&error) => {
                tx.rollback().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `None` outside: somebody else came first, and nothing of this may stay.
    async fn take_next(&self, tx: &mut sqlx::AnyConnection) -> sqlx::Result<Option<Option<SyncRun>>> {
        let now = self.clock.now();
        if let Some((run, lease_until)) = store::find_running(tx, &self.corp).await? {
            if lease_until > now {
                return Ok(None);
            }
            const REASON_KILLED: &str =
                "The process that worked on it ended without a word; nothing of it was published.";
            if !store::end_lapsed(tx, &run.id, lease_until, REASON_KILLED, now).await? {
                return Ok(None);
            }
            tracing::warn!(run = %run.id, "A synchronisation was cut off: its process ended without a word");
            if !run.dry_run {
                let again = SyncRequest {
                    kind: run.kind,
                    cause: SyncCause::KilledRun,
                    dry_run: false,
                    force: run.force,
                };
                if self.enqueue(tx, &again, now).await?.is_none() {
                    return Ok(None);
                }
            }
        }
        let Some(id) = store::find_oldest_queued(tx, &self.corp).await? else { return Ok(Some(None)) };
        if !store::start_run(tx, &id, &self.holder, now.plus(RUN_LEASE), now).await? {
            return Ok(None);
        }
        store::find_run_in(tx, &self.corp, &id).await.map(Some)
    }

    /// Says that this process still works on the run, and how far it is. `false`: it is no longer ours.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn renew(&self, id: &RunId, progress: ProgressSnapshot) -> sqlx::Result<bool> {
        let mut tx = self.db.write().await?;
        let ours =
            store::renew_lease(&mut tx, id, &self.holder, self.clock.now().plus(RUN_LEASE), progress).await?;
        tx.commit().await?;
        Ok(ours)
    }

    /// Ends a run that publishes nothing. `false`: it is no longer ours, or has ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end(&self, id: &RunId, end: &SyncRunEnd) -> sqlx::Result<bool> {
        let mut tx = self.db.write().await?;
        let now = self.clock.now();
        let ours = store::end_run(&mut tx, id, &self.holder, end, now).await?;
        if ours && end.status == SyncRunStatus::Refused {
            let detail = format!("run {id}: {}", end.reason);
            audit::store::insert_entry(&mut tx, &self.corp, &audit_entry("refused", detail), now).await?;
        }
        tx.commit().await?;
        Ok(ours)
    }

    /// Puts a run of ours back, because this process stops: it waits again under its id, or, where another one waits
    /// already, ends and that one becomes as strong as both.
    ///
    /// # Errors
    /// If the database fails; the lease then runs out.
    pub async fn hand_back(&self, run: &SyncRun) -> sqlx::Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut tx = self.db.write().await?;
            match self.requeue_or_end(&mut tx, run).await {
                Ok(true) => return tx.commit().await,
                // Somebody else's request or claim came first: look again.
                Ok(false) if tries < MAX_QUEUE_ATTEMPTS => tx.rollback().await?,
                Err(error) if tries < MAX_QUEUE_ATTEMPTS && is_unique_violation(&error) => {
                    tx.rollback().await?
                }
                Ok(false) => return Err(sqlx::Error::RowNotFound),
                Err(error) => return Err(error),
            }
        }
    }

    /// `false`: the run that waited is another one now. After a unique violation the transaction is over.
    async fn requeue_or_end(&self, tx: &mut sqlx::AnyConnection, run: &SyncRun) -> sqlx::Result<bool> {
        let Some(waiting) = store::find_queued(tx, &self.corp, run.dry_run).await? else {
            store::requeue_run(tx, &run.id, &self.holder).await?;
            return Ok(true);
        };
        let end = SyncRunEnd::failed("The process stopped; the run that waited does its work.");
        if !store::end_run(tx, &run.id, &self.holder, &end, self.clock.now()).await? {
            return Ok(true);
        }
        let both = combine_requests((waiting.kind, waiting.force), (run.kind, run.force));
        store::strengthen_queued(tx, &waiting, both, &waiting.cause).await
    }

    /// One run; `None`: there is none of that id, or it is no longer kept.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &RunId) -> sqlx::Result<Option<SyncRun>> {
        store::find_run(&self.db, &self.corp, id).await
    }

    /// Up to `limit` runs, the newest first; those asked for before the run `before`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(&self, limit: i64, before: Option<&RunId>) -> sqlx::Result<Vec<SyncRun>> {
        store::list_runs(&self.db, &self.corp, limit, before).await
    }

    /// Wakes this process's worker.
    pub(super) fn wake_worker(&self) {
        self.worker_wakeup.notify_one();
    }

    /// Waits until this process asked for a run, or `longest`.
    pub(super) async fn wait_for_request(&self, longest: Duration) {
        tokio::select! {
            () = self.worker_wakeup.notified() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }
}

/// Somebody else has it: one of the two unique indexes said so.
pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// An audit row about a run; it concerns no single person.
fn audit_entry(decision: &'static str, detail: String) -> audit::AuditEntry {
    audit::AuditEntry {
        event: audit::AuditEvent::Sync,
        person: None,
        userid: String::new(),
        address: None,
        host: String::new(),
        decision,
        detail,
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests;
