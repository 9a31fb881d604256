//! SQL that several steps share: the send window, the end of a message, the backlog, and retention.
//!
//! Every transaction of a delivery locks the send window first, then calls, their recalls,
//! recipients and messages. With one fixed order two transactions cannot deadlock.

use std::sync::LazyLock;
use std::time::Duration;

use const_format::formatcp;
use sqlx::{AnyConnection, AnyPool, FromRow};

use super::reason::{HoldColumns, SendHold};
use super::state::words::{
    CALL_DUE, CALL_FAILED, MESSAGE_EXPIRED, MESSAGE_FAILED, MESSAGE_PARTLY_FAILED, MESSAGE_RECALLED,
    MESSAGE_SENT, MESSAGE_UNKNOWN, REASON_EXPIRED, RECALL_DONE, RECIPIENT_CALLING, RECIPIENT_FAILED,
    RECIPIENT_PENDING, RECIPIENT_SENT, RECIPIENT_UNKNOWN,
};
use super::state::{FailureReason, HoldReason};
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId, MessageId};
use crate::db::Db;
use crate::db::bind_list::ListStatement;
use crate::db::hot_statement::HotStatement;

/// How long a finished message is kept.
pub(crate) const MESSAGE_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the counts of calls are kept.
const COUNT_RETENTION: Duration = Duration::from_secs(2 * 24 * 3600);

/// The most concurrent calls, unless WeCom said that they are too many (45033).
pub(super) const MAX_CONCURRENT_CALLS: i64 = 10;

/// The longest hold that is believed. A later instant was written by a clock that has since been
/// set back.
const MAX_HOLD: Duration = Duration::from_secs(25 * 3600);

/// The most rows that one transaction changes where the work can be split, because others wait for
/// the send window.
pub(super) const MAX_ROWS_PER_TRANSACTION: u64 = 1000;

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "lock_send_window",
        sql: LOCK_SEND_WINDOW,
        indexes: &["message_lanes_pkey (corp_id)"],
    },
    HotStatement {
        name: "finish_messages_of_call",
        sql: FINISH_MESSAGES_OF_CALL,
        indexes: &[
            "messages_pkey (id)",
            "message_recipients_call (call_id)",
            "message_recipients_queue (corp_id, seq)",
        ],
    },
    HotStatement {
        name: "finish_messages",
        sql: formatcp!("{FINISH_MESSAGES_WITH}id IN ($2)"),
        indexes: &[
            "messages_pkey (id)",
            "message_recipients_queue (corp_id, seq)",
            "message_recipients_pkey (message_id)",
        ],
    },
    HotStatement {
        name: "delete_recipients",
        sql: RETENTION_STATEMENTS[0],
        indexes: &["messages_finished_at (finished_at)", "message_recipients_pkey (message_id)"],
    },
    HotStatement {
        name: "delete_calls",
        sql: RETENTION_STATEMENTS[3],
        indexes: &["message_calls_created_at (created_at)", "message_recipients_call (call_id)"],
    },
    HotStatement { name: "measure_backlog", sql: MEASURE_BACKLOG, indexes: &["messages_open (corp_id)"] },
];

/// Whether, and how many at a time, calls may be sent to WeCom now: the row of `message_lanes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SendWindow {
    /// How often the row was locked.
    pub(super) turn: i64,
    /// Nothing is sent before this instant.
    pub(super) hold_until: Timestamp,
    /// Why nothing can be sent; `None` if messages can be sent.
    pub(super) hold: Option<SendHold>,
    /// How often in a row it was held.
    pub(super) holds: i64,
    pub(super) max_concurrent_calls: i64,
}

impl SendWindow {
    /// The send window of a corporation that has no row yet.
    pub(super) const UNUSED: Self = Self {
        turn: 0,
        hold_until: Timestamp::from_millis(0),
        hold: None,
        holds: 0,
        max_concurrent_calls: MAX_CONCURRENT_CALLS,
    };

    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        self.hold_until > now && self.hold_until <= now.plus(MAX_HOLD)
    }

    /// Whether messages wait, or waited until the last probe, for this reason.
    pub(super) fn is_held_for(&self, reason: HoldReason) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.code == reason)
    }
}

