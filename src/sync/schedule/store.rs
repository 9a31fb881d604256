//! SQL of the schedules: when each last fired.

use sqlx::{AnyConnection, Row as _};

use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::Db;

/// Returns when a schedule last fired; `None` if it was never checked.
pub(super) async fn find_last_fired(db: &Db, corp: &CorpId, name: &str) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query("SELECT last_at FROM schedules WHERE corp_id = $1 AND name = $2")
        .bind(corp.as_str())
        .bind(name)
        .fetch_optional(db.pool())
        .await?
        .map(|row| row.try_get(0).map(Timestamp::from_millis))
        .transpose()
}

/// Stores a new schedule, which first fires after `at`.
pub(super) async fn insert_schedule(
    tx: &mut AnyConnection,
    corp: &CorpId,
    name: &str,
    at: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO schedules (corp_id, name, last_at) VALUES ($1, $2, $3) \
         ON CONFLICT (corp_id, name) DO NOTHING",
    )
    .bind(corp.as_str())
    .bind(name)
    .bind(at.millis())
    .execute(tx)
    .await?;
    Ok(())
}

/// Records that a schedule fires at `at`; it fired at `last` before. Returns `false` if another
/// replica did so first.
pub(super) async fn advance_schedule(
    tx: &mut AnyConnection,
    corp: &CorpId,
    name: &str,
    last: Timestamp,
    at: Timestamp,
) -> sqlx::Result<bool> {
    let done =
        sqlx::query("UPDATE schedules SET last_at = $4 WHERE corp_id = $1 AND name = $2 AND last_at = $3")
            .bind(corp.as_str())
            .bind(name)
            .bind(last.millis())
            .bind(at.millis())
            .execute(tx)
            .await?;
    Ok(done.rows_affected() == 1)
}
