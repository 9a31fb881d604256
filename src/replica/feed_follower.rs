//! Follows the feed: keeps the chart, the bindings and a [`FeedFollower`] in step with the
//! database, in steps that the supervisor repeats.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Replica;
use crate::db::feed::{self, FeedEntry, FeedKind};
use crate::directory;
use crate::directory::chart::Chart;

/// The number of feed entries that one query reads.
const FEED_PAGE_SIZE: i64 = 500;

/// After a longer pause everything is read again instead of entry by entry. The feed keeps its
/// entries for longer than this.
const MAX_FEED_GAP: Duration = Duration::from_secs(24 * 3600);

/// The time limit of one refresh. A database that hangs must not keep us from noticing that memory
/// grows old.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("the database does not answer: {0}")]
    Store(#[from] sqlx::Error),
    #[error("the database does not answer within {} s", REFRESH_TIMEOUT.as_secs())]
    Late,
}

/// The memory of a room above, which the feed keeps in step.
///
/// A failure ends the refresh. The next one begins before the entry that failed, so a call may be
/// repeated.
pub(crate) trait FeedFollower: Sync {
    /// Persons that were read with a new chart and wait to be replaced together with it.
    type Persons: Send;

    /// Drops everything: the feed cannot say what has changed.
    fn start_over(&self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Applies an entry. The replica itself takes those of [`FeedKind::Chart`] and
    /// [`FeedKind::Binding`].
    fn apply_entry(&self, entry: &FeedEntry) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Reads the persons that changed between version `before` and `chart`.
    fn read_persons(
        &self,
        before: i64,
        chart: &Chart,
    ) -> impl Future<Output = sqlx::Result<Self::Persons>> + Send;

    /// Replaces these persons. Called right after the chart was replaced.
    fn replace_persons(&self, persons: Self::Persons);
}

impl Replica {
    /// Reads the feed entries since the last call. Runs at least every 500 ms.
    ///
    /// # Errors
    /// If the database fails or does not answer in time; the next step begins where this one
    /// stopped.
    pub(crate) async fn refresh(&self, follower: &impl FeedFollower) -> Result<(), RefreshError> {
        let done = match tokio::time::timeout(REFRESH_TIMEOUT, self.read_feed(follower)).await {
            Ok(done) => done.map_err(RefreshError::from),
            Err(_) => Err(RefreshError::Late),
        };
        self.state.refresh_failed.store(done.is_err(), Ordering::Release);
        done
    }

    async fn read_feed(&self, follower: &impl FeedFollower) -> sqlx::Result<()> {
        let state = &self.state;
        // One refresh at a time: entries must be applied in their order.
        let mut position = state.feed_position.lock().await;
        let began = state.clock.now();
        let newest = feed::read_newest_seq(&state.db).await?;
        // A sequence number that went back means another database: a standby that was behind, or a
        // restored backup.
        if newest < *position || began.since(self.refreshed_at()) > MAX_FEED_GAP {
            follower.start_over().await?;
            state.chart.store(Arc::new(directory::store::load_chart(&state.db, &state.corp).await?));
            self.reload_bindings().await?;
            *position = newest;
        }
        let mut chart_changed = false;
        let mut read = *position;
        loop {
            let entries = feed::list_entries_after(&state.db, read, FEED_PAGE_SIZE).await?;
            let full = i64::try_from(entries.len()).is_ok_and(|n| n == FEED_PAGE_SIZE);
            for entry in entries {
                match entry.kind {
                    // The chart is read once, after all entries. Until then the position stays
                    // before the entry that announced it.
                    Some(FeedKind::Chart) => chart_changed = true,
                    Some(FeedKind::Binding) => self.reload_bindings().await?,
                    _ => follower.apply_entry(&entry).await?,
                }
                if !chart_changed {
                    *position = entry.seq;
                }
                read = entry.seq;
            }
            if !full {
                break;
            }
        }
        if chart_changed {
            self.reload_chart(follower).await?;
        }
        *position = read;
        self.read_newest_row().await?;
        state.refreshed_at.store(began.millis(), Ordering::Release);
        Ok(())
    }

    /// Reads the published chart and the persons that it changed, then replaces both.
    ///
    /// No decision uses the units of one version and the memberships of another for longer than the
    /// replacement takes.
    async fn reload_chart(&self, follower: &impl FeedFollower) -> sqlx::Result<()> {
        let before = self.chart().version();
        let chart = directory::store::load_chart(&self.state.db, &self.state.corp).await?;
        let persons = follower.read_persons(before, &chart).await?;
        self.state.chart.store(Arc::new(chart));
        follower.replace_persons(persons);
        Ok(())
    }

    async fn reload_bindings(&self) -> sqlx::Result<()> {
        let bindings = directory::bindings::store::load_bindings(&self.state.db, &self.state.corp).await?;
        self.state.bindings.store(Arc::new(bindings));
        Ok(())
    }
}
