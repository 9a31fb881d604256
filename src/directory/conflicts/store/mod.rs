//! SQL of conflicts: lists, states, and persons who are removed. The decisions are in `decision`.

mod decision;

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Conflict, ConflictDetails, ConflictOutcome, ConflictPerson, ResolveError};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, CorpId, PersonId};
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::directory;
use crate::directory::row::{self, published};

pub(crate) use decision::{close_conflict, hold_conflict};

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
    sqlx::query(concat!(
        "SELECT k.id, k.kind, k.person_id, k.candidates, k.created_at \
         FROM conflicts k JOIN person_rows v ON v.person_id = k.person_id ",
        published!(),
        "WHERE k.corp_id = $1 AND k.state = 'open' AND k.id > $2 ORDER BY k.id LIMIT $3"
    ))
    .bind(corp.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(conflict_from_row)
    .collect()
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

fn conflict_from_row(row: &AnyRow) -> sqlx::Result<Conflict> {
    Ok(Conflict {
        id: ConflictId::new(row.try_get::<String, _>(0)?),
        kind: row.try_get(1)?,
        person_id: PersonId::new(row.try_get::<String, _>(2)?),
        candidates: row::from_json("conflicts.candidates", &row.try_get::<String, _>(3)?)?,
        created_at: Timestamp::from_millis(row.try_get(4)?),
    })
}

async fn find_conflict(
    change: &mut FeedTransaction,
    id: &ConflictId,
) -> Result<(Conflict, String), ResolveError> {
    let corp = change.corp().clone();
    let row = sqlx::query(
        "SELECT id, kind, person_id, candidates, created_at, state FROM conflicts WHERE corp_id = $1 AND id = $2",
    )
    .bind(corp.as_str())
    .bind(id.as_str())
    .fetch_optional(change.tx())
    .await?
    .ok_or(ResolveError::NotFound)?;
    Ok((conflict_from_row(&row)?, row.try_get(5)?))
}

async fn set_state(
    change: &mut FeedTransaction,
    id: &ConflictId,
    closed: ConflictOutcome,
) -> sqlx::Result<()> {
    let now = change.now().millis();
    sqlx::query("UPDATE conflicts SET state = $2, closed_at = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(closed.as_str())
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
    let rows = sqlx::query(
        "SELECT id, kind, person_id, candidates, created_at FROM conflicts \
         WHERE corp_id = $1 AND state = 'open' AND (person_id = $2 OR candidates LIKE $3 OR candidates LIKE $4)",
    )
    .bind(corp.as_str())
    .bind(gone.as_str())
    // The JSON holds ids between quotes, and an id contains no wildcard.
    .bind(format!("%\"{gone}\"%"))
    .bind(format!("%\"{}\"%", by.unwrap_or(gone)))
    .fetch_all(change.tx())
    .await?;
    for conflict in rows.iter().map(conflict_from_row).collect::<sqlx::Result<Vec<_>>>()? {
        let mut left = conflict.candidates.clone();
        left.retain(|id| id != gone && Some(id) != by);
        if conflict.person_id == *gone || left.is_empty() {
            set_state(change, &conflict.id, ConflictOutcome::Gone).await?;
        } else if left != conflict.candidates {
            sqlx::query("UPDATE conflicts SET candidates = $2 WHERE id = $1")
                .bind(conflict.id.as_str())
                .bind(row::to_json(&left)?)
                .execute(change.tx())
                .await?;
        }
    }
    Ok(())
}
