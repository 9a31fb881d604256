//! The feed between replicas: what changed, numbered inside the writing transaction, so that no
//! reader misses a number. See [design: replicas](crate::design#replicas).

use sqlx::{AnyConnection, Row as _};

use super::{Db, Tx};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;

/// The kind of a feed entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedKind {
    /// One session ended; the id is its sid.
    Session,
    /// Every session ended; no id.
    Sessions,
    /// A person changed; the id is the `PersonId`.
    Person,
    /// The signing keys changed; the id is the kid.
    Key,
    /// Units, tags, or many persons at once: a new version was published, or somebody edited the
    /// chart by hand. The id is the version.
    Chart,
    /// A userid in a rule was bound to a person.
    Binding,
}

impl FeedKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Sessions => "sessions",
            Self::Person => "person",
            Self::Key => "key",
            Self::Chart => "chart",
            Self::Binding => "binding",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Session, Self::Sessions, Self::Person, Self::Key, Self::Chart, Self::Binding]
            .into_iter()
            .find(|k| k.as_str() == text)
    }
}

/// An entry of the feed. `kind` is `None` for a kind that only a newer version knows.
#[derive(Debug, Clone)]
pub struct FeedEntry {
    pub seq: i64,
    pub kind: Option<FeedKind>,
    /// The id of what changed, by its kind.
    pub id: String,
}

/// A write transaction that announces its changes at its very end.
///
/// Every transaction takes the feed's row lock last, after every other row, so that two writers
/// never wait for each other in a circle. Rows are taken in the order persons, sessions, everything
/// else.
#[derive(Debug)]
pub struct FeedTransaction {
    tx: Tx,
    corp: CorpId,
    now: Timestamp,
    announcements: Vec<(FeedKind, String)>,
    /// The changes of the directory that other systems are told.
    directory_changes: Vec<(DirectoryEntity, String, DirectoryChangeKind)>,
    /// The batch and the number of rows of `directory_changes` that were written before, unseen.
    batch: Option<(i64, i64)>,
}

/// The kind of object that changed in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryEntity {
    Unit,
    Person,
    Tag,
}

impl DirectoryEntity {
    /// Returns the word of the table and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Person => "person",
            Self::Tag => "tag",
        }
    }
}

/// The change of an object of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryChangeKind {
    Created,
    /// The object is different; a person who left counts as updated.
    Updated,
    Removed,
}

impl DirectoryChangeKind {
    /// Returns the word of the table and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Removed => "removed",
        }
    }
}

impl FeedTransaction {
    /// Begins a transaction for `corp`.
    ///
    /// # Errors
    /// If the database does not answer in time.
    pub async fn begin(db: &Db, corp: &CorpId, now: Timestamp) -> sqlx::Result<Self> {
        let tx = db.write().await?;
        Ok(Self {
            tx,
            corp: corp.clone(),
            now,
            announcements: Vec::new(),
            directory_changes: Vec::new(),
            batch: None,
        })
    }

    /// Returns the connection, for statements.
    pub fn tx(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// Returns the corporation of the rows.
    pub const fn corp(&self) -> &CorpId {
        &self.corp
    }

    /// Returns the instant that the rows carry.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Announces a change to every replica, once this commits.
    pub fn announce(&mut self, kind: FeedKind, id: impl Into<String>) {
        self.announcements.push((kind, id.into()));
    }

    /// Announces a change of the directory to other systems, once this commits.
    pub fn note_directory_change(
        &mut self,
        entity: DirectoryEntity,
        id: impl Into<String>,
        what: DirectoryChangeKind,
    ) {
        self.directory_changes.push((entity, id.into(), what));
    }

    /// Publishes `count` rows of `directory_changes` that were written before under `batch`, once
    /// this commits.
    pub const fn publish_batch(&mut self, batch: i64, count: i64) {
        self.batch = Some((batch, count));
    }

    /// Writes the announcements and commits.
    ///
    /// # Errors
    /// If the database fails; then nothing was written.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        // The counters are locked here, last of all rows, and until the commit.
        self.publish_directory_changes().await?;
        for (kind, id) in std::mem::take(&mut self.announcements) {
            let seq = self.advance(FeedCounter::Feed, 1).await?;
            sqlx::query("INSERT INTO feed (seq, corp_id, kind, id, at) VALUES ($1, $2, $3, $4, $5)")
                .bind(seq)
                .bind(self.corp.as_str())
                .bind(kind.as_str())
                .bind(id)
                .bind(self.now.millis())
                .execute(&mut *self.tx)
                .await?;
        }
        self.tx.commit().await
    }

