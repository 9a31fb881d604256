//! SQL of the audit trail.

use sqlx::{AnyConnection, Row as _};

use super::{AuditEntry, AuditRow};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, uuid_v7};
use crate::db::Db;

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
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(entry.event.as_str())
    .bind(entry.person.as_ref().map_or("", |p| p.as_str()))
    .bind(&entry.userid)
    .bind(entry.address.map(|a| a.to_string()).unwrap_or_default())
    .bind(&entry.host)
    .bind(entry.decision)
    .bind(&entry.detail)
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

/// Returns at most `limit` rows with their ids, oldest first: since `since`, after the row `after`,
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
) -> sqlx::Result<Vec<(String, AuditRow)>> {
    sqlx::query(
        "SELECT id, at, event, userid, address, host, decision, detail, request_id FROM audit \
         WHERE corp_id = $1 AND at >= $2 AND id > $3 AND ($4 = '' OR lower(userid) = lower($4)) \
         ORDER BY id LIMIT $5",
    )
    .bind(corp.as_str())
    .bind(since.millis())
    .bind(after)
    .bind(userid.unwrap_or(""))
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .into_iter()
    .map(|row| {
        let read = AuditRow {
            at: Timestamp::from_millis(row.try_get(1)?),
            event: row.try_get(2)?,
            userid: row.try_get(3)?,
            address: row.try_get(4)?,
            host: row.try_get(5)?,
            decision: row.try_get(6)?,
            detail: row.try_get(7)?,
            request_id: row.try_get(8)?,
        };
        Ok((row.try_get(0)?, read))
    })
    .collect()
}

/// Returns the instant of the newest row. A clock far behind it is wrong.
///
/// # Errors
/// If the database fails.
pub(crate) async fn read_newest_instant(db: &Db) -> sqlx::Result<Option<Timestamp>> {
    let at: Option<i64> = sqlx::query("SELECT MAX(at) FROM audit").fetch_one(db.pool()).await?.try_get(0)?;
    Ok(at.map(Timestamp::from_millis))
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
    .bind(before.millis())
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
