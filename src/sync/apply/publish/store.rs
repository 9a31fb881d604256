//! SQL of publishing.

use std::collections::HashSet;
use std::sync::LazyLock;

use const_format::formatcp;

use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UserId};
use crate::db::bind_list::ListStatement;
use crate::db::feed::FeedTransaction;
use crate::db::hot_statement::HotStatement;
use crate::directory::row::OPEN_UNTIL;
use crate::directory::{EntrySource, PersonStatus, conflicts};
use crate::sync::apply::RaisedConflict;
use crate::sync::apply::store::lock_identities;
use crate::sync::plan::NewConflict;

const ACTIVE: &str = PersonStatus::Active.as_str();
const LEFT: &str = PersonStatus::Left.as_str();
const WECOM: &str = EntrySource::Wecom.as_str();

pub(in crate::sync::apply) fn hot_statements() -> Vec<HotStatement> {
    vec![
        HotStatement {
            name: "find_checked",
            sql: SELECT_CHECKED,
            indexes: &["person_rows_inactive (since)", "persons_pkey (id)"],
        },
        HotStatement {
            name: "keep_signed_in_active",
            sql: KEEP_ACTIVE.single_row_text(),
            indexes: &["person_rows_pkey"],
        },
    ]
}

const SELECT_CHECKED: &str = formatcp!(
    "SELECT v.person_id FROM person_rows v JOIN persons p ON p.id = v.person_id \
     WHERE v.since = $1 AND v.until = $2 AND v.status <> '{ACTIVE}' AND v.source = '{WECOM}' \
       AND v.corp_id = $3 AND p.checked_at > $4"
);

/// Releases the userids of these persons; returns those who had one.
pub(super) async fn release_userids(
    change: &mut FeedTransaction,
    ids: &[&PersonId],
) -> sqlx::Result<HashSet<PersonId>> {
    let now = change.now();
    let mut released = HashSet::with_capacity(ids.len());
    for id in ids {
        let done = sqlx::query("UPDATE persons SET released_at = $2 WHERE id = $1 AND released_at IS NULL")
            .bind(*id)
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
        let left: i64 = sqlx::query_scalar(formatcp!(
            "SELECT COUNT(*) FROM person_rows WHERE person_id = $1 AND until = $2 AND status = '{LEFT}'"
        ))
        .bind(*id)
        .bind(OPEN_UNTIL)
        .fetch_one(change.tx())
        .await?;
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
    sqlx::query(sql).bind(id).bind(userid).execute(change.tx()).await?;
    Ok(())
}

/// Gives a new person its userid.
pub(super) async fn claim_userid(change: &mut FeedTransaction, id: &PersonId) -> sqlx::Result<()> {
    sqlx::query("UPDATE persons SET released_at = NULL WHERE id = $1").bind(id).execute(change.tx()).await?;
    Ok(())
}

static KEEP_ACTIVE: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        // `+since` keeps SQLite from an index on since, which matches every staged row.
        formatcp!(
            "UPDATE person_rows SET status = '{ACTIVE}', left_at = NULL, said = '', updated_at = $3 \
             WHERE until = $2 AND +since = $1 AND status <> '{ACTIVE}' AND source = '{WECOM}' AND EXISTS \
               (SELECT 1 FROM person_rows o WHERE o.person_id = person_rows.person_id AND o.until = $1 \
                                              AND o.status = '{ACTIVE}') \
               AND person_id IN ("
        ),
        3,
        "*",
        ")",
    )
});

/// Keeps persons active in version `next` who are active now and were checked singly after `began`.
/// A sign-in that found nothing to write left no other trace.
///
/// They are read first, from the few whom the version keeps out: everybody may have been checked
/// since, and all of that happens in the publishing transaction. Their identities are locked then,
/// so that whoever is marked as gone meanwhile stays gone.
pub(super) async fn keep_signed_in_active(
    change: &mut FeedTransaction,
    next: i64,
    began: Timestamp,
) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now());
    let mut checked: Vec<PersonId> = sqlx::query_scalar(SELECT_CHECKED)
        .bind(next)
        .bind(OPEN_UNTIL)
        .bind(corp)
        .bind(began)
        .fetch_all(change.tx())
        .await?;
    // Every transaction locks persons in the order of their ids.
    checked.sort();
    lock_identities(change.tx(), &checked.iter().collect::<Vec<_>>()).await?;
    for (text, part) in KEEP_ACTIVE.chunks(&checked) {
        let mut query = sqlx::query(text).bind(next).bind(OPEN_UNTIL).bind(now);
        for id in part {
            query = query.bind(id);
        }
        query.execute(change.tx()).await?;
    }
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
    .bind(corp)
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
        .bind(corp)
        .bind(complete_at)
        .execute(change.tx())
        .await?;
    Ok(())
}
