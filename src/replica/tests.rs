//! The feed as a follower sees it: in order, each entry until it was applied, and from the
//! beginning where the feed cannot say what changed.

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::base::clock::Timestamp;
use crate::db::DatabaseLocation;
use crate::db::feed::{FeedEntry, FeedKind, FeedTransaction};

/// Notes what it is told, and fails at one entry.
#[derive(Default)]
struct NotingFollower {
    notes: Mutex<Vec<String>>,
    fails_at: Mutex<Option<&'static str>>,
}

impl NotingFollower {
    fn note(&self, text: impl Into<String>) {
        self.notes.lock().push(text.into());
    }

    fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock())
    }

    fn fail_once_at(&self, id: &'static str) {
        *self.fails_at.lock() = Some(id);
    }
}

impl FeedFollower for NotingFollower {
    type Persons = i64;

    async fn start_over(&self) -> sqlx::Result<()> {
        self.note("all");
        Ok(())
    }

    async fn apply_entry(&self, entry: &FeedEntry) -> sqlx::Result<()> {
        let mut fails_at = self.fails_at.lock();
        if fails_at.is_some_and(|id| id == entry.id) {
            *fails_at = None;
            return Err(sqlx::Error::PoolTimedOut);
        }
        self.note(entry.id.as_str());
        Ok(())
    }

    async fn read_persons(&self, before: i64, _: &Chart) -> sqlx::Result<i64> {
        self.note("read persons");
        Ok(before)
    }

    fn replace_persons(&self, before: i64) {
        self.note(format!("replace persons since {before}"));
    }
}

struct FeedFixture {
    replica: Replica,
    clock: Clock,
    db: Db,
    _folder: TempDir,
}

impl FeedFixture {
    async fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let db = Db::open(DatabaseLocation::Sqlite(&folder.path().join("test.db"))).await.unwrap();
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let settings = ReplicaSettings { corp: CorpId::new("ww1"), stale_after: Duration::from_secs(60) };
        let replica = Replica::open(db.clone(), settings, clock.clone()).await.unwrap();
        Self { replica, clock, db, _folder: folder }
    }

    async fn announce(&self, entries: &[(FeedKind, &str)]) {
        let corp = CorpId::new("ww1");
        let mut change = FeedTransaction::begin(&self.db, &corp, self.clock.now()).await.unwrap();
        for (kind, id) in entries {
            change.announce(*kind, *id);
        }
        change.commit().await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_that_fails_comes_again_and_those_before_it_do_not() {
    let (feed, follower) = (FeedFixture::open().await, NotingFollower::default());
    feed.announce(&[(FeedKind::Session, "a"), (FeedKind::Person, "b"), (FeedKind::Key, "c")]).await;
    follower.fail_once_at("b");
    feed.replica.refresh(&follower).await.unwrap_err();
    assert_eq!(follower.take_notes(), ["a"]);
    feed.replica.refresh(&follower).await.unwrap();
    assert_eq!(follower.take_notes(), ["b", "c"]);
    feed.replica.refresh(&follower).await.unwrap();
    assert!(follower.take_notes().is_empty());
}

#[tokio::test]
async fn persons_are_read_before_and_replaced_after_the_chart_and_only_once() {
    let (feed, follower) = (FeedFixture::open().await, NotingFollower::default());
    let chart = (FeedKind::Chart, "1");
    feed.announce(&[(FeedKind::Session, "a"), chart, (FeedKind::Session, "b"), chart]).await;
    follower.fail_once_at("b");
    feed.replica.refresh(&follower).await.unwrap_err();
    assert_eq!(follower.take_notes(), ["a"]);
    // The chart was not read, so the next refresh begins with its entry.
    let serial = feed.replica.chart().serial();
    feed.replica.refresh(&follower).await.unwrap();
    assert_eq!(follower.take_notes(), ["b", "read persons", "replace persons since 0"]);
    assert_ne!(feed.replica.chart().serial(), serial);
}

#[tokio::test]
async fn a_feed_that_went_back_or_was_not_read_for_a_day_starts_over() {
    let (feed, follower) = (FeedFixture::open().await, NotingFollower::default());
    feed.announce(&[(FeedKind::Session, "a")]).await;
    feed.clock.advance(Duration::from_secs(24 * 3600 + 1));
    feed.replica.refresh(&follower).await.unwrap();
    assert_eq!(follower.take_notes(), ["all"]);
    // As after a backup was restored.
    *feed.replica.state.feed_position.lock().await = 1000;
    feed.replica.refresh(&follower).await.unwrap();
    assert_eq!(follower.take_notes(), ["all"]);
}

#[tokio::test]
async fn memory_is_trusted_while_it_is_young_and_no_longer_than_stale_after_without_the_database() {
    let (feed, follower) = (FeedFixture::open().await, NotingFollower::default());
    feed.replica.refresh(&follower).await.unwrap();
    let fresh_after =
        |replica: &Replica, seconds| replica.is_fresh(feed.clock.now().plus(Duration::from_secs(seconds)));
    let strict = feed.replica.reconfigured(Duration::ZERO);
    assert!(fresh_after(&strict, 2) && !fresh_after(&strict, 3));
    assert!(fresh_after(&feed.replica, 59) && !fresh_after(&feed.replica, 60));
    feed.announce(&[(FeedKind::Session, "a")]).await;
    follower.fail_once_at("a");
    feed.replica.refresh(&follower).await.unwrap_err();
    assert!(!fresh_after(&strict, 0), "with stale_after = 0 a failure is not lived through");
    assert!(fresh_after(&feed.replica, 59));
}
