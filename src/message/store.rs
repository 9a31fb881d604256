//! SQL that several steps share: the send window, the end of a message, the backlog, and retention.
//!
//! Every transaction of a delivery locks the send window first, then calls, recipients and
//! messages. With one fixed order two transactions cannot deadlock.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Row as _};

use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId, MessageId};
use crate::db::Db;
use crate::db::bind_list::ListStatement;

/// How long a finished message is kept.
pub(crate) const MESSAGE_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the counts of calls are kept.
const RATE_COUNT_RETENTION: Duration = Duration::from_secs(2 * 24 * 3600);

/// The most concurrent calls, unless WeCom said that they are too many (45033).
pub(super) const MAX_CONCURRENT_CALLS: i64 = 10;

/// The longest hold that is believed. A later instant was written by a clock that has since been
/// set back.
const MAX_HOLD: Duration = Duration::from_secs(25 * 3600);

/// The most rows that one transaction changes where the work can be split, because others wait for
/// the send window.
pub(super) const MAX_ROWS_PER_TRANSACTION: u64 = 1000;

/// The reason of a recipient that was not reached because `expires_at` passed. A message whose
/// recipients have this reason has expired.
pub(super) const EXPIRED_REASON: &str = "It expired before it could be sent.";

/// The reason of a recipient that was not reached because the message was recalled.
pub(super) const RECALLED_REASON: &str = "It was recalled before it was sent.";

/// The end of the reason with which the send window is held until tomorrow.
const DAILY_LIMIT_REASON_END: &str = "recipients a day from this application, and they are used up.";

/// Returns the reason why nothing is sent until tomorrow: `most` recipients had a call today.
pub(super) fn daily_limit_reason(most: i64) -> String {
    format!("WeCom takes {most} {DAILY_LIMIT_REASON_END}")
}

/// Whether the send window is held for that reason. It does not prevent recalls.
pub(super) fn is_daily_limit_reason(hold_reason: &str) -> bool {
    hold_reason.ends_with(DAILY_LIMIT_REASON_END)
}

/// Whether, and how many at a time, calls may be sent to WeCom now: the row of `message_lanes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SendWindow {
    /// How often the row was locked.
    pub(super) turn: i64,
    /// Nothing is sent before this instant.
    pub(super) hold_until: Timestamp,
    /// Why it is held; empty if only a limit of WeCom has to pass.
    pub(super) hold_reason: String,
    /// Since when nothing can be sent; `None` if messages can be sent.
    pub(super) hold_since: Option<Timestamp>,
    /// How often in a row it was held.
    pub(super) holds: i64,
    pub(super) max_concurrent_calls: i64,
}

impl SendWindow {
    fn unused() -> Self {
        Self {
            turn: 0,
            hold_until: Timestamp::from_millis(0),
            hold_reason: String::new(),
            hold_since: None,
            holds: 0,
            max_concurrent_calls: MAX_CONCURRENT_CALLS,
        }
    }

    /// Whether messages wait for something that an administrator has to mend, rather than for a
    /// limit.
    pub(super) fn waits_for_an_administrator(&self) -> bool {
        self.hold_since.is_some() && !self.hold_reason.is_empty() && !is_daily_limit_reason(&self.hold_reason)
    }

    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        self.hold_until > now && self.hold_until <= now.plus(MAX_HOLD)
    }
}

macro_rules! send_window_columns {
    () => {
        "turn, hold_until, hold_reason, hold_since, holds, at_once"
    };
}

fn parse_send_window(row: &AnyRow) -> sqlx::Result<SendWindow> {
    let since: i64 = row.try_get(3)?;
    Ok(SendWindow {
        turn: row.try_get(0)?,
        hold_until: Timestamp::from_millis(row.try_get(1)?),
        hold_reason: row.try_get(2)?,
        hold_since: Some(Timestamp::from_millis(since)).filter(|_| since > 0),
        holds: row.try_get(4)?,
        max_concurrent_calls: row.try_get(5)?,
    })
}

