//! Opens the database of an installation.
//!
//! Only `serve` migrates the schema: a command that did would break an older gateway that still
//! runs. A command that writes creates a missing database; a command that only reads does not,
//! because it would leave an empty one wherever it is called by mistake.

use std::io::{self, Write as _};

use anyhow::bail;

use crate::config::Config;
use crate::db::{DatabaseOpenError, Db};
use crate::directory;
use crate::doctor::schema::{SchemaState, find_schema_state};

/// Opens an existing database.
///
/// # Errors
/// If there is none, its schema is not this version's, or it does not answer.
pub(super) async fn open_existing(config: &Config) -> anyhow::Result<Db> {
    match find_schema_state(&config.database).await? {
        SchemaState::Current(_) => Ok(Db::open(config.database.location()).await?),
        SchemaState::NoFile(path) => bail!(
            "there is nothing here yet: there is no database at {}. `gongpai serve` makes it at its first start, `gongpai \
             sync` too; if one of them has run, check data_dir and the working directory",
            path.display()
        ),
        SchemaState::Empty => bail!(
            "there is nothing here yet: the database has no tables. `gongpai serve` makes them at its first start, \
             `gongpai sync` too"
        ),
        SchemaState::Older { has, wants } => bail!(
            "the database has schema version {has}, older than this program's {wants}: start `gongpai serve` of this \
             version, which brings it up to date"
        ),
        SchemaState::Newer(version) => Err(DatabaseOpenError::NewerSchema(version).into()),
    }
}

/// Opens the database, or creates it and says so on standard error.
///
/// # Errors
/// If it cannot be created, its schema is not this version's, or it does not answer.
pub(super) async fn open_or_create(config: &Config) -> anyhow::Result<Db> {
    let made = match find_schema_state(&config.database).await? {
        SchemaState::NoFile(path) => format!("there was no database at {}; it was made", path.display()),
        SchemaState::Empty => "the database had no tables; they were made".to_owned(),
        _ => return open_existing(config).await,
    };
    let db = Db::open(config.database.location()).await?;
    directory::store::ensure_chart(&db, &config.wecom.corp_id).await?;
    // A closed standard error is no reason to stop.
    let _ = writeln!(io::stderr(), "{made}");
    Ok(db)
}

/// Opens the database; returns `None` if it does not exist or is empty, so that nobody can have
/// signed in.
///
/// # Errors
/// If its schema is not this version's, or it does not answer.
pub(super) async fn open_if_present(config: &Config) -> anyhow::Result<Option<Db>> {
    match find_schema_state(&config.database).await? {
        SchemaState::NoFile(_) | SchemaState::Empty => Ok(None),
        _ => open_existing(config).await.map(Some),
    }
}
