//! SQL of the commands. The caller of every writing function has locked the send window.

use const_format::formatcp;
use sqlx::{AnyConnection, FromRow};

use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId, MessageId};
use crate::db::types::FlagColumn;
use crate::message::state::words::{
    CALL_CALLING, CALL_DUE, CALL_SENT, MESSAGE_ACCEPTED, RECALL_CALLING, RECALL_DUE, RECIPIENT_CALLING,
    RECIPIENT_FAILED, RECIPIENT_PENDING, RECIPIENT_SENT, RECIPIENT_UNKNOWN,
};
use crate::message::{MessageStatus, store as shared};

/// How far a message has got.
#[derive(Debug, FromRow)]
pub(super) struct MessageLifecycle {
    pub(super) recall_at: Option<Timestamp>,
    expanded_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl MessageLifecycle {
    pub(super) const fn is_expanded(&self) -> bool {
        self.expanded_at.is_some()
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }
}

pub(super) async fn find_message(
    tx: &mut AnyConnection,
    corp: &CorpId,
    id: &MessageId,
) -> sqlx::Result<Option<MessageLifecycle>> {
    sqlx::query_as("SELECT recall_at, expanded_at, finished_at FROM messages WHERE corp_id = $1 AND id = $2")
        .bind(corp)
        .bind(id)
        .fetch_optional(tx)
        .await
}

/// Writes that a recall was requested.
pub(super) async fn mark_recall_requested(
    tx: &mut AnyConnection,
    id: &MessageId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE messages SET recall_at = $2, updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

/// A call that carried a message, may have carried it, or is about to.
#[derive(Debug, FromRow)]
pub(super) struct CarryingCall {
    pub(super) id: CallId,
    /// When WeCom took it, if it did and returned a msgid.
    pub(super) sent_at: Option<Timestamp>,
}

/// Returns the calls that carried a message or may have, or that are in progress.
pub(super) async fn find_carrying_calls(
    tx: &mut AnyConnection,
    id: &MessageId,
) -> sqlx::Result<Vec<CarryingCall>> {
    sqlx::query_as(formatcp!(
        "SELECT DISTINCT c.id, CASE WHEN c.status = '{CALL_SENT}' AND c.msgid IS NOT NULL THEN c.finished_at END AS sent_at \
         FROM message_recipients r JOIN message_calls c ON c.id = r.call_id \
         WHERE r.message_id = $1 AND r.status IN ('{RECIPIENT_CALLING}', '{RECIPIENT_SENT}') \
           AND (c.status = '{CALL_CALLING}' OR (c.status = '{CALL_DUE}' AND c.uncertain_at IS NOT NULL) \
             OR (c.status = '{CALL_SENT}' AND c.msgid IS NOT NULL))"
    ))
    .bind(id)
    .fetch_all(tx)
    .await
}

/// Returns a message that is not being recalled and that went out in one call with this one, or may
/// have.
pub(super) async fn find_unrecalled_companion(
    tx: &mut AnyConnection,
    id: &MessageId,
) -> sqlx::Result<Option<MessageId>> {
    sqlx::query_scalar(formatcp!(
        "SELECT m.id FROM message_recipients o JOIN messages m ON m.id = o.message_id \
         WHERE m.recall_at IS NULL AND o.status IN ('{RECIPIENT_CALLING}', '{RECIPIENT_SENT}') AND o.call_id IN (\
             SELECT r.call_id FROM message_recipients r JOIN message_calls c ON c.id = r.call_id \
               WHERE r.message_id = $1 AND r.status IN ('{RECIPIENT_CALLING}', '{RECIPIENT_SENT}') \
                 AND NOT (c.status = '{CALL_DUE}' AND c.uncertain_at IS NULL)) LIMIT 1"
    ))
    .bind(id)
    .fetch_optional(tx)
    .await
}

/// Whether the message ended as recalled just now, because it never had a recipient.
pub(super) async fn is_recalled(tx: &mut AnyConnection, id: &MessageId) -> sqlx::Result<bool> {
    let status: Option<MessageStatus> =
        sqlx::query_scalar("SELECT status FROM messages WHERE id = $1").bind(id).fetch_optional(tx).await?;
    Ok(status == Some(MessageStatus::Recalled))
}

/// Counts the recipients that certainly have not got a message and still would: those that wait,
/// and those of calls that were not tried.
pub(super) async fn count_unsent_recipients(tx: &mut AnyConnection, id: &MessageId) -> sqlx::Result<i64> {
    sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM message_recipients r LEFT JOIN message_calls c ON c.id = r.call_id \
         WHERE r.message_id = $1 AND (r.status = '{RECIPIENT_PENDING}' \
           OR (r.status = '{RECIPIENT_CALLING}' AND c.status = '{CALL_DUE}' AND c.uncertain_at IS NULL))"
    ))
    .bind(id)
    .fetch_one(tx)
    .await
}