/// Locks the send window until the transaction ends. Every other step of delivery, and
/// every command that changes messages, waits for it.
pub(super) async fn lock_send_window(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<SendWindow> {
    loop {
        let taken = sqlx::query(concat!(
            "UPDATE message_lanes SET turn = turn + 1 WHERE corp_id = $1 RETURNING ",
            send_window_columns!()
        ))
        .bind(corp.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = taken {
            return parse_send_window(&row);
        }
        // The corporation has no row yet. Another process may insert it first; the loop locks either.
        sqlx::query(
            "INSERT INTO message_lanes (corp_id, turn, hold_until, hold_reason, hold_since, holds, at_once) \
             VALUES ($1, 0, 0, '', 0, 0, $2) ON CONFLICT (corp_id) DO NOTHING",
        )
        .bind(corp.as_str())
        .bind(MAX_CONCURRENT_CALLS)
        .execute(&mut *tx)
        .await?;
    }
}

/// Reads the send window without locking it.
pub(super) async fn find_send_window(pool: &AnyPool, corp: &CorpId) -> sqlx::Result<SendWindow> {
    let row =
        sqlx::query(concat!("SELECT ", send_window_columns!(), " FROM message_lanes WHERE corp_id = $1"))
            .bind(corp.as_str())
            .fetch_optional(pool)
            .await?;
    row.map_or_else(|| Ok(SendWindow::unused()), |row| parse_send_window(&row))
}

/// Writes the send window, which the caller has locked.
pub(super) async fn update_send_window(
    tx: &mut AnyConnection,
    corp: &CorpId,
    window: &SendWindow,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE message_lanes SET hold_until = $2, hold_reason = $3, hold_since = $4, holds = $5, at_once = $6 \
         WHERE corp_id = $1",
    )
    .bind(corp.as_str())
    .bind(window.hold_until.millis())
    .bind(&window.hold_reason)
    .bind(window.hold_since.map_or(0, Timestamp::millis))
    .bind(window.holds)
    .bind(window.max_concurrent_calls)
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets the final status of messages that have no open recipient any more. $1: now, $2: the reason
/// of expired recipients.
///
/// Pending recipients are looked for first, by their index, because a message to everybody has many
/// rows. The CASE keeps PostgreSQL from reading a whole index of open rows for each message.
macro_rules! finish_messages {
    ($which:literal) => {
        concat!(
            "UPDATE messages SET finished_at = $1, updated_at = $1, \
               status = CASE \
                 WHEN recall_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM message_recipients r \
                      WHERE r.message_id = messages.id AND r.status IN ('sent', 'unknown')) THEN 'recalled' \
                 WHEN EXISTS (SELECT 1 FROM message_recipients r \
                      WHERE r.message_id = messages.id AND r.status = 'unknown') THEN 'unknown' \
                 WHEN NOT EXISTS (SELECT 1 FROM message_recipients r \
                      WHERE r.message_id = messages.id AND r.status <> 'sent') THEN 'sent' \
                 WHEN EXISTS (SELECT 1 FROM message_recipients r \
                      WHERE r.message_id = messages.id AND r.status = 'sent') THEN 'partly_failed' \
                 WHEN EXISTS (SELECT 1 FROM message_recipients r \
                      WHERE r.message_id = messages.id AND r.reason = $2) THEN 'expired' \
                 ELSE 'failed' END, \
               reason = COALESCE((SELECT MIN(r.reason) FROM message_recipients r \
                      WHERE r.message_id = messages.id AND r.status IN ('failed', 'unknown')), '') \
             WHERE finished_at IS NULL AND expanded_at IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM message_recipients p \
                      WHERE p.corp_id = messages.corp_id AND p.seq = messages.seq AND p.status = 'pending') \
               AND NOT EXISTS (SELECT 1 FROM message_recipients p \
                      WHERE p.message_id = messages.id AND CASE WHEN p.status = 'calling' THEN 1 ELSE 0 END = 1) AND ",
            $which
        )
    };
}

/// Finishes the messages of a call that have no open recipient left.
pub(super) async fn finish_messages_of_call(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let done = sqlx::query(finish_messages!(
        "id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $3)"
    ))
    .bind(now.millis())
    .bind(EXPIRED_REASON)
    .bind(call.as_str())
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

static FINISH_MESSAGES: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::new(finish_messages!("id IN ("), 2, "*", ")"));

/// Finishes those of `messages` that have no open recipient left.
pub(super) async fn finish_messages(
    tx: &mut AnyConnection,
    messages: &[MessageId],
    now: Timestamp,
) -> sqlx::Result<u64> {
    let mut finished = 0;
    for (text, part) in FINISH_MESSAGES.chunks(messages) {
        let mut query = sqlx::query(text).bind(now.millis()).bind(EXPIRED_REASON);
        for id in part {
            query = query.bind(id.as_str());
        }
        finished += query.execute(&mut *tx).await?.rows_affected();
    }
    Ok(finished)
}

/// Ends a call that certainly was not made and lets its recipients wait again.
///
/// They keep the reason why it was not made before. Returns `false` if the call is being made or
/// may have been made.
pub(super) async fn dissolve_call(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let ended = sqlx::query(
        "UPDATE message_calls SET status = 'failed', request = '', finished_at = $2 \
         WHERE id = $1 AND status = 'due' AND uncertain_at IS NULL",
    )
    .bind(call.as_str())
    .bind(now.millis())
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE message_recipients SET status = 'pending', call_id = NULL, \
           reason = (SELECT c.reason FROM message_calls c WHERE c.id = $1) \
         WHERE call_id = $1 AND status = 'calling'",
    )
    .bind(call.as_str())
    .execute(tx)
    .await?;
    Ok(true)
}

/// Returns the calls of a message that certainly were not made, with the number of recipients of
/// each.
///
/// Such a call is not in progress, and no attempt of it has an unknown outcome.
pub(super) async fn find_untried_calls(
    tx: &mut AnyConnection,
    message: &MessageId,
) -> sqlx::Result<Vec<(CallId, u64)>> {
    sqlx::query(
        "SELECT DISTINCT c.id, c.recipients FROM message_recipients r JOIN message_calls c ON c.id = r.call_id \
         WHERE r.message_id = $1 AND r.status = 'calling' AND c.status = 'due' AND c.uncertain_at IS NULL",
    )
    .bind(message.as_str())
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| {
        let recipients = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0);
        Ok((CallId::new(row.try_get::<String, _>(0)?), recipients))
    })
    .collect()
}

