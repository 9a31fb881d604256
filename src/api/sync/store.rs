//! SQL of runs, as far as applications ask for them and look at them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, RunId};
use crate::db::Db;
use crate::directory::row::from_json;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `update` or `full`.
    pub(super) kind: &'static str,
    /// Who asks.
    pub(super) cause: String,
    /// Only report.
    pub(super) dry_run: bool,
    /// Remove however much is missing.
    pub(super) force: bool,
}

/// A run as the API shows it (DESIGN §4.1).
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) id: RunId,
    kind: String,
    status: String,
    complete: bool,
    counts: Counts,
    conflicts: Vec<Value>,
    reason: String,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// The column `counts`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    units: Count,
    persons: Count,
    memberships: Count,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Count {
    created: u64,
    updated: u64,
    removed: u64,
}

/// What of the column `report` is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    conflicts: Vec<Value>,
}

/// Queues a run. One that waits already takes this request in: it reads everything if either asked for that, and is
/// forced if either was.
///
/// # Errors
/// If the database fails.
pub(super) async fn request(db: &Db, corp: &CorpId, asked: &Request, now: Timestamp) -> sqlx::Result<RunId> {
    let mut tx = db.write().await?;
    let row = sqlx::query(
        "INSERT INTO sync_runs (id, corp_id, kind, cause, dry_run, forced, status, complete, counts, progress, \
           report, reason, holder, lease_until, requested_at, started_at, finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, '{}', '{}', '{}', '', '', 0, $7, NULL, NULL) \
         ON CONFLICT (corp_id, dry_run) WHERE status = 'queued' DO UPDATE SET \
           kind = CASE WHEN excluded.kind = 'full' THEN 'full' ELSE sync_runs.kind END, \
           forced = CASE WHEN excluded.forced > 0 THEN 1 ELSE sync_runs.forced END \
         RETURNING id",
    )
    .bind(RunId::generate(now).as_str())
    .bind(corp.as_str())
    .bind(asked.kind)
    .bind(&asked.cause)
    .bind(i64::from(asked.dry_run))
    .bind(i64::from(asked.force))
    .bind(now.millis())
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(RunId::new(row.try_get::<String, _>(0)?))
}

/// One run.
///
/// # Errors
/// If the database fails.
pub(super) async fn find(db: &Db, corp: &CorpId, id: &RunId) -> sqlx::Result<Option<Run>> {
    sqlx::query(
        "SELECT id, kind, status, complete, counts, report, reason, started_at, finished_at FROM sync_runs \
         WHERE corp_id = $1 AND id = $2",
    )
    .bind(corp.as_str())
    .bind(id.as_str())
    .fetch_optional(db.pool())
    .await?
    .map(|row| run(&row))
    .transpose()
}

/// Up to `limit` runs, the newest first; those asked for before `before`.
///
/// # Errors
/// If the database fails.
pub(super) async fn list(
    db: &Db,
    corp: &CorpId,
    limit: i64,
    before: Option<&RunId>,
) -> sqlx::Result<Vec<Run>> {
    sqlx::query(
        "SELECT id, kind, status, complete, counts, report, reason, started_at, finished_at FROM sync_runs \
         WHERE corp_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3",
    )
    .bind(corp.as_str())
    .bind(before.map_or("", |id| id.as_str()))
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(run)
    .collect()
}

fn run(row: &AnyRow) -> sqlx::Result<Run> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let instant = |column: usize| {
        row.try_get::<Option<i64>, _>(column).map(|millis| millis.map(Timestamp::from_millis))
    };
    Ok(Run {
        id: RunId::new(text(0)?),
        kind: text(1)?,
        status: text(2)?,
        complete: row.try_get::<i64, _>(3)? != 0,
        counts: from_json("sync_runs.counts", &text(4)?)?,
        conflicts: from_json::<Report>("sync_runs.report", &text(5)?)?.conflicts,
        reason: text(6)?,
        started_at: instant(7)?,
        finished_at: instant(8)?,
    })
}
