//! The queue of runs: requested, worked on one at a time across replicas, and kept.
//!
//! A run is a row. Two unique indexes are all that replicas agree by: at most one running and one
//! queued row (a dry run may be queued besides). The process that works on a run holds it by a
//! lease and renews it. A run whose lease is over belongs to a killed process; another run is
//! queued in its place.

mod request;
mod run;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

pub use self::request::SyncRequest;
pub(crate) use self::request::combine_requests;
pub use self::run::{SyncRun, SyncRunEnd};

use super::progress::ProgressSnapshot;
use super::state::{SyncCause, SyncRunReason, SyncRunStatus};
use crate::audit::{self, Actor, AuditDecision, AuditEntry, AuditEvent};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, RunId, uuid_v7};
use crate::db::Db;
use crate::db::error::is_unique_violation;

/// How long a run stays claimed without a sign of life.
pub const RUN_LEASE: Duration = Duration::from_secs(30);

/// How long runs are kept; the last complete run is kept for ever.
pub const RUN_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// How often a request is tried in all when it collides with other requests.
const MAX_QUEUE_ATTEMPTS: usize = 10;

/// The queue of one corporation, as one process sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SyncQueue {
    db: Db,
    corp: CorpId,
    clock: Clock,
    /// The name of this process in the rows of its runs.
    holder: Arc<str>,
    /// Wakes this process's worker after a request, so that it does not wait for its next look at
    /// the queue.
    worker_wakeup: Arc<Notify>,
}

impl SyncQueue {
    /// Creates the queue of `corp`, with a holder name that no other process has.
    pub fn new(db: Db, corp: CorpId, clock: Clock) -> Self {
        let holder = format!("{} {}", std::process::id(), uuid_v7(clock.now()));
        Self { db, corp, clock, holder: holder.into(), worker_wakeup: Arc::default() }
    }

    /// Returns the name of this process in the rows of its runs.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Requests a run. If one is queued already, it takes over the request, and its id is returned.
    /// A dry run is never combined with a run that writes.
    ///
    /// # Errors
    /// If the database fails; then no run was requested.
    pub async fn request(&self, request: &SyncRequest) -> sqlx::Result<RunId> {
        let mut attempts = 0;
        let id = loop {
            attempts += 1;
            let mut tx = self.db.write().await?;
            let now = self.clock.now();
            match self.enqueue(&mut tx, request, now).await {
                Ok(Some(id)) => {
                    tx.commit().await?;
                    break id;
                }
                // Another request or claim came first: look again.
                Ok(None) if attempts < MAX_QUEUE_ATTEMPTS => tx.rollback().await?,
                Err(error) if attempts < MAX_QUEUE_ATTEMPTS && is_unique_violation(&error) => {
                    tx.rollback().await?;
                }
                Ok(None) => return Err(sqlx::Error::RowNotFound),
                Err(error) => return Err(error),
            }
        };
        self.wake_worker();
        Ok(id)
    }

    /// Requests a run like [`request`](Self::request), in the caller's transaction. Returns `None`
    /// if the queued run was claimed just now. After a unique violation the transaction is void.
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
                let cause = if both == before { &waiting.cause } else { &request.cause };
                if !store::strengthen_queued(tx, &waiting, both, cause).await? {
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
        let actor = request.cause.actor();
        if actor != Actor::System {
            let force = if request.force { ", forced" } else { "" };
            let dry = if request.dry_run { ", dry run" } else { "" };
            let detail = format!("{} run {id}{force}{dry}", request.kind.as_str());
            let entry = AuditEntry {
                decision: AuditDecision::Allowed,
                ..AuditEntry::of_deed(actor, AuditEvent::Sync, detail)
            };
            audit::store::insert_entry(tx, &self.corp, &entry, now).await?;
        }
        Ok(Some(id))
    }

    /// Claims the oldest queued run, unless another one is running. A run whose process was killed
    /// is first marked as failed; another one is queued in its place, except for a dry run.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim(&self) -> sqlx::Result<Option<SyncRun>> {
        // Look before taking the write lock: nearly always there is nothing to do.
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

