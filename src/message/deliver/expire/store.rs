//! SQL of messages that are no longer to be sent.

use const_format::formatcp;
use sqlx::{AnyConnection, AnyPool, FromRow};

use super::{FinalOutcome, MAX_RETRY_PERIOD, StopReason};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId};
use crate::db::hot_statement::HotStatement;
use crate::db::types::FlagColumn;
use crate::message::state::words::{CALL_DUE, RECIPIENT_CALLING, RECIPIENT_FAILED, RECIPIENT_PENDING};

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[HotStatement {
    name: "find_stopped_messages",
    sql: FIND_STOPPED_MESSAGES,
    indexes: &[
        "messages_open (corp_id)",
        "message_recipients_queue (corp_id, seq)",
        "message_recipients_pkey (message_id)",
    ],
}];

/// Subqueries that are one index lookup each, as in the statements that finish messages: of EXISTS
/// PostgreSQL may make a table of all recipients that wait.
const FIND_STOPPED_MESSAGES: &str = formatcp!(
    "SELECT m.id FROM messages m WHERE m.corp_id = $1 AND m.finished_at IS NULL \
       AND (m.recall_at IS NOT NULL OR m.expires_at <= $2 OR (m.created_at <= $3 AND m.updated_at <= $3)) \
       AND (m.expanded_at IS NULL \
         OR (SELECT p.seq FROM message_recipients p WHERE p.corp_id = m.corp_id AND p.seq = m.seq \
              AND p.status = '{RECIPIENT_PENDING}' LIMIT 1) IS NOT NULL \
         OR (SELECT r.member FROM message_recipients r JOIN message_calls c ON c.id = r.call_id \
              WHERE r.message_id = m.id AND CASE WHEN r.status = '{RECIPIENT_CALLING}' THEN 1 ELSE 0 END = 1 \
                AND CASE WHEN c.status = '{CALL_DUE}' AND c.uncertain_at IS NULL THEN 1 ELSE 0 END = 1 \
              LIMIT 1) IS NOT NULL) \
     ORDER BY m.seq LIMIT $4"
);

/// Returns up to `limit` messages that are no longer to be sent and that certainly have an unsent
/// recipient.
pub(super) async fn find_stopped_messages(
    pool: &AnyPool,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<MessageId>> {
    sqlx::query_scalar(FIND_STOPPED_MESSAGES)
        .bind(corp)
        .bind(now)
        .bind(now.minus(MAX_RETRY_PERIOD))
        .bind(limit)
        .fetch_all(pool)
        .await
}

#[derive(Debug, FromRow)]
struct MessageTimesRow {
    recall_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Returns why a message is no longer to be sent; `None` if it is, or if it has ended.
pub(super) async fn find_stop_reason(
    tx: &mut AnyConnection,
    id: &MessageId,
    now: Timestamp,
) -> sqlx::Result<Option<StopReason>> {
    let row: Option<MessageTimesRow> = sqlx::query_as(
        "SELECT recall_at, expires_at, created_at, updated_at FROM messages WHERE id = $1 AND finished_at IS NULL",
    )
    .bind(id)
    .fetch_optional(tx)
    .await?;
    Ok(row.and_then(|row| {
        let since = row.created_at.max(row.updated_at);
        StopReason::from_times(row.recall_at, row.expires_at, since, now)
    }))
}

/// Ends up to `most` pending recipients of a message and returns how many.
pub(super) async fn fail_pending_recipients(
    tx: &mut AnyConnection,
    id: &MessageId,
    end: &FinalOutcome,
    most: u64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(formatcp!(
        "UPDATE message_recipients SET status = '{RECIPIENT_FAILED}', call_id = NULL, \
           reason_detail = CASE WHEN $4 = 1 AND reason_code IS NOT NULL THEN reason_detail ELSE $3 END, \
           reason_code = CASE WHEN $4 = 1 AND reason_code IS NOT NULL THEN reason_code ELSE $2 END \
         WHERE (message_id, member) IN (\
           SELECT r.message_id, r.member FROM messages m JOIN message_recipients r \
             ON r.corp_id = m.corp_id AND r.seq = m.seq \
           WHERE m.id = $1 AND r.status = '{RECIPIENT_PENDING}' LIMIT $5)"
    ))
    .bind(id)
    .bind(end.reason.code)
    .bind(end.reason.detail_column())
    .bind(FlagColumn(end.keeps_reason))
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Counts the recipients of a message, no further than `most`.
pub(super) async fn count_recipients(tx: &mut AnyConnection, id: &MessageId, most: u64) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT r.member FROM message_recipients r WHERE r.message_id = $1 LIMIT $2) counted",
    )
    .bind(id)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Lets no more recipients of a message be written. A message without any ends here.
pub(in crate::message) async fn stop_expansion(
    tx: &mut AnyConnection,
    id: &MessageId,
    end: &FinalOutcome,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE messages SET expanded_at = COALESCE(expanded_at, $2) WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    finish_without_recipients(tx, id, end, now).await
}

/// Ends a message that has no recipient.
pub(in crate::message) async fn finish_without_recipients(
    tx: &mut AnyConnection,
    id: &MessageId,
    end: &FinalOutcome,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET status = $2, reason_code = $3, reason_detail = $4, finished_at = $5, updated_at = $5 \
         WHERE id = $1 AND finished_at IS NULL \
           AND NOT EXISTS (SELECT 1 FROM message_recipients r WHERE r.message_id = messages.id)",
    )
    .bind(id)
    .bind(end.status)
    .bind(end.reason.code)
    .bind(end.reason.detail_column())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
