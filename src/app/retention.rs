//! Deletes what has been [kept long enough](crate::design#retention), room by room.

use std::time::Duration;

use super::App;
use crate::base::clock::Timestamp;
use crate::base::job::{CurrentPart, Job};
use crate::db::{Db, feed};
use crate::{audit, keys, message, session, sso, sync};

const RETENTION_INTERVAL: Duration = Duration::from_secs(600);

/// Attempts and tickets live for minutes. A day leaves time to look into a complaint.
const ATTEMPT_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long ended sessions are kept; the audit trail keeps them longer.
const SESSION_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
const FEED_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many rows one deletion removes, so that nobody waits long for the write lock.
const DELETE_BATCH_ROWS: i64 = 500;

/// Makes the job that deletes old rows.
pub(super) fn jobs(app: CurrentPart<App>) -> Vec<Job> {
    vec![Job::repeated("retention", RETENTION_INTERVAL, move || delete_old(app.load()))]
}

async fn delete_old(app: App) {
    if let Err(error) = delete_old_rows(&app.db, app.clock.now(), app.config.session.ttl).await {
        tracing::warn!(%error, "Old rows could not be deleted; the next run tries again");
    }
    if let Err(error) = app.sync.forget_old().await {
        tracing::warn!(%error, "What the directory need not keep could not be deleted; the next run tries again");
    }
}

/// Deletes what is older than its retention, in small transactions.
///
/// # Errors
/// If the database fails.
pub async fn delete_old_rows(db: &Db, now: Timestamp, ttl: Duration) -> sqlx::Result<()> {
    // Each call deletes one batch; repeat until nothing is left.
    while session::store::delete_old_sessions(db, now.minus(SESSION_RETENTION), DELETE_BATCH_ROWS).await? > 0
    {
    }
    while audit::store::delete_rows_before(db, now.minus(audit::AUDIT_RETENTION), DELETE_BATCH_ROWS).await?
        > 0
    {}
    sso::store::delete_old_attempts(db, now.minus(ATTEMPT_RETENTION)).await?;
    session::store::delete_old_tickets(db, now.minus(ATTEMPT_RETENTION)).await?;
    feed::delete_entries_before(db, now.minus(FEED_RETENTION)).await?;
    keys::store::delete_unused(db, now, ttl).await?;
    while sync::queue::store::delete_runs_before(db, now.minus(sync::queue::RUN_RETENTION), DELETE_BATCH_ROWS)
        .await?
        > 0
    {}
    while message::store::delete_finished_before(
        db,
        now.minus(message::store::MESSAGE_RETENTION),
        DELETE_BATCH_ROWS,
    )
    .await?
        > 0
    {}
    message::store::delete_old_rate_counts(db, now).await?;
    Ok(())
}
