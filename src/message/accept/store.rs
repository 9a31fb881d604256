//! SQL of accepting: who somebody is, and the rows of messages.

use std::collections::HashMap;

use sqlx::Row as _;

use super::group_commit::NewMessage;
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId, PersonId, UserId};
use crate::db::{Db, Tx};
use crate::directory::row::{keep_readable, published};
use crate::directory::{EntrySource, PersonStatus};
use crate::message::MessageStatus;

/// Whoever has a userid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UseridOwner {
    /// Our id.
    pub(super) id: PersonId,
    /// Whose entry it is.
    pub(super) source: EntrySource,
    /// Whether the person is still there.
    pub(super) status: PersonStatus,
}

macro_rules! holders {
    ($which:literal) => {
        concat!(
            "SELECT lower(p.userid), v.person_id, v.source, v.status \
             FROM persons p JOIN person_rows v ON v.person_id = p.id ",
            published!(),
            "WHERE p.corp_id = $1 AND p.released_at IS NULL AND lower(p.userid) ",
            $which
        )
    };
}

/// So many userids are looked up at once.
const USERIDS_PER_QUERY: usize = 50;

/// One statement for one, one for [`AT_ONCE`]: the database prepares each once.
const FIND_ONE_OWNER: &str = holders!("= $2");
const FIND_MANY_OWNERS: &str = holders!(
    "IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
         $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, \
         $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51)"
);

/// Who has those userids now, by userid in lower case.
pub(super) async fn find_userid_owners(
    db: &Db,
    corp: &CorpId,
    userids: &[UserId],
) -> sqlx::Result<HashMap<String, UseridOwner>> {
    let folded: Vec<String> = userids.iter().map(UserId::folded).collect();
    let mut found = HashMap::with_capacity(folded.len());
    for some in folded.chunks(USERIDS_PER_QUERY) {
        let mut query =
            sqlx::query(if some.len() == 1 { FIND_ONE_OWNER } else { FIND_MANY_OWNERS }).bind(corp.as_str());
        let last = some.last().into_iter().cycle();
        let places = if some.len() == 1 { 1 } else { USERIDS_PER_QUERY };
        for userid in some.iter().chain(last).take(places) {
            query = query.bind(userid);
        }
        let rows = query.fetch_all(db.pool()).await?;
        let read = rows.iter().map(|row| {
            let holder = UseridOwner {
                id: PersonId::new(row.try_get::<String, _>(1)?),
                source: EntrySource::parse(&row.try_get::<String, _>(2)?),
                status: PersonStatus::parse(&row.try_get::<String, _>(3)?),
            };
            Ok((row.try_get::<String, _>(0)?, holder))
        });
        found.extend(keep_readable("person_rows", read)?);
    }
    Ok(found)
}

/// The message that a client's key stands for, and the hash of what was asked for with it.
pub(super) async fn find_by_key(
    db: &Db,
    corp: &CorpId,
    client: &str,
    key: &str,
) -> sqlx::Result<Option<(MessageId, String)>> {
    let row = sqlx::query(
        "SELECT id, request_hash FROM messages WHERE corp_id = $1 AND client_id = $2 AND idempotency_key = $3",
    )
    .bind(corp.as_str())
    .bind(client)
    .bind(key)
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| Ok((MessageId::new(row.try_get::<String, _>(0)?), row.try_get(1)?))).transpose()
}

/// What became of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InsertOutcome {
    /// It is a message now, or was one already: whoever wrote it did not live to say so.
    Inserted,
    /// Its key stands for that message.
    RepeatOf(MessageId),
    /// Its key stands for another request.
    KeyConflict,
}

/// Writes drafts in their order. The order of `seq` is the order in which transactions of all replicas come by here, since
/// whoever takes the counter holds it until the end.
pub(super) async fn insert_messages(
    tx: &mut Tx,
    drafts: &[&NewMessage],
    now: Timestamp,
) -> sqlx::Result<Vec<InsertOutcome>> {
    let count = i64::try_from(drafts.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let row = sqlx::query("UPDATE feed_counter SET seq = seq + $1 WHERE name = 'message' RETURNING seq")
        .bind(count)
        .fetch_one(&mut **tx)
        .await?;
    let first = row.try_get::<i64, _>(0)? - count + 1;
    let mut written = Vec::with_capacity(drafts.len());
    for (seq, draft) in (first..).zip(drafts) {
        written.push(insert_message(tx, draft, seq, now).await?);
    }
    Ok(written)
}

async fn insert_message(
    tx: &mut Tx,
    draft: &NewMessage,
    seq: i64,
    now: Timestamp,
) -> sqlx::Result<InsertOutcome> {
    let new = sqlx::query(
        "INSERT INTO messages (id, corp_id, seq, client_id, idempotency_key, request_hash, kind, content, body, \
                               is_unique, targets, status, reason, not_before, expires_at, expanded_to, created_at, \
                               updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', $13, $14, '', $15, $15) \
         ON CONFLICT DO NOTHING",
    )
    .bind(draft.id.as_str())
    .bind(draft.corp.as_str())
    .bind(seq)
    .bind(&draft.client)
    .bind(draft.key.as_deref())
    .bind(&draft.request_hash)
    .bind(draft.kind.as_str())
    .bind(&draft.content)
    .bind(&draft.body)
    .bind(i64::from(draft.is_unique))
    .bind(&draft.targets)
    .bind(MessageStatus::Accepted.as_str())
    .bind(draft.not_before.millis())
    .bind(draft.expires_at.map(Timestamp::millis))
    .bind(now.millis())
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if new == 0 {
        return find_conflict(tx, draft).await;
    }
    for link in &draft.links {
        sqlx::query(
            "INSERT INTO message_links (id, corp_id, message_id, target, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&link.id)
        .bind(draft.corp.as_str())
        .bind(draft.id.as_str())
        .bind(&link.target)
        .bind(draft.links_expire_at.millis())
        .execute(&mut **tx)
        .await?;
    }
    Ok(InsertOutcome::Inserted)
}

/// What stood in the way of a draft.
async fn find_conflict(tx: &mut Tx, draft: &NewMessage) -> sqlx::Result<InsertOutcome> {
    let row = sqlx::query(
        "SELECT id, request_hash FROM messages \
         WHERE id = $1 OR (corp_id = $2 AND client_id = $3 AND idempotency_key = $4)",
    )
    .bind(draft.id.as_str())
    .bind(draft.corp.as_str())
    .bind(&draft.client)
    .bind(draft.key.as_deref())
    .fetch_one(&mut **tx)
    .await?;
    let (id, hash): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match id {
        id if id == draft.id.as_str() => InsertOutcome::Inserted,
        id if hash == draft.request_hash => InsertOutcome::RepeatOf(MessageId::new(id)),
        _ => InsertOutcome::KeyConflict,
    })
}
