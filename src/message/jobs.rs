//! The jobs that deliver messages and measure the backlog.

use std::sync::Arc;
use std::time::Duration;

use super::{Messages, Worker};
use crate::base::job::Job;
use crate::replica::Replica;

const MEASURE_INTERVAL: Duration = Duration::from_secs(15);

/// Makes the jobs that deliver messages, and measure how many wait.
pub(crate) fn jobs(messages: &Messages, replica: Replica) -> Vec<Job> {
    let (worker, measure) = (messages.clone(), messages.clone());
    let chart = move || Arc::clone(&replica.chart());
    vec![
        Job::until_stopped("messages", |stop| Worker::new(worker, chart, stop).run()),
        Job::repeated("measure-messages", MEASURE_INTERVAL, move || measure_backlog(measure.clone())),
    ]
}

async fn measure_backlog(messages: Messages) {
    if let Err(error) = messages.measure().await {
        tracing::debug!(%error, "It could not be seen how many messages wait");
    }
}
