//! SQL of settling. The caller of every function has locked the send window.

use const_format::formatcp;
use sqlx::{AnyConnection, FromRow};

use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId, MessageId};
use crate::db::hot_statement::HotStatement;
use crate::db::types::FlagColumn;
use crate::message::deliver::claim::ClaimedCall;
use crate::message::deliver::rate_limits;
use crate::message::reason::DeliveryReason;
use crate::message::state::words::{
    CALL_CALLING, CALL_DUE, CALL_SENT, MESSAGE_ACCEPTED, MESSAGE_UNKNOWN, RECIPIENT_CALLING,
    RECIPIENT_PENDING, RECIPIENT_SENT, RECIPIENT_UNKNOWN,
};
use crate::message::state::{CallStatus, FailureReason, RecipientStatus};
use crate::message::store as shared;

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "mark_sent",
        sql: MARK_SENT,
        indexes: &["message_calls_pkey (id)", "message_recipients_call (call_id)"],
    },
    HotStatement {
        name: "mark_recipients_sent",
        sql: MARK_RECIPIENTS_SENT,
        indexes: &["message_recipients_call (call_id)"],
    },
];

/// The state of a call before WeCom's yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PriorCallState {
    /// It was planned or in progress.
    Open,
    /// It was given up with an unknown outcome.
    Unknown,
}

/// What WeCom's yes found.
#[derive(Debug)]
pub(super) struct MarkedCall {
    pub(super) before: PriorCallState,
    /// Whether all its messages were recalled meanwhile, and WeCom can take it back. A call whose
    /// recipients wait for another one by now, because somebody retried them, is kept.
    pub(super) is_unwanted: bool,
}

/// Writes that WeCom took a call. $1: the call, $2: the attempt, $3: since when it was uncertain
/// before that attempt, $7, $8: the status before.
///
/// It does not matter which attempt WeCom took or who holds the call by now: the bytes are the
/// same. If the answer to another attempt was lost, `uncertain_at` stays, because the msgid need
/// not be that of the message that arrived.
const MARK_SENT: &str = formatcp!(
    "UPDATE message_calls SET status = '{CALL_SENT}', request = '', reason_code = NULL, reason_detail = NULL, \
       holder = '', lease_until = 0, uncertain_at = CASE WHEN attempts = $2 THEN $3 ELSE uncertain_at END, \
       msgid = $4, response_code = $5, finished_at = $6 \
     WHERE id = $1 AND status IN ($7, $8) \
     RETURNING CAST(CASE WHEN msgid IS NOT NULL \
       AND EXISTS (SELECT 1 FROM message_recipients r WHERE r.call_id = $1) \
       AND NOT EXISTS (SELECT 1 FROM message_recipients r JOIN messages m ON m.id = r.message_id \
         WHERE r.call_id = $1 AND m.recall_at IS NULL) THEN 1 ELSE 0 END AS BIGINT) AS is_unwanted"
);

/// Writes WeCom's yes. Returns `None` if the call has ended otherwise.
pub(super) async fn mark_sent(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    (msgid, response_code): (Option<&str>, Option<&str>),
    now: Timestamp,
) -> sqlx::Result<Option<MarkedCall>> {
    for (statuses, before) in [
        ([CallStatus::Due, CallStatus::Calling], PriorCallState::Open),
        ([CallStatus::Unknown; 2], PriorCallState::Unknown),
    ] {
        let [first, second] = statuses;
        let marked: Option<FlagColumn> = sqlx::query_scalar(MARK_SENT)
            .bind(&call.id)
            .bind(call.number)
            .bind(call.uncertain_at)
            .bind(msgid)
            .bind(response_code)
            .bind(now)
            .bind(first)
            .bind(second)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(FlagColumn(is_unwanted)) = marked {
            return Ok(Some(MarkedCall { before, is_unwanted }));
        }
    }
    Ok(None)
}

/// Reopens the messages of a call that was given up, because its outcome is known now.
pub(super) async fn reopen_messages(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE messages SET status = '{MESSAGE_ACCEPTED}', reason_code = NULL, reason_detail = NULL, \
           finished_at = NULL, updated_at = $2 \
         WHERE id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $1) \
           AND status = '{MESSAGE_UNKNOWN}'"
    ))
    .bind(call)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes back what was counted against the day for an attempt that certainly did nothing.
