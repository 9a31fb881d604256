//! What the read helpers of this folder share. A test calls the helper that says what it returns
//! and does not know the tables.

use std::collections::BTreeSet;

use gongpai::testing::db::Db;
use sqlx::{AssertSqlSafe, Row as _};

/// Returns the only number that a query yields.
pub(super) async fn read_number(db: &Db, sql: &str) -> i64 {
    let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(db.pool()).await;
    row.unwrap_or_else(|e| panic!("{sql}: {e}")).get(0)
}

/// Returns the texts in the first column of a query.
pub(super) async fn read_texts(db: &Db, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(db.pool()).await;
    rows.unwrap_or_else(|e| panic!("{sql}: {e}")).iter().map(|row| row.get(0)).collect()
}

/// Counts the rows of a table.
pub(crate) async fn count_rows(db: &Db, table: &str) -> i64 {
    read_number(db, &format!("SELECT COUNT(*) FROM {table}")).await
}

/// Returns the values in a key column of a table that begin with `prefix`.
pub(crate) async fn find_keys_with_prefix(
    db: &Db,
    table: &str,
    column: &str,
    prefix: &str,
) -> BTreeSet<String> {
    let sql = format!("SELECT {column} FROM {table} WHERE {column} LIKE '{prefix}%'");
    read_texts(db, &sql).await.into_iter().collect()
}
