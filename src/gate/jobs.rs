//! The jobs of the gate: they write what checks noticed, so that no check waits for a write.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Denial, FirstMatch, GateMetrics};
use crate::audit::{self, RefusalLimiter, RefusalTrail};
use crate::base::id::{PersonId, UserId};
use crate::base::job::Job;
use crate::db::feed::FeedTransaction;
use crate::directory;
use crate::directory::bindings::BindingMatch;
use crate::replica::RefreshError;
use crate::session::Sessions;

/// How many denials may wait to be written. More of them are counted as dropped.
const DENIAL_QUEUE_CAPACITY: usize = 1024;

/// How many first matches of userids may wait to be written.
const FIRST_MATCH_QUEUE_CAPACITY: usize = 64;

const MAX_DENIALS_PER_BATCH: usize = 100;

/// Where checks count and report. A reload keeps these.
#[derive(Debug, Clone)]
pub(crate) struct GateOutputs {
    pub(crate) metrics: GateMetrics,
    pub(crate) denials: mpsc::Sender<Denial>,
    pub(crate) first_matches: mpsc::Sender<FirstMatch>,
}

/// What checks reported and nobody has written yet.
#[derive(Debug)]
pub(crate) struct GateReports {
    denials: mpsc::Receiver<Denial>,
    first_matches: mpsc::Receiver<FirstMatch>,
}

/// Opens the queues between checks and the jobs that write.
pub(crate) fn open_queues(metrics: GateMetrics) -> (GateOutputs, GateReports) {
    let (denials, denials_to_write) = mpsc::channel(DENIAL_QUEUE_CAPACITY);
    let (first_matches, matches_to_write) = mpsc::channel(FIRST_MATCH_QUEUE_CAPACITY);
    (
        GateOutputs { metrics, denials, first_matches },
        GateReports { denials: denials_to_write, first_matches: matches_to_write },
    )
}

/// Makes the jobs that write denials to the audit trail, and bind userids in rules to persons.
pub(crate) fn jobs(reports: GateReports, trail: RefusalTrail, sessions: Sessions) -> Vec<Job> {
    let GateReports { denials, first_matches } = reports;
    let bindings = trail.clone();
    vec![
        Job::until_stopped("denials", |stop| write_denials(trail, denials, stop)),
        Job::until_stopped("bindings", |stop| write_bindings(bindings, sessions, first_matches, stop)),
    ]
}

/// Writes denials to the audit trail until `stop`, and then those that are still queued.
async fn write_denials(trail: RefusalTrail, mut denials: mpsc::Receiver<Denial>, stop: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            n = denials.recv_many(&mut batch, MAX_DENIALS_PER_BATCH) => n,
            () = stop.cancelled() => {
                // No new denials are accepted; those in the queue are still received.
                denials.close();
                denials.recv_many(&mut batch, MAX_DENIALS_PER_BATCH).await
            }
        };
        // The channel is closed and empty.
        if received == 0 {
            return;
        }
        let now = trail.clock.now();
        let entries: Vec<_> =
            batch.drain(..).filter_map(|denial| build_audit_entry(denial, &trail.limiter)).collect();
        if !entries.is_empty()
            && let Err(error) = audit::store::insert_entries(&trail.db, &trail.corp, &entries, now).await
        {
            tracing::error!(%error, rows = entries.len(), "Refusals of the gate could not be written to the audit trail");
        }
    }
}

fn build_audit_entry(denial: Denial, refusals: &RefusalLimiter) -> Option<audit::AuditEntry> {
    let rule = denial.rule.map_or_else(|| denial.reason.clone(), |(n, text)| format!("rule {n}: {text}"));
    let host =
        url::Url::parse(&denial.url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
    let entry = audit::AuditEntry {
        event: audit::AuditEvent::Gate,
        actor: audit::Actor::System,
        person: Some(denial.person),
        userid: denial.userid.as_str().to_owned(),
        address: denial.client,
        host,
        decision: audit::AuditDecision::Refused,
        detail: format!("{rule}; {} {}", denial.method, denial.url),
        request_id: String::new(),
    };
    refusals.limit(entry, &rule, denial.at)
}

/// Binds userids in rules to the persons whom they first matched, until `stop`.
async fn write_bindings(
    trail: RefusalTrail,
    sessions: Sessions,
    mut matches: mpsc::Receiver<FirstMatch>,
    stop: CancellationToken,
) {
    loop {
        let first = tokio::select! {
            first = matches.recv() => first,
            () = stop.cancelled() => return,
        };
        let Some(FirstMatch { userid, person }) = first else { return };
        if sessions.replica().bindings().match_person(&userid.folded(), &person) != BindingMatch::Nobody {
            continue;
        }
        if let Err(error) = bind_userid(&trail, &sessions, &userid, &person).await {
            // The next check of the same person sends it again.
            tracing::warn!(user.id = %userid, %error, "A userid in a rule could not be bound to its person");
        }
    }
}

async fn bind_userid(
    trail: &RefusalTrail,
    sessions: &Sessions,
    userid: &UserId,
    person: &PersonId,
) -> Result<(), RefreshError> {
    let mut change = FeedTransaction::begin(&trail.db, &trail.corp, trail.clock.now()).await?;
    directory::bindings::store::bind_userid(&mut change, userid, person).await?;
    change.commit().await?;
    // This replica need not wait for the feed.
    sessions.refresh().await
}
