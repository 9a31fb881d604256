//! Checks that the database opens, has this version's schema and takes writes, and who may read its
//! file.

use std::time::Duration;

use super::finding::{DoctorFinding, untranslated};
use super::schema::{SchemaState, find_schema_state};
use super::words::FindingKind;
use crate::config::{Config, DatabaseConfig, file_modes};
use crate::db::{Db, feed};

/// The time limit for opening, and for one write.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(8);

/// Returns the findings, and the database if it can be read.
pub(super) async fn check_database(config: &Config) -> (Vec<DoctorFinding>, Option<Db>) {
    let place = match &config.database {
        DatabaseConfig::Sqlite(path) => format!("SQLite {}", path.display()),
        DatabaseConfig::Postgres(_) => "PostgreSQL".to_owned(),
    };
    let at = |kind: FindingKind| DoctorFinding::new(kind, &[untranslated("place", &place)]);
    let failed = |why: &str| {
        DoctorFinding::new(
            FindingKind::DatabaseUnreachable,
            &[untranslated("place", &place), untranslated("why", why)],
        )
    };
    let version = match find_schema_state(&config.database).await {
        Ok(SchemaState::Current(version)) => version,
        Ok(SchemaState::NoFile(_)) => return (vec![at(FindingKind::DatabaseNoFile)], None),
        Ok(SchemaState::Empty) => return (vec![at(FindingKind::DatabaseEmpty)], None),
        Ok(SchemaState::Older { has, wants }) => {
            let (has, wants) = (has.to_string(), wants.to_string());
            let values =
                [untranslated("place", &place), untranslated("has", &has), untranslated("wants", &wants)];
            return (vec![DoctorFinding::new(FindingKind::DatabaseOlder, &values)], None);
        }
        Ok(SchemaState::Newer(version)) => {
            let version = version.to_string();
            let values = [untranslated("place", &place), untranslated("version", &version)];
            return (vec![DoctorFinding::new(FindingKind::DatabaseNewer, &values)], None);
        }
        Err(error) => return (vec![failed(&error.to_string())], None),
    };
    let mut findings = Vec::new();
    let db = match tokio::time::timeout(DATABASE_TIMEOUT, Db::open(config.database.location())).await {
        Ok(Ok(db)) => db,
        Ok(Err(error)) => return (vec![failed(&error.to_string())], None),
        Err(_) => return (vec![failed("no answer in time")], None),
    };
    let written = match tokio::time::timeout(DATABASE_TIMEOUT, feed::check_writable(&db)).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    findings.push(match written {
        Ok(()) => {
            let version = version.to_string();
            DoctorFinding::new(
                FindingKind::DatabaseOk,
                &[untranslated("place", &place), untranslated("version", &version)],
            )
        }
        Err(why) => DoctorFinding::new(
            FindingKind::DatabaseReadOnly,
            &[untranslated("place", &place), untranslated("why", &why)],
        ),
    });
    for open in file_modes::find_exposed_paths(config) {
        let (path, command) = (open.path.display().to_string(), open.command());
        let kind = if open.is_directory() {
            FindingKind::DataDirOpenToOthers
        } else {
            FindingKind::DatabaseOpenToOthers
        };
        findings.push(DoctorFinding::new(
            kind,
            &[untranslated("path", &path), untranslated("command", &command)],
        ));
    }
    (findings, Some(db))
}
