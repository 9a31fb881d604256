//! What the feed between replicas and its counters hold.

use gongpai::testing::db::Db;
use gongpai::testing::db::feed::{FeedKind, list_entries_after};

use super::query::{read_number, read_texts};

/// Returns the ids that were announced to replicas under one kind, in order.
pub(crate) async fn find_announced_ids(db: &Db, kind: FeedKind) -> Vec<String> {
    let entries = list_entries_after(db, 0, 10_000).await.expect("the feed");
    entries.into_iter().filter(|entry| entry.kind == Some(kind)).map(|entry| entry.id).collect()
}

/// Returns the last number that a counter gave: `message`, `batch` or `directory`.
pub(crate) async fn read_last_number(db: &Db, counter: &str) -> i64 {
    read_number(db, &format!("SELECT seq FROM feed_counter WHERE name = '{counter}'")).await
}

/// Returns the texts of every entry in one string a row.
pub(crate) async fn read_feed_texts(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT id || kind FROM feed").await
}
