//! What the tables of the change feed for other systems hold: changes, and the publications that
//! made them visible.

use gongpai::testing::db::Db;

use super::query::read_number;

/// Returns the number of changes that publications count.
pub(crate) async fn sum_published_changes(db: &Db) -> i64 {
    read_number(db, "SELECT CAST(SUM(count) AS BIGINT) FROM publications").await
}

/// Returns the number of changes in the largest publication.
pub(crate) async fn find_largest_publication(db: &Db) -> i64 {
    read_number(db, "SELECT MAX(count) FROM publications").await
}

/// Counts the changes that no publication made visible.
pub(crate) async fn count_unpublished_changes(db: &Db) -> i64 {
    let sql = "SELECT COUNT(*) FROM directory_changes c WHERE NOT EXISTS \
               (SELECT 1 FROM publications p WHERE p.batch = c.batch)";
    read_number(db, sql).await
}

/// Returns how many changes publications count more than there are.
pub(crate) async fn count_missing_changes(db: &Db) -> i64 {
    let sql = "SELECT CAST((SELECT SUM(count) FROM publications) - (SELECT COUNT(*) FROM directory_changes) \
               AS BIGINT)";
    read_number(db, sql).await
}

/// Counts the changes that say that something was removed.
pub(crate) async fn count_removals(db: &Db) -> i64 {
    read_number(db, "SELECT COUNT(*) FROM directory_changes WHERE change = 'removed'").await
}

/// Returns the number of the oldest change within its batch.
pub(crate) async fn find_lowest_change_number(db: &Db) -> i64 {
    read_number(db, "SELECT MIN(n) FROM directory_changes").await
}
