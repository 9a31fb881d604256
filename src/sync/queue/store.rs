//! SQL of the runs.

use const_format::formatcp;
use futures_util::future::BoxFuture;
use sqlx::{Any, AnyConnection, AnyPool, Executor, FromRow};

use super::{SyncRequest, SyncRun, SyncRunEnd};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, CorpId, RunId};
use crate::db::Db;
use crate::db::hot_statement::HotStatement;
use crate::db::types::{FlagColumn, JsonColumn};
use crate::sync::progress::ProgressSnapshot;
use crate::sync::report::{Counts, SyncReport};
use crate::sync::state::{SyncCause, SyncKind, SyncRunReason, SyncRunStatus};

// An index of one status is used only by statements that contain the word itself.
const QUEUED: &str = SyncRunStatus::Queued.as_str();
const RUNNING: &str = SyncRunStatus::Running.as_str();
const DONE: &str = SyncRunStatus::Done.as_str();
const REFUSED: &str = SyncRunStatus::Refused.as_str();
const FAILED: &str = SyncRunStatus::Failed.as_str();

pub(in crate::sync) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "has_work",
        sql: SELECT_ACTIVE_RUNS,
        indexes: &["sync_runs_queued", "sync_runs_running"],
    },
    HotStatement { name: "find_queued", sql: SELECT_QUEUED_RUN, indexes: &["sync_runs_queued"] },
    HotStatement { name: "find_running", sql: SELECT_RUNNING_RUN, indexes: &["sync_runs_running"] },
    HotStatement { name: "find_run", sql: SELECT_RUN, indexes: &["sync_runs_pkey"] },
];

/// The columns of a [`SyncRunRow`].
const RUN_COLUMNS: &str = "id, kind, cause, client_id, dry_run, forced, status, complete, counts, progress, report, \
     reason, lease_until, requested_at, started_at, finished_at";

