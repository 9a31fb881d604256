//! Brings WeCom's organisation chart into our database.
//!
//! A run has four steps, and only the last one writes:
//!
//! 1. [`fetch`] reads everything first, politely, and records what it could not read: a
//!    [`RemoteDirectory`](remote::RemoteDirectory);
//! 2. [`plan`] compares it with our chart, without I/O: a [`SyncPlan`](plan::SyncPlan);
//! 3. the plan is refused if it removes too much;
//! 4. [`apply`] writes the rows of the next version in short transactions, unseen, and publishes
//!    them in one.
//!
//! Nobody ever sees what a crashed run left behind; the next run removes it.
//!
//! Schedules ([`schedule`]), the API and the command line request runs. [`queue`] lets only one be
//! worked on at a time, on any number of replicas; [`run`] leads a run through its steps. See
//! [design: runs](crate::design#runs).

pub(crate) mod apply;
pub(crate) mod fetch;
mod hot;
mod jobs;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod state;
mod words;

use std::sync::Arc;
use std::time::Duration;

use self::apply::cleanup;
use self::fetch::{FetchPace, Fetcher};
use self::metrics::SyncMetrics;
use self::queue::{SyncQueue, SyncRequest, SyncRun};
use self::schedule::ScheduleChecks;
use self::state::SyncRunReason;
use crate::base::clock::Clock;
use crate::base::cron::Schedule;
use crate::base::id::{CorpId, RunId};
use crate::config::{Config, LinkField, Readiness, WecomPurpose};
use crate::db::Db;
use crate::directory;
use crate::wecom::WecomClient;

pub use self::hot::hot_statements;
pub(crate) use self::jobs::jobs;

/// How long a client of the change feed may stay away before it must read the whole directory
/// again. Closed conflicts about purged persons are kept as long.
const CHANGE_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// Rows a deletion takes at once, so that no other writer waits long for the write lock.
const DELETE_BATCH_ROWS: i64 = 500;

/// The settings of the synchronisation, taken from the configuration.
#[derive(Debug, Clone)]
pub struct SyncSettings {
    pub corp: CorpId,
    /// Whether WeCom's directory may be read. Where it may not, schedules do not fire, and a
    /// requested run fails.
    pub readiness: Readiness,
    /// The schedule `wecom.sync_cron`.
    pub update: Option<Schedule>,
    /// The schedule `wecom.force_sync_cron`.
    pub full: Option<Schedule>,
    /// `directory.link_by`.
    pub link_by: Vec<LinkField>,
    /// `directory.max_removals` in hundredths of a percent: 10 % is 1000.
    pub max_removals: u32,
    /// `directory.purge_left_after`.
    pub purge_left_after: Duration,
    /// How politely WeCom is called; tests shorten the pauses.
    pub pace: FetchPace,
}

impl From<&Config> for SyncSettings {
    fn from(config: &Config) -> Self {
        let wecom = &config.wecom;
        Self {
            corp: wecom.corp_id.clone(),
            readiness: wecom.readiness(WecomPurpose::Directory),
            update: wecom.sync_cron.clone(),
            full: wecom.force_sync_cron.clone(),
            link_by: config.directory.link_by.clone(),
            max_removals: config.directory.max_removals,
            purge_left_after: config.directory.purge_left_after,
            pace: FetchPace::PRODUCTION,
        }
    }
}

impl SyncSettings {
    /// Returns why no run is possible; `None` if one is.
    fn find_obstacle(&self) -> Option<SyncRunReason> {
        match self.readiness {
            Readiness::Ready | Readiness::MessagesDisabled => None,
            Readiness::Disabled => Some(SyncRunReason::WecomDisabled),
            Readiness::Missing(key) => Some(SyncRunReason::KeyMissing { key: key.to_string() }),
        }
    }
}

/// The synchronisation of one corporation in one process. Cheap to clone.
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
    pub fn new(settings: SyncSettings, db: Db, client: WecomClient, clock: Clock) -> Self {
        let inner = SyncInner {
            fetcher: Fetcher::new(client, clock.clone(), settings.pace),
            queue: SyncQueue::new(db.clone(), settings.corp.clone(), clock.clone()),
            metrics: SyncMetrics::new(clock.clone()),
            schedule_checks: ScheduleChecks::default(),
            settings,
            db,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Requests a run; see [`SyncQueue::request`].
    ///
    /// # Errors
    /// If the database fails; then no run was requested.
    pub async fn request(&self, request: SyncRequest) -> sqlx::Result<RunId> {
        self.inner.queue.request(&request).await
    }

    /// Returns a run; `None` if the id is unknown or the run was deleted since.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &RunId) -> sqlx::Result<Option<SyncRun>> {
        self.inner.queue.find(id).await
    }

    pub fn queue(&self) -> &SyncQueue {
        &self.inner.queue
    }

    pub fn metrics(&self) -> &SyncMetrics {
        &self.inner.metrics
    }

    /// Deletes, in small transactions, persons who left long ago, closed conflicts about purged
    /// persons, and old entries of the change feed.
    ///
    /// # Errors
    /// If the database fails; the next call continues where this one stopped.
    pub async fn forget_old(&self) -> sqlx::Result<()> {
        let SyncInner { db, settings, clock, .. } = &*self.inner;
        let now = clock.now();
        let left_before = now.minus(settings.purge_left_after);
        while cleanup::purge_left_persons(db, &settings.corp, now, left_before, DELETE_BATCH_ROWS).await?
            >= row_count(DELETE_BATCH_ROWS)
        {}
        let before = now.minus(CHANGE_RETENTION);
        while directory::conflicts::store::delete_closed_before(db, &settings.corp, before, DELETE_BATCH_ROWS)
            .await?
            >= row_count(DELETE_BATCH_ROWS)
        {}
        while cleanup::delete_changes_before(db, &settings.corp, before, DELETE_BATCH_ROWS).await?
            >= row_count(DELETE_BATCH_ROWS)
        {}
        Ok(())
    }

    /// Reads from the database what the metrics show: the age of the chart and the number of open
    /// conflicts.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refresh_metrics(&self) -> sqlx::Result<()> {
        let SyncInner { db, settings, metrics, .. } = &*self.inner;
        let (_, complete_at) = directory::store::published_version(db, &settings.corp).await?;
        let conflicts = directory::conflicts::store::count_open(db, &settings.corp).await?;
        metrics.record_chart(complete_at, conflicts);
        Ok(())
    }
}

fn row_count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
