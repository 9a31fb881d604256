//! The tables of messages as a crash, a clock or a broken row would have left them.

use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::MessageId;
use gongpai::testing::db::Db;
use sqlx::{Any, query::Query};

/// No recipient is ever due at this instant.
const NEVER_MS: i64 = i64::MAX;

async fn execute(db: &Db, change: Query<'_, Any, <Any as sqlx::Database>::Arguments>) {
    change.execute(db.pool()).await.expect("the rows are changed");
}

/// Takes away the recipients after `member`, as if they had not been written yet.
pub(crate) async fn forget_recipients_after(db: &Db, id: &MessageId, member: &str) {
    let change = sqlx::query("DELETE FROM message_recipients WHERE message_id = $1 AND member > $2");
    execute(db, change.bind(id.as_str()).bind(member)).await;
}

/// Writes that the recipients of a message are written up to `reached`.
pub(crate) async fn rewind_expansion(db: &Db, id: &MessageId, reached: &str) {
    let change = sqlx::query("UPDATE messages SET expanded_at = NULL, expanded_to = $2 WHERE id = $1");
    execute(db, change.bind(id.as_str()).bind(reached)).await;
}

/// Lets nobody after `userid` have its turn.
pub(crate) async fn delay_recipients_after(db: &Db, id: &MessageId, userid: &str) {
    let change =
        sqlx::query("UPDATE message_recipients SET due_at = $3 WHERE message_id = $1 AND userid > $2");
    execute(db, change.bind(id.as_str()).bind(userid).bind(NEVER_MS)).await;
}

/// Ends [`delay_recipients_after`].
pub(crate) async fn end_delay(db: &Db, id: &MessageId) {
    let change = sqlx::query("UPDATE message_recipients SET due_at = 0 WHERE message_id = $1");
    execute(db, change.bind(id.as_str())).await;
}

/// Writes until when the send window is held.
pub(crate) async fn set_hold_until(db: &Db, until: Timestamp) {
    execute(db, sqlx::query("UPDATE message_lanes SET hold_until = $1").bind(until.millis())).await;
}

/// Makes the targets of a message unreadable; it remembers them.
pub(crate) async fn break_targets(db: &Db, id: &MessageId) {
    let change = sqlx::query("UPDATE messages SET expanded_to = targets, targets = 'nonsense' WHERE id = $1");
    execute(db, change.bind(id.as_str())).await;
}

/// Ends [`break_targets`].
pub(crate) async fn mend_targets(db: &Db, id: &MessageId) {
    let change = sqlx::query("UPDATE messages SET targets = expanded_to, expanded_to = '' WHERE id = $1");
    execute(db, change.bind(id.as_str())).await;
}

/// Writes that every message is to be recalled and that its calls wait until `parked`, as a recall
/// does that is cut off then.
pub(crate) async fn begin_recall(db: &Db, now: Timestamp, parked: Timestamp) {
    execute(db, sqlx::query("UPDATE messages SET recall_at = $1").bind(now.millis())).await;
    execute(db, sqlx::query("UPDATE message_calls SET next_at = $1").bind(parked.millis())).await;
}

/// Leaves every call and the send window as a process does whose clock is ahead, while it makes the
/// calls.
pub(crate) async fn date_calls(db: &Db, at: Timestamp) {
    let change = sqlx::query(
        "UPDATE message_calls SET status = 'calling', holder = 'somebody', next_at = 0, uncertain_at = $1, \
         lease_until = $1",
    );
    execute(db, change.bind(at.millis())).await;
    set_hold_until(db, at).await;
}

/// Leases every call that waits until `until`.
pub(crate) async fn lease_due_calls(db: &Db, until: Timestamp) {
    let change = sqlx::query("UPDATE message_calls SET lease_until = $1 WHERE status = 'due'");
    execute(db, change.bind(until.millis())).await;
}

/// Sets how many recipients each bucket has.
pub(crate) async fn set_counted_recipients(db: &Db, recipients: i64) {
    execute(db, sqlx::query("UPDATE message_counts SET recipients = $1").bind(recipients)).await;
}

/// Ends all open messages with this status.
pub(crate) async fn end_open_messages(db: &Db, status: &str) {
    let change = sqlx::query("UPDATE messages SET status = $1, finished_at = 1 WHERE finished_at IS NULL");
    execute(db, change.bind(status.to_owned())).await;
}

/// Writes that WeCom took back every call that was to be recalled.
pub(crate) async fn end_all_recalls(db: &Db) {
    execute(db, sqlx::query("UPDATE message_recalls SET status = 'done'")).await;
}

/// Gives a message so many recipients more, whom it did not reach.
pub(crate) async fn add_failed_recipients(db: &Db, id: &MessageId, count: i64) {
    let change = sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT CAST($2 AS BIGINT) UNION ALL SELECT n - 1 FROM numbers WHERE n > 1) \
         INSERT INTO message_recipients (message_id, member, corp_id, seq, userid, body, status, reason_code, due_at, \
           alone, aside) \
         SELECT m.id, '=failed' || n, m.corp_id, m.seq, 'failed' || n, m.body, 'failed', 'no_account', 0, 0, 0 \
         FROM numbers, messages m WHERE m.id = $1",
    );
    execute(db, change.bind(id.as_str()).bind(count)).await;
}