#[derive(Debug, FromRow)]
struct SendWindowRow {
    turn: i64,
    hold_until: Timestamp,
    #[sqlx(flatten)]
    hold: HoldColumns,
    holds: i64,
    max_concurrent_calls: i64,
}

impl From<SendWindowRow> for SendWindow {
    fn from(row: SendWindowRow) -> Self {
        let SendWindowRow { turn, hold_until, hold, holds, max_concurrent_calls } = row;
        Self { turn, hold_until, hold: hold.into_hold(), holds, max_concurrent_calls }
    }
}

const LOCK_SEND_WINDOW: &str = "UPDATE message_lanes SET turn = turn + 1 WHERE corp_id = $1 \
     RETURNING turn, hold_until, hold_code, hold_detail, hold_since, holds, max_concurrent_calls";

/// Locks the send window until the transaction ends. Every other step of delivery, and
/// every command that changes messages, waits for it.
pub(super) async fn lock_send_window(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<SendWindow> {
    loop {
        let taken: Option<SendWindowRow> =
            sqlx::query_as(LOCK_SEND_WINDOW).bind(corp).fetch_optional(&mut *tx).await?;
        if let Some(row) = taken {
            return Ok(row.into());
        }
        // The corporation has no row yet. Another process may insert it first; the loop locks either.
        sqlx::query(
            "INSERT INTO message_lanes (corp_id, turn, hold_until, hold_code, hold_detail, hold_since, holds, \
               max_concurrent_calls) VALUES ($1, 0, 0, NULL, NULL, NULL, 0, $2) ON CONFLICT (corp_id) DO NOTHING",
        )
        .bind(corp)
        .bind(MAX_CONCURRENT_CALLS)
        .execute(&mut *tx)
        .await?;
    }
}

/// Reads the send window without locking it.
pub(super) async fn find_send_window(pool: &AnyPool, corp: &CorpId) -> sqlx::Result<SendWindow> {
    let row: Option<SendWindowRow> = sqlx::query_as(
        "SELECT turn, hold_until, hold_code, hold_detail, hold_since, holds, max_concurrent_calls \
         FROM message_lanes WHERE corp_id = $1",
    )
    .bind(corp)
    .fetch_optional(pool)
    .await?;
    Ok(row.map_or(SendWindow::UNUSED, SendWindow::from))
}

/// Writes the send window, which the caller has locked.
pub(super) async fn update_send_window(
    tx: &mut AnyConnection,
    corp: &CorpId,
    window: &SendWindow,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE message_lanes SET hold_until = $2, hold_code = $3, hold_detail = $4, hold_since = $5, holds = $6, \
           max_concurrent_calls = $7 WHERE corp_id = $1",
    )
    .bind(corp)
    .bind(window.hold_until)
    .bind(window.hold.as_ref().map(|hold| hold.code))
    .bind(window.hold.as_ref().and_then(SendHold::detail_column))
    .bind(window.hold.as_ref().map(|hold| hold.since))
    .bind(window.holds)
    .bind(window.max_concurrent_calls)
    .execute(tx)
    .await?;
    Ok(())
}

/// The condition that WeCom took a message for one of its recipients, or may have, and has not
/// certainly taken it back.
pub(super) const HAS_KEPT_COPY: &str = formatcp!(
    "EXISTS (SELECT 1 FROM message_recipients r JOIN message_calls k ON k.id = r.call_id \
        LEFT JOIN message_recalls u ON u.call_id = k.id \
      WHERE r.message_id = messages.id AND r.status IN ('{RECIPIENT_SENT}', '{RECIPIENT_UNKNOWN}') \
        AND (u.status IS NULL OR u.status <> '{RECALL_DONE}' OR k.uncertain_at IS NOT NULL))"
);

