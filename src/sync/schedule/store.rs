//! SQL of the schedules: when each last fired.

use sqlx::AnyConnection;

use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::Db;
use crate::sync::state::SyncKind;

/// Returns when a schedule last fired; `None` if it was never checked.
pub(super) async fn find_last_fired(
    db: &Db,
    corp: &CorpId,
    kind: SyncKind,
) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar("SELECT last_at FROM schedules WHERE corp_id = $1 AND name = $2")
        .bind(corp)
        .bind(kind)
        .fetch_optional(db.pool())
        .await
}

/// Stores a new schedule, which first fires after `at`.
pub(super) async fn insert_schedule(
    tx: &mut AnyConnection,
    corp: &CorpId,
    kind: SyncKind,
    at: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO schedules (corp_id, name, last_at) VALUES ($1, $2, $3) \
         ON CONFLICT (corp_id, name) DO NOTHING",
    )
    .bind(corp)
    .bind(kind)
    .bind(at)
    .execute(tx)
    .await?;
    Ok(())
}

/// Records that a schedule fires at `at`; it fired at `last` before. Returns `false` if another
/// replica did so first.
pub(super) async fn advance_schedule(
    tx: &mut AnyConnection,
    corp: &CorpId,
    kind: SyncKind,
    last: Timestamp,
    at: Timestamp,
) -> sqlx::Result<bool> {
    let done =
        sqlx::query("UPDATE schedules SET last_at = $4 WHERE corp_id = $1 AND name = $2 AND last_at = $3")
            .bind(corp)
            .bind(kind)
            .bind(last)
            .bind(at)
            .execute(tx)
            .await?;
    Ok(done.rows_affected() == 1)
}
