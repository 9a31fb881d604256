//! Finds out which schema the database has, without changing it.
//!
//! Opening it as the gateway does would create a missing file and update an older schema under an
//! older gateway that may be running. Only `serve` does that.

use std::path::PathBuf;
use std::time::Duration;

use super::store;
use crate::config::DatabaseConfig;

/// How long the database may take.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(5);

/// The schema of a database, compared with this program's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaState {
    /// The file does not exist.
    NoFile(PathBuf),
    /// The database has no tables of ours.
    Empty,
    /// The schema is older; `serve` updates it.
    Older { has: i64, wants: i64 },
    /// It is this program's schema.
    Current(i64),
    /// A newer gongpai has changed it.
    Newer(i64),
}

/// Why the schema could not be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the database does not answer: {0}")]
    Store(#[from] sqlx::Error),
    #[error("the database does not answer within {} s", SCHEMA_TIMEOUT.as_secs())]
    Timeout,
}

/// Reads the schema of a database.
///
/// # Errors
/// [`SchemaError`].
pub(crate) async fn find_schema_state(database: &DatabaseConfig) -> Result<SchemaState, SchemaError> {
    if let DatabaseConfig::Sqlite(path) = database
        && !path.exists()
    {
        return Ok(SchemaState::NoFile(path.clone()));
    }
    match tokio::time::timeout(SCHEMA_TIMEOUT, store::applied_migrations(database)).await {
        Ok(applied) => Ok(classify_schema(applied?.as_deref(), &crate::db::list_schema_steps())),
        Err(_) => Err(SchemaError::Timeout),
    }
}

fn classify_schema(applied: Option<&[i64]>, known: &[i64]) -> SchemaState {
    let wants = known.iter().max().copied().unwrap_or(0);
    let Some(has) = applied.and_then(|versions| versions.iter().max().copied()) else {
        return SchemaState::Empty;
    };
    let foreign = applied.unwrap_or_default().iter().filter(|version| !known.contains(version)).max();
    match foreign {
        Some(version) => SchemaState::Newer(*version),
        None if has < wants => SchemaState::Older { has, wants },
        None => SchemaState::Current(has),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_newer_as_soon_as_one_step_of_it_is_unknown() {
        assert_eq!(classify_schema(None, &[1, 2]), SchemaState::Empty);
        assert_eq!(classify_schema(Some(&[]), &[1, 2]), SchemaState::Empty);
        assert_eq!(classify_schema(Some(&[1]), &[1, 2]), SchemaState::Older { has: 1, wants: 2 });
        assert_eq!(classify_schema(Some(&[2, 1]), &[1, 2]), SchemaState::Current(2));
        assert_eq!(classify_schema(Some(&[1, 2, 3]), &[1, 2]), SchemaState::Newer(3));
    }
}
