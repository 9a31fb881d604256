//! Where a process writes refusals: the audit trail behind a limit, with counts of what was left out.

use std::time::Duration;

use super::{RefusalLimiter, store};
use crate::base::clock::Clock;
use crate::base::id::CorpId;
use crate::base::job::Job;
use crate::db::Db;

/// How often counted refusals that no audit row tells of are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// The audit trail as refusals reach it: behind a limit. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RefusalTrail {
    pub db: Db,
    pub corp: CorpId,
    pub clock: Clock,
    pub limiter: RefusalLimiter,
}

impl RefusalTrail {
    /// Writes the counts that no later row will carry.
    async fn write_ended(self) {
        self.write(false).await;
    }

    /// Writes all counts, because the process ends.
    pub(crate) async fn write_all(&self) {
        self.write(true).await;
    }

    async fn write(&self, all: bool) {
        let now = self.clock.now();
        let counts = if all { self.limiter.take_all_counts() } else { self.limiter.take_counts(now) };
        if !counts.is_empty()
            && let Err(error) = store::insert_entries(&self.db, &self.corp, &counts, now).await
        {
            tracing::error!(%error, rows = counts.len(), "Numbers of refusals could not be written to the audit trail");
        }
    }
}

/// Makes the job that writes counts of refusals.
pub(crate) fn jobs(trail: &RefusalTrail) -> Vec<Job> {
    let trail = trail.clone();
    vec![Job::repeated("count-refusals", WRITE_INTERVAL, move || trail.clone().write_ended())]
}