pub(super) async fn return_usage(
    tx: &mut AnyConnection,
    corp: &CorpId,
    call: &ClaimedCall,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE message_counts SET recipients = CASE WHEN recipients > $3 THEN recipients - $3 ELSE 0 END \
         WHERE corp_id = $1 AND bucket = $2",
    )
    .bind(corp)
    .bind(rate_limits::bucket_start(call.began_at))
    .bind(call.counted)
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets a call be made again. Returns `false` if it belongs to another process.
pub(super) async fn mark_retry(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    holder: &str,
    (at, uncertain_at, reason): (Timestamp, Option<Timestamp>, &DeliveryReason),
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE message_calls SET status = '{CALL_DUE}', holder = '', lease_until = 0, next_at = $4, \
           uncertain_at = $5, reason_code = $6, reason_detail = $7 \
         WHERE id = $1 AND holder = $2 AND attempts = $3 AND status = '{CALL_CALLING}'"
    ))
    .bind(&call.id)
    .bind(holder)
    .bind(call.number)
    .bind(at)
    .bind(uncertain_at)
    .bind(reason.code)
    .bind(reason.detail_column())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a call that WeCom did not take. Returns `false` if it belongs to another process.
pub(super) async fn mark_ended(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    holder: &str,
    (status, reason): (CallStatus, &DeliveryReason),
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(formatcp!(
        "UPDATE message_calls SET status = $4, request = '', reason_code = $5, reason_detail = $6, holder = '', \
           lease_until = 0, finished_at = $7 \
         WHERE id = $1 AND holder = $2 AND attempts = $3 AND status = '{CALL_CALLING}'"
    ))
    .bind(&call.id)
    .bind(holder)
    .bind(call.number)
    .bind(status)
    .bind(reason.code)
    .bind(reason.detail_column())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

#[derive(Debug, FromRow)]
struct CalledRecipientRow {
    message_id: MessageId,
    member: String,
    userid: String,
}

/// Fails the recipients that WeCom named, by userid in any case. Returns how many.
pub(super) async fn refuse_recipients(
    tx: &mut AnyConnection,
    call: &CallId,
    invalid: &[String],
    unlicensed: &[String],
) -> sqlx::Result<u64> {
    if invalid.is_empty() && unlicensed.is_empty() {
        return Ok(0);
    }
    let named = |list: &[String], userid: &str| list.iter().any(|one| one.to_lowercase() == userid);
    let rows: Vec<CalledRecipientRow> = sqlx::query_as(formatcp!(
        "SELECT message_id, member, userid FROM message_recipients \
         WHERE call_id = $1 AND status IN ('{RECIPIENT_CALLING}', '{RECIPIENT_UNKNOWN}')"
    ))
    .bind(call)
    .fetch_all(&mut *tx)
    .await?;
    let mut refused = Vec::new();
    for row in rows {
        let userid = row.userid.to_lowercase();
        let reason = if named(invalid, &userid) {
            FailureReason::InvalidUserid
        } else if named(unlicensed, &userid) {
            FailureReason::Unlicensed
        } else {
            continue;
        };
        refused.push((row.message_id, row.member, reason));
    }
    shared::fail_recipients(tx, &refused).await?;
    Ok(u64::try_from(refused.len()).unwrap_or(u64::MAX))
}

const MARK_RECIPIENTS_SENT: &str = formatcp!(
    "UPDATE message_recipients SET status = '{RECIPIENT_SENT}', reason_code = NULL, reason_detail = NULL, \
       counted_at = $2 \
     WHERE call_id = $1 AND status IN ('{RECIPIENT_CALLING}', '{RECIPIENT_UNKNOWN}')"
);

/// Marks the other recipients of a call as sent. Returns how many.
pub(super) async fn mark_recipients_sent(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let done = sqlx::query(MARK_RECIPIENTS_SENT).bind(call).bind(now).execute(tx).await?;
    Ok(done.rows_affected())
}

/// Lets each recipient wait for a call of its own.
pub(super) async fn separate_recipients(
    tx: &mut AnyConnection,
    call: &CallId,
    reason: &DeliveryReason,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE message_recipients SET status = '{RECIPIENT_PENDING}', alone = 1, call_id = NULL, reason_code = $2, \
           reason_detail = $3 WHERE call_id = $1 AND status = '{RECIPIENT_CALLING}'"
    ))
    .bind(call)
    .bind(reason.code)
    .bind(reason.detail_column())
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the recipients of a call that WeCom did not take. Returns how many.
///
/// WeCom may have counted those whose outcome is not known against its limits.
pub(super) async fn end_recipients(
    tx: &mut AnyConnection,
    call: &CallId,
    (status, reason): (CallStatus, &DeliveryReason),
    now: Timestamp,
) -> sqlx::Result<u64> {
    let done = sqlx::query(formatcp!(
        "UPDATE message_recipients SET status = $2, reason_code = $3, reason_detail = $4, \
           counted_at = CASE WHEN $5 = 1 THEN $6 ELSE counted_at END \
         WHERE call_id = $1 AND status = '{RECIPIENT_CALLING}'"
    ))
    .bind(call)
    .bind(RecipientStatus::from_call(status))
    .bind(reason.code)
    .bind(reason.detail_column())
    .bind(FlagColumn(status == CallStatus::Unknown))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
