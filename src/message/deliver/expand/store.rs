//! SQL of expansion.

use std::collections::HashSet;
use std::sync::LazyLock;

use const_format::formatcp;
use sqlx::{AnyConnection, AnyPool, FromRow, Row as _};

use super::{ExpansionProgress, NewRecipient, UnexpandedMessage};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId};
use crate::db::bind_list::ListStatement;
use crate::db::hot_statement::HotStatement;
use crate::db::types::{FlagColumn, JsonColumn};
use crate::message::MessageTargets;
use crate::message::state::words::RECIPIENT_PENDING;

/// A message whose recipients are to be written.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct PendingExpansion {
    pub(super) id: MessageId,
    /// The length of its targets, in characters.
    pub(super) targets_chars: i64,
}

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[HotStatement {
    name: "find_pending_expansions",
    sql: FIND_PENDING_EXPANSIONS,
    indexes: &["messages_unexpanded (corp_id)"],
}];

const FIND_PENDING_EXPANSIONS: &str = "SELECT id, CAST(LENGTH(targets) AS BIGINT) AS targets_chars FROM messages \
     WHERE corp_id = $1 AND expanded_at IS NULL AND not_before <= $2 AND recall_at IS NULL \
     ORDER BY seq LIMIT $3";

/// Returns up to `limit` messages whose recipients are to be written, in their order.
pub(super) async fn find_pending_expansions(
    pool: &AnyPool,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<PendingExpansion>> {
    sqlx::query_as(FIND_PENDING_EXPANSIONS).bind(corp).bind(now).bind(limit).fetch_all(pool).await
}

static READ_MESSAGES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT id, seq, body, is_unique, targets, expanded_to, created_at, not_before FROM messages \
         WHERE expanded_at IS NULL AND recall_at IS NULL AND id IN (",
        0,
        "*",
        ") ORDER BY seq",
    )
});

#[derive(Debug, FromRow)]
struct UnexpandedMessageRow {
    id: MessageId,
    seq: i64,
    body: String,
    is_unique: FlagColumn,
    targets: JsonColumn<MessageTargets>,
    expanded_to: String,
    created_at: Timestamp,
    not_before: Timestamp,
}

impl From<UnexpandedMessageRow> for UnexpandedMessage {
    fn from(row: UnexpandedMessageRow) -> Self {
        Self {
            id: row.id,
            seq: row.seq,
            body: row.body,
            unique: row.is_unique.0,
            targets: row.targets.0,
            progress: ExpansionProgress::parse(&row.expanded_to),
            created_at: row.created_at,
            not_before: row.not_before,
        }
    }
}

/// Reads those of `pending` that are still pending, in their order, or says why one cannot be read.
pub(super) async fn read_messages(
    pool: &AnyPool,
    pending: &[PendingExpansion],
) -> sqlx::Result<Vec<(MessageId, sqlx::Result<UnexpandedMessage>)>> {
    let mut found = Vec::with_capacity(pending.len());
    for (text, part) in READ_MESSAGES.chunks(pending) {
        let mut query = sqlx::query(text);
        for message in part {
            query = query.bind(&message.id);
        }
        for row in query.fetch_all(pool).await? {
            let message = UnexpandedMessageRow::from_row(&row).map(UnexpandedMessage::from);
            found.push((row.try_get("id")?, message));
        }
    }
    Ok(found)
}

static INSERT_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO message_recipients (corp_id, message_id, member, seq, userid, person_id, body, status, \
           reason_code, reason_detail, call_id, due_at, counted_at, alone, aside) VALUES ",
        1,
        formatcp!("($1, *, *, *, *, *, *, '{RECIPIENT_PENDING}', NULL, NULL, NULL, *, NULL, 0, 0)"),
        " ON CONFLICT (message_id, member) DO NOTHING",
    )
});

/// Writes recipients. An existing row stays as it is.
pub(super) async fn insert_recipients(
    tx: &mut AnyConnection,
    corp: &CorpId,
    rows: &[NewRecipient<'_>],
) -> sqlx::Result<()> {
    for (text, part) in INSERT_RECIPIENTS.chunks(rows) {
        let mut query = sqlx::query(text).bind(corp);
        for row in part {
            query = query
                .bind(&row.message.id)
                .bind(row.member.key())
                .bind(row.message.seq)
                .bind(&row.userid)
                .bind(&row.person)
                .bind(&row.message.body)
                .bind(row.message.due_at());
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

static MARK_EXPANDED: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "UPDATE messages SET expanded_at = $1 WHERE expanded_at IS NULL AND id IN (",
        1,
        "*",
        ") RETURNING id",
    )
});

/// Marks messages as expanded and returns those that were not marked before.
pub(super) async fn mark_expanded(
    tx: &mut AnyConnection,
    messages: &[MessageId],
    now: Timestamp,
) -> sqlx::Result<HashSet<MessageId>> {
    let mut ours = HashSet::with_capacity(messages.len());
    for (text, part) in MARK_EXPANDED.chunks(messages) {
        let mut query = sqlx::query_scalar(text).bind(now);
        for id in part {
            query = query.bind(id);
        }
        ours.extend(query.fetch_all(&mut *tx).await?);
    }
    Ok(ours)
}

/// Writes how far the recipients of a message are written.
///
/// Returns `false` if it ended or was recalled, so that no more are wanted.
pub(super) async fn save_progress(
    tx: &mut AnyConnection,
    message: &MessageId,
    progress: &ExpansionProgress,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE messages SET expanded_to = $2, updated_at = $3 \
         WHERE id = $1 AND expanded_at IS NULL AND recall_at IS NULL AND finished_at IS NULL",
    )
    .bind(message)
    .bind(progress.text())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
