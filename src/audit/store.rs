//! SQL of the audit trail.

use sqlx::AnyConnection;

use super::{AuditEntry, AuditRow};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, uuid_v7};
use crate::db::Db;
use crate::db::hot_statement::HotStatement;

/// Appends one entry.
///
/// # Errors
/// If the database fails; then the transaction of the action fails with it.
pub(crate) async fn insert_entry(
    tx: &mut AnyConnection,
    corp: &CorpId,
    entry: &AuditEntry,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(uuid_v7(now))
    .bind(corp)
    .bind(now)
    .bind(entry.event)
    .bind(entry.person.as_ref().map_or("", |p| p.as_str()))
    .bind(&entry.userid)
    .bind(entry.address.map(|a| a.to_string()).unwrap_or_default())
    .bind(&entry.host)
    .bind(entry.decision)
    .bind(entry.actor.sign(entry.event, &entry.detail))
    .bind(&entry.request_id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends entries in a transaction of their own.
///
/// # Errors
/// If the database fails.
pub async fn insert_entries(
    db: &Db,
    corp: &CorpId,
    entries: &[AuditEntry],
    now: Timestamp,
) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    for entry in entries {
        insert_entry(&mut tx, corp, entry, now).await?;
    }
    tx.commit().await
}

/// Returns at most `limit` rows, oldest first: since `since`, after the row `after`,
/// of one userid or of all.
///
/// # Errors
/// If the database fails.
pub async fn list_rows(
    db: &Db,
    corp: &CorpId,
    userid: Option<&str>,
    since: Timestamp,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as(
        "SELECT id, at, event, userid, address, host, decision, detail, request_id FROM audit \
         WHERE corp_id = $1 AND at >= $2 AND id > $3 AND ($4 = '' OR lower(userid) = lower($4)) \
         ORDER BY id LIMIT $5",
    )
    .bind(corp)
    .bind(since)
    .bind(after)
    .bind(userid.unwrap_or(""))
    .bind(limit)
    .fetch_all(db.pool())
    .await
}

const READ_NEWEST_INSTANT: &str = "SELECT MAX(at) FROM audit";

/// What every replica reads each time that it looks at the feed.
pub const HOT_STATEMENTS: &[HotStatement] =
    &[HotStatement { name: "read_newest_instant", sql: READ_NEWEST_INSTANT, indexes: &["audit_at"] }];

/// Returns the instant of the newest row. A clock far behind it is wrong.
///
/// # Errors
/// If the database fails.
pub(crate) async fn read_newest_instant(db: &Db) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar(READ_NEWEST_INSTANT).fetch_one(db.pool()).await
}

/// Deletes up to `limit` rows older than `before`, and returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_rows_before(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)",
    )
    .bind(before)
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
