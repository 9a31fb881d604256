//! SQL of claiming. The caller of every writing function has locked the send window.

use std::time::Duration;

use const_format::formatcp;
use sqlx::{AnyConnection, AnyPool, FromRow};

use super::{ClaimedCall, MAX_PLAUSIBLE_LEASE};
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId};
use crate::db::hot_statement::HotStatement;
use crate::message::deliver::rate_limits::{BUCKET_WIDTH, CALL_WINDOWS, bucket_start, day_start};
use crate::message::state::words::{CALL_CALLING, CALL_DUE};

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "has_due_calls",
        sql: HAS_DUE_CALLS,
        indexes: &["message_calls_due (corp_id, next_at)"],
    },
    HotStatement {
        name: "count_leased_calls",
        sql: COUNT_LEASED_CALLS,
        indexes: &["message_calls_due (corp_id)"],
    },
    HotStatement {
        name: "measure_usage",
        sql: MEASURE_USAGE,
        indexes: &["message_counts_pkey (corp_id, bucket)"],
    },
    HotStatement {
        name: "find_due_calls",
        sql: FIND_DUE_CALLS,
        indexes: &["message_calls_due (corp_id, next_at)"],
    },
    HotStatement { name: "lease_call", sql: LEASE_CALL, indexes: &["message_calls_pkey (id)"] },
];

const HAS_DUE_CALLS: &str = formatcp!(
    "SELECT id FROM message_calls \
     WHERE corp_id = $1 AND status IN ('{CALL_DUE}', '{CALL_CALLING}') AND next_at <= $2 \
       AND (lease_until <= $2 OR lease_until > $3) LIMIT 1"
);

pub(super) async fn has_due_calls(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let due: Option<CallId> = sqlx::query_scalar(HAS_DUE_CALLS)
        .bind(corp)
        .bind(now)
        .bind(now.plus(MAX_PLAUSIBLE_LEASE))
        .fetch_optional(pool)
        .await?;
    Ok(due.is_some())
}

const COUNT_LEASED_CALLS: &str = formatcp!(
    "SELECT COUNT(*) FROM message_calls WHERE corp_id = $1 AND status IN ('{CALL_DUE}', '{CALL_CALLING}') \
       AND lease_until > $2 AND lease_until <= $3"
);

/// Counts the calls that any process has leased.
pub(super) async fn count_leased_calls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(COUNT_LEASED_CALLS)
        .bind(corp)
        .bind(now)
        .bind(now.plus(MAX_PLAUSIBLE_LEASE))
        .fetch_one(tx)
        .await
}

/// How much of the limits of calls and recipients is used.
#[derive(Debug, FromRow)]
pub(super) struct CallUsage {
    /// The calls in the first of the [`CALL_WINDOWS`].
    pub(super) calls_in_minute: i64,
    /// The calls in the second of them.
    pub(super) calls_in_hour: i64,
    /// The recipients since midnight in Shanghai.
    pub(super) recipients_today: i64,
}

const MEASURE_USAGE: &str = "SELECT COALESCE(CAST(SUM(CASE WHEN bucket >= $2 THEN calls ELSE 0 END) AS BIGINT), 0) AS calls_in_minute, \
       COALESCE(CAST(SUM(CASE WHEN bucket >= $3 THEN calls ELSE 0 END) AS BIGINT), 0) AS calls_in_hour, \
       COALESCE(CAST(SUM(CASE WHEN bucket >= $4 THEN recipients ELSE 0 END) AS BIGINT), 0) AS recipients_today \
     FROM message_counts WHERE corp_id = $1 AND bucket >= $5";

/// Measures the usage by all processes.
pub(super) async fn measure_usage(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<CallUsage> {
    let [minute, hour] = CALL_WINDOWS;
    // A bucket that is partly outside counts as a whole.
    let since = |length: Duration| now.minus(length + BUCKET_WIDTH);
    let today = day_start(now);
    sqlx::query_as(MEASURE_USAGE)
        .bind(corp)
        .bind(since(minute.length))
        .bind(since(hour.length))
        .bind(today)
        .bind(since(hour.length).min(today))
        .fetch_one(tx)
        .await
}

#[derive(Debug, FromRow)]
struct DueCallRow {
    id: CallId,
    request: String,
    recipients: i64,
    window_ms: i64,
    attempts: i64,
    uncertain_at: Option<Timestamp>,
}

const FIND_DUE_CALLS: &str = formatcp!(
    "SELECT id, request, recipients, window_ms, attempts, uncertain_at FROM message_calls \
     WHERE corp_id = $1 AND status IN ('{CALL_DUE}', '{CALL_CALLING}') AND next_at <= $2 \
       AND (lease_until <= $2 OR lease_until > $4) \
     ORDER BY next_at, id LIMIT $3"
);

/// Returns up to `limit` calls that are due, the oldest first, as their last attempt left them.
pub(super) async fn find_due_calls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedCall>> {
    let rows: Vec<DueCallRow> = sqlx::query_as(FIND_DUE_CALLS)
        .bind(corp)
        .bind(now)
        .bind(limit)
        .bind(now.plus(MAX_PLAUSIBLE_LEASE))
        .fetch_all(tx)
        .await?;
    let claimed = |row: DueCallRow| ClaimedCall {
        id: row.id,
        request: row.request,
        recipients: row.recipients,
        window: Duration::from_millis(u64::try_from(row.window_ms).unwrap_or(0)),
        number: row.attempts,
        began_at: now,
        uncertain_at: row.uncertain_at,
        counted: 0,
    };
    Ok(rows.into_iter().map(claimed).collect())
}

const LEASE_CALL: &str = formatcp!(
    "UPDATE message_calls SET status = '{CALL_CALLING}', holder = $2, lease_until = $3, attempts = $4, \
       uncertain_at = COALESCE(uncertain_at, $5) WHERE id = $1"
);

/// Leases a call to `holder`.
///
/// From here on its outcome is uncertain, until it is settled.
pub(super) async fn lease_call(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    holder: &str,
    lease_until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(LEASE_CALL)
        .bind(&call.id)
        .bind(holder)
        .bind(lease_until)
        .bind(call.number)
        .bind(call.began_at)
        .execute(tx)
        .await?;
    Ok(())
}

/// Counts calls that are about to be made.
pub(super) async fn add_usage(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    calls: usize,
    recipients: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO message_counts (corp_id, bucket, calls, recipients) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (corp_id, bucket) DO UPDATE \
           SET calls = message_counts.calls + excluded.calls, \
               recipients = message_counts.recipients + excluded.recipients",
    )
    .bind(corp)
    .bind(bucket_start(now))
    .bind(i64::try_from(calls).unwrap_or(i64::MAX))
    .bind(recipients)
    .execute(tx)
    .await?;
    Ok(())
}
