//! What the table of conflicts holds.

use gongpai::testing::db::Db;
use sqlx::Row as _;

use super::app::TestApp;

/// A row of `conflicts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConflictRecord {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) person: String,
    /// The ids of the candidates as JSON.
    pub(crate) candidates: String,
    /// `open`, or how it was closed.
    pub(crate) state: String,
}

/// Reads all conflicts, open or closed.
pub(crate) async fn read_conflicts(db: &Db) -> Vec<ConflictRecord> {
    sqlx::query("SELECT id, kind, person_id, candidates, state FROM conflicts ORDER BY id")
        .fetch_all(db.pool())
        .await
        .expect("conflicts")
        .iter()
        .map(|row| ConflictRecord {
            id: row.get(0),
            kind: row.get(1),
            person: row.get(2),
            candidates: row.get(3),
            state: row.get(4),
        })
        .collect()
}

/// Returns the state of a conflict: `open`, or how it was closed.
pub(crate) async fn conflict_state(t: &TestApp, conflict: &str) -> String {
    let found = read_conflicts(&t.app.db).await.into_iter().find(|row| row.id == conflict);
    found.unwrap_or_else(|| panic!("there is no conflict {conflict}")).state
}
