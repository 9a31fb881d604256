//! SQL of expansion.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Row as _};

use super::{ExpansionProgress, NewRecipient, UnexpandedMessage};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, MessageId, PersonId, UserId};
use crate::db::bind_list::ListStatement;
use crate::directory::Membership;
use crate::directory::row::{from_json, keep_readable, parse_memberships, published};

/// A message whose recipients are to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PendingExpansion {
    pub(super) id: MessageId,
    /// The length of its targets, in characters.
    pub(super) targets_chars: i64,
}

/// Returns up to `limit` messages whose recipients are to be written, in their order.
pub(super) async fn find_pending_expansions(
    pool: &AnyPool,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<PendingExpansion>> {
    sqlx::query(
        "SELECT id, CAST(LENGTH(targets) AS BIGINT) FROM messages \
         WHERE corp_id = $1 AND expanded_at IS NULL AND not_before <= $2 AND recall_at IS NULL \
         ORDER BY seq LIMIT $3",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(limit)
    .fetch_all(pool)
    .await?
    .iter()
    .map(|row| {
        Ok(PendingExpansion {
            id: MessageId::new(row.try_get::<String, _>(0)?),
            targets_chars: row.try_get(1)?,
        })
    })
    .collect()
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

/// Reads those of `pending` that are still pending, in their order, or says why one cannot be read.
pub(super) async fn read_messages(
    pool: &AnyPool,
    pending: &[PendingExpansion],
) -> sqlx::Result<Vec<(MessageId, sqlx::Result<UnexpandedMessage>)>> {
    let mut found = Vec::with_capacity(pending.len());
    for (text, part) in READ_MESSAGES.chunks(pending) {
        let mut query = sqlx::query(text);
        for message in part {
            query = query.bind(message.id.as_str());
        }
        for row in query.fetch_all(pool).await? {
            found.push((MessageId::new(row.try_get::<String, _>(0)?), parse_message(&row)));
        }
    }
    Ok(found)
}

fn parse_message(row: &AnyRow) -> sqlx::Result<UnexpandedMessage> {
    Ok(UnexpandedMessage {
        id: MessageId::new(row.try_get::<String, _>(0)?),
        seq: row.try_get(1)?,
        body: row.try_get(2)?,
        unique: row.try_get::<i64, _>(3)? != 0,
        targets: from_json("messages.targets", &row.try_get::<String, _>(4)?)?,
        progress: ExpansionProgress::parse(&row.try_get::<String, _>(5)?),
        created_at: Timestamp::from_millis(row.try_get(6)?),
        not_before: Timestamp::from_millis(row.try_get(7)?),
    })
}

static INSERT_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO message_recipients (corp_id, message_id, member, seq, userid, person_id, body, status, reason, \
           call_id, due_at, counted_at, alone, aside) VALUES ",
        1,
        "($1, *, *, *, *, *, *, 'pending', '', NULL, *, NULL, 0, 0)",
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
        let mut query = sqlx::query(text).bind(corp.as_str());
        for row in part {
            query = query
                .bind(row.message.id.as_str())
                .bind(row.member.key())
                .bind(row.message.seq)
                .bind(&row.userid)
                .bind(row.person.as_ref().map(PersonId::as_str))
                .bind(&row.message.body)
                .bind(row.message.due_at().millis());
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
        let mut query = sqlx::query(text).bind(now.millis());
        for id in part {
            query = query.bind(id.as_str());
        }
        for row in query.fetch_all(&mut *tx).await? {
            ours.insert(MessageId::new(row.try_get::<String, _>(0)?));
        }
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
    .bind(message.as_str())
    .bind(progress.text())
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn fail_if_no_recipients(
    tx: &mut AnyConnection,
    message: &MessageId,
    reason: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET status = 'failed', reason = $2, finished_at = $3, updated_at = $3 \
         WHERE id = $1 AND finished_at IS NULL \
           AND NOT EXISTS (SELECT 1 FROM message_recipients r WHERE r.message_id = messages.id)",
    )
    .bind(message.as_str())
    .bind(reason)
    .bind(now.millis())
    .execute(tx)
    .await?;
    Ok(())
}

/// An active person of the published chart whom WeCom knows.
#[derive(Debug)]
pub(super) struct ActivePerson {
    pub(super) id: PersonId,
    pub(super) userid: UserId,
    pub(super) memberships: Vec<Membership>,
}

/// Returns up to `limit` active persons after the id `after`, by id, and the last id that was read,
/// if there was any.
pub(super) async fn find_active_persons(
    pool: &AnyPool,
    corp: &CorpId,
    after: &str,
    limit: i64,
) -> sqlx::Result<(Vec<ActivePerson>, Option<String>)> {
    let rows = sqlx::query(concat!(
        "SELECT v.person_id, v.userid, v.memberships FROM person_rows v ",
        published!(),
        "WHERE v.person_id > $2 AND v.source = 'wecom' AND v.status = 'active' ORDER BY v.person_id LIMIT $3"
    ))
    .bind(corp.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let last = rows.last().map(|row| row.try_get(0)).transpose()?;
    let present = keep_readable("person_rows", rows.iter().map(parse_active_person))?;
    Ok((present, last))
}

fn parse_active_person(row: &AnyRow) -> sqlx::Result<ActivePerson> {
    Ok(ActivePerson {
        id: PersonId::new(row.try_get::<String, _>(0)?),
        userid: UserId::new(row.try_get::<String, _>(1)?),
        memberships: parse_memberships(&row.try_get::<String, _>(2)?)?,
    })
}

static FIND_PERSONS_BY_USERID: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT lower(userid), id FROM persons WHERE corp_id = $1 AND released_at IS NULL AND lower(userid) IN (",
        1,
        "*",
        ")",
    )
});

/// Returns who has these userids, which are in lower case. Userids that nobody has are left out.
pub(super) async fn find_persons_by_userid(
    pool: &AnyPool,
    corp: &CorpId,
    folded: &[String],
) -> sqlx::Result<HashMap<String, PersonId>> {
    let mut found = HashMap::new();
    for (text, part) in FIND_PERSONS_BY_USERID.chunks(folded) {
        let mut query = sqlx::query(text).bind(corp.as_str());
        for userid in part {
            query = query.bind(userid);
        }
        for row in query.fetch_all(pool).await? {
            found.insert(row.try_get(0)?, PersonId::new(row.try_get::<String, _>(1)?));
        }
    }
    Ok(found)
}
