//! What the tables of sessions, sign-in attempts and hand-off tickets hold.

use gongpai::testing::db::Db;
use sqlx::Row as _;

use super::query::{read_number, read_texts};

/// Returns the ids of all sessions, ended or not.
pub(crate) async fn find_session_ids(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT sid FROM sessions ORDER BY sid").await
}

/// Returns the ids of the sessions that nobody ended, whatever became of their persons.
///
/// The gateway's own list leaves out sessions of persons who are gone, so it could not show that a
/// removal forgot to end one.
pub(crate) async fn find_open_session_ids(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT sid FROM sessions WHERE ended_at IS NULL ORDER BY sid").await
}

/// Returns the audience of every session.
pub(crate) async fn find_session_audiences(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT audience FROM sessions").await
}

/// Returns the families that there are sessions of.
pub(crate) async fn find_session_families(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT DISTINCT family FROM sessions").await
}

/// A session that ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndedSessionRow {
    pub(crate) sid: String,
    pub(crate) reason: String,
}

/// Returns the sessions that ended, by id.
pub(crate) async fn find_ended_sessions(db: &Db) -> Vec<EndedSessionRow> {
    sqlx::query("SELECT sid, end_reason FROM sessions WHERE ended_at IS NOT NULL ORDER BY sid")
        .fetch_all(db.pool())
        .await
        .expect("sessions")
        .iter()
        .map(|row| EndedSessionRow { sid: row.get(0), reason: row.get(1) })
        .collect()
}

/// Counts the sessions without an entry of the audit trail that let somebody sign in; negative if
/// there are more such entries than sessions.
pub(crate) async fn count_unrecorded_sessions(db: &Db) -> i64 {
    let sql = "SELECT (SELECT COUNT(*) FROM sessions) - \
               (SELECT COUNT(*) FROM audit WHERE event = 'sign-in' AND decision = 'allowed')";
    read_number(db, sql).await
}

/// Counts the finished attempts that neither led to a session nor failed, or did both.
pub(crate) async fn count_half_finished_attempts(db: &Db) -> i64 {
    let sql = "SELECT COUNT(*) FROM attempts WHERE finished_at IS NOT NULL AND \
               ((sid IS NULL AND failure IS NULL) OR (sid IS NOT NULL AND failure IS NOT NULL))";
    read_number(db, sql).await
}

/// Counts the attempts whose session does not exist.
pub(crate) async fn count_attempts_without_session(db: &Db) -> i64 {
    let sql = "SELECT COUNT(*) FROM attempts a WHERE a.sid IS NOT NULL AND \
               NOT EXISTS (SELECT 1 FROM sessions s WHERE s.sid = a.sid)";
    read_number(db, sql).await
}

/// Returns the texts of every session in one string a row.
pub(crate) async fn read_session_texts(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT sid || family || address || user_agent || audience FROM sessions").await
}

/// Returns the texts of every attempt in one string a row.
pub(crate) async fn read_attempt_texts(db: &Db) -> Vec<String> {
    let sql = "SELECT id || code_hash || COALESCE(sid, '') || COALESCE(target, '') || COALESCE(failure, '') || \
               COALESCE(failure_address, '') \
               FROM attempts";
    read_texts(db, sql).await
}

/// Returns the texts of every ticket in one string a row.
pub(crate) async fn read_ticket_texts(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT hash || cookie_hash || target || host FROM tickets").await
}

/// Returns what is stored of codes and of tickets.
pub(crate) async fn read_code_and_ticket_hashes(db: &Db) -> Vec<String> {
    let sql = "SELECT code_hash FROM attempts UNION ALL SELECT hash FROM tickets \
               UNION ALL SELECT cookie_hash FROM tickets";
    read_texts(db, sql).await
}
