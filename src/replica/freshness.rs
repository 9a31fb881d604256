//! Whether memory may be trusted, and whether this machine's clock may.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Replica;
use crate::audit;
use crate::base::clock::Timestamp;

/// The database counts as answering while the last refresh succeeded and is not older than this.
/// Otherwise `gate.stale_after` says how long checks go on.
const MAX_HEALTHY_AGE: Duration = Duration::from_secs(2);

/// How far this clock may be behind the newest row before nobody is signed in any more.
const MAX_CLOCK_LAG: Duration = Duration::from_secs(60);

impl Replica {
    /// Returns whether memory may be trusted: the last refresh is recent enough ([design: the stale
    /// rule](crate::design#the-stale-rule)).
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.since(self.refreshed_at());
        let failing = self.state.refresh_failed.load(Ordering::Acquire);
        // After the clock was set back, the age means nothing.
        let stepped_back = self.refreshed_at() > now;
        (age < self.stale_after && !(stepped_back && failing)) || (age <= MAX_HEALTHY_AGE && !failing)
    }

    /// Returns when memory last agreed with the database.
    pub fn refreshed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.state.refreshed_at.load(Ordering::Acquire))
    }

    /// Returns whether this clock is more than a minute behind the newest row. Then it cannot be
    /// right, and nobody is signed in by it ([design: clock](crate::design#clock)).
    pub fn clock_is_behind(&self) -> bool {
        let newest = Timestamp::from_millis(self.state.newest_row_at.load(Ordering::Acquire));
        newest.since(self.state.clock.now()) > MAX_CLOCK_LAG
    }

    pub(super) async fn read_newest_row(&self) -> sqlx::Result<()> {
        if let Some(newest) = audit::store::read_newest_instant(&self.state.db).await? {
            self.state.newest_row_at.store(newest.millis(), Ordering::Release);
        }
        Ok(())
    }
}
