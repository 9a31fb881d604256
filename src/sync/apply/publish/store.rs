//! SQL of publishing.

use std::collections::HashSet;

use sqlx::Row as _;

use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UserId};
use crate::db::feed::FeedTransaction;
use crate::directory::conflicts;
use crate::directory::row::OPEN_UNTIL;
use crate::sync::apply::RaisedConflict;
use crate::sync::plan::NewConflict;

/// Releases the userids of these persons; returns those who had one.
pub(super) async fn release_userids(
    change: &mut FeedTransaction,
    ids: &[&PersonId],
) -> sqlx::Result<HashSet<PersonId>> {
    let now = change.now().millis();
    let mut released = HashSet::with_capacity(ids.len());
    for id in ids {
        let done = sqlx::query("UPDATE persons SET released_at = $2 WHERE id = $1 AND released_at IS NULL")
            .bind(id.as_str())
            .bind(now)
            .execute(change.tx())
            .await?;
        if done.rows_affected() == 1 {
            released.insert((*id).clone());
        }
    }
    Ok(released)
}

/// Returns those of these persons who have not left in the next version, or of whom nothing is
/// known yet.
pub(super) async fn find_not_left(
    change: &mut FeedTransaction,
    ids: &[&PersonId],
) -> sqlx::Result<HashSet<PersonId>> {
    let mut found = HashSet::new();
    for id in ids {
        let left = sqlx::query(
            "SELECT COUNT(*) FROM person_rows WHERE person_id = $1 AND until = $2 AND status = 'left'",
        )
        .bind(id.as_str())
        .bind(OPEN_UNTIL)
        .fetch_one(change.tx())
        .await?
        .try_get::<i64, _>(0)?;
        if left == 0 {
            found.insert((*id).clone());
        }
    }
    Ok(found)
}

/// Changes a person's userid. `moves` says that the person gave up another one for it.
pub(super) async fn rename_person(
    change: &mut FeedTransaction,
    id: &PersonId,
    userid: &UserId,
    moves: bool,
) -> sqlx::Result<()> {
    let sql = if moves {
        "UPDATE persons SET userid = $2, released_at = NULL WHERE id = $1"
    } else {
        "UPDATE persons SET userid = $2 WHERE id = $1"
    };
    sqlx::query(sql).bind(id.as_str()).bind(userid.as_str()).execute(change.tx()).await?;
    Ok(())
}

/// Gives a new person its userid.
pub(super) async fn claim_userid(change: &mut FeedTransaction, id: &PersonId) -> sqlx::Result<()> {
    sqlx::query("UPDATE persons SET released_at = NULL WHERE id = $1")
        .bind(id.as_str())
        .execute(change.tx())
        .await?;
    Ok(())
}

/// Keeps persons active in version `next` who are active now and were checked singly after `began`.
/// A sign-in that found nothing to write left no other trace.
pub(super) async fn keep_signed_in_active(
    change: &mut FeedTransaction,
    next: i64,
    began: Timestamp,
) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now().millis());
    sqlx::query(
        // `+since` keeps SQLite from an index on since, which matches every staged row.
        "UPDATE person_rows SET status = 'active', left_at = NULL, said = '', updated_at = $5 \
         WHERE until = $3 AND +since = $2 AND status <> 'active' AND source = 'wecom' AND person_id IN \
           (SELECT p.id FROM persons p JOIN person_rows o ON o.person_id = p.id AND o.until = $2 \
            WHERE p.corp_id = $1 AND p.checked_at > $4 AND o.status = 'active')",
    )
    .bind(corp.as_str())
    .bind(next)
    .bind(OPEN_UNTIL)
    .bind(began.millis())
    .bind(now)
    .execute(change.tx())
    .await?;
    Ok(())
}

/// Raises a conflict, unless it was raised before or its person could not be written. Returns it if
/// it is new.
pub(super) async fn insert_conflict(
    change: &mut FeedTransaction,
    conflict: &NewConflict,
) -> sqlx::Result<Option<RaisedConflict>> {
    let NewConflict { kind, person, candidates } = conflict;
    let id = conflicts::store::insert_conflict(change, *kind, person, candidates).await?;
    Ok(id.map(|id| RaisedConflict {
        id,
        kind: *kind,
        person_id: person.clone(),
        candidates: candidates.clone(),
    }))
}

/// Publishes version `next`. Returns `false` if it does not follow the published one.
pub(super) async fn publish_version(
    change: &mut FeedTransaction,
    next: i64,
    complete_at: Option<Timestamp>,
) -> sqlx::Result<bool> {
    let corp = change.corp().clone();
    let done = sqlx::query(
        "UPDATE charts SET version = $2, complete_at = CASE WHEN complete_at < $3 THEN $3 ELSE complete_at END \
         WHERE corp_id = $1 AND version = $2 - 1",
    )
    .bind(corp.as_str())
    .bind(next)
    .bind(complete_at.map_or(0, Timestamp::millis))
    .execute(change.tx())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that a run that began at `complete_at` read every detail and found no difference.
pub(super) async fn confirm_complete(
    change: &mut FeedTransaction,
    complete_at: Timestamp,
) -> sqlx::Result<()> {
    let corp = change.corp().clone();
    sqlx::query("UPDATE charts SET complete_at = $2 WHERE corp_id = $1 AND complete_at < $2")
        .bind(corp.as_str())
        .bind(complete_at.millis())
        .execute(change.tx())
        .await?;
    Ok(())
}
