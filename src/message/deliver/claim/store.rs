//! SQL of claiming. The caller of every writing function has locked the send window.

use std::time::Duration;

use sqlx::{AnyConnection, AnyPool, Row as _};

use super::{ClaimedCall, MAX_PLAUSIBLE_LEASE};
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId};
use crate::directory::row::published;
use crate::message::deliver::rate_limits::{BUCKET_WIDTH, CALL_WINDOWS, bucket_start, day_start};

pub(super) async fn has_due_calls(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM message_calls WHERE corp_id = $1 AND status IN ('due', 'calling') AND next_at <= $2 \
         AND (lease_until <= $2 OR lease_until > $3) LIMIT 1",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(now.plus(MAX_PLAUSIBLE_LEASE).millis())
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

/// Counts the calls that any process has leased.
pub(super) async fn count_leased_calls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<i64> {
    sqlx::query(
        "SELECT COUNT(*) FROM message_calls WHERE corp_id = $1 AND status IN ('due', 'calling') \
         AND lease_until > $2 AND lease_until <= $3",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(now.plus(MAX_PLAUSIBLE_LEASE).millis())
    .fetch_one(tx)
    .await?
    .try_get(0)
}

/// How much of the limits of calls and recipients is used.
#[derive(Debug)]
pub(super) struct CallUsage {
    /// The calls in each of the [`CALL_WINDOWS`].
    pub(super) calls: [i64; 2],
    /// The recipients since midnight in Shanghai.
    pub(super) recipients_today: i64,
}

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
    let row = sqlx::query(
        "SELECT COALESCE(CAST(SUM(CASE WHEN bucket >= $2 THEN calls ELSE 0 END) AS BIGINT), 0), \
                COALESCE(CAST(SUM(CASE WHEN bucket >= $3 THEN calls ELSE 0 END) AS BIGINT), 0), \
                COALESCE(CAST(SUM(CASE WHEN bucket >= $4 THEN recipients ELSE 0 END) AS BIGINT), 0) \
         FROM message_pace WHERE corp_id = $1 AND bucket >= $5",
    )
    .bind(corp.as_str())
    .bind(since(minute.length).millis())
    .bind(since(hour.length).millis())
    .bind(today.millis())
    .bind(since(hour.length).min(today).millis())
    .fetch_one(tx)
    .await?;
    Ok(CallUsage { calls: [row.try_get(0)?, row.try_get(1)?], recipients_today: row.try_get(2)? })
}

/// Returns up to `limit` calls that are due, the oldest first, as their last attempt left them.
pub(super) async fn find_due_calls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedCall>> {
    sqlx::query(
        "SELECT id, request, recipients, window_ms, attempts, uncertain_at FROM message_calls \
         WHERE corp_id = $1 AND status IN ('due', 'calling') AND next_at <= $2 \
           AND (lease_until <= $2 OR lease_until > $4) \
         ORDER BY next_at, id LIMIT $3",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(limit)
    .bind(now.plus(MAX_PLAUSIBLE_LEASE).millis())
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| {
        let window: i64 = row.try_get(3)?;
        Ok(ClaimedCall {
            id: CallId::new(row.try_get::<String, _>(0)?),
            request: row.try_get(1)?,
            recipients: row.try_get(2)?,
            window: Duration::from_millis(u64::try_from(window).unwrap_or(0)),
            number: row.try_get(4)?,
            began_at: now,
            uncertain_at: row.try_get::<Option<i64>, _>(5)?.map(Timestamp::from_millis),
            counted: 0,
        })
    })
    .collect()
}

/// Leases a call to `holder`.
///
/// From here on its outcome is uncertain, until it is settled.
pub(super) async fn lease_call(
    tx: &mut AnyConnection,
    call: &ClaimedCall,
    holder: &str,
    lease_until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE message_calls SET status = 'calling', holder = $2, lease_until = $3, attempts = $4, \
           uncertain_at = COALESCE(uncertain_at, $5) WHERE id = $1",
    )
    .bind(call.id.as_str())
    .bind(holder)
    .bind(lease_until.millis())
    .bind(call.number)
    .bind(call.began_at.millis())
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
        "INSERT INTO message_pace (corp_id, bucket, calls, recipients) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (corp_id, bucket) DO UPDATE \
           SET calls = message_pace.calls + excluded.calls, \
               recipients = message_pace.recipients + excluded.recipients",
    )
    .bind(corp.as_str())
    .bind(bucket_start(now).millis())
    .bind(i64::try_from(calls).unwrap_or(i64::MAX))
    .bind(recipients)
    .execute(tx)
    .await?;
    Ok(())
}

/// Counts the members that the published chart has from WeCom.
pub(super) async fn count_accounts(pool: &AnyPool, corp: &CorpId) -> sqlx::Result<i64> {
    sqlx::query(concat!(
        "SELECT COUNT(*) FROM person_rows v ",
        published!(),
        "WHERE v.source = 'wecom' AND v.status <> 'left'"
    ))
    .bind(corp.as_str())
    .fetch_one(pool)
    .await?
    .try_get(0)
}
