//! SQL of the runs.

use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AnyPool, Executor, Row as _};

use super::{SyncRequest, SyncRun, SyncRunEnd, SyncRunStatus};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, RunId};
use crate::db::Db;
use crate::directory::row::{from_json, to_json};
use crate::sync::progress::ProgressSnapshot;
use crate::sync::remote::SyncKind;
use crate::sync::report::Counts;

/// The part of a queued run that a new request can change.
#[derive(Debug, Clone)]
pub(super) struct QueuedRun {
    pub(super) id: RunId,
    pub(super) kind: SyncKind,
    pub(super) force: bool,
    pub(super) cause: String,
}

/// Selects the columns in the order in which [`parse_run`] reads them.
macro_rules! columns {
    () => {
        "SELECT id, kind, cause, dry_run, forced, status, complete, counts, progress, report, reason, requested_at, \
         started_at, finished_at FROM sync_runs "
    };
}

fn parse_run(row: &AnyRow) -> sqlx::Result<SyncRun> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let flag = |column: usize| row.try_get::<i64, _>(column).map(|n| n != 0);
    let instant =
        |column: usize| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(SyncRun {
        id: RunId::new(text(0)?),
        kind: SyncKind::parse(&text(1)?),
        cause: text(2)?,
        dry_run: flag(3)?,
        force: flag(4)?,
        status: SyncRunStatus::parse(&text(5)?),
        complete: flag(6)?,
        counts: from_json("sync_runs.counts", &text(7)?)?,
        progress: from_json("sync_runs.progress", &text(8)?)?,
        report: from_json("sync_runs.report", &text(9)?)?,
        reason: text(10)?,
        requested_at: Timestamp::from_millis(row.try_get(11)?),
        started_at: instant(12)?,
        finished_at: instant(13)?,
    })
}

/// Returns whether a claim is worth trying: a run is queued and none is running, or the running
/// one's lease is over.
pub(super) async fn has_work(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let rows = sqlx::query(
        // Two literals, so that each is found by its index: this runs every second.
        "SELECT status, lease_until FROM sync_runs WHERE corp_id = $1 AND status = 'queued' \
         UNION ALL SELECT status, lease_until FROM sync_runs WHERE corp_id = $1 AND status = 'running'",
    )
    .bind(corp.as_str())
    .fetch_all(pool)
    .await?;
    let mut waits = false;
    for row in rows {
        let status: String = row.try_get(0)?;
        if SyncRunStatus::parse(&status) == SyncRunStatus::Running {
            return Ok(Timestamp::from_millis(row.try_get(1)?) <= now);
        }
        waits = true;
    }
    Ok(waits)
}

/// Returns the queued run; with `dry_run`, the queued dry run.
pub(super) async fn find_queued(
    tx: &mut AnyConnection,
    corp: &CorpId,
    dry_run: bool,
) -> sqlx::Result<Option<QueuedRun>> {
    let row = sqlx::query(
        "SELECT id, kind, forced, cause FROM sync_runs \
         WHERE corp_id = $1 AND status = 'queued' AND dry_run = $2",
    )
    .bind(corp.as_str())
    .bind(i64::from(dry_run))
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(QueuedRun {
        id: RunId::new(row.try_get::<String, _>(0)?),
        kind: SyncKind::parse(&row.try_get::<String, _>(1)?),
        force: row.try_get::<i64, _>(2)? != 0,
        cause: row.try_get(3)?,
    }))
}