#[derive(FromRow)]
struct SyncRunRow {
    id: RunId,
    kind: SyncKind,
    cause: String,
    client_id: Option<ClientId>,
    dry_run: FlagColumn,
    forced: FlagColumn,
    status: SyncRunStatus,
    complete: FlagColumn,
    counts: JsonColumn<Counts>,
    progress: Option<JsonColumn<ProgressSnapshot>>,
    report: JsonColumn<SyncReport>,
    reason: Option<String>,
    lease_until: Timestamp,
    requested_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl From<SyncRunRow> for SyncRun {
    fn from(row: SyncRunRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            cause: SyncCause::from_columns(row.cause, row.client_id),
            dry_run: row.dry_run.0,
            force: row.forced.0,
            status: row.status,
            complete: row.complete.0,
            counts: row.counts.0,
            progress: row.progress.map(|progress| progress.0),
            report: row.report.0,
            reason: row.reason.map(SyncRunReason::from_column),
            requested_at: row.requested_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// The part of a queued run that a new request can change.
#[derive(Debug, Clone)]
pub(super) struct QueuedRun {
    pub(super) id: RunId,
    pub(super) kind: SyncKind,
    /// What the row says, which only a newer version may know as a kind.
    kind_word: String,
    pub(super) force: bool,
    pub(super) cause: SyncCause,
}

#[derive(FromRow)]
struct QueuedRunRow {
    id: RunId,
    kind: SyncKind,
    kind_word: String,
    forced: FlagColumn,
    cause: String,
    client_id: Option<ClientId>,
}

#[derive(FromRow)]
struct RunLeaseRow {
    status: SyncRunStatus,
    lease_until: Timestamp,
}

/// Two literals, so that each is found by its index: this runs every second.
const SELECT_ACTIVE_RUNS: &str = formatcp!(
    "SELECT status, lease_until FROM sync_runs WHERE corp_id = $1 AND status = '{QUEUED}' \
     UNION ALL SELECT status, lease_until FROM sync_runs WHERE corp_id = $1 AND status = '{RUNNING}'"
);

/// Returns whether a claim is worth trying: a run is queued and none is running, or the running
/// one's lease is over.
pub(super) async fn has_work(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let rows: Vec<RunLeaseRow> = sqlx::query_as(SELECT_ACTIVE_RUNS).bind(corp).fetch_all(pool).await?;
    let running = rows.iter().find(|row| row.status == SyncRunStatus::Running);
    Ok(running.map_or(!rows.is_empty(), |row| row.lease_until <= now))
}

const SELECT_QUEUED_RUN: &str = formatcp!(
    "SELECT id, kind, kind AS kind_word, forced, cause, client_id FROM sync_runs \
     WHERE corp_id = $1 AND status = '{QUEUED}' AND dry_run = $2"
);

/// Returns the queued run; with `dry_run`, the queued dry run.
pub(super) async fn find_queued(
    tx: &mut AnyConnection,
    corp: &CorpId,
    dry_run: bool,
) -> sqlx::Result<Option<QueuedRun>> {
    let row: Option<QueuedRunRow> =
        sqlx::query_as(SELECT_QUEUED_RUN).bind(corp).bind(FlagColumn(dry_run)).fetch_optional(tx).await?;
    Ok(row.map(|row| QueuedRun {
        id: row.id,
        kind: row.kind,
        kind_word: row.kind_word,
        force: row.forced.0,
        cause: SyncCause::from_columns(row.cause, row.client_id),
    }))
}

/// Changes a queued run to `kind` and `force`. Returns `false` if it was claimed or changed
/// meanwhile.
pub(super) async fn strengthen_queued(
    tx: &mut AnyConnection,
    was: &QueuedRun,
    (kind, force): (SyncKind, bool),
    cause: &SyncCause,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE sync_runs SET kind = $2, forced = $3, cause = $4, client_id = $5 \
         WHERE id = $1 AND status = '{QUEUED}' AND kind = $6 AND forced = $7"
    ))
    .bind(&was.id)
    .bind(kind)
    .bind(FlagColumn(force))
    .bind(cause.as_str())
    .bind(cause.client())
    .bind(&was.kind_word)
    .bind(FlagColumn(was.force))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Queues a run. Fails with a unique violation if one is queued already.
pub(super) async fn insert_run(
    tx: &mut AnyConnection,
    corp: &CorpId,
    id: &RunId,
    request: &SyncRequest,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "INSERT INTO sync_runs (id, corp_id, kind, cause, client_id, dry_run, forced, status, complete, counts, \
                                progress, report, reason, holder, lease_until, requested_at, started_at, finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, '{QUEUED}', 0, $8, NULL, $9, NULL, '', 0, $10, NULL, NULL)"
    ))
    .bind(id)
    .bind(corp)
    .bind(request.kind)
    .bind(request.cause.as_str())
    .bind(request.cause.client())
    .bind(FlagColumn(request.dry_run))
    .bind(FlagColumn(request.force))
    .bind(JsonColumn(Counts::default()))
    .bind(JsonColumn(SyncReport::default()))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

const SELECT_RUNNING_RUN: &str =
    formatcp!("SELECT {RUN_COLUMNS} FROM sync_runs WHERE corp_id = $1 AND status = '{RUNNING}'");

/// Returns the running run and the end of its lease.
pub(super) async fn find_running(
    tx: &mut AnyConnection,
    corp: &CorpId,
) -> sqlx::Result<Option<(SyncRun, Timestamp)>> {
    let row: Option<SyncRunRow> = sqlx::query_as(SELECT_RUNNING_RUN).bind(corp).fetch_optional(tx).await?;
    Ok(row.map(|row| {
        let lease_until = row.lease_until;
        (row.into(), lease_until)
    }))
}

/// Marks a run with an expired lease as failed. Returns `false` if it was renewed or ended
/// meanwhile.
pub(super) async fn end_lapsed(
    tx: &mut AnyConnection,
    id: &RunId,
    lease_until: Timestamp,
    reason: &SyncRunReason,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE sync_runs SET status = '{FAILED}', reason = $3, finished_at = $4 \
         WHERE id = $1 AND status = '{RUNNING}' AND lease_until = $2"
    ))
    .bind(id)
    .bind(lease_until)
    .bind(JsonColumn(reason))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns the queued run that was requested first.
pub(super) async fn find_oldest_queued(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<Option<RunId>> {
    sqlx::query_scalar(formatcp!(
        "SELECT id FROM sync_runs WHERE corp_id = $1 AND status = '{QUEUED}' ORDER BY requested_at, id LIMIT 1"
    ))
    .bind(corp)
    .fetch_optional(tx)
    .await
}

/// Claims a queued run. Returns `false` if another process has it; fails with a unique violation if
/// another run is running.
pub(super) async fn start_run(
    tx: &mut AnyConnection,
    id: &RunId,
    holder: &str,
    lease_until: Timestamp,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE sync_runs SET status = '{RUNNING}', holder = $2, lease_until = $3, started_at = $4 \
         WHERE id = $1 AND status = '{QUEUED}'"
    ))
    .bind(id)
    .bind(holder)
    .bind(lease_until)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Renews the lease. Returns `false` if the run is not `holder`'s.
pub(super) async fn renew_lease(
    tx: &mut AnyConnection,
    id: &RunId,
    holder: &str,
    lease_until: Timestamp,
    progress: ProgressSnapshot,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE sync_runs SET lease_until = $3, progress = $4 WHERE id = $1 AND status = '{RUNNING}' AND holder = $2"
    ))
    .bind(id)
    .bind(holder)
    .bind(lease_until)
    .bind(JsonColumn(progress))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records the end of `holder`'s run, in the transaction that publishes its plan if there is one.
