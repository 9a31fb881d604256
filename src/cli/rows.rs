//! What commands that read or write rows share: the configuration, and the database if there is one.

use anyhow::{Context as _, bail};

use crate::app::{open_database, session_settings};
use crate::base::clock::Clock;
use crate::config::{self, Config, Database, Sources};
use crate::db::Db;
use crate::session::Sessions;

/// An accepted configuration; its warnings are `config check`'s business.
///
/// # Errors
/// Every finding.
pub fn load(sources: &Sources) -> anyhow::Result<Config> {
    Ok(Config::load(sources)?.0)
}

/// The database. One that does not exist yet is not made: a command that answers "nobody is signed in" from a
/// file it has just made in the wrong folder would be a lie.
///
/// # Errors
/// If there is none, or it cannot be opened.
pub async fn database(config: &Config) -> anyhow::Result<Db> {
    if let Database::Sqlite(path) = &config.database
        && !path.exists()
    {
        bail!("there is no database at {}: has gongpai serve run with this configuration?", path.display());
    }
    open_database(config).await.context("the database cannot be opened")
}

/// The sessions, for what needs the signing keys.
///
/// # Errors
/// If the root secret or the keys cannot be read.
pub async fn sessions(config: &Config, db: &Db) -> anyhow::Result<Sessions> {
    let root = config::root_secret(config)?.0;
    Ok(Sessions::open(db.clone(), session_settings(config), &root, Clock::System).await?)
}
