//! WeCom's organisation chart becomes ours.
//!
//! A run has four parts, and only the last one writes:
//!
//! 1. [`fetch`] reads everything first, politely, and knows whether it read everything: a [`Remote`](remote::Remote);
//! 2. [`plan`] compares it with what we have, purely: a [`Plan`](plan::Plan), or why there is none;
//! 3. the plan is refused if it removes too much;
//! 4. [`apply`] writes the rows of the next version in short transactions, unseen, and publishes them at once.
//!
//! What a crash leaves behind is never seen by anybody, and the next run clears it away.
//!
//! Runs are asked for by schedules ([`schedule`]), the API and the command line; [`queue`] lets one at a time be worked
//! on, whatever the number of replicas; [`run`] leads a run through its parts.

pub mod apply;
pub mod fetch;
pub mod metrics;
pub mod plan;
pub mod progress;
pub mod queue;
pub mod remote;
pub mod report;
pub mod run;
pub mod schedule;

use std::sync::Arc;
use std::time::Duration;

use self::apply::cleanup;
use self::fetch::Fetcher;
use self::metrics::SyncMetrics;
use self::plan::LinkBy;
use self::queue::{SyncQueue, SyncRequest, SyncRun};
use self::schedule::ScheduleChecks;
use crate::base::clock::Clock;
use crate::base::cron::Schedule;
use crate::base::id::{CorpId, RunId};
use crate::db::Db;
use crate::directory;
use crate::wecom::WecomClient;

/// How long other systems that follow may stay away before they have to read everything again; answers about persons who
/// are not there any more are kept as long.
const CHANGE_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// How many rows one deletion takes, so that nobody waits long for the write lock.
const DELETE_BATCH_ROWS: i64 = 500;

/// What a synchronisation needs of the configuration.
#[derive(Debug, Clone)]
pub struct SyncSettings {
    /// Whose directory.
    pub corp: CorpId,
    /// Why there can be no run: what is switched off or missing, and which key mends it. Schedules do not fire then, and a
    /// run that somebody asks for fails with it.
    pub unavailable: Option<String>,
    /// `wecom.sync_cron`.
    pub update: Option<Schedule>,
    /// `wecom.force_sync_cron`.
    pub full: Option<Schedule>,
    /// `directory.link_by`.
    pub link_by: Vec<LinkBy>,
    /// `directory.max_removals`, hundredths of a percent.
    pub max_removals: u32,
    /// `directory.purge_left_after`.
    pub purge_left_after: Duration,
}

/// Runs: asking for them, and working on them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SyncService {
    inner: Arc<SyncInner>,
}

#[derive(Debug)]
struct SyncInner {
    settings: SyncSettings,
    db: Db,
    clock: Clock,
    fetcher: Fetcher,
    queue: SyncQueue,
    metrics: SyncMetrics,
    schedule_checks: ScheduleChecks,
}

impl SyncService {
    /// Of one corporation, in one process.
    pub fn new(settings: SyncSettings, db: Db, client: WecomClient, clock: Clock) -> Self {
        let inner = SyncInner {
            fetcher: Fetcher::new(client, clock.clone()),
            queue: SyncQueue::new(db.clone(), settings.corp.clone(), clock.clone()),
            metrics: SyncMetrics::new(clock.clone()),
            schedule_checks: ScheduleChecks::default(),
            settings,
            db,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks for a run; see [`Queue::request`].
    ///
    /// # Errors
    /// If the database fails; then nothing was asked for.
    pub async fn request(&self, request: SyncRequest) -> sqlx::Result<RunId> {
        self.inner.queue.request(&request).await
    }

    /// One run, as it stands; `None`: there is none of that id, or it is no longer kept.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &RunId) -> sqlx::Result<Option<SyncRun>> {
        self.inner.queue.find(id).await
    }

    /// The runs themselves.
    pub fn queue(&self) -> &SyncQueue {
        &self.inner.queue
    }

    /// For `/metrics`.
    pub fn metrics(&self) -> &SyncMetrics {
        &self.inner.metrics
    }

    /// Forgets persons who left long ago, answers about persons who are not there any more, and old entries of the change
    /// feed, in small transactions.
    ///
    /// # Errors
    /// If the database fails; the next time goes on from there.
    pub async fn forget_old(&self) -> sqlx::Result<()> {
        let SyncInner { db, settings, clock, .. } = &*self.inner;
        let now = clock.now();
        let left_before = now.minus(settings.purge_left_after);
        while cleanup::purge_left_persons(db, &settings.corp, now, left_before, DELETE_BATCH_ROWS).await?
            >= row_count(DELETE_BATCH_ROWS)
        {}
        let before = now.minus(CHANGE_RETENTION);
        while cleanup::delete_closed_conflicts_before(db, &settings.corp, before, DELETE_BATCH_ROWS).await?
            >= row_count(DELETE_BATCH_ROWS)
        {}
        while cleanup::delete_changes_before(db, &settings.corp, before, DELETE_BATCH_ROWS).await?
            >= row_count(DELETE_BATCH_ROWS)
        {}
        Ok(())
    }

    /// Reads from the database what metrics show: how old the chart is, and how many questions are open.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refresh_metrics(&self) -> sqlx::Result<()> {
        let SyncInner { db, settings, metrics, .. } = &*self.inner;
        let (_, complete_at) = directory::store::published_version(db, &settings.corp).await?;
        let conflicts = queue::store::count_open_conflicts(db, &settings.corp).await?;
        metrics.record_chart(complete_at, conflicts);
        Ok(())
    }
}

fn row_count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
