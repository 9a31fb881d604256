//! The jobs of signing in: asking WeCom again while sessions last.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Sso;
use crate::base::job::{CurrentPart, Job};

/// The pause after a failure of the database.
const RECHECK_RETRY_PAUSE: Duration = Duration::from_secs(5);

const MEASURE_INTERVAL: Duration = Duration::from_secs(15);

/// Makes the jobs that recheck people with sessions, and measure how far behind that is.
pub(crate) fn jobs(sso: &CurrentPart<Sso>) -> Vec<Job> {
    let (recheck, measure) = (sso.clone(), sso.clone());
    vec![
        Job::until_stopped("recheck", |stop| recheck_until(recheck, stop)),
        Job::repeated("measure-rechecks", MEASURE_INTERVAL, move || measure_delay(measure.load())),
    ]
}

/// Rechecks people with sessions until `stop`, without a pause while somebody is due. A pass may
/// take minutes, so `stop` cuts it off; whoever was not asked about is due again after the next
/// start.
async fn recheck_until(sso: CurrentPart<Sso>, stop: CancellationToken) {
    loop {
        let pause = tokio::select! {
            () = stop.cancelled() => return,
            pause = recheck_once(sso.load()) => pause,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs one pass and returns how long nobody will be due.
async fn recheck_once(sso: Sso) -> Duration {
    let every = sso.0.settings.recheck;
    let pass = async { sso.pause_after(sso.recheck_due(every).await?, every).await };
    pass.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "Persons could not be checked again");
        RECHECK_RETRY_PAUSE
    })
}

async fn measure_delay(sso: Sso) {
    if let Err(error) = sso.measure_delay(sso.0.settings.recheck).await {
        tracing::debug!(%error, "It could not be seen whether asking again about people with sessions is behind");
    }
}
