//! The SQL of attempts.

use super::error::RecordedFailure;
use super::state::{Attempt, AttemptRow};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, Sid};
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::db::hot_statement::HotStatement;

/// The primary key decides: of several callbacks exactly one inserts the row.
const CLAIM_ATTEMPT: &str = "INSERT INTO attempts (id, corp_id, code_hash, claimed_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (id) DO NOTHING";

/// Claims an attempt for this callback. Returns `None` if this is the first one, otherwise the
/// attempt of the earlier callback.
///
/// # Errors
/// If the database fails.
pub(crate) async fn claim_attempt(
    db: &Db,
    corp: &CorpId,
    id: &str,
    code_hash: &str,
    now: Timestamp,
) -> sqlx::Result<Option<Attempt>> {
    let mut tx = db.write().await?;
    let claim = sqlx::query(CLAIM_ATTEMPT).bind(id).bind(corp).bind(code_hash).bind(now);
    let claimed = claim.execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    if claimed == 1 { Ok(None) } else { find_attempt(db, corp, id).await }
}

const FIND_ATTEMPT: &str = "SELECT code_hash, claimed_at, sid, target, failure, failure_errcode, failure_address \
     FROM attempts WHERE corp_id = $1 AND id = $2";

/// Finds an attempt by its id.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_attempt(db: &Db, corp: &CorpId, id: &str) -> sqlx::Result<Option<Attempt>> {
    let row: Option<AttemptRow> =
        sqlx::query_as(FIND_ATTEMPT).bind(corp).bind(id).fetch_optional(db.pool()).await?;
    Ok(row.map(Attempt::from))
}

const FINISH_ATTEMPT: &str = "UPDATE attempts SET finished_at = $2, sid = $3, target = $4 \
     WHERE id = $1 AND finished_at IS NULL";

/// Records that an attempt led to a session.
///
/// # Errors
/// If the database fails.
pub(crate) async fn finish_attempt(
    change: &mut FeedTransaction,
    id: &str,
    sid: &Sid,
    target: &str,
) -> sqlx::Result<()> {
    let finish = sqlx::query(FINISH_ATTEMPT).bind(id).bind(change.now()).bind(sid).bind(target);
    finish.execute(change.tx()).await?;
    Ok(())
}

const REFUSE_ATTEMPT: &str = "UPDATE attempts \
     SET finished_at = $2, failure = $3, failure_errcode = $4, failure_address = $5 \
     WHERE id = $1 AND finished_at IS NULL";

/// Records that an attempt was refused.
///
/// # Errors
/// If the database fails.
pub(crate) async fn refuse_attempt(
    change: &mut FeedTransaction,
    id: &str,
    failure: &RecordedFailure,
) -> sqlx::Result<()> {
    let refuse = sqlx::query(REFUSE_ATTEMPT)
        .bind(id)
        .bind(change.now())
        .bind(failure.code.as_str())
        .bind(failure.errcode)
        .bind(failure.address.map(|address| address.to_string()));
    refuse.execute(change.tx()).await?;
    Ok(())
}

/// Deletes attempts that were claimed before `before`, and returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_old_attempts(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let delete = sqlx::query("DELETE FROM attempts WHERE claimed_at < $1").bind(before);
    let deleted = delete.execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(deleted)
}

/// Returns the statements on the path of a callback.
pub fn hot_statements() -> Vec<HotStatement> {
    vec![
        HotStatement { name: "find_attempt", sql: FIND_ATTEMPT, indexes: &["attempts_pkey"] },
        HotStatement { name: "finish_attempt", sql: FINISH_ATTEMPT, indexes: &["attempts_pkey"] },
        HotStatement { name: "refuse_attempt", sql: REFUSE_ATTEMPT, indexes: &["attempts_pkey"] },
    ]
}
