//! What this process keeps in step with the database: its place in the feed, the published chart,
//! the bindings of userids in rules, and how fresh they are.
//!
//! Rooms above keep memory of their own in step with the same feed: they implement
//! [`FeedFollower`], and [`Replica::refresh`] hands them the entries in order. If one fails, the next
//! refresh begins with it again.
//!
//! | file | what it has |
//! |---|---|
//! | [`feed_follower`] | reads the feed, step by step |
//! | `freshness` | whether memory may be trusted, and whether this clock may |

pub(crate) mod feed_follower;
mod freshness;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::base::clock::Clock;
use crate::base::id::CorpId;
use crate::config::Config;
use crate::db::Db;
use crate::db::feed;
use crate::directory;
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::Chart;

pub(crate) use feed_follower::{FeedFollower, RefreshError};

/// The part of the configuration that a replica needs.
#[derive(Debug, Clone)]
pub struct ReplicaSettings {
    /// 企业ID.
    pub corp: CorpId,
    /// How long memory is trusted without the database.
    pub stale_after: Duration,
}

impl From<&Config> for ReplicaSettings {
    fn from(config: &Config) -> Self {
        Self { corp: config.wecom.corp_id.clone(), stale_after: config.gate.stale_after }
    }
}

/// What this process knows of the others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replica {
    /// May differ after a reload; everything else outlives it.
    stale_after: Duration,
    state: Arc<ReplicaState>,
}

#[derive(Debug)]
struct ReplicaState {
    db: Db,
    corp: CorpId,
    clock: Clock,
    /// The published chart; replaced together with the persons that it changed.
    chart: ArcSwap<Chart>,
    /// Which persons the userids in rules mean.
    bindings: ArcSwap<RuleBindings>,
    /// The position in the feed; locked while a refresh runs.
    feed_position: tokio::sync::Mutex<i64>,
    refreshed_at: AtomicI64,
    /// Whether the last refresh failed.
    refresh_failed: AtomicBool,
    newest_row_at: AtomicI64,
}

impl Replica {
    /// Takes a place in the feed, then reads the chart and the bindings.
    ///
    /// Open it before anything that is to be kept in step: what others change from then on comes
    /// with the feed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open(db: Db, settings: ReplicaSettings, clock: Clock) -> sqlx::Result<Self> {
        let ReplicaSettings { corp, stale_after } = settings;
        let position = feed::read_newest_seq(&db).await?;
        directory::store::ensure_chart(&db, &corp).await?;
        let chart = directory::store::load_chart(&db, &corp).await?;
        let bindings = directory::bindings::store::load_bindings(&db, &corp).await?;
        let state = ReplicaState {
            chart: ArcSwap::from_pointee(chart),
            bindings: ArcSwap::from_pointee(bindings),
            feed_position: tokio::sync::Mutex::new(position),
            refreshed_at: AtomicI64::new(clock.now().millis()),
            refresh_failed: AtomicBool::new(false),
            newest_row_at: AtomicI64::new(0),
            db,
            corp,
            clock,
        };
        let replica = Self { stale_after, state: Arc::new(state) };
        replica.read_newest_row().await?;
        Ok(replica)
    }

    /// Returns the same replica with another limit of `gate.stale_after`.
    #[must_use]
    pub fn reconfigured(&self, stale_after: Duration) -> Self {
        Self { stale_after, state: Arc::clone(&self.state) }
    }

    /// Returns the published chart, as this replica knows it.
    pub fn chart(&self) -> Guard<Arc<Chart>> {
        self.state.chart.load()
    }

    /// Returns which persons the userids in rules mean.
    pub fn bindings(&self) -> Guard<Arc<RuleBindings>> {
        self.state.bindings.load()
    }
}
