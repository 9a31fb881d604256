//! SQL of the checks.

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};

use crate::base::secret::ExposeSecret as _;
use crate::config::DatabaseConfig;

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
    let rows = sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(&mut connection).await;
    let applied = match rows {
        Ok(versions) => Some(versions),
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