/// The beginning of the statements that set the final status of messages without an open recipient,
/// as [`RecipientTally::message_status`] does; a condition on `messages.id` follows. $1: now.
///
/// Pending recipients are looked for first, by their index, because a message to everybody has many
/// rows. Each CASE keeps an engine from reading a whole index of open rows for each message, and the
/// subqueries are one index lookup each, while NOT EXISTS may become a join.
///
/// [`RecipientTally::message_status`]: super::state::RecipientTally::message_status
const FINISH_MESSAGES_WITH: &str = formatcp!(
    "UPDATE messages SET finished_at = $1, updated_at = $1, \
       status = CASE \
         WHEN recall_at IS NOT NULL AND NOT {HAS_KEPT_COPY} THEN '{MESSAGE_RECALLED}' \
         WHEN EXISTS (SELECT 1 FROM message_recipients r \
              WHERE r.message_id = messages.id AND r.status = '{RECIPIENT_UNKNOWN}') THEN '{MESSAGE_UNKNOWN}' \
         WHEN NOT EXISTS (SELECT 1 FROM message_recipients r \
              WHERE r.message_id = messages.id AND r.status <> '{RECIPIENT_SENT}') THEN '{MESSAGE_SENT}' \
         WHEN EXISTS (SELECT 1 FROM message_recipients r \
              WHERE r.message_id = messages.id AND r.status = '{RECIPIENT_SENT}') THEN '{MESSAGE_PARTLY_FAILED}' \
         WHEN EXISTS (SELECT 1 FROM message_recipients r \
              WHERE r.message_id = messages.id AND r.reason_code = '{REASON_EXPIRED}') THEN '{MESSAGE_EXPIRED}' \
         ELSE '{MESSAGE_FAILED}' END, \
       (reason_code, reason_detail) = (SELECT r.reason_code, r.reason_detail FROM message_recipients r \
         WHERE r.message_id = messages.id AND r.status IN ('{RECIPIENT_FAILED}', '{RECIPIENT_UNKNOWN}') \
         ORDER BY r.reason_code IS NULL, r.reason_code, r.reason_detail IS NULL, r.reason_detail LIMIT 1) \
     WHERE CASE WHEN finished_at IS NULL AND expanded_at IS NOT NULL THEN 1 ELSE 0 END = 1 \
       AND (SELECT p.seq FROM message_recipients p WHERE p.corp_id = messages.corp_id AND p.seq = messages.seq \
              AND p.status = '{RECIPIENT_PENDING}' LIMIT 1) IS NULL \
       AND (SELECT p.seq FROM message_recipients p WHERE p.message_id = messages.id \
              AND CASE WHEN p.status = '{RECIPIENT_CALLING}' THEN 1 ELSE 0 END = 1 LIMIT 1) IS NULL \
       AND "
);

const FINISH_MESSAGES_OF_CALL: &str = formatcp!(
    "{FINISH_MESSAGES_WITH}id IN (SELECT c.message_id FROM message_recipients c WHERE c.call_id = $2)"
);

/// Finishes the messages of a call that have no open recipient left.
pub(super) async fn finish_messages_of_call(
    tx: &mut AnyConnection,
    call: &CallId,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let done = sqlx::query(FINISH_MESSAGES_OF_CALL).bind(now).bind(call).execute(tx).await?;
    Ok(done.rows_affected())
}

static FINISH_MESSAGES: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::new(formatcp!("{FINISH_MESSAGES_WITH}id IN ("), 1, "*", ")"));

/// Finishes those of `messages` that have no open recipient left.
///
/// # Errors
/// If the database fails.
pub async fn finish_messages(
    tx: &mut AnyConnection,
    messages: &[MessageId],
    now: Timestamp,
) -> sqlx::Result<u64> {
    let mut finished = 0;
    for (text, part) in FINISH_MESSAGES.chunks(messages) {
        let mut query = sqlx::query(text).bind(now);
        for id in part {
            query = query.bind(id);
        }
        finished += query.execute(&mut *tx).await?.rows_affected();
    }
    Ok(finished)
}