/// Changes a queued run to `kind` and `force`. Returns `false` if it was claimed or changed
/// meanwhile.
pub(super) async fn strengthen_queued(
    tx: &mut AnyConnection,
    was: &QueuedRun,
    (kind, force): (SyncKind, bool),
    cause: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE sync_runs SET kind = $2, forced = $3, cause = $4 \
         WHERE id = $1 AND status = 'queued' AND kind = $5 AND forced = $6",
    )
    .bind(was.id.as_str())
    .bind(kind.as_str())
    .bind(i64::from(force))
    .bind(cause)
    .bind(was.kind.as_str())
    .bind(i64::from(was.force))
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
    sqlx::query(
        "INSERT INTO sync_runs (id, corp_id, kind, cause, dry_run, forced, status, complete, counts, progress, report, \
         reason, holder, lease_until, requested_at, started_at, finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $8, 'null', '{}', '', '', 0, $7, NULL, NULL)",
    )
    .bind(id.as_str())
    .bind(corp.as_str())
    .bind(request.kind.as_str())
    .bind(request.cause.as_text())
    .bind(i64::from(request.dry_run))
    .bind(i64::from(request.force))
    .bind(now.millis())
    .bind(to_json(&Counts::default())?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the running run and the end of its lease.
pub(super) async fn find_running(
    tx: &mut AnyConnection,
    corp: &CorpId,
) -> sqlx::Result<Option<(SyncRun, Timestamp)>> {
    let row = sqlx::query(concat!(columns!(), "WHERE corp_id = $1 AND status = 'running'"))
        .bind(corp.as_str())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let found = parse_run(&row)?;
    let lease: Option<i64> =
        sqlx::query("SELECT lease_until FROM sync_runs WHERE id = $1 AND status = 'running'")
            .bind(found.id.as_str())
            .fetch_optional(tx)
            .await?
            .map(|row| row.try_get(0))
            .transpose()?;
    Ok(lease.map(|lease| (found, Timestamp::from_millis(lease))))
}

/// Marks a run with an expired lease as failed. Returns `false` if it was renewed or ended
/// meanwhile.
pub(super) async fn end_lapsed(
    tx: &mut AnyConnection,
    id: &RunId,
    lease_until: Timestamp,
    reason: &str,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE sync_runs SET status = 'failed', reason = $3, finished_at = $4 \
         WHERE id = $1 AND status = 'running' AND lease_until = $2",
    )
    .bind(id.as_str())
    .bind(lease_until.millis())
    .bind(reason)
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns the queued run that was requested first.
pub(super) async fn find_oldest_queued(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<Option<RunId>> {
    let row = sqlx::query(
        "SELECT id FROM sync_runs WHERE corp_id = $1 AND status = 'queued' ORDER BY requested_at, id LIMIT 1",
    )
    .bind(corp.as_str())
    .fetch_optional(tx)
    .await?;
    row.map(|row| row.try_get::<String, _>(0).map(RunId::new)).transpose()
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
    let done = sqlx::query(
        "UPDATE sync_runs SET status = 'running', holder = $2, lease_until = $3, started_at = $4 \
         WHERE id = $1 AND status = 'queued'",
    )
    .bind(id.as_str())
    .bind(holder)
    .bind(lease_until.millis())
    .bind(now.millis())
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
    let done = sqlx::query(
        "UPDATE sync_runs SET lease_until = $3, progress = $4 \
         WHERE id = $1 AND status = 'running' AND holder = $2",
    )
    .bind(id.as_str())
    .bind(holder)
    .bind(lease_until.millis())
    .bind(to_json(&progress)?)
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
    let done = sqlx::query(
        "UPDATE sync_runs SET status = $3, complete = $4, counts = $5, report = $6, reason = $7, finished_at = $8, \
         progress = 'null', lease_until = 0 WHERE id = $1 AND status = 'running' AND holder = $2",
    )
    .bind(id.as_str())
    .bind(holder)
    .bind(end.status.as_str())
    .bind(i64::from(end.complete))
    .bind(to_json(&end.counts)?)
    .bind(to_json(&end.report)?)
    // PostgreSQL stores no NUL in a text, and WeCom's words may contain anything.
    .bind(end.reason.replace('\0', "\u{fffd}"))
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Queues `holder`'s run again. Fails with a unique violation if another one is queued.
pub(super) async fn requeue_run(tx: &mut AnyConnection, id: &RunId, holder: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE sync_runs SET status = 'queued', holder = '', lease_until = 0, started_at = NULL, progress = 'null' \
         WHERE id = $1 AND status = 'running' AND holder = $2",
    )
    .bind(id.as_str())
    .bind(holder)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns a run.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_run(db: &Db, corp: &CorpId, id: &RunId) -> sqlx::Result<Option<SyncRun>> {
    query_run(db.pool(), corp, id).await
}

pub(super) async fn find_run_in(
    tx: &mut AnyConnection,
    corp: &CorpId,
    id: &RunId,
) -> sqlx::Result<Option<SyncRun>> {
    query_run(tx, corp, id).await
}

async fn query_run<'c>(
    executor: impl Executor<'c, Database = Any>,
    corp: &CorpId,
    id: &RunId,
) -> sqlx::Result<Option<SyncRun>> {
    sqlx::query(concat!(columns!(), "WHERE corp_id = $1 AND id = $2"))
        .bind(corp.as_str())
        .bind(id.as_str())
        .fetch_optional(executor)
        .await?
        .map(|row| parse_run(&row))
        .transpose()
}

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
    sqlx::query(concat!(columns!(), "WHERE corp_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"))
        .bind(corp.as_str())
        .bind(before.map_or("", |id| id.as_str()))
        .bind(limit)
        .fetch_all(db.pool())
        .await?
        .iter()
        .map(parse_run)
        .collect()
}

/// Returns the runs that ended last, the newest first, without dry runs.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_latest_runs(db: &Db, corp: &CorpId, limit: i64) -> sqlx::Result<Vec<SyncRun>> {
    sqlx::query(concat!(
        columns!(),
        "WHERE corp_id = $1 AND dry_run = 0 AND status IN ('done', 'refused', 'failed') \
         ORDER BY requested_at DESC, id DESC LIMIT $2"
    ))
    .bind(corp.as_str())
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(parse_run)
    .collect()
}

/// Deletes up to `limit` ended runs that were requested before `before`, but never the last
/// complete one.
///
/// # Errors
/// If the database fails.
pub async fn delete_runs_before(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query(
        "DELETE FROM sync_runs WHERE id IN (\
             SELECT id FROM sync_runs WHERE requested_at < $1 AND status IN ('done', 'refused', 'failed') \
             AND id NOT IN (\
                 SELECT MAX(id) FROM sync_runs WHERE status = 'done' AND complete = 1 AND dry_run = 0 \
                 GROUP BY corp_id) \
             ORDER BY requested_at LIMIT $2)",
    )
    .bind(before.millis())
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// Returns whether a run that writes is queued or running.
pub(in crate::sync) async fn is_under_way(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM sync_runs WHERE corp_id = $1 AND dry_run = 0 AND status IN ('queued', 'running')",
    )
    .bind(corp.as_str())
    .fetch_one(tx)
    .await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

/// Counts the conflicts that wait for a human.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_open_conflicts(db: &Db, corp: &CorpId) -> sqlx::Result<i64> {
    sqlx::query("SELECT COUNT(*) FROM conflicts WHERE corp_id = $1 AND state = 'open'")
        .bind(corp.as_str())
        .fetch_one(db.pool())
        .await?
        .try_get(0)
}
