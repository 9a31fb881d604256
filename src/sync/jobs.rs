//! The jobs of synchronisations.

use std::time::Duration;

use super::SyncService;
use crate::base::job::Job;

const SCHEDULE_INTERVAL: Duration = Duration::from_secs(1);

/// The metrics of the chart change only with a synchronisation or when somebody resolves a
/// conflict.
const MEASURE_INTERVAL: Duration = Duration::from_secs(15);

/// Makes the jobs that ask for due runs, work on the one that waits, and measure the chart.
pub(crate) fn jobs(sync: &SyncService) -> Vec<Job> {
    let (schedules, worker, measure) = (sync.clone(), sync.clone(), sync.clone());
    vec![
        Job::repeated("schedules", SCHEDULE_INTERVAL, move || fire_due_schedules(schedules.clone())),
        Job::until_stopped("sync", |stop| async move { worker.work_until(stop).await }),
        Job::repeated("measure-chart", MEASURE_INTERVAL, move || measure_chart(measure.clone())),
    ]
}

async fn fire_due_schedules(sync: SyncService) {
    if let Err(error) = sync.fire_due().await {
        tracing::warn!(%error, "It could not be seen whether a synchronisation is due");
    }
}

async fn measure_chart(sync: SyncService) {
    if let Err(error) = sync.refresh_metrics().await {
        tracing::debug!(%error, "It could not be seen how old the organisation chart is");
    }
}
