//! The rows of `sync_runs`. They name the process that works on a run, which no public function
//! does.

use gongpai::testing::db::Db;

use super::query::read_texts;

/// A row of `sync_runs`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct SyncRunRow {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) cause: String,
    /// The process that works on the run: its id, then a word of its own.
    pub(crate) holder: String,
    /// JSON with a `code`.
    pub(crate) reason: Option<String>,
    /// Unix milliseconds.
    pub(crate) requested_at: i64,
}

/// Reads every run in the order in which they were requested.
pub(crate) async fn read_sync_runs(db: &Db) -> Vec<SyncRunRow> {
    sqlx::query_as(
        "SELECT id, status, cause, holder, reason, requested_at FROM sync_runs ORDER BY requested_at, id",
    )
    .fetch_all(db.pool())
    .await
    .expect("the runs")
}

/// Returns the code of the reason of a run.
pub(crate) fn reason_code(run: &SyncRunRow) -> Option<String> {
    let reason: serde_json::Value = serde_json::from_str(run.reason.as_ref()?).expect("a reason is JSON");
    reason["code"].as_str().map(str::to_owned)
}

/// Reads the report of the only run.
pub(crate) async fn read_report(db: &Db) -> String {
    let mut reports = read_texts(db, "SELECT report FROM sync_runs").await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports.remove(0)
}

/// Reads the run that is worked on.
pub(crate) async fn read_running_run(db: &Db) -> Option<SyncRunRow> {
    let mut running = read_sync_runs(db).await;
    running.retain(|run| run.status == "running");
    assert!(running.len() <= 1, "{running:?}");
    running.pop()
}
