//! SQL of the views. Nothing here writes.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{DeliveryStatus, MAX_LISTED_MESSAGES, MessageFilter, RecipientCounts};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, CorpId, MessageId};
use crate::db::Db;
use crate::directory::row::from_json;
use crate::message::{MessageKind, MessageStatus, MessageTargets};

/// A message, with what its recipients and the send window say.
#[derive(Debug, Clone)]
pub(super) struct MessageRow {
    pub(super) id: MessageId,
    pub(super) seq: i64,
    pub(super) client: ClientId,
    pub(super) kind: MessageKind,
    pub(super) targets: MessageTargets,
    pub(super) status: MessageStatus,
    pub(super) reason: String,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) expanded: bool,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    /// Whether a recipient is no longer pending, or a call for one was tried.
    pub(super) begun: bool,
    pub(super) counts: RecipientCounts,
    pub(super) attempts: i64,
    /// The hold of the send window, if the corporation has one.
    pub(super) hold: Option<SendHold>,
}

#[derive(Debug, Clone)]
pub(super) struct SendHold {
    pub(super) until: Timestamp,
    pub(super) reason: String,
}

#[derive(Debug, Clone)]
pub(super) struct RecipientRow {
    pub(super) member: String,
    pub(super) userid: String,
    pub(super) status: RecipientStatus,
    pub(super) reason: String,
}

/// The status of a recipient: the column `message_recipients.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecipientStatus {
    Open,
    Sent,
    Failed,
    Unknown,
}

impl RecipientStatus {
    fn parse(text: &str) -> sqlx::Result<Self> {
        match text {
            "pending" | "calling" => Ok(Self::Open),
            "sent" => Ok(Self::Sent),
            "failed" => Ok(Self::Failed),
            "unknown" => Ok(Self::Unknown),
            _ => Err(unreadable_column("message_recipients.status", text)),
        }
    }

    pub(super) const fn delivery_status(self) -> DeliveryStatus {
        match self {
            Self::Open => DeliveryStatus::Pending,
            Self::Sent => DeliveryStatus::Sent,
            Self::Failed | Self::Unknown => DeliveryStatus::Failed,
        }
    }
}

fn unreadable_column(column: &str, text: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column}: there is no {text:?}").into())
}

/// Whether a recipient `r` with its call `c` shows that sending has begun.
macro_rules! has_begun {
    () => {
        "r.status IN ('sent', 'failed', 'unknown') OR c.attempts > 0"
    };
}

/// Reads the messages whose ids `$page` selects, in the order of columns of [`parse_message_row`].
macro_rules! select_messages {
    ($page:expr) => {
        concat!(
            "WITH page AS (",
            $page,
            "), tally AS (SELECT page.id AS id, \
               COUNT(CASE WHEN r.status IN ('pending', 'calling') THEN 1 END) AS pending, \
               COUNT(CASE WHEN r.status = 'sent' THEN 1 END) AS sent, \
               COUNT(CASE WHEN r.status IN ('failed', 'unknown') THEN 1 END) AS failed, \
               COUNT(CASE WHEN ",
            has_begun!(),
            " THEN 1 END) AS begun, COALESCE(MAX(c.attempts), $2) AS attempts \
             FROM page LEFT JOIN message_recipients r ON r.message_id = page.id \
             LEFT JOIN message_calls c ON c.id = r.call_id GROUP BY page.id) \
             SELECT m.id, m.seq, m.client_id, m.kind, m.targets, m.status, m.reason, m.expires_at, m.expanded_at, \
               m.created_at, m.updated_at, m.finished_at, t.pending, t.sent, t.failed, t.begun, t.attempts, \
               l.hold_until, l.hold_reason \
             FROM tally t JOIN messages m ON m.id = t.id LEFT JOIN message_lanes l ON l.corp_id = m.corp_id \
             ORDER BY m.seq DESC"
        )
    };
}

/// The number of attempts if there is no call: the second parameter of `select_messages!`.
const NO_ATTEMPTS: i64 = 0;

fn parse_message_row(row: &AnyRow) -> sqlx::Result<MessageRow> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let number = |column: usize| row.try_get::<i64, _>(column);
    let instant =
        |column: usize| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp::from_millis));
    let (kind, status) = (text(3)?, text(5)?);
    let hold = match (instant(17)?, row.try_get::<Option<String>, _>(18)?) {
        (Some(until), Some(reason)) => Some(SendHold { until, reason }),
        _ => None,
    };
    Ok(MessageRow {
        id: MessageId::new(text(0)?),
        seq: number(1)?,
        client: ClientId::new(text(2)?),
        kind: from_json("messages.kind", &format!("\"{kind}\""))?,
        targets: from_json("messages.targets", &text(4)?)?,
        status: MessageStatus::parse(&status).ok_or_else(|| unreadable_column("messages.status", &status))?,
        reason: text(6)?,
        expires_at: instant(7)?,
        expanded: instant(8)?.is_some(),
        created_at: Timestamp::from_millis(number(9)?),
        updated_at: Timestamp::from_millis(number(10)?),
        finished_at: instant(11)?,
        counts: RecipientCounts { pending: number(12)?, sent: number(13)?, failed: number(14)? },
        begun: number(15)? > 0,
        attempts: number(16)?,
        hold,
    })
}

pub(super) async fn find_message_row(
    db: &Db,
    corp: &CorpId,
    id: &MessageId,
) -> sqlx::Result<Option<MessageRow>> {
    sqlx::query(select_messages!("SELECT id FROM messages WHERE corp_id = $1 AND id = $3"))
        .bind(corp.as_str())
        .bind(NO_ATTEMPTS)
        .bind(id.as_str())
        .fetch_optional(db.pool())
        .await?
        .as_ref()
        .map(parse_message_row)
        .transpose()
}

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
    sqlx::query(select_messages!(concat!(
        "SELECT m.id FROM messages m WHERE m.corp_id = $1 AND m.seq < $3 AND ($4 = '' OR m.status = $4) \
         AND ($5 = -1 OR $5 = CASE WHEN EXISTS (SELECT 1 FROM message_recipients r \
              LEFT JOIN message_calls c ON c.id = r.call_id WHERE r.message_id = m.id AND (",
        has_begun!(),
        ")) THEN 1 ELSE 0 END) AND ($6 = 0 OR m.client_id = $7) \
         AND ($8 = '' OR m.id IN (SELECT p.message_id FROM message_recipients p WHERE p.corp_id = $1 \
              AND (lower(p.userid) = $8 OR p.person_id = $8)) \
              OR (m.expanded_at IS NULL AND \
              (lower(m.targets) LIKE $9 ESCAPE '!' OR lower(m.targets) LIKE $10 ESCAPE '!'))) \
         ORDER BY m.seq DESC LIMIT $11"
    )))
    .bind(corp.as_str())
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
    .await?
    .iter()
    .map(parse_message_row)
    .collect()
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
    sqlx::query(
        "SELECT member, userid, status, reason FROM message_recipients WHERE message_id = $1 \
         ORDER BY userid, member LIMIT $2",
    )
    .bind(id.as_str())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(|row| {
        let status: String = row.try_get(2)?;
        Ok(RecipientRow {
            member: row.try_get(0)?,
            userid: row.try_get(1)?,
            status: RecipientStatus::parse(&status)?,
            reason: row.try_get(3)?,
        })
    })
    .collect()
}
