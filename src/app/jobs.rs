//! The background jobs. Each step of a job is one function of the room that it belongs to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::App;
use super::reload::CurrentApp;
use crate::audit::{self, RefusalLimiter};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UserId};
use crate::db::feed::FeedTransaction;
use crate::db::{Db, feed};
use crate::directory;
use crate::directory::bindings::BindingMatch;
use crate::gate::{Denial, FirstMatch};
use crate::keys;
use crate::message::{self, Messages, Worker};
use crate::replica::RefreshError;
use crate::session;
use crate::sso::{self, Sso};
use crate::supervisor::Supervisor;
use crate::sync::{self, SyncService};

/// The pause between two reads of the feed. A revocation must take effect within a second on every
/// replica ([design: replicas](crate::design#replicas)); half of that is for this pause.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(400);

const WRITE_SEEN_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The pause after a failure of the database.
const RECHECK_RETRY_PAUSE: Duration = Duration::from_secs(5);
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);
const SCHEDULE_INTERVAL: Duration = Duration::from_secs(1);
/// The metrics of the chart change only with a synchronisation or when somebody resolves a
/// conflict.
const MEASURE_INTERVAL: Duration = Duration::from_secs(15);

/// Attempts and tickets live for minutes. A day leaves time to look into a complaint.
const ATTEMPT_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long ended sessions are kept; the audit trail keeps them longer.
const SESSION_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
const FEED_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many rows one deletion removes, so that nobody waits long for the write lock.
const DELETE_BATCH_ROWS: i64 = 500;

/// How often counted refusals that no audit row tells of are written.
const REFUSAL_COUNT_INTERVAL: Duration = Duration::from_secs(10);

const MAX_DENIALS_PER_BATCH: usize = 100;

/// Starts every job.
pub(crate) fn start_jobs(
    current: &CurrentApp,
    denials: mpsc::Receiver<Denial>,
    first_matches: mpsc::Receiver<FirstMatch>,
    supervisor: &mut Supervisor,
) {
    let app = current.load();
    let sessions = app.sessions.clone();
    supervisor.repeat("follow", FOLLOW_INTERVAL, move || follow_feed(sessions.clone()));
    let now = current.clone();
    supervisor
        .repeat("write-seen", WRITE_SEEN_INTERVAL, move || write_last_seen(now.load().sessions.clone()));
    let sessions = app.sessions.clone();
    supervisor.repeat("sweep", SWEEP_INTERVAL, move || {
        sessions.sweep();
        std::future::ready(())
    });
    let now = current.clone();
    supervisor.run("recheck", move |stop| recheck_until(now, stop));
    let now = current.clone();
    supervisor.repeat("retention", RETENTION_INTERVAL, move || {
        let app = now.load();
        async move {
            if let Err(error) = delete_old_rows(&app.db, app.clock.now(), app.config.session.ttl).await {
                tracing::warn!(%error, "Old rows could not be deleted; the next run tries again");
            }
            if let Err(error) = app.sync.forget_old().await {
                tracing::warn!(%error, "What the directory need not keep could not be deleted; the next run tries again");
            }
        }
    });
    let sync = app.sync.clone();
    supervisor.repeat("schedules", SCHEDULE_INTERVAL, move || fire_due_schedules(sync.clone()));
    let now = current.clone();
    supervisor.repeat("measure", MEASURE_INTERVAL, move || {
        let app = now.load();
        update_gauges(app.sync.clone(), app.messages.clone(), app.sso.clone(), app.config.gate.recheck)
    });
    let sync = app.sync.clone();
    supervisor.run("sync", |stop| async move { sync.work_until(stop).await });
    let (messages, replica) = (app.messages.clone(), app.replica.clone());
    supervisor
        .run("messages", |stop| Worker::new(messages, move || Arc::clone(&replica.chart()), stop).run());
    let app_for_counts = App::clone(&app);
    supervisor.repeat("count-refusals", REFUSAL_COUNT_INTERVAL, move || {
        let app = app_for_counts.clone();
        async move { write_refusal_counts(&app, false).await }
    });
    let app_for_denials = App::clone(&app);
    supervisor.run("denials", |stop| write_denials(app_for_denials, denials, stop));
    let app_for_bindings = App::clone(&app);
    supervisor.run("bindings", |stop| write_bindings(app_for_bindings, first_matches, stop));
}

async fn follow_feed(sessions: session::Sessions) {
    if let Err(error) = sessions.refresh().await {
        tracing::warn!(%error, "Memory could not be brought into step with the database");
    }
}

async fn write_last_seen(sessions: session::Sessions) {
    if let Err(error) = sessions.write_last_seen().await {
        tracing::warn!(%error, "It could not be written when sessions were last used");
    }
}

async fn fire_due_schedules(sync: SyncService) {
    if let Err(error) = sync.fire_due().await {
        tracing::warn!(%error, "It could not be seen whether a synchronisation is due");
    }
}

