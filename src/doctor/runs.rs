//! Checks the organisation chart in the database: the last runs, open conflicts, and rules that
//! match nobody.
//!
//! It only reads, and nothing here makes the gateway worse than it is: an old chart still lets
//! people in. So no finding is `Broken`.

use std::time::Duration;

use chrono::TimeZone as _;

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::base::clock::Timestamp;
use crate::base::cron::Schedule;
use crate::config::{Readiness, RequiredKey, WecomConfig, WecomPurpose};
use crate::db::Db;
use crate::directory;
use crate::sync::queue::{self, SyncRun};
use crate::sync::state::{SyncRunReason, SyncRunStatus};

/// How long all the queries may take.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(8);

/// A chart that is not older than this is never called old, however often runs are scheduled.
const MIN_AGE_LIMIT: Duration = Duration::from_secs(48 * 3600);

/// The number of firings of a schedule that are searched for its longest pause.
const MAX_FIRINGS: usize = 200;

/// The number of userids that a finding names.
const MAX_NAMED_USERIDS: usize = 10;

pub(super) async fn check_runs(subject: &DoctorSubject, db: &Db) -> Vec<DoctorFinding> {
    match tokio::time::timeout(DATABASE_TIMEOUT, examine_runs(subject, db)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![unread_finding(&error.to_string())],
        Err(_) => vec![unread_finding("no answer in time")],
    }
}

fn unread_finding(why: &str) -> DoctorFinding {
    DoctorFinding::new(FindingKind::RunsUnread, &[untranslated("why", why)])
}

async fn examine_runs(subject: &DoctorSubject, db: &Db) -> sqlx::Result<Vec<DoctorFinding>> {
    let (config, corp) = (&subject.config, &subject.config.wecom.corp_id);
    let mut findings = Vec::new();
    let complete_at = directory::store::find_complete_at(db, corp).await?;
    if let Some(run) = queue::store::list_latest_runs(db, corp, 1).await?.first() {
        findings.push(last_run_finding(subject, run));
    }
    // Without WeCom there is nothing to read, and without a corporation there is no chart.
    let readiness = config.wecom.readiness(WecomPurpose::Directory);
    if !matches!(readiness, Readiness::Disabled | Readiness::Missing(RequiredKey::CorpId)) {
        findings.push(chart_age_finding(subject, complete_at));
    }
    let conflicts = directory::conflicts::store::count_open(db, corp).await?;
    if conflicts > 0 {
        findings.push(DoctorFinding::new(
            FindingKind::RunsConflicts,
            &[untranslated("count", &conflicts.to_string())],
        ));
    }
    let taken = directory::bindings::store::list_reassigned(db, corp).await?;
    if !taken.is_empty() {
        let mut named: Vec<_> = taken.iter().take(MAX_NAMED_USERIDS).map(|one| one.userid.as_str()).collect();
        named.extend((taken.len() > MAX_NAMED_USERIDS).then_some("…"));
        let count = taken.len().to_string();
        let userids = named.join(", ");
        findings.push(DoctorFinding::new(
            FindingKind::RulesTaken,
            &[untranslated("count", &count), untranslated("userids", &userids)],
        ));
    }
    // In a chart that was never read every unit is missing.
    if complete_at.is_some() {
        let chart = directory::store::load_chart(db, corp).await?;
        let unfound = (subject.find_unmatched)(config, chart);
        findings.extend(
            unfound
                .iter()
                .map(|rule| DoctorFinding::new(FindingKind::RulesUnfound, &[untranslated("rule", rule)])),
        );
    }
    Ok(findings)
}

fn last_run_finding(subject: &DoctorSubject, run: &SyncRun) -> DoctorFinding {
    let at = format_local_time(subject, run.finished_at.unwrap_or(run.requested_at));
    let cause = run.cause.to_string();
    let why = run.reason.as_ref().map(SyncRunReason::text);
    let (why_zh, why_en) = why.as_ref().map_or(("", ""), |why| (&*why.zh, &*why.en));
    let values = [
        untranslated("at", &at),
        untranslated("kind", run.kind.as_str()),
        untranslated("status", run.status.as_str()),
        untranslated("cause", &cause),
        ("why", why_zh, why_en),
    ];
    match run.status {
        SyncRunStatus::Done if run.complete => DoctorFinding::new(FindingKind::RunsLast, &values),
        SyncRunStatus::Done => DoctorFinding::new(FindingKind::RunsLastPartial, &values),
        SyncRunStatus::Refused => DoctorFinding::new(FindingKind::RunsLastRefused, &values),
        SyncRunStatus::Queued | SyncRunStatus::Running | SyncRunStatus::Failed => {
            DoctorFinding::new(FindingKind::RunsLastFailed, &values)
        }
    }
}

fn chart_age_finding(subject: &DoctorSubject, complete_at: Option<Timestamp>) -> DoctorFinding {
    let Some(at) = complete_at else { return DoctorFinding::new(FindingKind::RunsNone, &[]) };
    let now = subject.clock.now();
    let limit = chart_age_limit(&subject.config.wecom, now);
    let (at_text, age, limit_text) =
        (format_local_time(subject, at), format_hours(now.since(at)), format_hours(limit));
    let values =
        [untranslated("at", &at_text), untranslated("hours", &age), untranslated("limit", &limit_text)];
    if now.since(at) > limit {
        DoctorFinding::new(FindingKind::RunsOld, &values)
    } else {
        DoctorFinding::new(FindingKind::RunsFresh, &values)
    }
}

/// Returns the age from which a chart counts as old.
fn chart_age_limit(wecom: &WecomConfig, now: Timestamp) -> Duration {
    // Every run reads every detail. A full run repairs what others missed, so its pauses are the
    // measure.
    let schedule = wecom.force_sync_cron.as_ref().or(wecom.sync_cron.as_ref());
    schedule
        .map_or(MIN_AGE_LIMIT, |schedule| longest_pause(schedule, now).saturating_mul(2).max(MIN_AGE_LIMIT))
}

fn longest_pause(schedule: &Schedule, from: Timestamp) -> Duration {
    let (mut longest, mut at) = (Duration::ZERO, schedule.next_after(from));
    for _ in 0..MAX_FIRINGS {
        let Some(this) = at else { break };
        at = schedule.next_after(this);
        longest = longest.max(at.map_or(Duration::ZERO, |next| next.since(this)));
    }
    longest
}

fn format_hours(duration: Duration) -> String {
    (duration.as_secs() / 3600).to_string()
}

/// Formats an instant in the configured time zone, to the second.
fn format_local_time(subject: &DoctorSubject, at: Timestamp) -> String {
    let shown = subject.config.time_zone.timestamp_millis_opt(at.millis()).single();
    shown.map_or_else(|| at.rfc3339(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Shanghai;

    use super::*;

    #[test]
    fn the_longest_pause_of_a_schedule_counts_the_weekend_and_the_night() {
        let now = Timestamp::from_millis(1_795_334_400_000);
        let pause = |text: &str| {
            let schedule = Schedule::parse(text, Shanghai).unwrap();
            longest_pause(&schedule, now).as_secs() / 3600
        };
        assert_eq!(pause("10 45 8,12 * * ?"), 20);
        assert_eq!(pause("0 0 3 ? * MON-FRI"), 72);
        assert_eq!(pause("0 0 3 1 * ?"), 31 * 24);
    }
}
