//! SQL of cleaning up. The literal 9223372036854775807 is `row::OPEN_UNTIL`: an index on closed rows is
//! used only if the statement contains the number itself.

use std::collections::HashSet;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, CorpId, PersonId};
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::directory::row::{from_json, published};

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

macro_rules! discard {
    ($table:literal, $id:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $id,
            ", until) IN (SELECT ",
            $id,
            ", until FROM ",
            $table,
            " WHERE corp_id = $1 AND since > $2 LIMIT $3)"
        )
    };
}

macro_rules! reopen {
    ($table:literal, $id:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET until = 9223372036854775807 WHERE (",
            $id,
            ", until) IN (SELECT ",
            $id,
            ", until FROM ",
            $table,
            " WHERE corp_id = $1 AND until > $2 AND until < 9223372036854775807 LIMIT $3)"
        )
    };
}

macro_rules! prune {
    ($table:literal, $id:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $id,
            ", until) IN (SELECT ",
            $id,
            ", until FROM ",
            $table,
            " WHERE corp_id = $1 AND until <= $2 AND until < 9223372036854775807 LIMIT $3)"
        )
    };
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
        CleanupStep::Discard(VersionedTable::Units) => discard!("unit_rows", "id"),
        CleanupStep::Discard(VersionedTable::Tags) => discard!("tag_rows", "id"),
        CleanupStep::Discard(VersionedTable::Persons) => discard!("person_rows", "person_id"),
        CleanupStep::Reopen(VersionedTable::Units) => reopen!("unit_rows", "id"),
        CleanupStep::Reopen(VersionedTable::Tags) => reopen!("tag_rows", "id"),
        CleanupStep::Reopen(VersionedTable::Persons) => reopen!("person_rows", "person_id"),
        CleanupStep::Prune(VersionedTable::Units) => prune!("unit_rows", "id"),
        CleanupStep::Prune(VersionedTable::Tags) => prune!("tag_rows", "id"),
        CleanupStep::Prune(VersionedTable::Persons) => prune!("person_rows", "person_id"),
        CleanupStep::Unpublished(batch) => return delete_batch(tx, corp, batch, limit).await,
    };
    let done = sqlx::query(sql).bind(corp.as_str()).bind(version).bind(limit).execute(tx).await?;
    Ok(done.rows_affected().cast_signed())
}

/// Returns the batches of the change feed that no publication names.
pub(super) async fn find_unpublished_batches(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<i64>> {
    // This walks from batch to batch by the primary key: one batch may have a hundred thousand
    // rows.
    let rows = sqlx::query(
        "WITH RECURSIVE batches (batch) AS (SELECT MIN(batch) FROM directory_changes UNION ALL \
           SELECT (SELECT MIN(d.batch) FROM directory_changes d WHERE d.batch > b.batch) FROM batches b \
           WHERE b.batch IS NOT NULL) \
         SELECT b.batch FROM batches b WHERE b.batch IS NOT NULL \
           AND b.batch NOT IN (SELECT p.batch FROM publications p) \
           AND EXISTS (SELECT 1 FROM directory_changes d WHERE d.batch = b.batch AND d.corp_id = $1)",
    )
    .bind(corp.as_str())
    .fetch_all(db.pool())
    .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
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
    .bind(corp.as_str())
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(done.rows_affected().cast_signed())
}

/// Returns identities inserted before `before` that have no row and no session.
pub(super) async fn find_unknown_identities(
    db: &Db,
    corp: &CorpId,
    before: Timestamp,
) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query(
        "SELECT p.id FROM persons p WHERE p.corp_id = $1 AND p.created_at < $2 \
           AND NOT EXISTS (SELECT 1 FROM person_rows v WHERE v.person_id = p.id) \
           AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.person_id = p.id) ORDER BY p.id",
    )
    .bind(corp.as_str())
    .bind(before.millis())
    .fetch_all(db.pool())
    .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Deletes identities that still have no row and no session.
pub(super) async fn delete_identities(tx: &mut AnyConnection, ids: &[String]) -> sqlx::Result<u64> {
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

async fn delete_identity(tx: &mut AnyConnection, id: &str) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM persons WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM person_rows v WHERE v.person_id = $1) \
           AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.person_id = $1)",
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
    let rows = sqlx::query(concat!(
        "SELECT v.person_id FROM person_rows v ",
        published!(),
        "WHERE v.status = 'left' AND v.left_at < $2 ORDER BY v.left_at, v.person_id LIMIT $3"
    ))
    .bind(corp.as_str())
    .bind(before.millis())
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    let ids: sqlx::Result<Vec<PersonId>> =
        rows.iter().map(|row| Ok(PersonId::new(row.try_get::<String, _>(0)?))).collect();
    // Every transaction locks persons in the order of their ids.
    ids.map(|mut ids| {
        ids.sort();
        ids
    })
}

