//! The one classifier of database errors: what a failed statement says about the data and about the
//! database.

/// What a failed write means. Only a bad record may be skipped, so that a full disk is never taken
/// for a hundred thousand bad records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteErrorKind {
    /// A record cannot be written, or its old row cannot be read.
    Record,
    /// Two transactions waited for each other, and the database aborted this one.
    Deadlock,
    /// The database itself failed.
    Database,
}

/// SQLite's result codes for a violated constraint, a text that is too long, and a value of a wrong
/// type.
const SQLITE_RECORD_CODES: [i32; 3] = [19, 18, 20];

/// Tells an error of one record from an error of the database.
pub(crate) fn classify_write_error(error: &sqlx::Error) -> WriteErrorKind {
    match error {
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) => {
            WriteErrorKind::Record
        }
        sqlx::Error::Database(error) => {
            error.code().map_or(WriteErrorKind::Database, |code| classify_code(&code))
        }
        _ => WriteErrorKind::Database,
    }
}

/// Classifies an error code. Five characters are an SQLSTATE (PostgreSQL, appendix A); a number is
/// SQLite's extended result code, whose last byte is the primary code.
fn classify_code(code: &str) -> WriteErrorKind {
    let sqlstate = code.len() == 5;
    match code.get(..2).filter(|_| sqlstate) {
        // 22: a bad value; 23: a constraint; 40: a deadlock or a failed serialisation.
        Some("22" | "23") => WriteErrorKind::Record,
        Some("40") => WriteErrorKind::Deadlock,
        Some(_) => WriteErrorKind::Database,
        None if code.parse().is_ok_and(|code: i32| SQLITE_RECORD_CODES.contains(&(code & 0xff))) => {
            WriteErrorKind::Record
        }
        None => WriteErrorKind::Database,
    }
}

/// Whether an error may be about the written content rather than about the database.
pub(crate) fn is_content_error(error: &sqlx::Error) -> bool {
    match error {
        // The database's own errors: PostgreSQL's classes of connections, resources and operators;
        // SQLite's busy, locked, read-only, I/O, full and cannot open.
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| {
            let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xff);
            sqlite.is_some_and(|code| matches!(code, 5 | 6 | 8 | 10 | 13 | 14))
                || (code.len() == 5
                    && ["08", "25", "53", "57", "58"].iter().any(|class| code.starts_with(class)))
        }),
        sqlx::Error::Encode(_)
        | sqlx::Error::RowNotFound
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// Whether a statement broke a unique index.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_bad_record() {
        for code in ["13", "10", "5", "261", "8", "11", "53100", "57014", "25006", "08006", "XX000", ""] {
            assert_eq!(classify_code(code), WriteErrorKind::Database, "{code}");
        }
        for code in ["22021", "23505", "2067", "1555", "787", "18"] {
            assert_eq!(classify_code(code), WriteErrorKind::Record, "{code}");
        }
        assert_eq!(classify_code("40P01"), WriteErrorKind::Deadlock);
        assert_eq!(classify_write_error(&sqlx::Error::PoolTimedOut), WriteErrorKind::Database);
        assert_eq!(
            classify_write_error(&sqlx::Error::Decode("person_rows.detail".into())),
            WriteErrorKind::Record
        );
    }
}
