//! Databases as an earlier schema left them, as SQL text for each engine: written from a running
//! gateway, and loaded before one starts.

use std::path::{Path, PathBuf};

use gongpai::testing::db::Db;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use super::database::{Engine, TestDatabase};
use super::query::read_texts;

/// The table of the migrations, as sqlx makes it on each engine.
const MIGRATIONS_TABLE_SQLITE: &str = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
     installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, \
     execution_time BIGINT NOT NULL);";
const MIGRATIONS_TABLE_POSTGRES: &str = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
     installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, \
     execution_time BIGINT NOT NULL);";

/// Returns the file of a dump: the schema of a version with rows in every table.
pub(crate) fn dump_file(version: &str, engine: Engine) -> PathBuf {
    let engine = match engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/schema/{version}.{engine}.sql"))
}

/// Fills an empty database with a dump.
pub(crate) async fn load_dump(database: &TestDatabase, version: &str) {
    sqlx::any::install_default_drivers();
    let text = std::fs::read_to_string(dump_file(version, database.engine())).expect("the dump");
    let url = match database.engine() {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", database.data_dir().join("gongpai.db").display()),
        Engine::Postgres => database.url().to_owned(),
    };
    let mut connection = AnyConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.expect("the dump is loaded");
    connection.close().await.expect("closed");
}

/// Writes the dumps for both engines from an SQLite database. Every table must have a row.
pub(crate) async fn write_dump(db: &Db, version: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db/migrations");
    let entries = std::fs::read_dir(folder).expect("the folder of the migrations");
    let mut steps: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    steps.sort();
    let is_part =
        |step: &&PathBuf| step.file_name().is_some_and(|name| name.to_string_lossy()[..4] <= *version);
    let schema: String = steps
        .iter()
        .filter(is_part)
        .map(|step| std::fs::read_to_string(step).expect("a migration"))
        .collect();
    let schema: Vec<&str> =
        schema.lines().map(|line| line.split("--").next().unwrap_or_default().trim_end()).collect();
    let schema = schema.join("\n");
    // Rows come from the tables.
    let statements = schema.split(';').map(str::trim).filter(|s| !s.is_empty() && !s.starts_with("INSERT"));
    let mut text: String = statements.clone().map(|statement| format!("{statement};\n")).collect();
    for table in statements.filter_map(|statement| statement.strip_prefix("CREATE TABLE ")) {
        let table = table.split_whitespace().next().expect("a name");
        let columns = read_texts(db, &format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let values: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let sql = format!(
            "SELECT 'INSERT INTO {table} ({}) VALUES (' || {} || ');' FROM {table}",
            columns.join(", "),
            values.join(" || ', ' || ")
        );
        let rows = read_texts(db, &sql).await;
        assert!(!rows.is_empty(), "{table} has no row: make one, so that its columns are tried");
        text.push_str(&rows.join("\n"));
        text.push('\n');
    }
    let migrations = read_texts(
        db,
        "SELECT version || ', ' || quote(description) || ', CURRENT_TIMESTAMP, TRUE, ' || '''' || hex(checksum) || '''' \
         FROM _sqlx_migrations",
    )
    .await;
    for (engine, table, quote) in [
        (Engine::Sqlite, MIGRATIONS_TABLE_SQLITE, ("x'", "'")),
        (Engine::Postgres, MIGRATIONS_TABLE_POSTGRES, ("'\\x", "'")),
    ] {
        let rows: Vec<String> = migrations
            .iter()
            .map(|row| {
                let (values, checksum) = row.rsplit_once(", '").expect("a checksum");
                let checksum = checksum.trim_end_matches('\'');
                let (open, close) = quote;
                format!("INSERT INTO _sqlx_migrations VALUES ({values}, {open}{checksum}{close}, 1);")
            })
            .collect();
        let dump = format!(
            "-- A database of schema {version} with rows in every table. Never edit or rewrite this file: it stands for\n\
             -- what is installed. tests/it/old_schema.rs wrote it and opens it.\n{table}\n{}\n{text}",
            rows.join("\n")
        );
        std::fs::write(dump_file(version, engine), dump).expect("the dump is written");
    }
}
