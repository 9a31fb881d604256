//! SQL of recalls. The caller of every writing function has locked the send window.

use sqlx::{AnyConnection, AnyPool, Row as _};

use super::ClaimedRecall;
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId};
use crate::message::deliver::claim::MAX_PLAUSIBLE_LEASE;
use crate::message::deliver::settle::store::replace_nul;

pub(super) async fn has_due_recalls(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM message_calls WHERE corp_id = $1 AND recall IN ('due', 'calling') AND next_at <= $2 \
         AND (lease_until <= $2 OR lease_until > $3) LIMIT 1",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(now.plus(MAX_PLAUSIBLE_LEASE).millis())
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

pub(super) async fn find_due_recalls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedRecall>> {
    sqlx::query(
        "SELECT id, COALESCE(msgid, ''), attempts, COALESCE(finished_at, created_at), uncertain_at FROM message_calls \
         WHERE corp_id = $1 AND recall IN ('due', 'calling') AND next_at <= $2 \
           AND (lease_until <= $2 OR lease_until > $4) \
         ORDER BY next_at, id LIMIT $3",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(limit)
    .bind(now.plus(MAX_PLAUSIBLE_LEASE).millis())
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| {
        Ok(ClaimedRecall {
            id: CallId::new(row.try_get::<String, _>(0)?),
            msgid: row.try_get(1)?,
            number: row.try_get(2)?,
            sent_at: Timestamp::from_millis(row.try_get(3)?),
            uncertain: row.try_get::<Option<i64>, _>(4)?.is_some(),
        })
    })
    .collect()
}

/// Leases a recall to `holder`.
pub(super) async fn lease_recall(
    tx: &mut AnyConnection,
    recall: &ClaimedRecall,
    holder: &str,
    lease_until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE message_calls SET recall = 'calling', holder = $2, lease_until = $3, attempts = $4 WHERE id = $1",
    )
    .bind(recall.id.as_str())
    .bind(holder)
    .bind(lease_until.millis())
    .bind(recall.number)
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a recall. Returns `false` if it belongs to another process.
pub(super) async fn end_recall(
    tx: &mut AnyConnection,
    recall: &ClaimedRecall,
    holder: &str,
    (how, reason): (&str, &str),
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE message_calls SET recall = $4, reason = $5, holder = '', lease_until = 0 \
         WHERE id = $1 AND holder = $2 AND attempts = $3 AND recall = 'calling'",
    )
    .bind(recall.id.as_str())
    .bind(holder)
    .bind(recall.number)
    .bind(how)
    .bind(replace_nul(reason))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets a recall be made again. Returns `false` if it belongs to another process.
pub(super) async fn retry_recall(
    tx: &mut AnyConnection,
    recall: &ClaimedRecall,
    holder: &str,
    at: Timestamp,
    reason: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE message_calls SET recall = 'due', reason = $5, holder = '', lease_until = 0, next_at = $4 \
         WHERE id = $1 AND holder = $2 AND attempts = $3 AND recall = 'calling'",
    )
    .bind(recall.id.as_str())
    .bind(holder)
    .bind(recall.number)
    .bind(at.millis())
    .bind(replace_nul(reason))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts the recipients that got a call.
pub(super) async fn count_sent_recipients(tx: &mut AnyConnection, call: &CallId) -> sqlx::Result<u64> {
    let row = sqlx::query("SELECT COUNT(*) FROM message_recipients WHERE call_id = $1 AND status = 'sent'")
        .bind(call.as_str())
        .fetch_one(tx)
        .await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
}

/// Marks the messages of a call as recalled, unless another of their calls is still out there or
/// may be.
pub(super) async fn finish_recalled_messages(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET status = 'recalled', reason = '', updated_at = $2, finished_at = $2 \
         WHERE id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $1) AND recall_at IS NOT NULL \
           AND NOT EXISTS (SELECT 1 FROM message_recipients p \
                WHERE p.message_id = messages.id \
                  AND CASE WHEN p.status IN ('pending', 'calling') THEN 1 ELSE 0 END = 1) \
           AND NOT EXISTS (SELECT 1 FROM message_recipients r JOIN message_calls k ON k.id = r.call_id \
                WHERE r.message_id = messages.id AND r.status IN ('sent', 'unknown') \
                  AND (k.recall <> 'done' OR k.uncertain_at IS NOT NULL))",
    )
    .bind(call.as_str())
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes to the messages of a call why they are not recalled.
pub(super) async fn note_reason(
    tx: &mut AnyConnection,
    call: &CallId,
    reason: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET reason = $2, updated_at = $3 \
         WHERE id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $1) AND recall_at IS NOT NULL",
    )
    .bind(call.as_str())
    .bind(replace_nul(reason))
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(())
}
