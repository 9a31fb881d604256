//! SQL of conflicts: raised, listed, closed, and deleted. The decisions are in `decision`.

mod decision;

use std::collections::{BTreeSet, HashMap, HashSet};

use const_format::formatcp;
use sqlx::FromRow;

use super::{Conflict, ConflictDetails, ConflictKind, ConflictPerson, ConflictState, ResolveError};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, CorpId, PersonId};
use crate::db::Db;
use crate::db::error::is_unreadable_row;
use crate::db::feed::FeedTransaction;
use crate::db::types::JsonColumn;
use crate::directory;

pub(crate) use decision::{close_conflict, hold_conflict};

const OPEN: &str = ConflictState::Open.as_str();

#[derive(FromRow)]
struct ConflictRow {
    id: ConflictId,
    kind: ConflictKind,
    person_id: PersonId,
    candidates: JsonColumn<Vec<PersonId>>,
    created_at: Timestamp,
}

impl From<ConflictRow> for Conflict {
    fn from(row: ConflictRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            person_id: row.person_id,
            candidates: row.candidates.0,
            created_at: row.created_at,
        }
    }
}

/// Raises a conflict, unless the same one was raised before or its person is unknown. Returns its
/// id if it is new.
///
/// # Errors
/// If the database fails.
pub(crate) async fn insert_conflict(
    change: &mut FeedTransaction,
    kind: ConflictKind,
    person: &PersonId,
    candidates: &[PersonId],
) -> sqlx::Result<Option<ConflictId>> {
    let (corp, now) = (change.corp().clone(), change.now());
    let id = ConflictId::generate(now);
    let done = sqlx::query(formatcp!(
        "INSERT INTO conflicts (id, corp_id, kind, person_id, candidates, state, created_at) \
         SELECT $1, $2, $3, $4, $5, '{OPEN}', $6 WHERE EXISTS (SELECT 1 FROM persons p WHERE p.id = $4) \
           AND NOT EXISTS (SELECT 1 FROM conflicts k WHERE k.corp_id = $2 AND k.kind = $3 AND k.person_id = $4 \
                           AND k.candidates = $5)"
    ))
    .bind(&id)
    .bind(corp)
    .bind(kind)
    .bind(person)
    .bind(JsonColumn(candidates))
    .bind(now)
    .execute(change.tx())
    .await?;
    Ok((done.rows_affected() == 1).then_some(id))
}

const LIST_OPEN: &str = formatcp!(
    "SELECT k.id, k.kind, k.person_id, k.candidates, k.created_at \
     FROM conflicts k JOIN person_rows v ON v.person_id = k.person_id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE k.corp_id = $1 AND k.state = '{OPEN}' AND k.id > $2 ORDER BY k.id LIMIT $3"
);

/// Returns up to `limit` open conflicts after the id `after`, oldest first; only those about
/// published persons.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_open(
    db: &Db,
    corp: &CorpId,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Conflict>> {
    let rows: Vec<ConflictRow> =
        sqlx::query_as(LIST_OPEN).bind(corp).bind(after).bind(limit).fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(Conflict::from).collect())
}

/// Counts the conflicts that wait for a human.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_open(db: &Db, corp: &CorpId) -> sqlx::Result<i64> {
    sqlx::query_scalar(formatcp!("SELECT COUNT(*) FROM conflicts WHERE corp_id = $1 AND state = '{OPEN}'"))
        .bind(corp)
        .fetch_one(db.pool())
        .await
}

