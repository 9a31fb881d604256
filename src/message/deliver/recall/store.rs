//! SQL of recalls. The caller of every writing function has locked the send window.

use const_format::formatcp;
use sqlx::{AnyConnection, AnyPool, FromRow};

use super::ClaimedRecall;
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId};
use crate::db::hot_statement::HotStatement;
use crate::message::deliver::claim::MAX_PLAUSIBLE_LEASE;
use crate::message::reason::DeliveryReason;
use crate::message::state::RecallStatus;
use crate::message::state::words::{
    CALL_SENT, MESSAGE_RECALLED, RECALL_CALLING, RECALL_DUE, RECALL_FAILED, RECIPIENT_CALLING,
    RECIPIENT_PENDING, RECIPIENT_SENT,
};
use crate::message::store::HAS_KEPT_COPY;

/// Marks a call that WeCom took for recall, also after a recall that failed.
pub(in crate::message) async fn insert_recall(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "INSERT INTO message_recalls (call_id, corp_id, status, reason_code, reason_detail, attempts, next_at, holder, \
           lease_until) \
         SELECT c.id, c.corp_id, '{RECALL_DUE}', NULL, NULL, 0, $2, '', 0 FROM message_calls c \
           WHERE c.id = $1 AND c.status = '{CALL_SENT}' AND c.msgid IS NOT NULL \
         ON CONFLICT (call_id) DO UPDATE SET status = '{RECALL_DUE}', reason_code = NULL, reason_detail = NULL, \
           attempts = 0, next_at = excluded.next_at WHERE message_recalls.status = '{RECALL_FAILED}'"
    ))
    .bind(call)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "has_due_recalls",
        sql: HAS_DUE_RECALLS,
        indexes: &["message_recalls_due (corp_id, next_at)"],
    },
    HotStatement {
        name: "find_due_recalls",
        sql: FIND_DUE_RECALLS,
        indexes: &["message_recalls_due (corp_id, next_at)", "message_calls_pkey (id)"],
    },
];

const HAS_DUE_RECALLS: &str = formatcp!(
    "SELECT call_id FROM message_recalls \
     WHERE corp_id = $1 AND status IN ('{RECALL_DUE}', '{RECALL_CALLING}') AND next_at <= $2 \
       AND (lease_until <= $2 OR lease_until > $3) LIMIT 1"
);

pub(super) async fn has_due_recalls(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let due: Option<CallId> = sqlx::query_scalar(HAS_DUE_RECALLS)
        .bind(corp)
        .bind(now)
        .bind(now.plus(MAX_PLAUSIBLE_LEASE))
        .fetch_optional(pool)
        .await?;
    Ok(due.is_some())
}

#[derive(Debug, FromRow)]
struct DueRecallRow {
    call_id: CallId,
    msgid: String,
    attempts: i64,
    sent_at: Timestamp,
    uncertain_at: Option<Timestamp>,
}

const FIND_DUE_RECALLS: &str = formatcp!(
    "SELECT u.call_id, COALESCE(c.msgid, '') AS msgid, u.attempts, \
       COALESCE(c.finished_at, c.created_at) AS sent_at, c.uncertain_at \
     FROM message_recalls u JOIN message_calls c ON c.id = u.call_id \
     WHERE u.corp_id = $1 AND u.status IN ('{RECALL_DUE}', '{RECALL_CALLING}') AND u.next_at <= $2 \
       AND (u.lease_until <= $2 OR u.lease_until > $4) \
     ORDER BY u.next_at, u.call_id LIMIT $3"
);

pub(super) async fn find_due_recalls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedRecall>> {
    let rows: Vec<DueRecallRow> = sqlx::query_as(FIND_DUE_RECALLS)
        .bind(corp)
        .bind(now)
        .bind(limit)
        .bind(now.plus(MAX_PLAUSIBLE_LEASE))
        .fetch_all(tx)
        .await?;
    let claimed = |row: DueRecallRow| ClaimedRecall {
        id: row.call_id,
        msgid: row.msgid,
        number: row.attempts,
        sent_at: row.sent_at,
        uncertain: row.uncertain_at.is_some(),
    };
    Ok(rows.into_iter().map(claimed).collect())
}

/// Leases a recall to `holder`.
pub(super) async fn lease_recall(
    tx: &mut AnyConnection,
    recall: &ClaimedRecall,
    holder: &str,
    lease_until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE message_recalls SET status = '{RECALL_CALLING}', holder = $2, lease_until = $3, attempts = $4 \
         WHERE call_id = $1"
    ))
    .bind(&recall.id)
    .bind(holder)
    .bind(lease_until)
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
    status: RecallStatus,
    reason: Option<&DeliveryReason>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE message_recalls SET status = $4, reason_code = $5, reason_detail = $6, holder = '', lease_until = 0 \
         WHERE call_id = $1 AND holder = $2 AND attempts = $3 AND status = '{RECALL_CALLING}'"
    ))
    .bind(&recall.id)
    .bind(holder)
    .bind(recall.number)
    .bind(status)
    .bind(reason.map(|reason| reason.code))
    .bind(reason.and_then(DeliveryReason::detail_column))
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
    reason: &DeliveryReason,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE message_recalls SET status = '{RECALL_DUE}', reason_code = $5, reason_detail = $6, holder = '', \
           lease_until = 0, next_at = $4 \
         WHERE call_id = $1 AND holder = $2 AND attempts = $3 AND status = '{RECALL_CALLING}'"
    ))
    .bind(&recall.id)
    .bind(holder)
    .bind(recall.number)
    .bind(at)
    .bind(reason.code)
    .bind(reason.detail_column())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts the recipients that got a call.
pub(super) async fn count_sent_recipients(tx: &mut AnyConnection, call: &CallId) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM message_recipients WHERE call_id = $1 AND status = '{RECIPIENT_SENT}'"
    ))
    .bind(call)
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Marks the messages of a call as recalled, unless another of their calls is still out there or
/// may be.
///
/// # Errors
/// If the database fails.
pub async fn finish_recalled_messages(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE messages SET status = '{MESSAGE_RECALLED}', reason_code = NULL, reason_detail = NULL, updated_at = $2, \
           finished_at = $2 \
         WHERE id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $1) AND recall_at IS NOT NULL \
           AND NOT EXISTS (SELECT 1 FROM message_recipients p \
                WHERE p.message_id = messages.id \
                  AND CASE WHEN p.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') THEN 1 ELSE 0 END = 1) \
           AND NOT {HAS_KEPT_COPY}"
    ))
    .bind(call)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes to the messages of a call why they are not recalled.
pub(super) async fn note_reason(
    tx: &mut AnyConnection,
    call: &CallId,
    reason: &DeliveryReason,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET reason_code = $2, reason_detail = $3, updated_at = $4 \
         WHERE id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $1) AND recall_at IS NOT NULL",
    )
    .bind(call)
    .bind(reason.code)
    .bind(reason.detail_column())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
