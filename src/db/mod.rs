//! The database: one SQL text for SQLite (embedded) and PostgreSQL (≥ 14), through `sqlx::Any`.
//!
//! Rules that keep it one text: only TEXT and BIGINT columns, instants in milliseconds, `$1`
//! parameters, no functions of one engine. Writes go through [`Db::write`], which takes SQLite's
//! write lock at once: a transaction that reads first and then wants to write fails there with
//! "busy" without waiting. See [design: database](crate::design#database).

pub(crate) mod bind_list;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod hot_statement;
pub(crate) mod types;

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::base::secret::{ExposeSecret as _, Secret};

/// The migrations, one set for both engines.
static MIGRATIONS: Migrator = sqlx::migrate!("src/db/migrations");

/// Returns the steps of the schema that this program knows, in order.
pub(crate) fn list_schema_steps() -> Vec<i64> {
    MIGRATIONS.iter().map(|step| step.version).collect()
}

/// How long a request waits for a connection before the database counts as unreachable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a writer waits for its turn.
const WRITER_TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// A write transaction; rolled back unless it is committed.
#[derive(Debug)]
pub struct Tx {
    tx: Transaction<'static, Any>,
    /// Dropped after the transaction, so that the next writer finds SQLite's lock free.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Tx {
    /// Commits the transaction.
    ///
    /// # Errors
    /// If the database fails; then nothing was written.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }

    /// Rolls the transaction back now and reports a failure.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.tx.rollback().await
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.tx
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }
}

/// The address of a database.
#[derive(Debug, Clone)]
pub enum DatabaseLocation<'a> {
    /// A file; created if it is missing.
    Sqlite(&'a Path),
    /// A `postgres://` URL.
    Postgres(&'a Secret),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DatabaseEngine {
    Sqlite,
    Postgres,
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: AnyPool,
    engine: DatabaseEngine,
    /// SQLite has one writer at a time. Waiting inside SQLite keeps no order and occupies a
    /// connection, so fifty sign-ins at once would starve each other. Therefore the writers of this
    /// process queue here.
    writer_turn: Arc<Mutex<()>>,
}

/// The reason why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseOpenError {
    /// The URL or path is not usable.
    #[error("the database's address is not usable: {0}")]
    Address(#[source] sqlx::Error),
    /// It does not answer.
    #[error("the database does not answer: {0}")]
    Connect(#[source] sqlx::Error),
    /// A newer gongpai has changed the schema.
    #[error(
        "the database has schema version {0}, which a newer gongpai made; run that version or restore a backup"
    )]
    NewerSchema(i64),
    /// A migration failed and was rolled back.
    #[error("the schema could not be brought up to date: {0}")]
    Migrate(#[source] MigrateError),
    /// The file or its folder could not be created.
    #[error("cannot make the database {path} or its folder: {source}")]
    Folder {
        /// The path of the file or folder.
        path: String,
        source: std::io::Error,
    },
}

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`DatabaseOpenError`]; a newer schema is refused and left as it is.
    pub async fn open(location: DatabaseLocation<'_>) -> Result<Self, DatabaseOpenError> {
        let db = Self::connect(location).await?;
        match MIGRATIONS.run(&db.pool).await {
            Ok(()) => Ok(db),
            // The table of migrations names one that this program does not have.
            Err(MigrateError::VersionMissing(v) | MigrateError::VersionTooNew(v, _)) => {
                Err(DatabaseOpenError::NewerSchema(v))
            }
            Err(e) => Err(DatabaseOpenError::Migrate(e)),
        }
    }

    async fn connect(location: DatabaseLocation<'_>) -> Result<Self, DatabaseOpenError> {
        sqlx::any::install_default_drivers();
        let (url, engine, most) = match location {
            DatabaseLocation::Sqlite(path) => {
                if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                    // The same mode as for the root secret: both are in data_dir, and either may be
                    // the first to create it.
                    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                    made.map_err(|source| DatabaseOpenError::Folder {
                        path: folder.display().to_string(),
                        source,
                    })?;
                }
                make_private(path).map_err(|source| DatabaseOpenError::Folder {
                    path: path.display().to_string(),
                    source,
                })?;
                let path = path.to_string_lossy();
                (format!("sqlite://{}?mode=rwc", urlencoding::encode(&path)), DatabaseEngine::Sqlite, 8)
            }
            DatabaseLocation::Postgres(url) => (url.expose_secret().to_owned(), DatabaseEngine::Postgres, 16),
        };
        let options: AnyConnectOptions = url.parse().map_err(DatabaseOpenError::Address)?;
        let pool = AnyPoolOptions::new()
            .max_connections(most)
            .min_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let settings: &[&'static str] = match engine {
                        DatabaseEngine::Sqlite => &SQLITE_PRAGMAS,
                        DatabaseEngine::Postgres => &POSTGRES_SETTINGS,
                    };
                    for setting in settings {
                        sqlx::query(*setting).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await
            .map_err(DatabaseOpenError::Connect)?;
        Ok(Self { pool, engine, writer_turn: Arc::default() })
    }

    /// Returns the pool, for single statements that only read.
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction that will write.
    ///
    /// # Errors
    /// If the database does not answer in time.
    pub async fn write(&self) -> sqlx::Result<Tx> {
        match self.engine {
            DatabaseEngine::Sqlite => {
                // Checked in the process first: a wait inside SQLite would hold a connection of the
                // pool.
                let waiting =
                    tokio::time::timeout(WRITER_TURN_TIMEOUT, Arc::clone(&self.writer_turn).lock_owned());
                let turn = waiting.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
                Ok(Tx { tx: self.pool.begin_with("BEGIN IMMEDIATE").await?, _turn: Some(turn) })
            }
            // PostgreSQL has many writers, and its row locks order them.
            DatabaseEngine::Postgres => Ok(Tx { tx: self.pool.begin().await?, _turn: None }),
        }
    }

    /// Returns `"sqlite"` or `"postgresql"`.
    pub const fn engine(&self) -> &'static str {
        match self.engine {
            DatabaseEngine::Sqlite => "sqlite",
            DatabaseEngine::Postgres => "postgresql",
        }
    }

    /// Closes every connection; SQLite then folds its WAL into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// No statement of ours takes long. One that does waits for a lock that was lost.
const POSTGRES_SETTINGS: [&str; 2] =
    ["SET statement_timeout = '15s'", "SET idle_in_transaction_session_timeout = '30s'"];

/// With synchronous=FULL a confirmed commit survives a power cut, not only a crash. The cache is 2
/// MB for each connection of the pool; the system's own cache holds the rest of the file.
const SQLITE_PRAGMAS: [&str; 5] = [
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -2048",
];

/// Creates the file of a new database so that only we can read it, because it holds names of
/// persons. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
