//! The feed between replicas: what changed, numbered inside the writing transaction, so that no
//! reader misses a number. See [design: replicas](crate::design#replicas).

use sqlx::{AnyConnection, FromRow};

use super::hot_statement::HotStatement;
use super::types::column_enum;
use super::{Db, Tx};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;

column_enum! {
    /// The kind of a feed entry.
    pub enum FeedKind {
        /// One session ended; the id is its sid.
        Session = "session",
        /// Every session ended; no id.
        Sessions = "sessions",
        /// A person changed; the id is the `PersonId`.
        Person = "person",
        /// The signing keys changed; the id is the kid.
        Key = "key",
        /// Units, tags, or many persons at once: a new version was published, or somebody edited
        /// the chart by hand. The id is the version.
        Chart = "chart",
        /// A userid in a rule was bound to a person.
        Binding = "binding",
    }
}

column_enum! {
    /// A row of `feed_counter`: numbers whose order is the order of commits.
    pub(crate) enum FeedCounter {
        /// The number of a batch; the order of batches means nothing.
        Batch = "batch",
        /// The number in the directory's change feed.
        Directory = "directory",
        /// The number in the feed between replicas.
        Feed = "feed",
        /// The order in which messages were accepted.
        Message = "message",
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
}

impl FeedTransaction {
    /// Begins a transaction for `corp`.
    ///
    /// # Errors
    /// If the database does not answer in time.
    pub async fn begin(db: &Db, corp: &CorpId, now: Timestamp) -> sqlx::Result<Self> {
        let tx = db.write().await?;
        Ok(Self { tx, corp: corp.clone(), now, announcements: Vec::new() })
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

    /// Writes the announcements and commits.
    ///
    /// # Errors
    /// If the database fails; then nothing was written.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        for (kind, id) in std::mem::take(&mut self.announcements) {
            // The counter is locked here, last of all rows, and until the commit.
            let seq = advance_counter(&mut self.tx, FeedCounter::Feed, 1).await?;
            sqlx::query("INSERT INTO feed (seq, corp_id, kind, id, at) VALUES ($1, $2, $3, $4, $5)")
                .bind(seq)
                .bind(&self.corp)
                .bind(kind)
                .bind(id)
                .bind(self.now)
                .execute(&mut *self.tx)
                .await?;
        }
        self.tx.commit().await
    }
}

/// Raises a counter and returns its new value. Its row is locked until the transaction ends, so it
/// must be the last one that is locked.
///
/// # Errors
/// If the database fails.
pub(crate) async fn advance_counter(
    tx: &mut AnyConnection,
    counter: FeedCounter,
    by: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar("UPDATE feed_counter SET seq = seq + $2 WHERE name = $1 RETURNING seq")
        .bind(counter)
        .bind(by)
        .fetch_one(tx)
        .await
}

const READ_COUNTER: &str = "SELECT seq FROM feed_counter WHERE name = $1";

/// Returns the newest number of a counter.
///
/// # Errors
/// If the database fails.
pub(crate) async fn read_counter(db: &Db, counter: FeedCounter) -> sqlx::Result<i64> {
    sqlx::query_scalar(READ_COUNTER).bind(counter).fetch_one(db.pool()).await
}

/// Returns the number of the newest entry.
///
/// # Errors
/// If the database fails.
pub(crate) async fn read_newest_seq(db: &Db) -> sqlx::Result<i64> {
    read_counter(db, FeedCounter::Feed).await
}

/// Tests whether rows can be written: writes one unchanged and rolls back.
///
/// # Errors
/// If they cannot, or the database fails.
pub(crate) async fn check_writable(db: &Db) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE feed_counter SET seq = seq WHERE name = $1")
        .bind(FeedCounter::Feed)
        .execute(&mut *tx)
        .await?;
    tx.rollback().await
}

#[derive(FromRow)]
struct FeedRow {
    seq: i64,
    kind: String,
    id: String,
}

const LIST_ENTRIES: &str = "SELECT seq, kind, id FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2";

/// What every replica reads each time that it looks at the feed.
pub const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement { name: "read_counter", sql: READ_COUNTER, indexes: &["feed_counter_pkey"] },
    HotStatement { name: "list_entries_after", sql: LIST_ENTRIES, indexes: &["feed_pkey"] },
];

/// Returns up to `limit` entries after number `seq`, in order.
///
/// # Errors
/// If the database fails.
pub async fn list_entries_after(db: &Db, seq: i64, limit: i64) -> sqlx::Result<Vec<FeedEntry>> {
    let rows: Vec<FeedRow> = sqlx::query_as(LIST_ENTRIES).bind(seq).bind(limit).fetch_all(db.pool()).await?;
    let entry = |row: FeedRow| FeedEntry { seq: row.seq, kind: FeedKind::parse(&row.kind), id: row.id };
    Ok(rows.into_iter().map(entry).collect())
}

/// Deletes entries older than `before`, and returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_entries_before(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query("DELETE FROM feed WHERE at < $1").bind(before).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
