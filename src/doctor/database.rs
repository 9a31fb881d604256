//! The database: that it opens, has this version's schema and takes writes; who may read its file.

use std::time::Duration;

use super::finding::{Finding, same};
use super::schema::{Schema, schema};
use super::store;
use super::words::Row;
use crate::config::{Config, Database, file_modes};
use crate::db::{Db, Location};

/// How long opening and one write may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// The findings, and the database if it can be read.
pub(super) async fn check(config: &Config) -> (Vec<Finding>, Option<Db>) {
    let place = match &config.database {
        Database::Sqlite(path) => format!("SQLite {}", path.display()),
        Database::Postgres(_) => "PostgreSQL".to_owned(),
    };
    let at = |row: Row| Finding::new(row, &[same("place", &place)]);
    let failed =
        |why: &str| Finding::new(Row::DatabaseUnreachable, &[same("place", &place), same("why", why)]);
    let version = match schema(&config.database).await {
        Ok(Schema::Current(version)) => version,
        Ok(Schema::NoFile(_)) => return (vec![at(Row::DatabaseNoFile)], None),
        Ok(Schema::Empty) => return (vec![at(Row::DatabaseEmpty)], None),
        Ok(Schema::Older { has, wants }) => {
            let (has, wants) = (has.to_string(), wants.to_string());
            let values = [same("place", &place), same("has", &has), same("wants", &wants)];
            return (vec![Finding::new(Row::DatabaseOlder, &values)], None);
        }
        Ok(Schema::Newer(version)) => {
            let version = version.to_string();
            let values = [same("place", &place), same("version", &version)];
            return (vec![Finding::new(Row::DatabaseNewer, &values)], None);
        }
        Err(error) => return (vec![failed(&error.to_string())], None),
    };
    let mut findings = Vec::new();
    let db = match tokio::time::timeout(PATIENCE, open(&config.database)).await {
        Ok(Ok(db)) => db,
        Ok(Err(error)) => return (vec![failed(&error.to_string())], None),
        Err(_) => return (vec![failed("no answer in time")], None),
    };
    let written = match tokio::time::timeout(PATIENCE, store::try_writing(&db)).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    findings.push(match written {
        Ok(()) => {
            let version = version.to_string();
            Finding::new(Row::DatabaseOk, &[same("place", &place), same("version", &version)])
        }
        Err(why) => Finding::new(Row::DatabaseReadOnly, &[same("place", &place), same("why", &why)]),
    });
    for open in file_modes::open_to_others(config) {
        let (path, command) = (open.path.display().to_string(), open.command());
        let row = if open.is_directory() { Row::DataDirOpenToOthers } else { Row::DatabaseOpenToOthers };
        findings.push(Finding::new(row, &[same("path", &path), same("command", &command)]));
    }
    (findings, Some(db))
}

async fn open(database: &Database) -> Result<Db, crate::db::OpenError> {
    match database {
        Database::Sqlite(path) => Db::open(Location::Sqlite(path)).await,
        Database::Postgres(url) => Db::open(Location::Postgres(url)).await,
    }
}
