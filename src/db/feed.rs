//! The feed: what changed, numbered inside the writing transaction, so that no reader misses a number.

use sqlx::{AnyConnection, Row as _};

use super::{Db, Tx};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;

/// What a feed entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One session ended; the id is its sid.
    Session,
    /// Every session ended; no id.
    Sessions,
    /// A person changed; the id is ours.
    Person,
    /// The signing keys changed; the id is the kid.
    Key,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Sessions => "sessions",
            Self::Person => "person",
            Self::Key => "key",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Session, Self::Sessions, Self::Person, Self::Key].into_iter().find(|k| k.as_str() == text)
    }
}

/// One entry. `kind` is `None` for a kind that only a newer version knows.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number.
    pub seq: i64,
    /// What it is about.
    pub kind: Option<Kind>,
    /// Whom or which.
    pub id: String,
}

/// A write transaction whose announcements are made at its very end.
///
/// The feed's row lock is taken last, after every other row, by everybody: two writers can then never wait for
/// each other in a circle. Rows are taken in the order persons, sessions, everything else.
#[derive(Debug)]
pub struct Change {
    tx: Tx,
    corp: CorpId,
    now: Timestamp,
    pending: Vec<(Kind, String)>,
}

impl Change {
    /// Begins one for `corp`.
    ///
    /// # Errors
    /// If the database does not answer in time.
    pub async fn begin(db: &Db, corp: &CorpId, now: Timestamp) -> sqlx::Result<Self> {
        Ok(Self { tx: db.write().await?, corp: corp.clone(), now, pending: Vec::new() })
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
    pub fn announce(&mut self, kind: Kind, id: impl Into<String>) {
        self.pending.push((kind, id.into()));
    }

    /// Writes the announcements and commits.
    ///
    /// # Errors
    /// If the database fails; then nothing of it happened.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        for (kind, id) in std::mem::take(&mut self.pending) {
            let seq: i64 =
                sqlx::query("UPDATE feed_counter SET seq = seq + 1 WHERE name = 'feed' RETURNING seq")
                    .fetch_one(&mut *self.tx)
                    .await?
                    .try_get(0)?;
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
}

/// The newest number.
///
/// # Errors
/// If the database fails.
pub async fn newest_seq(db: &Db) -> sqlx::Result<i64> {
    sqlx::query("SELECT seq FROM feed_counter WHERE name = 'feed'").fetch_one(db.pool()).await?.try_get(0)
}

/// Up to `limit` entries after number `seq`, in order.
///
/// # Errors
/// If the database fails.
pub async fn after(db: &Db, seq: i64, limit: i64) -> sqlx::Result<Vec<Entry>> {
    sqlx::query("SELECT seq, kind, id FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(seq)
        .bind(limit)
        .fetch_all(db.pool())
        .await?
        .into_iter()
        .map(|row| {
            let kind: String = row.try_get(1)?;
            Ok(Entry { seq: row.try_get(0)?, kind: Kind::parse(&kind), id: row.try_get(2)? })
        })
        .collect()
}

/// Deletes entries older than `before`.
///
/// # Errors
/// If the database fails.
pub async fn delete_before(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let done = sqlx::query("DELETE FROM feed WHERE at < $1").bind(before.millis()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
