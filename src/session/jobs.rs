//! The jobs that keep sessions in memory and in the database in step.

use std::time::Duration;

use super::Sessions;
use crate::base::job::{CurrentPart, Job};

/// The pause between two reads of the feed. A revocation must take effect within a second on every
/// replica ([design: replicas](crate::design#replicas)); half of that is for this pause.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(400);

const WRITE_SEEN_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Makes the jobs that keep memory and database in step.
pub(crate) fn jobs(sessions: &CurrentPart<Sessions>) -> Vec<Job> {
    let (follow, write, sweep) = (sessions.clone(), sessions.clone(), sessions.clone());
    vec![
        Job::repeated("follow", FOLLOW_INTERVAL, move || follow_feed(follow.load())),
        Job::repeated("write-seen", WRITE_SEEN_INTERVAL, move || write_last_seen(write.load())),
        Job::repeated("sweep", SWEEP_INTERVAL, move || {
            sweep.load().sweep();
            std::future::ready(())
        }),
    ]
}

async fn follow_feed(sessions: Sessions) {
    if let Err(error) = sessions.refresh().await {
        tracing::warn!(%error, "Memory could not be brought into step with the database");
    }
}

async fn write_last_seen(sessions: Sessions) {
    if let Err(error) = sessions.write_last_seen().await {
        tracing::warn!(%error, "It could not be written when sessions were last used");
    }
}
