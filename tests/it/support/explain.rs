//! How the engine of this run would run a statement.

use gongpai::testing::db::Db;
use gongpai::testing::db::hot_statement::HotStatement;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

/// Returns the indexes of a statement that its plan does not use, each with the plan.
///
/// The tables of a test are as good as empty, where PostgreSQL prefers to read them whole; so it is
/// told not to.
pub(crate) async fn find_unused_indexes(db: &Db, statement: &HotStatement) -> Vec<String> {
    let mut connection = db.pool().acquire().await.expect("a connection");
    let plan = if db.engine() == "sqlite" {
        explain_on_sqlite(&mut connection, statement.sql).await
    } else {
        explain_on_postgres(&mut connection, statement.sql).await
    };
    let unused = |index: &&str| !plan_names_index(&plan, index);
    let indexes = statement.indexes.iter().copied();
    indexes.filter(unused).map(|index| format!("{}: {index} in\n{plan}", statement.name)).collect()
}

async fn explain_on_sqlite(connection: &mut AnyConnection, sql: &str) -> String {
    // A plan is explained without a look at the file, so a connection would not see that another one
    // has dropped an index.
    sqlx::query("SELECT name FROM sqlite_schema").fetch_all(&mut *connection).await.expect("the schema");
    let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).persistent(false);
    let rows = explain.fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let lines: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    lines.join("\n")
}

/// Explains the generic plan, which does not depend on the values of the parameters.
async fn explain_on_postgres(connection: &mut AnyConnection, sql: &str) -> String {
    let parameters = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
    let nulls = vec!["NULL"; parameters].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
    for step in [
        "SET enable_seqscan = off".to_owned(),
        "SET plan_cache_mode = force_generic_plan".to_owned(),
        format!("PREPARE hot AS {sql}"),
    ] {
        let done = sqlx::raw_sql(AssertSqlSafe(step.clone())).execute(&mut *connection).await;
        done.unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE hot{arguments}");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.expect("a plan");
    for step in ["DEALLOCATE hot", "RESET plan_cache_mode", "RESET enable_seqscan"] {
        sqlx::raw_sql(step).execute(&mut *connection).await.expect("the connection is as it was");
    }
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// Whether a plan names an index, as either engine writes it.
fn plan_names_index(plan: &str, index: &str) -> bool {
    let sqlite = index.strip_suffix("_pkey").map(|table| format!("sqlite_autoindex_{table}_1"));
    let mut words = plan.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| word == index || Some(word) == sqlite.as_deref())
}
