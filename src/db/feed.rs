//! The feed: what changed, numbered inside the writing transaction, so that no reader misses a number.

use sqlx::{AnyConnection, Row as _};

use super::{Db, Tx};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;

/// What a feed entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedKind {
    /// One session ended; the id is its sid.
    Session,
    /// Every session ended; no id.
    Sessions,
    /// A person changed; the id is ours.
    Person,
    /// The signing keys changed; the id is the kid.
    Key,
    /// Units, tags, or many persons at once: a new version was published, or somebody edited the chart by hand. The id
    /// is the version.
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

/// One entry. `kind` is `None` for a kind that only a newer version knows.
#[derive(Debug, Clone)]
pub struct FeedEntry {
    /// Its number.
    pub seq: i64,
    /// What it is about.
    pub kind: Option<FeedKind>,
    /// Whom or which.
    pub id: String,
}

/// A write transaction whose announcements are made at its very end.
///
/// The feed's row lock is taken last, after every other row, by everybody: two writers can then never wait for
/// each other in a circle. Rows are taken in the order persons, sessions, everything else.
#[derive(Debug)]
pub struct FeedTransaction {
    tx: Tx,
    corp: CorpId,
    now: Timestamp,
    announcements: Vec<(FeedKind, String)>,
    /// For other systems: what changed in the directory.
    directory_changes: Vec<(DirectoryEntity, String, DirectoryChangeKind)>,
    /// Rows of `directory_changes` that were written before, unseen, and how many.
    batch: Option<(i64, i64)>,
}

/// What an entry of the directory's change feed is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryEntity {
    /// A unit.
    Unit,
    /// A person.
    Person,
    /// A tag.
    Tag,
}

impl DirectoryEntity {
    /// As the table and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Person => "person",
            Self::Tag => "tag",
        }
    }
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryChangeKind {
    /// It is new.
    Created,
    /// It is different; a person who left is that, too.
    Updated,
    /// It is gone.
    Removed,
}

impl DirectoryChangeKind {
    /// As the table and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Removed => "removed",
        }
    }
}

impl FeedTransaction {
    /// Begins one for `corp`.
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

    /// The connection, for statements.
    pub fn tx(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// The corporation that the rows are of.
    pub const fn corp(&self) -> &CorpId {
        &self.corp
    }

    /// The instant that the rows carry.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Tells every replica, if and when this commits.
    pub fn announce(&mut self, kind: FeedKind, id: impl Into<String>) {
        self.announcements.push((kind, id.into()));
    }

    /// Tells other systems what changed in the directory, if and when this commits.
    pub fn note_directory_change(
        &mut self,
        entity: DirectoryEntity,
        id: impl Into<String>,
        what: DirectoryChangeKind,
    ) {
        self.directory_changes.push((entity, id.into(), what));
    }

    /// Publishes `count` rows of `directory_changes` that were written before under `batch`.
    pub const fn publish_batch(&mut self, batch: i64, count: i64) {
        self.batch = Some((batch, count));
    }

    /// Writes the announcements and commits.
    ///
    /// # Errors
    /// If the database fails; then nothing of it happened.
    pub async fn commit(mut self) -> sqlx::Result<()> {
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

    /// Raises a counter and answers what it is now. Its row is locked until this commits.
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
    /// Numbers of batches; their order says nothing.
    Batch,
    /// Numbers of the directory's change feed.
    Directory,
    /// Numbers of the feed between replicas.
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

/// Writes one row of the directory's change feed; nobody sees it before its batch is published.
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

/// A number under which rows of the directory's change feed can be written before they are published.
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

/// The newest number.
///
/// # Errors
/// If the database fails.
pub async fn read_newest_seq(db: &Db) -> sqlx::Result<i64> {
    sqlx::query("SELECT seq FROM feed_counter WHERE name = 'feed'").fetch_one(db.pool()).await?.try_get(0)
}

/// Up to `limit` entries after number `seq`, in order.
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

/// Deletes entries older than `before`.
///
/// # Errors
/// If the database fails.
pub async fn delete_entries_before(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query("DELETE FROM feed WHERE at < $1").bind(before.millis()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