/// Removes a person who has left in the published version and in any staged one. Returns whether
/// the person was removed.
pub(super) async fn purge_person(
    change: &mut FeedTransaction,
    id: &PersonId,
    before: Timestamp,
) -> sqlx::Result<bool> {
    let now = change.now().millis();
    // The userid is given up in any case: its next holder is somebody new.
    let taken = sqlx::query(
        "UPDATE persons SET check_lease = check_lease WHERE id = $1 \
           AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.person_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2)",
    )
    .bind(id.as_str())
    .bind(now)
    .execute(change.tx())
    .await?;
    let others: i64 = sqlx::query(
        "SELECT COUNT(*) FROM person_rows v JOIN charts c ON c.corp_id = v.corp_id \
         WHERE v.person_id = $1 AND v.until > c.version AND (v.status <> 'left' OR v.left_at >= $2)",
    )
    .bind(id.as_str())
    .bind(before.millis())
    .fetch_one(change.tx())
    .await?
    .try_get(0)?;
    if taken.rows_affected() == 0 || others > 0 {
        return Ok(false);
    }
    for sql in ["DELETE FROM person_rows WHERE person_id = $1", "DELETE FROM conflicts WHERE person_id = $1"]
    {
        sqlx::query(sql).bind(id.as_str()).execute(change.tx()).await?;
    }
    if delete_identity(change.tx(), id.as_str()).await? == 0 {
        sqlx::query("UPDATE persons SET released_at = $2 WHERE id = $1 AND released_at IS NULL")
            .bind(id.as_str())
            .bind(now)
            .execute(change.tx())
            .await?;
    }
    Ok(true)
}

/// Returns the first number and the batch of the oldest publication before `before`.
pub(super) async fn find_oldest_publication(
    tx: &mut AnyConnection,
    corp: &CorpId,
    before: Timestamp,
) -> sqlx::Result<Option<(i64, i64)>> {
    sqlx::query(
        "SELECT first_seq, batch FROM publications WHERE corp_id = $1 AND at < $2 ORDER BY first_seq LIMIT 1",
    )
    .bind(corp.as_str())
    .bind(before.millis())
    .fetch_optional(tx)
    .await?
    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
    .transpose()
}

pub(super) async fn delete_publication(tx: &mut AnyConnection, first_seq: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM publications WHERE first_seq = $1").bind(first_seq).execute(tx).await?;
    Ok(())
}

/// Deletes closed conflicts about persons who are purged.
pub(super) async fn delete_closed_conflicts(
    tx: &mut AnyConnection,
    corp: &CorpId,
    before: Timestamp,
    limit: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM conflicts WHERE id IN (\
           SELECT k.id FROM conflicts k WHERE k.corp_id = $1 AND k.state <> 'open' AND k.closed_at < $2 \
           AND NOT EXISTS (SELECT 1 FROM person_rows v WHERE v.person_id = k.person_id) ORDER BY k.id LIMIT $3)",
    )
    .bind(corp.as_str())
    .bind(before.millis())
    .bind(limit)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// The id of a conflict, its person, and the candidates.
type ConflictRow = (ConflictId, PersonId, Vec<PersonId>);

pub(super) async fn find_open_conflicts(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<ConflictRow>> {
    let read = |row: &AnyRow| {
        Ok((
            ConflictId::new(row.try_get::<String, _>(0)?),
            PersonId::new(row.try_get::<String, _>(1)?),
            from_json("conflicts.candidates", row.try_get(2)?)?,
        ))
    };
    let rows =
        sqlx::query("SELECT id, person_id, candidates FROM conflicts WHERE corp_id = $1 AND state = 'open'")
            .bind(corp.as_str())
            .fetch_all(db.pool())
            .await?;
    rows.iter().map(read).collect()
}

/// Returns those of these persons who have a published row.
pub(super) async fn find_known_persons(
    db: &Db,
    corp: &CorpId,
    ids: &[&PersonId],
) -> sqlx::Result<HashSet<PersonId>> {
    let mut known = HashSet::with_capacity(ids.len());
    for id in ids {
        let row =
            sqlx::query(concat!("SELECT 1 FROM person_rows v ", published!(), "WHERE v.person_id = $2"))
                .bind(corp.as_str())
                .bind(id.as_str())
                .fetch_optional(db.pool())
                .await?;
        if row.is_some() {
            known.insert((*id).clone());
        }
    }
    Ok(known)
}

/// Closes a conflict that no longer arises.
pub(super) async fn close_conflict(change: &mut FeedTransaction, id: &ConflictId) -> sqlx::Result<()> {
    let now = change.now().millis();
    sqlx::query("UPDATE conflicts SET state = 'gone', closed_at = $2 WHERE id = $1 AND state = 'open'")
        .bind(id.as_str())
        .bind(now)
        .execute(change.tx())
        .await?;
    Ok(())
}