    /// Claims a run in `tx`. The outer `None` means that another process came first and `tx` must
    /// be rolled back.
    async fn take_next(&self, tx: &mut sqlx::AnyConnection) -> sqlx::Result<Option<Option<SyncRun>>> {
        let now = self.clock.now();
        if let Some((run, lease_until)) = store::find_running(tx, &self.corp).await? {
            if lease_until > now {
                return Ok(None);
            }
            if !store::end_lapsed(tx, &run.id, lease_until, &SyncRunReason::ProcessKilled, now).await? {
                return Ok(None);
            }
            tracing::warn!(run = %run.id, "A synchronisation was cut off: its process ended without a word");
            // A dry run is not repeated: whoever wanted to watch it can ask again.
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
        store::find_run(tx, &self.corp, &id).await.map(Some)
    }

    /// Renews the lease of a run and stores its progress. Returns `false` if the run is no longer
    /// this process's.
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

    /// Records the end of a run that publishes nothing. Returns `false` if the run is no longer
    /// this process's, or has ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end(&self, id: &RunId, end: &SyncRunEnd) -> sqlx::Result<bool> {
        let mut tx = self.db.write().await?;
        let now = self.clock.now();
        let ours = store::end_run(&mut tx, id, &self.holder, end, now).await?;
        if ours && end.status == SyncRunStatus::Refused {
            let detail = format!("run {id}: {}", end.reason_text());
            let entry = AuditEntry {
                decision: AuditDecision::Refused,
                ..AuditEntry::of_deed(Actor::System, AuditEvent::Sync, detail)
            };
            audit::store::insert_entry(&mut tx, &self.corp, &entry, now).await?;
        }
        tx.commit().await?;
        Ok(ours)
    }

    /// Gives up a claimed run because this process stops. It is queued again under its id; if
    /// another run is queued already, it ends and the queued one takes over its work.
    ///
    /// # Errors
    /// If the database fails; then the lease runs out by itself.
    pub async fn hand_back(&self, run: &SyncRun) -> sqlx::Result<()> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut tx = self.db.write().await?;
            match self.requeue_or_end(&mut tx, run).await {
                Ok(true) => return tx.commit().await,
                // Another request or claim came first: look again.
                Ok(false) if attempts < MAX_QUEUE_ATTEMPTS => tx.rollback().await?,
                Err(error) if attempts < MAX_QUEUE_ATTEMPTS && is_unique_violation(&error) => {
                    tx.rollback().await?;
                }
                Ok(false) => return Err(sqlx::Error::RowNotFound),
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns `false` if the queued run has changed meanwhile. After a unique violation the
    /// transaction is void.
    async fn requeue_or_end(&self, tx: &mut sqlx::AnyConnection, run: &SyncRun) -> sqlx::Result<bool> {
        let Some(waiting) = store::find_queued(tx, &self.corp, run.dry_run).await? else {
            store::requeue_run(tx, &run.id, &self.holder).await?;
            return Ok(true);
        };
        let end = SyncRunEnd::failed(SyncRunReason::ProcessStopped);
        if !store::end_run(tx, &run.id, &self.holder, &end, self.clock.now()).await? {
            return Ok(true);
        }
        let both = combine_requests((waiting.kind, waiting.force), (run.kind, run.force));
        store::strengthen_queued(tx, &waiting, both, &waiting.cause).await
    }

    /// Returns a run; `None` if the id is unknown or the run was deleted since.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &RunId) -> sqlx::Result<Option<SyncRun>> {
        store::find_run(self.db.pool(), &self.corp, id).await
    }

    /// Returns up to `limit` runs, the newest first, beginning after the run `before`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(&self, limit: i64, before: Option<&RunId>) -> sqlx::Result<Vec<SyncRun>> {
        store::list_runs(&self.db, &self.corp, limit, before).await
    }

    pub(super) fn wake_worker(&self) {
        self.worker_wakeup.notify_one();
    }

    /// Waits until this process requests a run, at most `longest`.
    pub(super) async fn wait_for_request(&self, longest: Duration) {
        tokio::select! {
            () = self.worker_wakeup.notified() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }
}

#[cfg(test)]
mod tests;