/// Adds the present data of their people to conflicts.
///
/// # Errors
/// If the database fails.
pub(crate) async fn load_details(
    db: &Db,
    corp: &CorpId,
    conflicts: Vec<Conflict>,
) -> sqlx::Result<Vec<ConflictDetails>> {
    let mut known: HashMap<PersonId, Option<ConflictPerson>> = HashMap::new();
    let mut told = Vec::new();
    for conflict in conflicts {
        for id in std::iter::once(&conflict.person_id).chain(&conflict.candidates) {
            if !known.contains_key(id) {
                let person = directory::store::find_person(db, corp, id).await?;
                known.insert(id.clone(), person.map(ConflictPerson::from));
            }
        }
        let named = |id: &PersonId| known.get(id).cloned().flatten();
        let person = named(&conflict.person_id);
        let people = conflict.candidates.iter().filter_map(named).collect();
        told.push(ConflictDetails { conflict, person, people });
    }
    Ok(told)
}

/// A conflict that was raised at any time: why, about whom, and its sorted candidates.
pub(crate) type KnownConflict = (ConflictKind, PersonId, Vec<PersonId>);

/// Returns every conflict ever raised, open or not.
///
/// # Errors
/// If the database fails, or the candidates of one cannot be read.
pub(crate) async fn find_known_conflicts(db: &Db, corp: &CorpId) -> sqlx::Result<HashSet<KnownConflict>> {
    #[derive(FromRow)]
    struct KnownRow {
        kind: String,
        person_id: PersonId,
        candidates: JsonColumn<Vec<PersonId>>,
    }
    let rows: Vec<KnownRow> =
        sqlx::query_as("SELECT kind, person_id, candidates FROM conflicts WHERE corp_id = $1")
            .bind(corp)
            .fetch_all(db.pool())
            .await?;
    // A kind that only a newer version knows cannot occur in this version's plans.
    let known = rows.into_iter().filter_map(|KnownRow { kind, person_id, mut candidates }| {
        candidates.0.sort();
        Some((ConflictKind::parse(&kind)?, person_id, candidates.0))
    });
    Ok(known.collect())
}

