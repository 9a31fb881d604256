//! SQL of cleaning up. The literal 9223372036854775807 is `row::OPEN_UNTIL`: an index on closed rows is
//! used only if the statement contains the number itself.

use const_format::formatcp;
use sqlx::{AnyConnection, FromRow};

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId};
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::directory::store::release_userid;
use crate::directory::{PersonStatus, conflicts};
use crate::session;

const LEFT: &str = PersonStatus::Left.as_str();

/// A table whose rows have versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionedTable {
    Units,
    Tags,
    Persons,
}

impl VersionedTable {
    pub(super) const ALL: [Self; 3] = [Self::Units, Self::Tags, Self::Persons];
}

/// What one statement removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CleanupStep {
    /// Deletes rows of versions that were never published.
    Discard(VersionedTable),
    /// Reopens rows that such a version would have ended.
    Reopen(VersionedTable),
    /// Deletes rows that ended with a published version.
    Prune(VersionedTable),
    /// Deletes a batch of the change feed that was never published.
    Unpublished(i64),
}

/// Removes up to `limit` rows; returns how many. Fewer means that no more are left.
pub(super) async fn run_step(
    tx: &mut AnyConnection,
    step: CleanupStep,
    corp: &CorpId,
    version: i64,
    limit: i64,
) -> sqlx::Result<i64> {
    let sql = match step {
        CleanupStep::Discard(VersionedTable::Units) => {
            "DELETE FROM unit_rows WHERE (id, until) IN \
               (SELECT id, until FROM unit_rows WHERE corp_id = $1 AND since > $2 LIMIT $3)"
        }
        CleanupStep::Discard(VersionedTable::Tags) => {
            "DELETE FROM tag_rows WHERE (id, until) IN \
               (SELECT id, until FROM tag_rows WHERE corp_id = $1 AND since > $2 LIMIT $3)"
        }
        CleanupStep::Discard(VersionedTable::Persons) => {
            "DELETE FROM person_rows WHERE (person_id, until) IN \
               (SELECT person_id, until FROM person_rows WHERE corp_id = $1 AND since > $2 LIMIT $3)"
        }
        CleanupStep::Reopen(VersionedTable::Units) => {
            "UPDATE unit_rows SET until = 9223372036854775807 WHERE (id, until) IN \
               (SELECT id, until FROM unit_rows \
                WHERE corp_id = $1 AND until > $2 AND until < 9223372036854775807 LIMIT $3)"
        }
        CleanupStep::Reopen(VersionedTable::Tags) => {
            "UPDATE tag_rows SET until = 9223372036854775807 WHERE (id, until) IN \
               (SELECT id, until FROM tag_rows \
                WHERE corp_id = $1 AND until > $2 AND until < 9223372036854775807 LIMIT $3)"
        }
        CleanupStep::Reopen(VersionedTable::Persons) => {
            "UPDATE person_rows SET until = 9223372036854775807 WHERE (person_id, until) IN \
               (SELECT person_id, until FROM person_rows \
                WHERE corp_id = $1 AND until > $2 AND until < 9223372036854775807 LIMIT $3)"
        }
        CleanupStep::Prune(VersionedTable::Units) => {
            "DELETE FROM unit_rows WHERE (id, until) IN \
               (SELECT id, until FROM unit_rows \
                WHERE corp_id = $1 AND until <= $2 AND until < 9223372036854775807 LIMIT $3)"
        }
        CleanupStep::Prune(VersionedTable::Tags) => {
            "DELETE FROM tag_rows WHERE (id, until) IN \
               (SELECT id, until FROM tag_rows \
                WHERE corp_id = $1 AND until <= $2 AND until < 9223372036854775807 LIMIT $3)"
        }
        CleanupStep::Prune(VersionedTable::Persons) => {
            "DELETE FROM person_rows WHERE (person_id, until) IN \
               (SELECT person_id, until FROM person_rows \
                WHERE corp_id = $1 AND until <= $2 AND until < 9223372036854775807 LIMIT $3)"
        }
        CleanupStep::Unpublished(batch) => return delete_batch(tx, corp, batch, limit).await,
    };
    let done = sqlx::query(sql).bind(corp).bind(version).bind(limit).execute(tx).await?;
    Ok(done.rows_affected().cast_signed())
}

