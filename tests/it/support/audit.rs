//! What the audit trail holds.

use gongpai::testing::audit::AuditRow;
use gongpai::testing::audit::store::list_rows;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::db::Db;

use super::app::TestApp;

/// Returns the rows of the audit trail, oldest first.
pub(crate) async fn read_audit_trail(t: &TestApp) -> Vec<AuditRow> {
    let (corp, since) = (&t.app.config.wecom.corp_id, Timestamp::from_millis(0));
    list_rows(&t.app.db, corp, None, since, "", 10_000).await.expect("the audit trail")
}

/// Returns the audit rows of an event, oldest first.
pub(crate) async fn audit_rows(t: &TestApp, event: &str) -> Vec<AuditRow> {
    let mut rows = read_audit_trail(t).await;
    rows.retain(|row| row.event == event);
    rows
}

/// Lets every write to the audit trail fail.
pub(crate) async fn take_audit_trail_away(db: &Db) {
    sqlx::query("ALTER TABLE audit RENAME TO audit_away").execute(db.pool()).await.expect("renamed");
}

/// Ends [`take_audit_trail_away`].
pub(crate) async fn bring_audit_trail_back(db: &Db) {
    sqlx::query("ALTER TABLE audit_away RENAME TO audit").execute(db.pool()).await.expect("renamed");
}
