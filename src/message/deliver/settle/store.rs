//! SQL of settling. The caller of every function has locked the send window.

use std::sync::LazyLock;

use sqlx::{AnyConnection, Row as _};

use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId};
use crate::db::bind_list::ListStatement;
use crate::message::deliver::claim::ClaimedCall;
use crate::message::deliver::rate_limits;

const INVALID_USERID_REASON: &str = "WeCom does not know this userid, or the application may not send to it.";
const UNLICENSED_REASON: &str = "The account has no licence for WeCom's API.";

/// The condition that the call still belongs to this holder and this attempt.
macro_rules! where_still_ours {
    () => {
        " WHERE id = $1 AND holder = $2 AND attempts = $3 AND status = 'calling'"
    };
}

/// The state of a call before WeCom's yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PriorCallState {
    /// It was planned or in progress.
    Open,
    /// It was given up with an unknown outcome.
    Unknown,
}

/// Writes that WeCom took a call. $1: the call, $2: the attempt, $3: since when it was uncertain
/// before that attempt.
///
/// It does not matter which attempt WeCom took or who holds the call by now: the bytes are the
/// same. If the answer to another attempt was lost, `uncertain_at` stays, because the msgid need
/// not be that of the message that arrived.
macro_rules! mark_sent {
    ($before:literal) => {
        concat!(
            "UPDATE message_calls SET status = 'sent', request = '', reason = '', holder = '', lease_until = 0, \
               uncertain_at = CASE WHEN attempts = $2 THEN $3 ELSE uncertain_at END, \
               msgid = $4, response_code = $5, finished_at = $6, next_at = $6, \
               recall = CASE WHEN $4 IS NULL OR EXISTS (SELECT 1 FROM message_recipients r JOIN messages m ON m.id = r.message_id \
                 WHERE r.call_id = $1 AND m.recall_at IS NULL) THEN '' ELSE 'due' END \
             WHERE id = $1 AND ",
            $before
        )
    };
}

/// Writes WeCom's yes. Returns the state of the call before, or `None` if it has ended otherwise.
///
/// The call is recalled at once if all its messages were recalled meanwhile.
pub(super) async fn mark_sent(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    (msgid, response_code): (Option<&str>, Option<&str>),
    now: Timestamp,
) -> sqlx::Result<Option<PriorCallState>> {
    for (text, before) in [
        (mark_sent!("status IN ('due', 'calling')"), PriorCallState::Open),
        (mark_sent!("status = 'unknown'"), PriorCallState::Unknown),
    ] {
        let done = sqlx::query(text)
            .bind(call.id.as_str())
            .bind(call.number)
            .bind(call.uncertain_at.map(Timestamp::millis))
            .bind(msgid)
            .bind(response_code)
            .bind(now.millis())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 1 {
            return Ok(Some(before));
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
    sqlx::query(
        "UPDATE messages SET status = 'accepted', reason = '', finished_at = NULL, updated_at = $2 \
         WHERE id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $1) AND status = 'unknown'",
    )
    .bind(call.as_str())
    .bind(now.millis())
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
        "UPDATE message_pace SET recipients = CASE WHEN recipients > $3 THEN recipients - $3 ELSE 0 END \
         WHERE corp_id = $1 AND bucket = $2",
    )
    .bind(corp.as_str())
    .bind(rate_limits::bucket_start(call.began_at).millis())
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
    (at, uncertain_at, reason): (Timestamp, Option<Timestamp>, &str),
) -> sqlx::Result<bool> {
    let done = sqlx::query(concat!(
        "UPDATE message_calls SET status = 'due', holder = '', lease_until = 0, next_at = $4, uncertain_at = $5, \
           reason = $6",
        where_still_ours!()
    ))
    .bind(call.id.as_str())
    .bind(holder)
    .bind(call.number)
    .bind(at.millis())
    .bind(uncertain_at.map(Timestamp::millis))
    .bind(replace_nul(reason))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a call that WeCom did not take. Returns `false` if it belongs to another process.
pub(super) async fn mark_ended(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    holder: &str,
    (status, reason): (&str, &str),
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(concat!(
        "UPDATE message_calls SET status = $4, request = '', reason = $5, holder = '', lease_until = 0, \
           finished_at = $6",
        where_still_ours!()
    ))
    .bind(call.id.as_str())
    .bind(holder)
    .bind(call.number)
    .bind(status)
    .bind(replace_nul(reason))
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

static REFUSE_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "WITH t (message_id, member, reason) AS (VALUES ",
        0,
        "(*, *, *)",
        ") UPDATE message_recipients SET status = 'failed', reason = t.reason FROM t \
         WHERE message_recipients.message_id = t.message_id AND message_recipients.member = t.member",
    )
});

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
    let rows = sqlx::query(
        "SELECT message_id, member, userid FROM message_recipients \
         WHERE call_id = $1 AND status IN ('calling', 'unknown')",
    )
    .bind(call.as_str())
    .fetch_all(&mut *tx)
    .await?;
    let mut refused: Vec<(String, String, &str)> = Vec::new();
    for row in rows {
        let userid = row.try_get::<String, _>(2)?.to_lowercase();
        let reason = if named(invalid, &userid) {
            INVALID_USERID_REASON
        } else if named(unlicensed, &userid) {
            UNLICENSED_REASON
        } else {
            continue;
        };
        refused.push((row.try_get(0)?, row.try_get(1)?, reason));
    }
    for (text, part) in REFUSE_RECIPIENTS.chunks(&refused) {
        let mut query = sqlx::query(text);
        for (message, member, reason) in part {
            query = query.bind(message).bind(member).bind(*reason);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(u64::try_from(refused.len()).unwrap_or(u64::MAX))
}

/// Marks the other recipients of a call as sent. Returns how many.
pub(super) async fn mark_recipients_sent(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE message_recipients SET status = 'sent', reason = '', counted_at = $2 \
         WHERE call_id = $1 AND status IN ('calling', 'unknown')",
    )
    .bind(call.as_str())
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Lets each recipient wait for a call of its own.
pub(super) async fn separate_recipients(
    tx: &mut AnyConnection,
    call: &CallId,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE message_recipients SET status = 'pending', alone = 1, call_id = NULL, reason = $2 \
         WHERE call_id = $1 AND status = 'calling'",
    )
    .bind(call.as_str())
    .bind(replace_nul(reason))
    .execute(tx)
    .await?;
    Ok(())
}

/// Fails all recipients of a call. Returns how many.
pub(super) async fn fail_recipients(
    tx: &mut AnyConnection,
    call: &CallId,
    reason: &str,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE message_recipients SET status = 'failed', reason = $2 WHERE call_id = $1 AND status = 'calling'",
    )
    .bind(call.as_str())
    .bind(replace_nul(reason))
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Marks the recipients of a call as unknown. Returns how many. WeCom may have counted them against
/// its limits.
pub(super) async fn mark_recipients_unknown(
    tx: &mut AnyConnection,
    call: &CallId,
    reason: &str,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE message_recipients SET status = 'unknown', reason = $2, counted_at = $3 \
         WHERE call_id = $1 AND status = 'calling'",
    )
    .bind(call.as_str())
    .bind(replace_nul(reason))
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Replaces NUL, which PostgreSQL does not accept in a text; WeCom's words may contain anything.
pub(in crate::message::deliver) fn replace_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
