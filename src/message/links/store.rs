//! SQL of the links of messages.

use sqlx::Row as _;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId};
use crate::db::Db;
use crate::message::{Addressee, MessageStatus};
use crate::session;

/// A link, with the state of its message.
#[derive(Debug, Clone)]
pub(super) struct LinkRow {
    pub(super) message: MessageId,
    pub(super) target: String,
    pub(super) expires_at: Timestamp,
    pub(super) opened: OpenState,
    /// Somebody asked to recall the message, with or without success.
    pub(super) recalled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenState {
    Unopened,
    Opened,
}

pub(super) async fn find_link(db: &Db, corp: &CorpId, id: &str) -> sqlx::Result<Option<LinkRow>> {
    let row = sqlx::query(
        "SELECT l.message_id, l.target, l.expires_at, l.opened_at, m.recall_at, m.status \
         FROM message_links l JOIN messages m ON m.id = l.message_id WHERE l.id = $1 AND l.corp_id = $2",
    )
    .bind(id)
    .bind(corp.as_str())
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (opened_at, recall_at): (Option<i64>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
    let status: String = row.try_get(5)?;
    Ok(Some(LinkRow {
        message: MessageId::new(row.try_get::<String, _>(0)?),
        target: row.try_get(1)?,
        expires_at: Timestamp::from_millis(row.try_get(2)?),
        opened: if opened_at.is_some() { OpenState::Opened } else { OpenState::Unopened },
        recalled: recall_at.is_some() || status == MessageStatus::Recalled.as_str(),
    }))
}

/// For whom a message is, seen from one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// It is for this person and nobody else.
    OnlyThisPerson,
    /// It is for this person and for others.
    ThisPersonAndOthers,
    /// It is not for this person.
    OnlyOthers,
}

/// Returns whether a message is for `person`.
///
/// It is if the person is a recipient or it went to everybody. The userid counts only where the
/// directory knew nobody of that name when the message was accepted.
pub(super) async fn find_audience(
    db: &Db,
    message: &MessageId,
    person: &session::SessionPerson,
) -> sqlx::Result<Audience> {
    let row = sqlx::query(
        "SELECT \
           (SELECT COUNT(*) FROM message_recipients WHERE message_id = $1 AND member IN ($2, $3)), \
           (SELECT COUNT(*) FROM message_recipients WHERE message_id = $1 AND member = $4), \
           (SELECT COUNT(*) FROM (SELECT 1 FROM message_recipients WHERE message_id = $1 LIMIT 2) AS some_of_them)",
    )
    .bind(message.as_str())
    .bind(Addressee::Person(person.id.clone()).key())
    .bind(Addressee::Userid(person.userid.folded()).key())
    .bind(Addressee::All.key())
    .fetch_one(db.pool())
    .await?;
    let (theirs, everybodys, all): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(match (theirs, everybodys, all) {
        (0, 0, _) => Audience::OnlyOthers,
        // There is a single row, and it is this person's.
        (1, 0, 1) => Audience::OnlyThisPerson,
        _ => Audience::ThisPersonAndOthers,
    })
}

/// Writes when a link was first opened.
pub(super) async fn mark_opened(db: &Db, corp: &CorpId, id: &str, now: Timestamp) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "UPDATE message_links SET opened_at = $3 WHERE id = $1 AND corp_id = $2 AND opened_at IS NULL",
    )
    .bind(id)
    .bind(corp.as_str())
    .bind(now.millis())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
