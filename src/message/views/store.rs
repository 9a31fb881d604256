//! SQL of the views. Nothing here writes.

use const_format::formatcp;
use sqlx::FromRow;

use super::{MAX_LISTED_MESSAGES, MessageFilter};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, CorpId, MessageId};
use crate::db::Db;
use crate::db::hot_statement::HotStatement;
use crate::db::types::JsonColumn;
use crate::message::reason::{HoldColumns, ReasonColumns};
use crate::message::state::words::{
    REASON_EXPIRED, RECALL_DONE, RECIPIENT_CALLING, RECIPIENT_FAILED, RECIPIENT_PENDING, RECIPIENT_SENT,
    RECIPIENT_UNKNOWN,
};
use crate::message::state::{RecipientStatus, RecipientTally};
use crate::message::{MessageKind, MessageStatus, MessageTargets};

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[HotStatement {
    name: "find_message",
    sql: FIND_MESSAGE,
    indexes: &["messages_pkey (id)", "message_recipients_pkey (message_id)"],
}];

/// A message, with what its recipients and the send window say.
#[derive(Debug, Clone, FromRow)]
pub(super) struct MessageRow {
    pub(super) id: MessageId,
    pub(super) seq: i64,
    pub(super) client_id: ClientId,
    pub(super) kind: MessageKind,
    pub(super) targets: JsonColumn<MessageTargets>,
    pub(super) status: MessageStatus,
    #[sqlx(flatten)]
    pub(super) reason: ReasonColumns,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) expanded_at: Option<Timestamp>,
    pub(super) recall_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    #[sqlx(flatten)]
    pub(super) tally: RecipientTally,
    /// The most attempts of any call.
    pub(super) attempts: i64,
    /// Until when the send window is held, if the corporation has one.
    pub(super) hold_until: Option<Timestamp>,
    #[sqlx(flatten)]
    pub(super) hold: HoldColumns,
}

#[derive(Debug, Clone, FromRow)]
pub(super) struct RecipientRow {
    pub(super) member: String,
    pub(super) userid: String,
    pub(super) status: RecipientStatus,
    #[sqlx(flatten)]
    pub(super) reason: ReasonColumns,
}

/// What follows the selection of a page of messages: `WITH page AS (SELECT id …)`. $2: the number
/// of attempts if there is no call.
const TALLY_PAGE: &str = formatcp!(
    "tally AS (SELECT page.id AS id, \
       COUNT(CASE WHEN r.status = '{RECIPIENT_PENDING}' THEN 1 END) AS pending, \
       COUNT(CASE WHEN r.status = '{RECIPIENT_CALLING}' THEN 1 END) AS calling, \
       COUNT(CASE WHEN r.status = '{RECIPIENT_SENT}' THEN 1 END) AS sent, \
       COUNT(CASE WHEN r.status = '{RECIPIENT_FAILED}' THEN 1 END) AS failed, \
       COUNT(CASE WHEN r.status = '{RECIPIENT_UNKNOWN}' THEN 1 END) AS unknown, \
       COUNT(CASE WHEN r.reason_code = '{REASON_EXPIRED}' THEN 1 END) AS expired, \
       COUNT(CASE WHEN r.status IN ('{RECIPIENT_SENT}', '{RECIPIENT_UNKNOWN}') AND (u.status IS NULL \
         OR u.status <> '{RECALL_DONE}' OR c.uncertain_at IS NOT NULL) THEN 1 END) AS kept, \
       COUNT(CASE WHEN r.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') AND c.attempts > 0 THEN 1 END) \
         AS tried, \
       COALESCE(MAX(c.attempts), $2) AS attempts \
     FROM page LEFT JOIN message_recipients r ON r.message_id = page.id \
       LEFT JOIN message_calls c ON c.id = r.call_id LEFT JOIN message_recalls u ON u.call_id = c.id \
     GROUP BY page.id) \
     SELECT m.id, m.seq, m.client_id, m.kind, m.targets, m.status, m.reason_code, m.reason_detail, m.expires_at, \
       m.expanded_at, m.recall_at, m.created_at, m.updated_at, m.finished_at, t.pending, t.calling, t.sent, t.failed, \
       t.unknown, t.expired, t.kept, t.tried, t.attempts, l.hold_until, l.hold_code, l.hold_detail, l.hold_since \
     FROM tally t JOIN messages m ON m.id = t.id LEFT JOIN message_lanes l ON l.corp_id = m.corp_id \
     ORDER BY m.seq DESC"
);

