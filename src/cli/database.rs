//! The database of an installation. Only `serve` brings its schema up to date: a command that did would take the tables
//! from under an older gateway. Commands that write what needs no gateway before them make a database where there is
//! none; one that only reads would make an empty one wherever it is called by mistake.

use std::io::{self, Write as _};

use anyhow::bail;

use crate::app::open_database;
use crate::config::Config;
use crate::db::{DatabaseOpenError, Db};
use crate::directory;
use crate::doctor::schema::{SchemaState, find_schema_state};

/// Opens the database that is there.
///
/// # Errors
/// If there is none, it is not this version's, or it does not answer.
pub(super) async fn open_existing(config: &Config) -> anyhow::Result<Db> {
    match find_schema_state(&config.database).await? {
        SchemaState::Current(_) => Ok(open_database(config).await?),
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

/// As [`open`]; makes the database, and says so on standard error, where there is none.
///
/// # Errors
/// If it cannot be made, is not this version's, or does not answer.
pub(super) async fn open_or_create(config: &Config) -> anyhow::Result<Db> {
    let made = match find_schema_state(&config.database).await? {
        SchemaState::NoFile(path) => format!("there was no database at {}; it was made", path.display()),
        SchemaState::Empty => "the database had no tables; they were made".to_owned(),
        _ => return open_existing(config).await,
    };
    let db = open_database(config).await?;
    directory::store::ensure_chart(&db, &config.wecom.corp_id).await?;
    // That nobody reads it is no reason to stop.
    let _ = writeln!(io::stderr(), "{made}");
    Ok(db)
}

/// As [`open`]; `None` where nobody can have signed in yet.
///
/// # Errors
/// If it is not this version's, or does not answer.
pub(super) async fn open_if_present(config: &Config) -> anyhow::Result<Option<Db>> {
    match find_schema_state(&config.database).await? {
        SchemaState::NoFile(_) | SchemaState::Empty => Ok(None),
        _ => open_existing(config).await.map(Some),
    }
}
