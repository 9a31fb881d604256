//! SQL of acceptance: the rows of messages.

use sqlx::FromRow;

use crate::audit::{self, AuditEntry};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId};
use crate::db::feed::{FeedCounter, advance_counter};
use crate::db::hot_statement::HotStatement;
use crate::db::types::FlagColumn;
use crate::db::{Db, Tx};
use crate::message::content::WrappedLink;
use crate::message::{MessageKind, MessageStatus};

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[HotStatement {
    name: "find_by_key",
    sql: FIND_BY_KEY,
    indexes: &["messages_key (corp_id, client_id, idempotency_key)"],
}];

/// A message that has the key or the id of another one.
#[derive(Debug, FromRow)]
pub(super) struct EarlierMessage {
    pub(super) id: MessageId,
    pub(super) request_hash: String,
}

const FIND_BY_KEY: &str =
    "SELECT id, request_hash FROM messages WHERE corp_id = $1 AND client_id = $2 AND idempotency_key = $3";

/// Returns the message that a client's key belongs to.
pub(super) async fn find_by_key(
    db: &Db,
    corp: &CorpId,
    client: &str,
    key: &str,
) -> sqlx::Result<Option<EarlierMessage>> {
    sqlx::query_as(FIND_BY_KEY).bind(corp).bind(client).bind(key).fetch_optional(db.pool()).await
}

/// A validated message, ready to be written.
#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) id: MessageId,
    pub(super) corp: CorpId,
    pub(super) client: String,
    pub(super) key: Option<String>,
    pub(super) request_hash: String,
    pub(super) kind: MessageKind,
    pub(super) content: String,
    pub(super) body: String,
    pub(super) is_unique: bool,
    pub(super) links: Vec<WrappedLink>,
    pub(super) links_expire_at: Timestamp,
    pub(super) targets: String,
    pub(super) not_before: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    /// The row of the audit trail, which is written with the message or not at all.
    pub(super) deed: Option<AuditEntry>,
}

/// What writing a message did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InsertOutcome {
    /// The message is in the table. An earlier attempt with the same id may have written it.
    Inserted,
    /// The key belongs to this message of the same request.
    RepeatOf(MessageId),
    /// The key belongs to another request.
    KeyConflict,
}

/// Writes messages in their order.
///
/// `seq` is the order in which the transactions of all replicas pass here: a transaction keeps the
/// counter locked until it ends.
pub(super) async fn insert_messages(
    tx: &mut Tx,
    messages: &[&NewMessage],
    now: Timestamp,
) -> sqlx::Result<Vec<InsertOutcome>> {
    let count = i64::try_from(messages.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let first = advance_counter(tx, FeedCounter::Message, count).await? - count + 1;
    let mut written = Vec::with_capacity(messages.len());
    for (seq, message) in (first..).zip(messages) {
        written.push(insert_message(tx, message, seq, now).await?);
    }
    Ok(written)
}

async fn insert_message(
    tx: &mut Tx,
    message: &NewMessage,
    seq: i64,
    now: Timestamp,
) -> sqlx::Result<InsertOutcome> {
    let new = sqlx::query(
        "INSERT INTO messages (id, corp_id, seq, client_id, idempotency_key, request_hash, kind, content, body, \
           is_unique, targets, status, not_before, expires_at, expanded_to, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '', $15, $15) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&message.id)
    .bind(&message.corp)
    .bind(seq)
    .bind(&message.client)
    .bind(message.key.as_deref())
    .bind(&message.request_hash)
    .bind(message.kind)
    .bind(&message.content)
    .bind(&message.body)
    .bind(FlagColumn(message.is_unique))
    .bind(&message.targets)
    .bind(MessageStatus::Accepted)
    .bind(message.not_before)
    .bind(message.expires_at)
    .bind(now)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if new == 0 {
        return find_conflict(tx, message).await;
    }
    for link in &message.links {
        sqlx::query(
            "INSERT INTO message_links (id, corp_id, message_id, target, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&link.id)
        .bind(&message.corp)
        .bind(&message.id)
        .bind(&link.target)
        .bind(message.links_expire_at)
        .execute(&mut **tx)
        .await?;
    }
    if let Some(deed) = &message.deed {
        audit::store::insert_entry(tx, &message.corp, deed, now).await?;
    }
    Ok(InsertOutcome::Inserted)
}

/// Finds the row that prevented the insertion.
async fn find_conflict(tx: &mut Tx, message: &NewMessage) -> sqlx::Result<InsertOutcome> {
    let row: EarlierMessage = sqlx::query_as(
        "SELECT id, request_hash FROM messages \
         WHERE id = $1 OR (corp_id = $2 AND client_id = $3 AND idempotency_key = $4)",
    )
    .bind(&message.id)
    .bind(&message.corp)
    .bind(&message.client)
    .bind(message.key.as_deref())
    .fetch_one(&mut **tx)
    .await?;
    Ok(match row {
        row if row.id == message.id => InsertOutcome::Inserted,
        row if row.request_hash == message.request_hash => InsertOutcome::RepeatOf(row.id),
        _ => InsertOutcome::KeyConflict,
    })
}