/// Postpones the calls of a message that were not tried, so that nobody makes them before they are
/// dissolved.
pub(super) async fn park_untried_calls(
    tx: &mut AnyConnection,
    id: &MessageId,
    until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE message_calls SET next_at = $2 WHERE status = '{CALL_DUE}' AND uncertain_at IS NULL AND id IN (\
           SELECT r.call_id FROM message_recipients r WHERE r.message_id = $1 AND r.status = '{RECIPIENT_CALLING}')"
    ))
    .bind(id)
    .bind(until)
    .execute(tx)
    .await?;
    Ok(())
}

/// Counts the recipients that were not reached or whose outcome is not known.
pub(super) async fn count_not_reached(tx: &mut AnyConnection, id: &MessageId) -> sqlx::Result<i64> {
    sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM message_recipients \
         WHERE message_id = $1 AND status IN ('{RECIPIENT_FAILED}', '{RECIPIENT_UNKNOWN}')"
    ))
    .bind(id)
    .fetch_one(tx)
    .await
}

/// Counts the recipients that wait for a retry of their call.
///
/// If the send window `is_held`, also those that have no call yet, or one that nobody makes.
pub(super) async fn count_held_back(
    tx: &mut AnyConnection,
    id: &MessageId,
    is_held: bool,
    now: Timestamp,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM message_recipients r LEFT JOIN message_calls c ON c.id = r.call_id \
         WHERE r.message_id = $1 AND ((r.status = '{RECIPIENT_PENDING}' AND $3 = 1) \
           OR (r.status = '{RECIPIENT_CALLING}' AND c.status = '{CALL_DUE}' AND (c.next_at > $2 OR $3 = 1)))"
    ))
    .bind(id)
    .bind(now)
    .bind(FlagColumn(is_held))
    .fetch_one(tx)
    .await
}

/// The statements that let waiting calls and recalls be tried now. $1: the corporation, $2: now.
///
/// They leave out calls that are to be dissolved because their message is recalled
/// ([`park_untried_calls`]).
const RETRY_NOW_STATEMENTS: [&str; 2] = [
    formatcp!(
        "UPDATE message_calls SET next_at = $2 \
         WHERE corp_id = $1 AND status IN ('{CALL_DUE}', '{CALL_CALLING}') AND status = '{CALL_DUE}' AND next_at > $2 \
           AND NOT EXISTS (SELECT 1 FROM message_recipients r JOIN messages m ON m.id = r.message_id \
                WHERE r.call_id = message_calls.id AND r.status = '{RECIPIENT_CALLING}' AND m.recall_at IS NOT NULL)"
    ),
    formatcp!(
        "UPDATE message_recalls SET next_at = $2 \
         WHERE corp_id = $1 AND status IN ('{RECALL_DUE}', '{RECALL_CALLING}') AND status = '{RECALL_DUE}' AND next_at > $2"
    ),
];

