//! SQL of the worker.

use const_format::formatcp;
use sqlx::AnyPool;

use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::hot_statement::HotStatement;
use crate::message::state::words::{CALL_CALLING, CALL_DUE, RECALL_CALLING, RECALL_DUE, RECIPIENT_PENDING};

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[HotStatement {
    name: "find_next_due_time",
    sql: FIND_NEXT_DUE_TIME,
    indexes: &[
        "messages_unexpanded (corp_id)",
        "message_recipients_queue (corp_id)",
        "message_calls_due (corp_id)",
        "message_recalls_due (corp_id)",
    ],
}];

/// How many recipients are looked at, in their order. The queue may have a hundred thousand, and
/// what becomes due behind the first ones is found by polling.
const MAX_RECIPIENTS_READ: u64 = 1000;

const FIND_NEXT_DUE_TIME: &str = formatcp!(
    "SELECT MIN(due.at) FROM (\
       SELECT MIN(not_before) AS at FROM messages \
         WHERE corp_id = $1 AND expanded_at IS NULL AND recall_at IS NULL AND not_before > $2 \
       UNION ALL SELECT MIN(CASE WHEN r.due_at > $2 THEN r.due_at END) FROM (\
         SELECT due_at FROM message_recipients WHERE corp_id = $1 AND status = '{RECIPIENT_PENDING}' \
         ORDER BY seq LIMIT {MAX_RECIPIENTS_READ}) r \
       UNION ALL SELECT MIN(CASE WHEN lease_until > next_at THEN lease_until ELSE next_at END) FROM message_calls \
         WHERE corp_id = $1 AND status IN ('{CALL_DUE}', '{CALL_CALLING}') AND (next_at > $2 OR lease_until > $2) \
       UNION ALL SELECT MIN(CASE WHEN lease_until > next_at THEN lease_until ELSE next_at END) FROM message_recalls \
         WHERE corp_id = $1 AND status IN ('{RECALL_DUE}', '{RECALL_CALLING}') AND (next_at > $2 OR lease_until > $2)) due"
);

/// Returns the earliest instant after `now` at which a message, a recipient, a call or a recall
/// becomes due or a lease ends; `None` if there is none. Of the recipients only the first
/// [`MAX_RECIPIENTS_READ`] count.
pub(super) async fn find_next_due_time(
    pool: &AnyPool,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar(FIND_NEXT_DUE_TIME).bind(corp).bind(now).fetch_one(pool).await
}