/// Returns the batches of the change feed that no publication names.
pub(super) async fn find_unpublished_batches(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<i64>> {
    // This walks from batch to batch by the primary key: one batch may have a hundred thousand
    // rows.
    sqlx::query_scalar(
        "WITH RECURSIVE batches (batch) AS (SELECT MIN(batch) FROM directory_changes UNION ALL \
           SELECT (SELECT MIN(d.batch) FROM directory_changes d WHERE d.batch > b.batch) FROM batches b \
           WHERE b.batch IS NOT NULL) \
         SELECT b.batch FROM batches b WHERE b.batch IS NOT NULL \
           AND b.batch NOT IN (SELECT p.batch FROM publications p) \
           AND EXISTS (SELECT 1 FROM directory_changes d WHERE d.batch = b.batch AND d.corp_id = $1)",
    )
    .bind(corp)
    .fetch_all(db.pool())
    .await
}

/// Deletes up to `limit` rows of a batch, from its beginning.
pub(super) async fn delete_batch(
    tx: &mut AnyConnection,
    corp: &CorpId,
    batch: i64,
    limit: i64,
) -> sqlx::Result<i64> {
    let done = sqlx::query(
        "DELETE FROM directory_changes WHERE batch = $1 AND n IN \
           (SELECT n FROM directory_changes WHERE batch = $1 AND corp_id = $2 ORDER BY n LIMIT $3)",
    )
    .bind(batch)
    .bind(corp)
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(done.rows_affected().cast_signed())
}

/// Returns identities inserted before `before` that have no row.
pub(super) async fn find_unknown_identities(
    db: &Db,
    corp: &CorpId,
    before: Timestamp,
) -> sqlx::Result<Vec<PersonId>> {
    sqlx::query_scalar(
        "SELECT p.id FROM persons p WHERE p.corp_id = $1 AND p.created_at < $2 \
           AND NOT EXISTS (SELECT 1 FROM person_rows v WHERE v.person_id = p.id) ORDER BY p.id",
    )
    .bind(corp)
    .bind(before)
    .fetch_all(db.pool())
    .await
}

/// Deletes identities that still have no row and no session.
pub(super) async fn delete_identities(tx: &mut AnyConnection, ids: &[PersonId]) -> sqlx::Result<u64> {
    let mut deleted = 0;
    for id in ids {
        // On PostgreSQL the row is locked first: then a sign-in as this person either commits
        // before and is seen, or waits.
        sqlx::query("UPDATE persons SET check_lease = check_lease WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        deleted += delete_identity(tx, id).await?;
    }
    Ok(deleted)
}

async fn delete_identity(tx: &mut AnyConnection, id: &PersonId) -> sqlx::Result<u64> {
    if session::store::has_sessions(tx, id).await? {
        return Ok(0);
    }
    let done = sqlx::query(
        "DELETE FROM persons WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM person_rows v WHERE v.person_id = $1)",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Returns up to `limit` persons who left before `before`, the earliest first.
pub(super) async fn find_left_before(
    db: &Db,
    corp: &CorpId,
    before: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<PersonId>> {
    let mut ids: Vec<PersonId> = sqlx::query_scalar(formatcp!(
        "SELECT v.person_id FROM person_rows v \
           JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
         WHERE v.status = '{LEFT}' AND v.left_at < $2 ORDER BY v.left_at, v.person_id LIMIT $3"
    ))
    .bind(corp)
    .bind(before)
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    // Every transaction locks persons in the order of their ids.
    ids.sort();
    Ok(ids)
}

/// Removes a person who has left in the published version and in any staged one. Returns whether
/// the person was removed; `false` if another replica did it while this one waited.
pub(super) async fn purge_person(
    change: &mut FeedTransaction,
    id: &PersonId,
    before: Timestamp,
) -> sqlx::Result<bool> {
    let now = change.now();
    // The row is locked first: a sign-in as this person either commits before and is seen, or waits.
    sqlx::query("UPDATE persons SET check_lease = check_lease WHERE id = $1")
        .bind(id)
        .execute(change.tx())
        .await?;
    let others: i64 = sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM person_rows v JOIN charts c ON c.corp_id = v.corp_id \
         WHERE v.person_id = $1 AND v.until > c.version AND (v.status <> '{LEFT}' OR v.left_at >= $2)"
    ))
    .bind(id)
    .bind(before)
    .fetch_one(change.tx())
    .await?;
    if others > 0 || session::store::has_living_sessions(change.tx(), id, now).await? {
        return Ok(false);
    }
    let rows =
        sqlx::query("DELETE FROM person_rows WHERE person_id = $1").bind(id).execute(change.tx()).await?;
    // The identity may be there still, because sessions refer to it: only its rows tell.
    if rows.rows_affected() == 0 {
        return Ok(false);
    }
    conflicts::store::delete_conflicts_about(change, id).await?;
    // The userid is given up in any case: its next holder is somebody new.
    if delete_identity(change.tx(), id).await? == 0 {
        release_userid(change, id).await?;
    }
    Ok(true)
}

/// A publication of the change feed: its first number, and the batch of its rows.
#[derive(FromRow)]
pub(super) struct OldPublication {
    pub(super) first_seq: i64,
    pub(super) batch: i64,
}

/// Returns the oldest publication before `before`.
pub(super) async fn find_oldest_publication(
    tx: &mut AnyConnection,
    corp: &CorpId,
    before: Timestamp,
) -> sqlx::Result<Option<OldPublication>> {
    sqlx::query_as(
        "SELECT first_seq, batch FROM publications WHERE corp_id = $1 AND at < $2 ORDER BY first_seq LIMIT 1",
    )
    .bind(corp)
    .bind(before)
    .fetch_optional(tx)
    .await
}

pub(super) async fn delete_publication(tx: &mut AnyConnection, first_seq: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM publications WHERE first_seq = $1").bind(first_seq).execute(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Sid;
    use crate::db::DatabaseLocation;
    use crate::directory::store::ensure_chart;

    const NOW: Timestamp = Timestamp::from_millis(1_795_334_400_000);

    /// Inserts a person who left.
    async fn insert_left_person(change: &mut FeedTransaction, id: &str) {
        let corp = change.corp().clone();
        for sql in [
            "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) VALUES ($2, $1, $2, 0, 0, 0)",
            formatcp!(
                "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, \
                                          left_at, main_unit, memberships, detail, said, updated_at) \
                 VALUES ($2, $1, 0, 9223372036854775807, $2, $2, '', 'wecom', '{LEFT}', 0, NULL, '[]', '{{}}', '', 0)"
            ),
        ] {
            sqlx::query(sql).bind(&corp).bind(id.to_owned()).execute(change.tx()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_two_replicas_found_is_purged_by_one_of_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let db = Db::open(DatabaseLocation::Sqlite(&folder.path().join("test.db"))).await.unwrap();
        let corp = CorpId::new("corp");
        ensure_chart(&db, &corp).await.unwrap();
        let mut change = FeedTransaction::begin(&db, &corp, NOW).await.unwrap();
        insert_left_person(&mut change, "gone").await;
        insert_left_person(&mut change, "kept").await;
        let session = session::store::NewSession {
            sid: Sid::new("s"),
            person: PersonId::new("kept"),
            family: Sid::new("s"),
            audience: String::new(),
            amr: session::Amr::Qr,
            auth_time: NOW,
            expires_at: NOW,
            address: None,
            user_agent: String::new(),
        };
        session::store::insert(&mut change, &session).await.unwrap();
        for (id, identities) in [("gone", 0), ("kept", 1)] {
            let id = PersonId::new(id);
            let mut purged = Vec::new();
            for _ in 0..2 {
                purged.push(purge_person(&mut change, &id, NOW).await.unwrap());
            }
            assert_eq!(purged, [true, false], "{id}: the second one finds nothing to remove");
            let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM persons WHERE id = $1")
                .bind(&id)
                .fetch_one(change.tx())
                .await
                .unwrap();
            assert_eq!(left, identities, "{id}: an identity stays for its sessions");
        }
    }
}