/// Lets all calls and recalls that wait for a retry be made now.
pub(super) async fn retry_all_now(tx: &mut AnyConnection, corp: &CorpId, now: Timestamp) -> sqlx::Result<()> {
    for statement in RETRY_NOW_STATEMENTS {
        sqlx::query(statement).bind(corp).bind(now).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Puts the calls of a message before all others that wait.
pub(super) async fn prioritize_calls(tx: &mut AnyConnection, id: &MessageId) -> sqlx::Result<()> {
    sqlx::query(formatcp!(
        "UPDATE message_calls SET next_at = 0 WHERE status = '{CALL_DUE}' AND id IN (\
           SELECT r.call_id FROM message_recipients r WHERE r.message_id = $1 AND r.status = '{RECIPIENT_CALLING}')"
    ))
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets recipients that were not reached wait again, from the member `after` on, as many as one
/// transaction may change.
///
/// Returns the last of them. What WeCom may have counted against its limits stays counted.
pub(super) async fn retry_recipients(
    tx: &mut AnyConnection,
    id: &MessageId,
    after: &str,
    now: Timestamp,
) -> sqlx::Result<Option<String>> {
    let last: Option<String> = sqlx::query_scalar(formatcp!(
        "SELECT MAX(t.member) FROM (SELECT member FROM message_recipients \
           WHERE message_id = $1 AND member > $2 AND status IN ('{RECIPIENT_FAILED}', '{RECIPIENT_UNKNOWN}') \
           ORDER BY member LIMIT $3) t"
    ))
    .bind(id)
    .bind(after)
    .bind(i64::try_from(shared::MAX_ROWS_PER_TRANSACTION).unwrap_or(i64::MAX))
    .fetch_one(&mut *tx)
    .await?;
    let Some(last) = last else { return Ok(None) };
    sqlx::query(formatcp!(
        "UPDATE message_recipients SET status = '{RECIPIENT_PENDING}', reason_code = NULL, reason_detail = NULL, \
           call_id = NULL, due_at = $2, aside = 0 \
         WHERE message_id = $1 AND member > $3 AND member <= $4 \
           AND status IN ('{RECIPIENT_FAILED}', '{RECIPIENT_UNKNOWN}')"
    ))
    .bind(id)
    .bind(now)
    .bind(after)
    .bind(&last)
    .execute(tx)
    .await?;
    Ok(Some(last))
}

pub(super) async fn has_no_recipients(tx: &mut AnyConnection, id: &MessageId) -> sqlx::Result<bool> {
    let member: Option<String> =
        sqlx::query_scalar("SELECT member FROM message_recipients WHERE message_id = $1 LIMIT 1")
            .bind(id)
            .fetch_optional(tx)
            .await?;
    Ok(member.is_none())
}

/// Reopens a message, for as long as a new one; its expired links work until `links_until`.
///
/// `anew`: its recipients are looked up again.
pub(super) async fn reopen_message(
    tx: &mut AnyConnection,
    id: &MessageId,
    anew: bool,
    now: Timestamp,
    links_until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE message_links SET expires_at = $3 WHERE message_id = $1 AND expires_at <= $2")
        .bind(id)
        .bind(now)
        .bind(links_until)
        .execute(&mut *tx)
        .await?;
    sqlx::query(formatcp!(
        "UPDATE messages SET status = '{MESSAGE_ACCEPTED}', reason_code = NULL, reason_detail = NULL, \
           finished_at = NULL, updated_at = $2, \
           expires_at = CASE WHEN expires_at <= $2 THEN NULL ELSE expires_at END, \
           expanded_at = CASE WHEN $3 = 1 THEN NULL ELSE expanded_at END, \
           expanded_to = CASE WHEN $3 = 1 THEN '' ELSE expanded_to END \
         WHERE id = $1"
    ))
    .bind(id)
    .bind(now)
    .bind(FlagColumn(anew))
    .execute(tx)
    .await?;
    Ok(())
}
