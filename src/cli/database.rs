//! The database of an installation. Only `serve` brings its schema up to date: a command that did would take the tables
//! from under an older gateway. Commands that write what needs no gateway before them make a database where there is
//! none; one that only reads would make an empty one wherever it is called by mistake.

use std::io::{self, Write as _};

use anyhow::bail;

use crate::app::open_database;
use crate::config::Config;
use crate::db::{Db, OpenError};
use crate::directory;
use crate::doctor::schema::{Schema, schema};

/// Opens the database that is there.
///
/// # Errors
/// If there is none, it is not this version's, or it does not answer.
pub(super) async fn open(config: &Config) -> anyhow::Result<Db> {
    match schema(&config.database).await? {
        Schema::Current(_) => Ok(open_database(config).await?),
        Schema::NoFile(path) => bail!(
            "there is nothing here yet: there is no database at {}. `gongpai serve` makes it at its first start, `gongpai \
             sync` too; if one of them has run, check data_dir and the working directory",
            path.display()
        ),
        Schema::Empty => bail!(
            "there is nothing here yet: the database has no tables. `gongpai serve` makes them at its first start, \
             `gongpai sync` too"
        ),
        Schema::Older { has, wants } => bail!(
            "the database has schema version {has}, older than this program's {wants}: start `gongpai serve` of this \
             version, which brings it up to date"
        ),
        Schema::Newer(version) => Err(OpenError::Newer(version).into()),
    }
}

/// As [`open`]; makes the database, and says so on standard error, where there is none.
///
/// # Errors
/// If it cannot be made, is not this version's, or does not answer.
pub(super) async fn open_or_make(config: &Config) -> anyhow::Result<Db> {
    let made = match schema(&config.database).await? {
        Schema::NoFile(path) => format!("there was no database at {}; it was made", path.display()),
        Schema::Empty => "the database had no tables; they were made".to_owned(),
        _ => return open(config).await,
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
pub(super) async fn open_if_there(config: &Config) -> anyhow::Result<Option<Db>> {
    match schema(&config.database).await? {
        Schema::NoFile(_) | Schema::Empty => Ok(None),
        _ => open(config).await.map(Some),
    }
}
