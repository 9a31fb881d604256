//! How the engine of this run would run a statement.

use gongpai::testing::db::Db;
use gongpai::testing::db::hot_statement::HotStatement;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

/// What one statement must do with one index.
#[derive(Debug, Clone)]
pub(crate) struct IndexRequirement {
    statement: HotStatement,
    /// The index of a primary key is named as PostgreSQL names it.
    pub(crate) index: String,
    /// The columns that the plan must search by; without any, it is enough that it uses the index.
    pub(crate) columns: Vec<String>,
}

/// Returns what these statements must do with their indexes.
pub(crate) fn list_requirements(statements: &[HotStatement]) -> Vec<IndexRequirement> {
    let mut requirements = Vec::new();
    for statement in statements {
        for written in statement.indexes {
            let (index, columns) = match written.split_once(" (") {
                Some((index, columns)) => {
                    let columns = columns.strip_suffix(')').expect("the end of the columns");
                    (index, columns.split(", ").map(str::to_owned).collect())
                }
                None => (*written, Vec::new()),
            };
            requirements.push(IndexRequirement { statement: *statement, index: index.to_owned(), columns });
        }
    }
    requirements
}

/// Takes the last columns that the requirements need from an index, and all after it.
///
/// Returns the statement that makes the index again as it was.
pub(crate) async fn shorten_index(db: &Db, index: &str, requirements: &[IndexRequirement]) -> String {
    let columns = list_columns(db, index).await;
    let position = |column: &String| columns.iter().position(|other| other == column).expect("its column");
    let needed = requirements.iter().flat_map(|requirement| &requirement.columns).map(position);
    let kept = needed.max().expect("a column");
    let definition: String = if db.engine() == "sqlite" {
        sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = $1")
    } else {
        sqlx::query_scalar("SELECT pg_get_indexdef(to_regclass($1))")
    }
    .bind(index)
    .fetch_one(db.pool())
    .await
    .expect("the definition of an index");
    let definition = definition.split_whitespace().collect::<Vec<_>>().join(" ");
    let (start, rest) = definition.split_once('(').expect("its columns");
    let (written, condition) = rest.split_once(" WHERE ").unwrap_or((rest, ""));
    let written: Vec<&str> = written.strip_suffix(')').expect("their end").split(", ").collect();
    let condition = if condition.is_empty() { String::new() } else { format!(" WHERE {condition}") };
    let shorter = match kept {
        0 => String::new(),
        kept => format!("{start}({}){condition}", written[..kept].join(", ")),
    };
    replace_index(db, index, &shorter).await;
    definition
}

/// Drops an index and makes it anew, both on one connection, because on SQLite another one might
/// still know the old index.
pub(crate) async fn replace_index(db: &Db, index: &str, definition: &str) {
    let change = format!("DROP INDEX IF EXISTS {index}; {definition}");
    let done = sqlx::raw_sql(AssertSqlSafe(change.clone())).execute(db.pool()).await;
    done.unwrap_or_else(|error| panic!("{change}: {error}"));
}

/// Returns the columns of an index in their order; none if there is no such index.
///
/// An expression has the name by which plans show it.
async fn list_columns(db: &Db, index: &str) -> Vec<String> {
    let sql = if db.engine() == "sqlite" {
        format!(
            "SELECT COALESCE(name, 'expr') FROM pragma_index_info('{}') ORDER BY seqno",
            sqlite_name(index)
        )
    } else {
        format!(
            "SELECT attname::TEXT FROM pg_attribute WHERE attrelid = to_regclass('{index}') ORDER BY attnum"
        )
    };
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(db.pool()).await.expect("the columns of an index")
}

