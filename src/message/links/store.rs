//! SQL of the links of messages.

use sqlx::FromRow;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId};
use crate::db::Db;
use crate::db::hot_statement::HotStatement;
use crate::message::{Addressee, MessageStatus};
use crate::session;

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "find_link",
        sql: FIND_LINK,
        indexes: &["message_links_pkey (id)", "messages_pkey (id)"],
    },
    HotStatement {
        name: "find_audience",
        sql: FIND_AUDIENCE,
        indexes: &["message_recipients_pkey (message_id, member)"],
    },
];

/// A link, with the state of its message.
#[derive(Debug, Clone, FromRow)]
pub(super) struct LinkRow {
    pub(super) message_id: MessageId,
    pub(super) target: String,
    pub(super) expires_at: Timestamp,
    pub(super) opened_at: Option<Timestamp>,
    recall_at: Option<Timestamp>,
    status: MessageStatus,
}

impl LinkRow {
    /// Whether somebody asked to recall the message, with or without success.
    pub(super) fn is_recalled(&self) -> bool {
        self.recall_at.is_some() || self.status == MessageStatus::Recalled
    }
}

const FIND_LINK: &str = "SELECT l.message_id, l.target, l.expires_at, l.opened_at, m.recall_at, m.status \
     FROM message_links l JOIN messages m ON m.id = l.message_id WHERE l.id = $1 AND l.corp_id = $2";

pub(super) async fn find_link(db: &Db, corp: &CorpId, id: &str) -> sqlx::Result<Option<LinkRow>> {
    sqlx::query_as(FIND_LINK).bind(id).bind(corp).fetch_optional(db.pool()).await
}

/// For whom a message is, seen from one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkAudience {
    /// It is for this person and nobody else.
    OnlyThisPerson,
    /// It is for this person and for others.
    ThisPersonAndOthers,
    /// It is not for this person.
    OnlyOthers,
}

#[derive(Debug, FromRow)]
struct AudienceRow {
    theirs: i64,
    everybodys: i64,
    at_most_two: i64,
}

const FIND_AUDIENCE: &str = "SELECT \
       (SELECT COUNT(*) FROM message_recipients WHERE message_id = $1 AND member IN ($2, $3)) AS theirs, \
       (SELECT COUNT(*) FROM message_recipients WHERE message_id = $1 AND member = $4) AS everybodys, \
       (SELECT COUNT(*) FROM (SELECT 1 FROM message_recipients WHERE message_id = $1 LIMIT 2) AS two) AS at_most_two";

/// Returns whether a message is for `person`.
///
/// It is if the person is a recipient or it went to everybody. The userid counts only where the
/// directory knew nobody of that name when the message was accepted.
pub(super) async fn find_audience(
    db: &Db,
    message: &MessageId,
    person: &session::SessionPerson,
) -> sqlx::Result<LinkAudience> {
    let row: AudienceRow = sqlx::query_as(FIND_AUDIENCE)
        .bind(message)
        .bind(Addressee::Person(person.id.clone()).key())
        .bind(Addressee::Userid(person.userid.folded()).key())
        .bind(Addressee::All.key())
        .fetch_one(db.pool())
        .await?;
    Ok(match (row.theirs, row.everybodys, row.at_most_two) {
        (0, 0, _) => LinkAudience::OnlyOthers,
        // There is a single row, and it is this person's.
        (1, 0, 1) => LinkAudience::OnlyThisPerson,
        _ => LinkAudience::ThisPersonAndOthers,
    })
}

/// Writes when a link was first opened.
pub(super) async fn mark_opened(db: &Db, corp: &CorpId, id: &str, now: Timestamp) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "UPDATE message_links SET opened_at = $3 WHERE id = $1 AND corp_id = $2 AND opened_at IS NULL",
    )
    .bind(id)
    .bind(corp)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