/// Returns open conflicts that no longer arise: nothing is known any more of the person, or of
/// every candidate.
///
/// # Errors
/// If the database fails, or a conflict cannot be read.
pub(crate) async fn find_obsolete_conflicts(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<ConflictId>> {
    #[derive(FromRow)]
    struct OpenRow {
        id: ConflictId,
        person_id: PersonId,
        candidates: JsonColumn<Vec<PersonId>>,
    }
    let open: Vec<OpenRow> = sqlx::query_as(formatcp!(
        "SELECT id, person_id, candidates FROM conflicts WHERE corp_id = $1 AND state = '{OPEN}'"
    ))
    .bind(corp)
    .fetch_all(db.pool())
    .await?;
    let named: BTreeSet<&PersonId> =
        open.iter().flat_map(|row| row.candidates.0.iter().chain([&row.person_id])).collect();
    let mut known = HashSet::with_capacity(named.len());
    for id in named {
        if is_published(db, corp, id).await? {
            known.insert(id.clone());
        }
    }
    let gone = open.iter().filter(|row| {
        !known.contains(&row.person_id) || !row.candidates.0.iter().any(|candidate| known.contains(candidate))
    });
    Ok(gone.map(|row| row.id.clone()).collect())
}

async fn is_published(db: &Db, corp: &CorpId, person: &PersonId) -> sqlx::Result<bool> {
    match directory::store::find_person(db, corp, person).await {
        Ok(person) => Ok(person.is_some()),
        // Somebody is there, whatever the row says.
        Err(error) if is_unreadable_row(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Closes conflicts that no longer arise.
///
/// # Errors
/// If the database fails.
pub(crate) async fn close_obsolete_conflicts(
    change: &mut FeedTransaction,
    gone: &[ConflictId],
) -> sqlx::Result<()> {
    for id in gone {
        close_as(change, id, ConflictState::Gone).await?;
    }
    Ok(())
}

async fn find_conflict(
    change: &mut FeedTransaction,
    id: &ConflictId,
) -> Result<(Conflict, ConflictState), ResolveError> {
    #[derive(FromRow)]
    struct ConflictWithState {
        #[sqlx(flatten)]
        conflict: ConflictRow,
        state: ConflictState,
    }
    let corp = change.corp().clone();
    let row: Option<ConflictWithState> = sqlx::query_as(
        "SELECT id, kind, person_id, candidates, created_at, state FROM conflicts WHERE corp_id = $1 AND id = $2",
    )
    .bind(corp)
    .bind(id)
    .fetch_optional(change.tx())
    .await?;
    let row = row.ok_or(ResolveError::NotFound)?;
    Ok((row.conflict.into(), row.state))
}

/// Closes an open conflict; one that is closed stays as it is.
async fn close_as(change: &mut FeedTransaction, id: &ConflictId, closed: ConflictState) -> sqlx::Result<()> {
    debug_assert!(ConflictState::Open.allows(closed), "a conflict is closed as {closed:?}");
    let now = change.now();
    sqlx::query(formatcp!(
        "UPDATE conflicts SET state = $2, closed_at = $3 WHERE id = $1 AND state = '{OPEN}'"
    ))
    .bind(id)
    .bind(closed)
    .bind(now)
    .execute(change.tx())
    .await?;
    Ok(())
}

/// Removes a person from every open conflict. A conflict without anybody left to decide about is
/// closed.
///
/// # Errors
/// If the database fails.
pub(crate) async fn forget_person(change: &mut FeedTransaction, person: &PersonId) -> sqlx::Result<()> {
    replace_candidate(change, person, None).await
}

/// Like [`forget_person`]. With `by`, that person is a member from now on and so no candidate for
/// anybody else either.
async fn replace_candidate(
    change: &mut FeedTransaction,
    gone: &PersonId,
    by: Option<&PersonId>,
) -> sqlx::Result<()> {
    let corp = change.corp().clone();
    let rows: Vec<ConflictRow> = sqlx::query_as(formatcp!(
        "SELECT id, kind, person_id, candidates, created_at FROM conflicts \
         WHERE corp_id = $1 AND state = '{OPEN}' AND (person_id = $2 OR candidates LIKE $3 OR candidates LIKE $4)"
    ))
    .bind(corp)
    .bind(gone)
    // The JSON holds ids between quotes, and an id contains no wildcard.
    .bind(format!("%\"{gone}\"%"))
    .bind(format!("%\"{}\"%", by.unwrap_or(gone)))
    .fetch_all(change.tx())
    .await?;
    for conflict in rows {
        let candidates = conflict.candidates.0;
        let mut left = candidates.clone();
        left.retain(|id| id != gone && Some(id) != by);
        if conflict.person_id == *gone || left.is_empty() {
            close_as(change, &conflict.id, ConflictState::Gone).await?;
        } else if left != candidates {
            sqlx::query("UPDATE conflicts SET candidates = $2 WHERE id = $1")
                .bind(&conflict.id)
                .bind(JsonColumn(left))
                .execute(change.tx())
                .await?;
        }
    }
    Ok(())
}

/// Deletes every conflict about a person who is purged.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_conflicts_about(
    change: &mut FeedTransaction,
    person: &PersonId,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM conflicts WHERE person_id = $1").bind(person).execute(change.tx()).await?;
    Ok(())
}

/// Deletes up to `limit` conflicts that were closed before `before` about a person of whom nothing
/// is known any more; returns how many. Others stay, because an answered conflict is not raised
/// again.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_closed_before(
    db: &Db,
    corp: &CorpId,
    before: Timestamp,
    limit: i64,
) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query(formatcp!(
        "DELETE FROM conflicts WHERE id IN (\
           SELECT k.id FROM conflicts k WHERE k.corp_id = $1 AND k.state <> '{OPEN}' AND k.closed_at < $2 \
           AND NOT EXISTS (SELECT 1 FROM person_rows v WHERE v.person_id = k.person_id) ORDER BY k.id LIMIT $3)"
    ))
    .bind(corp)
    .bind(before)
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