const NO_ATTEMPTS: i64 = 0;

const FIND_MESSAGE: &str =
    formatcp!("WITH page AS (SELECT id FROM messages WHERE corp_id = $1 AND id = $3), {TALLY_PAGE}");

pub(super) async fn find_message_row(
    db: &Db,
    corp: &CorpId,
    id: &MessageId,
) -> sqlx::Result<Option<MessageRow>> {
    sqlx::query_as(FIND_MESSAGE).bind(corp).bind(NO_ATTEMPTS).bind(id).fetch_optional(db.pool()).await
}

/// $3: before; $4: the status or ''; $5: whether sending has begun, -1 if that does not matter; $6:
/// 1 if only of the client $7; $8: a userid or '', and in $9, $10 where `targets` may have it; $11:
/// how many.
const LIST_MESSAGES: &str = formatcp!(
    "WITH page AS (SELECT m.id FROM messages m WHERE m.corp_id = $1 AND m.seq < $3 AND ($4 = '' OR m.status = $4) \
       AND ($5 = -1 OR $5 = CASE WHEN EXISTS (SELECT 1 FROM message_recipients r \
            LEFT JOIN message_calls c ON c.id = r.call_id WHERE r.message_id = m.id \
              AND (r.status IN ('{RECIPIENT_SENT}', '{RECIPIENT_FAILED}', '{RECIPIENT_UNKNOWN}') OR c.attempts > 0)) \
            THEN 1 ELSE 0 END) \
       AND ($6 = 0 OR m.client_id = $7) \
       AND ($8 = '' OR m.id IN (SELECT p.message_id FROM message_recipients p WHERE p.corp_id = $1 \
            AND (lower(p.userid) = $8 OR p.person_id = $8)) \
            OR (m.expanded_at IS NULL AND \
            (lower(m.targets) LIKE $9 ESCAPE '!' OR lower(m.targets) LIKE $10 ESCAPE '!'))) \
       ORDER BY m.seq DESC LIMIT $11), {TALLY_PAGE}"
);

/// Lists messages, newest first.
///
/// The recipients of an unexpanded message are in `targets`, as `["userid","person id"]` each.
pub(super) async fn list_message_rows(
    db: &Db,
    corp: &CorpId,
    filter: &MessageFilter,
) -> sqlx::Result<Vec<MessageRow>> {
    // The table has no `sending`: there it is an accepted message that has begun.
    let (status, begun) = match filter.status {
        None => ("", None),
        Some(MessageStatus::Accepted) => (MessageStatus::Accepted.as_str(), Some(false)),
        Some(MessageStatus::Sending) => (MessageStatus::Accepted.as_str(), Some(true)),
        Some(status) => (status.as_str(), None),
    };
    let userid = filter.userid.as_deref().unwrap_or("").to_lowercase();
    let limit = if filter.limit == 0 { MAX_LISTED_MESSAGES } else { filter.limit.min(MAX_LISTED_MESSAGES) };
    sqlx::query_as(LIST_MESSAGES)
        .bind(corp)
        .bind(NO_ATTEMPTS)
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(status)
        .bind(begun.map_or(-1, i64::from))
        .bind(i64::from(filter.client.is_some()))
        .bind(filter.client.as_ref().map_or("", ClientId::as_str))
        .bind(userid.as_str())
        .bind(format!("%[\"{}\",%", escape_like(&userid)))
        .bind(format!("%,\"{}\"]%", escape_like(&userid)))
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await
}

/// Escapes `text` for a LIKE pattern whose escape is `!`.
fn escape_like(text: &str) -> String {
    let special = |c: char| matches!(c, '!' | '%' | '_');
    text.chars().flat_map(|c| special(c).then_some('!').into_iter().chain([c])).collect()
}

pub(super) async fn list_recipient_rows(
    db: &Db,
    id: &MessageId,
    limit: usize,
) -> sqlx::Result<Vec<RecipientRow>> {
    sqlx::query_as(
        "SELECT member, userid, status, reason_code, reason_detail FROM message_recipients WHERE message_id = $1 \
         ORDER BY userid, member LIMIT $2",
    )
    .bind(id)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(db.pool())
    .await
}