    async fn publish_directory_changes(&mut self) -> sqlx::Result<()> {
        let mut batches = Vec::from_iter(self.batch.take().filter(|(_, count)| *count > 0));
        if !self.directory_changes.is_empty() {
            let batch = self.advance(FeedCounter::Batch, 1).await?;
            let mut count = 0;
            for (entity, id, what) in std::mem::take(&mut self.directory_changes) {
                insert_directory_change(&mut self.tx, &self.corp, batch, count, (entity, &id, what)).await?;
                count += 1;
            }
            batches.push((batch, count));
        }
        for (batch, count) in batches {
            // One number for each row of the batch; the rows themselves have only their place in
            // it.
            let last = self.advance(FeedCounter::Directory, count).await?;
            sqlx::query(
                "INSERT INTO publications (first_seq, batch, corp_id, count, at) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(last - count + 1)
            .bind(batch)
            .bind(self.corp.as_str())
            .bind(count)
            .bind(self.now.millis())
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Raises a counter and returns its new value. Its row is locked until this commits.
    async fn advance(&mut self, counter: FeedCounter, by: i64) -> sqlx::Result<i64> {
        sqlx::query("UPDATE feed_counter SET seq = seq + $2 WHERE name = $1 RETURNING seq")
            .bind(counter.as_str())
            .bind(by)
            .fetch_one(&mut *self.tx)
            .await?
            .try_get(0)
    }
}

/// The rows of `feed_counter`.
#[derive(Clone, Copy)]
enum FeedCounter {
    /// The number of a batch; the order of batches means nothing.
    Batch,
    /// The number in the directory's change feed.
    Directory,
    /// The number in the feed between replicas.
    Feed,
}

impl FeedCounter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Directory => "directory",
            Self::Feed => "feed",
        }
    }
}

/// Writes a row of the directory's change feed, which nobody sees before its batch is published.
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
    .bind(corp.as_str())
    .bind(entity.as_str())
    .bind(id)
    .bind(what.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Reserves a number under which rows of the directory's change feed can be written before they are
/// published.
///
/// # Errors
/// If the database fails.
pub async fn reserve_batch(db: &Db) -> sqlx::Result<i64> {
    let mut tx = db.write().await?;
    let batch = sqlx::query("UPDATE feed_counter SET seq = seq + 1 WHERE name = 'batch' RETURNING seq")
        .fetch_one(&mut *tx)
        .await?
        .try_get(0)?;
    tx.commit().await?;
    Ok(batch)
}

/// Returns the number of the newest entry.
///
/// # Errors
/// If the database fails.
pub(crate) async fn read_newest_seq(db: &Db) -> sqlx::Result<i64> {
    sqlx::query("SELECT seq FROM feed_counter WHERE name = 'feed'").fetch_one(db.pool()).await?.try_get(0)
}

/// Returns up to `limit` entries after number `seq`, in order.
///
/// # Errors
/// If the database fails.
pub async fn list_entries_after(db: &Db, seq: i64, limit: i64) -> sqlx::Result<Vec<FeedEntry>> {
    sqlx::query("SELECT seq, kind, id FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(seq)
        .bind(limit)
        .fetch_all(db.pool())
        .await?
        .into_iter()
        .map(|row| {
            let kind: String = row.try_get(1)?;
            Ok(FeedEntry { seq: row.try_get(0)?, kind: FeedKind::parse(&kind), id: row.try_get(2)? })
        })
        .collect()
}

/// Deletes entries older than `before`, and returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_entries_before(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query("DELETE FROM feed WHERE at < $1").bind(before.millis()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
