//! SQL of messages that are no longer to be sent.

use sqlx::{AnyConnection, AnyPool, Row as _};

use super::{FinalOutcome, MAX_RETRY_PERIOD, StopReason};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId};

/// Returns up to `limit` messages that are no longer to be sent and that certainly have an unsent
/// recipient.
pub(super) async fn find_stopped_messages(
    pool: &AnyPool,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<MessageId>> {
    sqlx::query(
        "SELECT m.id FROM messages m WHERE m.corp_id = $1 AND m.finished_at IS NULL \
           AND (m.recall_at IS NOT NULL OR m.expires_at <= $2 OR (m.created_at <= $3 AND m.updated_at <= $3)) \
           AND (m.expanded_at IS NULL \
             OR EXISTS (SELECT 1 FROM message_recipients p \
                  WHERE p.corp_id = m.corp_id AND p.seq = m.seq AND p.status = 'pending') \
             OR EXISTS (SELECT 1 FROM message_recipients r JOIN message_calls c ON c.id = r.call_id \
                  WHERE r.message_id = m.id AND r.status = 'calling' AND c.status = 'due' AND c.uncertain_at IS NULL)) \
         ORDER BY m.seq LIMIT $4",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(now.minus(MAX_RETRY_PERIOD).millis())
    .bind(limit)
    .fetch_all(pool)
    .await?
    .iter()
    .map(|row| row.try_get::<String, _>(0).map(MessageId::new))
    .collect()
}

/// Returns why a message is no longer to be sent; `None` if it is, or if it has ended.
pub(super) async fn find_stop_reason(
    tx: &mut AnyConnection,
    id: &MessageId,
    now: Timestamp,
) -> sqlx::Result<Option<StopReason>> {
    let row = sqlx::query(
        "SELECT recall_at, expires_at, created_at, updated_at FROM messages WHERE id = $1 AND finished_at IS NULL",
    )
    .bind(id.as_str())
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let instant =
        |column: usize| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp::from_millis));
    let since: i64 = row.try_get::<i64, _>(2)?.max(row.try_get(3)?);
    Ok(StopReason::from_times(instant(0)?, instant(1)?, Timestamp::from_millis(since), now))
}

/// Ends up to `most` pending recipients of a message and returns how many.
pub(super) async fn fail_pending_recipients(
    tx: &mut AnyConnection,
    id: &MessageId,
    end: FinalOutcome<'_>,
    most: u64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE message_recipients SET status = 'failed', call_id = NULL, \
           reason = CASE WHEN $3 = 1 AND reason <> '' THEN reason ELSE $2 END \
         WHERE (message_id, member) IN (\
           SELECT r.message_id, r.member FROM messages m JOIN message_recipients r \
             ON r.corp_id = m.corp_id AND r.seq = m.seq WHERE m.id = $1 AND r.status = 'pending' LIMIT $4)",
    )
    .bind(id.as_str())
    .bind(end.reason)
    .bind(i64::from(end.keeps_reason))
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Lets no more recipients of a message be written. A message without any ends here.
pub(in crate::message) async fn stop_expansion(
    tx: &mut AnyConnection,
    id: &MessageId,
    (status, reason): (&str, &str),
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE messages SET expanded_at = COALESCE(expanded_at, $2) WHERE id = $1")
        .bind(id.as_str())
        .bind(now.millis())
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "UPDATE messages SET status = $2, reason = $3, finished_at = $4, updated_at = $4 \
         WHERE id = $1 AND finished_at IS NULL \
           AND NOT EXISTS (SELECT 1 FROM message_recipients r WHERE r.message_id = messages.id)",
    )
    .bind(id.as_str())
    .bind(status)
    .bind(reason)
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(())
}