static FAIL_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "WITH t (message_id, member, reason_code) AS (VALUES ",
        0,
        "(*, *, *)",
        formatcp!(
            ") UPDATE message_recipients SET status = '{RECIPIENT_FAILED}', reason_code = t.reason_code, \
               reason_detail = NULL FROM t \
             WHERE message_recipients.message_id = t.message_id AND message_recipients.member = t.member"
        ),
    )
});

/// Fails recipients, by message and member, each for a reason of its own.
pub(super) async fn fail_recipients(
    tx: &mut AnyConnection,
    failed: &[(MessageId, String, FailureReason)],
) -> sqlx::Result<()> {
    for (text, part) in FAIL_RECIPIENTS.chunks(failed) {
        let mut query = sqlx::query(text);
        for (message, member, reason) in part {
            query = query.bind(message).bind(member).bind(*reason);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
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
    let ended = sqlx::query(formatcp!(
        "UPDATE message_calls SET status = '{CALL_FAILED}', request = '', finished_at = $2 \
         WHERE id = $1 AND status = '{CALL_DUE}' AND uncertain_at IS NULL"
    ))
    .bind(call)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(formatcp!(
        "UPDATE message_recipients SET status = '{RECIPIENT_PENDING}', call_id = NULL, (reason_code, reason_detail) = \
           (SELECT c.reason_code, c.reason_detail FROM message_calls c WHERE c.id = $1) \
         WHERE call_id = $1 AND status = '{RECIPIENT_CALLING}'"
    ))
    .bind(call)
    .execute(tx)
    .await?;
    Ok(true)
}

/// A call that certainly was not made.
#[derive(Debug, FromRow)]
pub(super) struct UntriedCall {
    pub(super) id: CallId,
    pub(super) recipients: i64,
}

/// Returns the calls of a message that certainly were not made.
///
/// Such a call is not in progress, and no attempt of it has an unknown outcome.
pub(super) async fn find_untried_calls(
    tx: &mut AnyConnection,
    message: &MessageId,
) -> sqlx::Result<Vec<UntriedCall>> {
    sqlx::query_as(formatcp!(
        "SELECT DISTINCT c.id, c.recipients FROM message_recipients r JOIN message_calls c ON c.id = r.call_id \
         WHERE r.message_id = $1 AND r.status = '{RECIPIENT_CALLING}' AND c.status = '{CALL_DUE}' \
           AND c.uncertain_at IS NULL"
    ))
    .bind(message)
    .fetch_all(tx)
    .await
}

/// The messages that have not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(super) struct MessageBacklog {
    /// How many there are.
    pub(super) messages: i64,
    /// When the oldest of them was accepted.
    pub(super) oldest: Option<Timestamp>,
}

const MEASURE_BACKLOG: &str = "SELECT COUNT(*) AS messages, MIN(created_at) AS oldest FROM messages \
     WHERE corp_id = $1 AND finished_at IS NULL";

pub(super) async fn measure_backlog(pool: &AnyPool, corp: &CorpId) -> sqlx::Result<MessageBacklog> {
    sqlx::query_as(MEASURE_BACKLOG).bind(corp).fetch_one(pool).await
}

/// The statements of retention, in an order that leaves no row without its parent. $1: before, $2:
/// limit.
///
/// The schema deletes a recall with its call: a statement of its own would not see a recall that is
/// asked for between the two.
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
/// Recipients and links go first, then the messages, then the calls that have no recipient left,
/// with their recalls. Returns how many rows it deleted; 0 means that nothing is left.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_finished_before(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let mut deleted = 0;
    for statement in RETENTION_STATEMENTS {
        let done = sqlx::query(statement).bind(before).bind(limit).execute(&mut *tx).await?;
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
    let done = sqlx::query("DELETE FROM message_counts WHERE bucket < $1")
        .bind(now.minus(COUNT_RETENTION))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
