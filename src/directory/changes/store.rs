//! SQL of writing the change feed, and the transaction that ends with it.

use std::ops::{Deref, DerefMut};

use sqlx::AnyConnection;

use super::{DirectoryChangeKind, DirectoryEntity};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::Db;
use crate::db::feed::{FeedCounter, FeedTransaction, advance_counter};

/// A write transaction that changes the directory: it tells other systems at its very end, and then
/// the other replicas.
#[derive(Debug)]
pub struct DirectoryTransaction {
    feed: FeedTransaction,
    changes: Vec<(DirectoryEntity, String, DirectoryChangeKind)>,
    /// The batch and the number of its rows that were written before, unseen.
    batch: Option<(i64, i64)>,
}

impl Deref for DirectoryTransaction {
    type Target = FeedTransaction;

    fn deref(&self) -> &FeedTransaction {
        &self.feed
    }
}

impl DerefMut for DirectoryTransaction {
    fn deref_mut(&mut self) -> &mut FeedTransaction {
        &mut self.feed
    }
}

impl DirectoryTransaction {
    /// Begins a transaction for `corp`.
    ///
    /// # Errors
    /// If the database does not answer in time.
    pub async fn begin(db: &Db, corp: &CorpId, now: Timestamp) -> sqlx::Result<Self> {
        let feed = FeedTransaction::begin(db, corp, now).await?;
        Ok(Self { feed, changes: Vec::new(), batch: None })
    }

    /// Announces a change of the directory to other systems, once this commits.
    pub fn note_directory_change(
        &mut self,
        entity: DirectoryEntity,
        id: impl Into<String>,
        what: DirectoryChangeKind,
    ) {
        self.changes.push((entity, id.into(), what));
    }

    /// Publishes `count` rows that were written before under `batch`, once this commits.
    pub const fn publish_batch(&mut self, batch: i64, count: i64) {
        self.batch = Some((batch, count));
    }

    /// Writes the changes and the announcements, and commits.
    ///
    /// # Errors
    /// If the database fails; then nothing was written.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        self.publish_changes().await?;
        self.feed.commit().await
    }

    /// Locks the counters of batches and of the directory, after every other row but the feed's
    /// counter.
    async fn publish_changes(&mut self) -> sqlx::Result<()> {
        let mut batches = Vec::from_iter(self.batch.take().filter(|(_, count)| *count > 0));
        if !self.changes.is_empty() {
            let batch = advance_counter(self.feed.tx(), FeedCounter::Batch, 1).await?;
            let corp = self.feed.corp().clone();
            let mut count = 0;
            for (entity, id, what) in std::mem::take(&mut self.changes) {
                insert_directory_change(self.feed.tx(), &corp, batch, count, (entity, &id, what)).await?;
                count += 1;
            }
            batches.push((batch, count));
        }
        for (batch, count) in batches {
            self.insert_publication(batch, count).await?;
        }
        Ok(())
    }

    /// Gives one number to each row of the batch; the rows themselves have only their place in it.
    async fn insert_publication(&mut self, batch: i64, count: i64) -> sqlx::Result<()> {
        let (corp, now) = (self.feed.corp().clone(), self.feed.now());
        let last = advance_counter(self.feed.tx(), FeedCounter::Directory, count).await?;
        sqlx::query(
            "INSERT INTO publications (first_seq, batch, corp_id, count, at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(last - count + 1)
        .bind(batch)
        .bind(corp)
        .bind(count)
        .bind(now)
        .execute(self.feed.tx())
        .await?;
        Ok(())
    }
}

/// Writes a row of the change feed, which nobody sees before its batch is published.
///
/// # Errors
/// If the database fails.
pub async fn insert_directory_change(
    tx: &mut AnyConnection,
    corp: &CorpId,
    batch: i64,
    n: i64,
    (entity, id, what): (DirectoryEntity, &str, DirectoryChangeKind),
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(batch)
    .bind(n)
    .bind(corp)
    .bind(entity)
    .bind(id)
    .bind(what)
    .execute(tx)
    .await?;
    Ok(())
}

/// Reserves a number under which rows of the change feed can be written before they are published.
///
/// # Errors
/// If the database fails.
pub async fn reserve_batch(db: &Db) -> sqlx::Result<i64> {
    let mut tx = db.write().await?;
    let batch = advance_counter(&mut tx, FeedCounter::Batch, 1).await?;
    tx.commit().await?;
    Ok(batch)
}
