//! SQL of the checks.

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Row as _};

use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::base::secret::ExposeSecret as _;
use crate::config::DatabaseConfig;
use crate::db::Db;

/// Returns the applied migrations, or `None` if the database has nothing of ours. Creates no file
/// and no table.
///
/// # Errors
/// If the database fails.
pub(super) async fn applied_migrations(database: &DatabaseConfig) -> sqlx::Result<Option<Vec<i64>>> {
    sqlx::any::install_default_drivers();
    let url = match database {
        DatabaseConfig::Sqlite(path) => {
            format!("sqlite://{}?mode=rw", urlencoding::encode(&path.to_string_lossy()))
        }
        DatabaseConfig::Postgres(url) => url.expose_secret().to_owned(),
    };
    let options: AnyConnectOptions = url.parse()?;
    let mut connection: AnyConnection = options.connect().await?;
    let rows = sqlx::query("SELECT version FROM _sqlx_migrations").fetch_all(&mut connection).await;
    let applied = match rows {
        Ok(rows) => Some(rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?),
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") || is_no_table(e.message()) => {
            None
        }
        Err(error) => return Err(error),
    };
    connection.close().await?;
    Ok(applied)
}

/// SQLite has a single code for every error in a statement.
fn is_no_table(message: &str) -> bool {
    message.contains("no such table")
}

/// Returns when the last run began that read every detail, if there was one.
///
/// Unlike the directory's own query, it does not need the row of the corporation, which `serve`
/// makes.
///
/// # Errors
/// If the database fails.
pub(super) async fn find_complete_at(db: &Db, corp: &CorpId) -> sqlx::Result<Option<Timestamp>> {
    let row = sqlx::query("SELECT complete_at FROM charts WHERE corp_id = $1")
        .bind(corp.as_str())
        .fetch_optional(db.pool())
        .await?;
    let at: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(at.filter(|at| *at > 0).map(Timestamp::from_millis))
}

/// Tests whether rows can be written: writes one unchanged and rolls back.
///
/// # Errors
/// If they cannot, or the database fails.
pub(super) async fn try_write(db: &Db) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE feed_counter SET seq = seq WHERE name = 'feed'").execute(&mut *tx).await?;
    tx.rollback().await
}