/// Returns `false` if the run is not `holder`'s; that transaction must then not be committed.
///
/// # Errors
/// If the database fails.
pub(crate) async fn end_run(
    tx: &mut AnyConnection,
    id: &RunId,
    holder: &str,
    end: &SyncRunEnd,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE sync_runs SET status = $3, complete = $4, counts = $5, report = $6, reason = $7, finished_at = $8, \
                              progress = NULL, lease_until = 0 \
         WHERE id = $1 AND status = '{RUNNING}' AND holder = $2"
    ))
    .bind(id)
    .bind(holder)
    .bind(end.status)
    .bind(FlagColumn(end.complete))
    .bind(JsonColumn(end.counts))
    .bind(JsonColumn(&end.report))
    .bind(end.reason.as_ref().map(JsonColumn))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Queues `holder`'s run again. Fails with a unique violation if another one is queued.
pub(super) async fn requeue_run(tx: &mut AnyConnection, id: &RunId, holder: &str) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE sync_runs SET status = '{QUEUED}', holder = '', lease_until = 0, started_at = NULL, progress = NULL \
         WHERE id = $1 AND status = '{RUNNING}' AND holder = $2"
    ))
    .bind(id)
    .bind(holder)
    .execute(tx)
    .await?;
    Ok(())
}

const SELECT_RUN: &str = formatcp!("SELECT {RUN_COLUMNS} FROM sync_runs WHERE corp_id = $1 AND id = $2");

/// Returns a run.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_run<'c>(
    executor: impl Executor<'c, Database = Any>,
    corp: &CorpId,
    id: &RunId,
) -> sqlx::Result<Option<SyncRun>> {
    let row: Option<SyncRunRow> =
        sqlx::query_as(SELECT_RUN).bind(corp).bind(id).fetch_optional(executor).await?;
    Ok(row.map(SyncRun::from))
}

const SELECT_RUNS: &str = formatcp!(
    "SELECT {RUN_COLUMNS} FROM sync_runs WHERE corp_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"
);

/// Returns up to `limit` runs, the newest first, beginning after the run `before`.
///
/// # Errors
/// If the database fails.
pub(super) async fn list_runs(
    db: &Db,
    corp: &CorpId,
    limit: i64,
    before: Option<&RunId>,
) -> sqlx::Result<Vec<SyncRun>> {
    let rows: Vec<SyncRunRow> = sqlx::query_as(SELECT_RUNS)
        .bind(corp)
        .bind(before.map_or("", RunId::as_str))
        .bind(limit)
        .fetch_all(db.pool())
        .await?;
    Ok(rows.into_iter().map(SyncRun::from).collect())
}

/// Returns the runs that ended last, the newest first, without dry runs.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_latest_runs(db: &Db, corp: &CorpId, limit: i64) -> sqlx::Result<Vec<SyncRun>> {
    let rows: Vec<SyncRunRow> = sqlx::query_as(formatcp!(
        "SELECT {RUN_COLUMNS} FROM sync_runs \
         WHERE corp_id = $1 AND dry_run = 0 AND status IN ('{DONE}', '{REFUSED}', '{FAILED}') \
         ORDER BY requested_at DESC, id DESC LIMIT $2"
    ))
    .bind(corp)
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(SyncRun::from).collect())
}

/// Deletes up to `limit` ended runs that were requested before `before`, but never the last
/// complete one.
///
/// # Errors
/// If the database fails.
pub async fn delete_runs_before(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query(formatcp!(
        "DELETE FROM sync_runs WHERE id IN (\
             SELECT id FROM sync_runs WHERE requested_at < $1 AND status IN ('{DONE}', '{REFUSED}', '{FAILED}') \
             AND id NOT IN (\
                 SELECT MAX(id) FROM sync_runs WHERE status = '{DONE}' AND complete = 1 AND dry_run = 0 \
                 GROUP BY corp_id) \
             ORDER BY requested_at LIMIT $2)"
    ))
    .bind(before)
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// Returns whether a process works on a run that writes.
///
/// # Errors
/// If the database fails.
pub(crate) fn is_writing<'c>(
    tx: &'c mut AnyConnection,
    corp: &'c CorpId,
    now: Timestamp,
) -> BoxFuture<'c, sqlx::Result<bool>> {
    Box::pin(async move {
        let running: i64 = sqlx::query_scalar(formatcp!(
            "SELECT COUNT(*) FROM sync_runs WHERE corp_id = $1 AND status = '{RUNNING}' AND dry_run = 0 AND lease_until > $2"
        ))
        .bind(corp)
        .bind(now)
        .fetch_one(tx)
        .await?;
        Ok(running > 0)
    })
}

/// Returns whether a run that writes is queued or running.
pub(in crate::sync) async fn is_under_way(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<bool> {
    let active: i64 = sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM sync_runs WHERE corp_id = $1 AND dry_run = 0 AND status IN ('{QUEUED}', '{RUNNING}')"
    ))
    .bind(corp)
    .fetch_one(tx)
    .await?;
    Ok(active > 0)
}
