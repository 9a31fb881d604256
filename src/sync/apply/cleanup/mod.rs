//! Removes, in short transactions, what is no longer needed: rows left by crashes, rows of old
//! versions, persons who left long ago, obsolete conflicts, and old entries of the change feed.

mod store;

use std::time::Duration;

use super::{ApplyError, ApplyTarget};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::Db;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::{self, conflicts};

use self::store::{CleanupStep, OldPublication, VersionedTable};

/// Rows that one transaction removes at most.
const CLEANUP_BATCH_ROWS: i64 = 500;

/// Identities that one transaction removes at most.
const DELETE_BATCH_IDENTITIES: usize = 500;

/// What [`remove_leftovers`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HealCounts {
    /// Rows of a version that was never published.
    pub discarded: u64,
    /// Rows that such a version would have ended.
    pub reopened: u64,
    /// Rows of versions before the published one.
    pub pruned: u64,
    /// Entries of the change feed that were never published.
    pub changes: u64,
    /// Identities without any row.
    pub identities: u64,
}

/// Removes rows of versions that were never published and of versions that are over. This is the
/// first step of every run; the published chart does not change.
///
/// # Errors
/// [`ApplyError::Lost`] if the run is no longer this process's, or if the database fails; what was
/// removed stays removed.
pub async fn remove_leftovers(target: &ApplyTarget<'_>) -> Result<HealCounts, ApplyError> {
    let (db, corp) = (target.db, target.corp);
    let (version, _) = directory::store::published_version(db, corp).await?;
    // Discard before reopening: a person may have only one open row.
    let mut steps: Vec<CleanupStep> = VersionedTable::ALL
        .into_iter()
        .flat_map(|rows| [CleanupStep::Discard(rows), CleanupStep::Reopen(rows), CleanupStep::Prune(rows)])
        .collect();
    // This run holds the lease and has published nothing yet, so what is unpublished now stays so.
    steps.extend(store::find_unpublished_batches(db, corp).await?.into_iter().map(CleanupStep::Unpublished));
    let mut healed = HealCounts::default();
    let mut steps = steps.into_iter().peekable();
    while steps.peek().is_some() {
        let mut tx = super::begin_transaction(target).await?;
        let mut room = CLEANUP_BATCH_ROWS;
        let mut cleared = Vec::new();
        while let Some(step) = steps.peek().filter(|_| room > 0) {
            let rows = store::run_step(&mut tx, *step, corp, version, room).await?;
            cleared.push((*step, rows));
            if rows < room {
                steps.next();
            }
            // Several small steps share one transaction, up to its limit of rows.
            room -= rows;
        }
        tx.commit().await?;
        cleared.into_iter().for_each(|(step, rows)| healed.add(step, rows));
        tokio::task::yield_now().await;
    }
    // An identity is inserted together with its first row. One without a row was left by an
    // interrupted run, and its userid must become free.
    let before = target.clock.now().plus(Duration::from_secs(1));
    let unknown = store::find_unknown_identities(db, corp, before).await?;
    for ids in unknown.chunks(DELETE_BATCH_IDENTITIES) {
        let mut tx = super::begin_transaction(target).await?;
        healed.identities += store::delete_identities(&mut tx, ids).await?;
        tx.commit().await?;
    }
    Ok(healed)
}

impl HealCounts {
    fn add(&mut self, step: CleanupStep, rows: i64) {
        let of_step = match step {
            CleanupStep::Discard(_) => &mut self.discarded,
            CleanupStep::Reopen(_) => &mut self.reopened,
            CleanupStep::Prune(_) => &mut self.pruned,
            CleanupStep::Unpublished(_) => &mut self.changes,
        };
        *of_step += rows.unsigned_abs();
    }
}

/// Removes up to `limit` persons who left before `left_before`, with their rows and conflicts;
/// returns how many.
///
/// Bindings of rules stay, so that a new holder of the userid inherits nothing. An identity that a
/// session still refers to only loses its userid; a later [`remove_leftovers`] deletes it.
///
/// # Errors
/// If the database fails; then nothing was removed.
pub async fn purge_left_persons(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
    left_before: Timestamp,
    limit: i64,
) -> sqlx::Result<u64> {
    let due = store::find_left_before(db, corp, left_before, limit).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let mut change = DirectoryTransaction::begin(db, corp, now).await?;
    let mut purged = 0;
    for id in due {
        if store::purge_person(&mut change, &id, left_before).await? {
            change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Removed);
            purged += 1;
        }
    }
    change.commit().await?;
    let gone = conflicts::store::find_obsolete_conflicts(db, corp).await?;
    if !gone.is_empty() {
        let mut change = DirectoryTransaction::begin(db, corp, now).await?;
        conflicts::store::close_obsolete_conflicts(&mut change, &gone).await?;
        change.commit().await?;
    }
    Ok(purged)
}

/// Deletes up to `limit` entries of the change feed that were published before `before`, the oldest
/// first. Returns how many rows were deleted; fewer than `limit` means that no more are left.
///
/// # Errors
/// If the database fails.
pub async fn delete_changes_before(
    db: &Db,
    corp: &CorpId,
    before: Timestamp,
    limit: i64,
) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let mut room = limit;
    while room > 0
        && let Some(OldPublication { first_seq, batch }) =
            store::find_oldest_publication(&mut tx, corp, before).await?
    {
        let rows = store::delete_batch(&mut tx, corp, batch, room).await?;
        if rows < room {
            store::delete_publication(&mut tx, first_seq).await?;
        }
        // An empty publication counts as one row too, so that the loop ends.
        room -= rows.max(1);
    }
    tx.commit().await?;
    Ok((limit - room.max(0)).unsigned_abs())
}