/// The messages that have not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageBacklog {
    /// How many there are.
    pub(super) messages: i64,
    /// When the oldest of them was accepted.
    pub(super) oldest: Option<Timestamp>,
}

pub(super) async fn measure_backlog(pool: &AnyPool, corp: &CorpId) -> sqlx::Result<MessageBacklog> {
    let row = sqlx::query(
        "SELECT COUNT(*), MIN(created_at) FROM messages WHERE corp_id = $1 AND finished_at IS NULL",
    )
    .bind(corp.as_str())
    .fetch_one(pool)
    .await?;
    Ok(MessageBacklog {
        messages: row.try_get(0)?,
        oldest: row.try_get::<Option<i64>, _>(1)?.map(Timestamp::from_millis),
    })
}

/// The statements of retention, in an order that leaves no row without its parent. $1: before, $2:
/// limit.
///
/// They use scalar subqueries because each is one index lookup: PostgreSQL may turn NOT EXISTS into
/// a join that reads a whole table.
const RETENTION_STATEMENTS: [&str; 4] = [
    "DELETE FROM message_recipients WHERE (message_id, member) IN (\
         SELECT r.message_id, r.member FROM message_recipients r WHERE r.message_id IN (\
             SELECT id FROM messages WHERE finished_at < $1 ORDER BY finished_at LIMIT $2) LIMIT $2)",
    "DELETE FROM message_links WHERE id IN (\
         SELECT l.id FROM message_links l WHERE l.message_id IN (\
             SELECT id FROM messages WHERE finished_at < $1 ORDER BY finished_at LIMIT $2) LIMIT $2)",
    "DELETE FROM messages WHERE id IN (\
         SELECT id FROM messages WHERE finished_at < $1 ORDER BY finished_at LIMIT $2) \
       AND (SELECT r.member FROM message_recipients r WHERE r.message_id = messages.id LIMIT 1) IS NULL \
       AND (SELECT l.id FROM message_links l WHERE l.message_id = messages.id LIMIT 1) IS NULL",
    "DELETE FROM message_calls WHERE id IN (\
         SELECT c.id FROM message_calls c WHERE c.created_at < $1 AND c.finished_at IS NOT NULL \
           AND (SELECT r.member FROM message_recipients r WHERE r.call_id = c.id LIMIT 1) IS NULL LIMIT $2)",
];

/// Deletes up to `limit` rows of messages that finished before `before`.
///
/// Recipients and links go first, then the messages, then the calls that have no recipient left.
/// Returns how many rows it deleted; 0 means that nothing is left.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_finished_before(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let mut deleted = 0;
    for statement in RETENTION_STATEMENTS {
        let done = sqlx::query(statement).bind(before.millis()).bind(limit).execute(&mut *tx).await?;
        deleted = done.rows_affected();
        // One kind of rows in a transaction, so that it stays short.
        if deleted > 0 {
            break;
        }
    }
    tx.commit().await?;
    Ok(deleted)
}

/// Deletes the counts of calls that are too old for any limit.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_old_rate_counts(db: &Db, now: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query("DELETE FROM message_pace WHERE bucket < $1")
        .bind(now.minus(RATE_COUNT_RETENTION).millis())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_until_tomorrow_is_told_from_others() {
        assert!(is_daily_limit_reason(&daily_limit_reason(40_000)));
        assert!(
            !is_daily_limit_reason("") && !is_daily_limit_reason("60020 not allow to access from your ip")
        );
    }
}