/// Returns the requirements that a plan does not meet, each with the plan.
///
/// The tables of a test are as good as empty, where PostgreSQL prefers to read them whole; so it is
/// told not to.
pub(crate) async fn find_unmet(db: &Db, requirements: &[IndexRequirement]) -> Vec<String> {
    let mut connection = db.pool().acquire().await.expect("a connection");
    let is_sqlite = db.engine() == "sqlite";
    let tables = if is_sqlite { list_tables_on_sqlite(&mut connection).await } else { Vec::new() };
    let mut unmet = Vec::new();
    for IndexRequirement { statement, index, columns } in requirements {
        let (plan, searches, reads_whole) = if is_sqlite {
            let plan = explain_on_sqlite(&mut connection, statement.sql).await;
            let searches = list_searches_on_sqlite(&plan, &sqlite_name(index));
            let scans = |line: &String| scans_table(line, statement.sql, &tables);
            let reads_whole = plan.iter().any(scans);
            (plan, searches, reads_whole)
        } else {
            let plan = explain_on_postgres(&mut connection, statement.sql).await;
            let searches = list_searches_on_postgres(&plan, index);
            let reads_whole = plan.iter().any(|line| line.contains("Seq Scan"));
            (plan, searches, reads_whole)
        };
        let is_met = searches.iter().any(|search| columns.iter().all(|column| has_word(search, column)));
        // Whoever reads an index from one end to the other searches by nothing.
        let is_wasteful = !columns.is_empty() && (reads_whole || searches.iter().any(String::is_empty));
        if !is_met || is_wasteful {
            unmet.push(format!("{}: {index} {columns:?} in\n{}", statement.name, plan.join("\n")));
        }
    }
    unmet
}

async fn explain_on_sqlite(connection: &mut AnyConnection, sql: &str) -> Vec<String> {
    // A plan is explained without a look at the file, so a connection would not see that another one
    // has dropped an index.
    sqlx::query("SELECT name FROM sqlite_schema").fetch_all(&mut *connection).await.expect("the schema");
    let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).persistent(false);
    let rows = explain.fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Explains the generic plan, which does not depend on the values of the parameters.
async fn explain_on_postgres(connection: &mut AnyConnection, sql: &str) -> Vec<String> {
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
    rows.iter().map(|row| row.get(0)).collect()
}

/// Returns the conditions of each use of an index: `SEARCH c USING INDEX name (corp_id=? AND …)`,
/// or `SCAN c USING INDEX name` without any.
fn list_searches_on_sqlite(plan: &[String], index: &str) -> Vec<String> {
    let uses = plan.iter().filter(|line| has_word(line, index));
    uses.map(|line| line.split_once(&format!("{index} (")).map_or_else(String::new, |(_, by)| by.to_owned()))
        .collect()
}

/// Returns the conditions of each use of an index: the line `Index Cond` behind `Index Scan using
/// name on table` or `Bitmap Index Scan on name`.
fn list_searches_on_postgres(plan: &[String], index: &str) -> Vec<String> {
    let uses = plan.iter().enumerate().filter(|(_, line)| has_word(line, index) && line.contains("Scan"));
    uses.map(|(at, _)| {
        let condition = plan.get(at + 1).and_then(|line| line.split_once("Index Cond: "));
        condition.map_or_else(String::new, |(_, by)| by.to_owned())
    })
    .collect()
}

/// Whether a line of a plan reads a table or an index from one end to the other: `SCAN m USING …`,
/// where the statement has `messages m`, and not `SCAN two` for a subquery of that name.
fn scans_table(line: &str, sql: &str, tables: &[String]) -> bool {
    let Some(name) = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()) else { return false };
    let is_alias = |table: &String| sql.contains(&format!("{table} {name} "));
    tables.iter().any(|table| table == name || is_alias(table))
}

async fn list_tables_on_sqlite(connection: &mut AnyConnection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    sqlx::query_scalar(sql).fetch_all(connection).await.expect("the tables")
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word)
}

/// SQLite's name of an index, which differs for a primary key.
fn sqlite_name(index: &str) -> String {
    let table = index.strip_suffix("_pkey");
    table.map_or_else(|| index.to_owned(), |table| format!("sqlite_autoindex_{table}_1"))
}
