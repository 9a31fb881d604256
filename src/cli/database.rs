//! The database of a running installation. Only `serve` makes one or brings its schema up to date: a command that did
//! would make an empty one wherever it is called by mistake, and take the tables from under an older gateway.

use anyhow::bail;

use crate::app::open_database;
use crate::config::Config;
use crate::db::{Db, OpenError};
use crate::doctor::schema::{Schema, schema};

/// Opens the database that is there.
///
/// # Errors
/// If there is none, it is not this version's, or it does not answer.
pub(super) async fn open(config: &Config) -> anyhow::Result<Db> {
    match schema(&config.database).await? {
        Schema::Current(_) => Ok(open_database(config).await?),
        Schema::NoFile(path) => bail!(
            "there is no database at {}: `gongpai serve` makes it at its first start; if it has run, check data_dir \
             and the working directory",
            path.display()
        ),
        Schema::Empty => {
            bail!("the database has no tables yet: `gongpai serve` makes them at its first start")
        }
        Schema::Older { has, wants } => bail!(
            "the database has schema version {has}, older than this program's {wants}: start `gongpai serve` of this \
             version, which brings it up to date"
        ),
        Schema::Newer(version) => Err(OpenError::Newer(version).into()),
    }
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
