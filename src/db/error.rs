//! The one classifier of database errors: what a failed statement says about the data and about the
//! database.

/// What an error of the database is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DatabaseErrorKind {
    /// A value cannot be written, or one that was written cannot be read.
    Content,
    /// Two transactions waited for each other, and the database aborted this one.
    Deadlock,
    /// The database is out of reach, out of resources, or refuses to write.
    Outage,
    /// Nothing that we know.
    Unknown,
}

/// What a failed write means. Only a bad record may be skipped, so that a full disk is never taken
/// for a hundred thousand bad records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteErrorKind {
    /// A record cannot be written, or its old row cannot be read.
    Record,
    /// Two transactions waited for each other, and the database aborted this one.
    Deadlock,
    /// The database itself failed, or nobody knows what failed.
    Database,
}

/// Tells an error that is surely about one record from an error of the database.
pub(crate) fn classify_write_error(error: &sqlx::Error) -> WriteErrorKind {
    match classify_error(error) {
        DatabaseErrorKind::Content => WriteErrorKind::Record,
        DatabaseErrorKind::Deadlock => WriteErrorKind::Deadlock,
        DatabaseErrorKind::Outage | DatabaseErrorKind::Unknown => WriteErrorKind::Database,
    }
}

/// Whether an error may be about the written content, so that other content is worth a try.
pub(crate) fn is_content_error(error: &sqlx::Error) -> bool {
    classify_error(error) != DatabaseErrorKind::Outage
}

/// Whether a row was found and a value of it is not one that we wrote.
pub(crate) const fn is_unreadable_row(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
}

/// Whether a statement broke a unique index.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

fn classify_error(error: &sqlx::Error) -> DatabaseErrorKind {
    match error {
        sqlx::Error::Encode(_) => DatabaseErrorKind::Content,
        error if is_unreadable_row(error) => DatabaseErrorKind::Content,
        sqlx::Error::Database(error) => {
            error.code().map_or(DatabaseErrorKind::Unknown, |code| classify_code(&code))
        }
        sqlx::Error::RowNotFound => DatabaseErrorKind::Unknown,
        _ => DatabaseErrorKind::Outage,
    }
}

/// Classifies an error code. Five characters are an SQLSTATE (PostgreSQL, appendix A); a number is
/// SQLite's extended result code, whose last byte is the primary code.
fn classify_code(code: &str) -> DatabaseErrorKind {
    if code.len() == 5 {
        return match code.get(..2) {
            // A bad value; a constraint.
            Some("22" | "23") => DatabaseErrorKind::Content,
            // A deadlock or a failed serialisation.
            Some("40") => DatabaseErrorKind::Deadlock,
            // Connections, a transaction that only reads, resources, operators, the system.
            Some("08" | "25" | "53" | "57" | "58") => DatabaseErrorKind::Outage,
            _ => DatabaseErrorKind::Unknown,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        // A text that is too long, a constraint, a value of a wrong type.
        Ok(18..=20) => DatabaseErrorKind::Content,
        // Busy, locked, read-only, I/O, full, cannot open.
        Ok(5 | 6 | 8 | 10 | 13 | 14) => DatabaseErrorKind::Outage,
        Ok(_) | Err(_) => DatabaseErrorKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_bad_record() {
        for code in ["13", "10", "5", "261", "8", "14", "53100", "57014", "25006", "08006", "58030"] {
            assert_eq!(classify_code(code), DatabaseErrorKind::Outage, "{code}");
        }
        for code in ["22021", "23505", "2067", "1555", "787", "18", "20"] {
            assert_eq!(classify_code(code), DatabaseErrorKind::Content, "{code}");
        }
        for code in ["11", "1", "42P01", "XX000", "", "0x05"] {
            assert_eq!(classify_code(code), DatabaseErrorKind::Unknown, "{code}");
        }
        assert_eq!(classify_code("40P01"), DatabaseErrorKind::Deadlock);
    }

    #[test]
    fn a_record_is_skipped_if_it_is_surely_bad_and_another_one_tried_if_it_may_be() {
        let decode = || sqlx::Error::Decode("person_rows.detail".into());
        let column = sqlx::Error::ColumnDecode { index: "status".to_owned(), source: "no status".into() };
        for (error, kind, may_be_content) in [
            (decode(), WriteErrorKind::Record, true),
            (column, WriteErrorKind::Record, true),
            (sqlx::Error::RowNotFound, WriteErrorKind::Database, true),
            (sqlx::Error::PoolTimedOut, WriteErrorKind::Database, false),
        ] {
            assert_eq!((classify_write_error(&error), is_content_error(&error)), (kind, may_be_content));
        }
    }
}