async fn update_gauges(sync: SyncService, messages: Messages, sso: Sso, recheck: Duration) {
    if let Err(error) = sso.measure_delay(recheck).await {
        tracing::debug!(%error, "It could not be seen whether asking again about people with sessions is behind");
    }
    if let Err(error) = sync.refresh_metrics().await {
        tracing::debug!(%error, "It could not be seen how old the organisation chart is");
    }
    if let Err(error) = messages.measure().await {
        tracing::debug!(%error, "It could not be seen how many messages wait");
    }
}

/// Rechecks people with sessions until `stop`, without a pause while somebody is due. A pass may
/// take minutes, so `stop` cuts it off; whoever was not asked about is due again after the next
/// start.
async fn recheck_until(current: CurrentApp, stop: CancellationToken) {
    loop {
        // Loaded in each round, so that a reload takes effect.
        let app = current.load();
        let pause = tokio::select! {
            () = stop.cancelled() => return,
            pause = recheck_once(&app.sso, app.config.gate.recheck) => pause,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs one pass and returns how long nobody will be due.
async fn recheck_once(sso: &Sso, every: Duration) -> Duration {
    let pass = async { sso.pause_after(sso.recheck_due(every).await?, every).await };
    pass.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "Persons could not be checked again");
        RECHECK_RETRY_PAUSE
    })
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

/// Writes denials of the gate to the audit trail until `stop`, and then those that are still
/// queued.
async fn write_denials(app: App, mut denials: mpsc::Receiver<Denial>, stop: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            n = denials.recv_many(&mut batch, MAX_DENIALS_PER_BATCH) => n,
            () = stop.cancelled() => {
                // No new denials are accepted; those in the queue are still received.
                denials.close();
                denials.recv_many(&mut batch, MAX_DENIALS_PER_BATCH).await
            }
        };
        // The channel is closed and empty.
        if received == 0 {
            return;
        }
        let now = app.clock.now();
        let entries: Vec<_> =
            batch.drain(..).filter_map(|denial| build_audit_entry(denial, &app.refusals)).collect();
        let corp = &app.config.wecom.corp_id;
        if !entries.is_empty()
            && let Err(error) = audit::store::insert_entries(&app.db, corp, &entries, now).await
        {
            tracing::error!(%error, rows = entries.len(), "Refusals of the gate could not be written to the audit trail");
        }
    }
}

/// Binds userids in rules to the persons whom they first matched, until `stop`.
async fn write_bindings(app: App, mut matches: mpsc::Receiver<FirstMatch>, stop: CancellationToken) {
    loop {
        let first = tokio::select! {
            first = matches.recv() => first,
            () = stop.cancelled() => return,
        };
        let Some(FirstMatch { userid, person }) = first else { return };
        if app.replica.bindings().match_person(&userid.folded(), &person) != BindingMatch::Nobody {
            continue;
        }
        if let Err(error) = bind_userid(&app, &userid, &person).await {
            // The next check of the same person sends it again.
            tracing::warn!(user.id = %userid, %error, "A userid in a rule could not be bound to its person");
        }
    }
}

async fn bind_userid(app: &App, userid: &UserId, person: &PersonId) -> Result<(), RefreshError> {
    let mut change = FeedTransaction::begin(&app.db, &app.config.wecom.corp_id, app.clock.now()).await?;
    directory::bindings::store::bind_userid(&mut change, userid, person).await?;
    change.commit().await?;
    // This replica need not wait for the feed.
    app.sessions.refresh().await
}

/// Writes the number of refusals that the audit trail left out and that no later row tells. `all`
/// is for the end of the process.
pub(super) async fn write_refusal_counts(app: &App, all: bool) {
    let now = app.clock.now();
    let counts = if all { app.refusals.take_all_counts() } else { app.refusals.take_counts(now) };
    if !counts.is_empty()
        && let Err(error) =
            audit::store::insert_entries(&app.db, &app.config.wecom.corp_id, &counts, now).await
    {
        tracing::error!(%error, rows = counts.len(), "Numbers of refusals could not be written to the audit trail");
    }
}

fn build_audit_entry(denial: Denial, refusals: &RefusalLimiter) -> Option<audit::AuditEntry> {
    let rule = denial.rule.map_or_else(|| denial.reason.clone(), |(n, text)| format!("rule {n}: {text}"));
    let host =
        url::Url::parse(&denial.url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
    let entry = audit::AuditEntry {
        event: audit::AuditEvent::Gate,
        person: Some(denial.person),
        userid: denial.userid.as_str().to_owned(),
        address: denial.client,
        host,
        decision: "refused",
        detail: format!("{rule}; {} {}", denial.method, denial.url),
        request_id: String::new(),
    };
    refusals.limit(entry, &rule, denial.at)
}
