//! The organisation chart as the database has it: the last runs, what waits for a human, and rules that mean nobody.
//!
//! It reads, and nothing here makes the gateway worse than it is: an old chart still lets people in. So nothing is
//! `Broken`.

use std::time::Duration;

use chrono::TimeZone as _;

use super::Subject;
use super::finding::{Finding, same};
use super::store;
use super::words::Row;
use crate::base::clock::Timestamp;
use crate::base::cron::Schedule;
use crate::config::Wecom;
use crate::db::Db;
use crate::directory;
use crate::sync::queue::{self, Run, Status};

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// A chart of this age is old, whatever the schedule; of a rarer one, twice its longest pause.
const OLD: Duration = Duration::from_secs(48 * 3600);

/// So many firings of a schedule are looked at for its longest pause.
const FIRINGS: usize = 200;

/// So many userids are named.
const NAMED: usize = 10;

pub(super) async fn check(subject: &Subject, db: &Db) -> Vec<Finding> {
    match tokio::time::timeout(PATIENCE, look(subject, db)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![unread(&error.to_string())],
        Err(_) => vec![unread("no answer in time")],
    }
}

fn unread(why: &str) -> Finding {
    Finding::new(Row::RunsUnread, &[same("why", why)])
}

async fn look(subject: &Subject, db: &Db) -> sqlx::Result<Vec<Finding>> {
    let (config, corp) = (&subject.config, &subject.config.wecom.corp_id);
    let mut findings = Vec::new();
    let complete_at = store::complete_at(db, corp).await?;
    if let Some(run) = queue::store::latest(db, corp, 1).await?.first() {
        findings.push(last(subject, run));
    }
    // Without WeCom there is nothing to read, and without a corporation no chart to speak of.
    if config.wecom.enable && !corp.as_str().is_empty() {
        findings.push(age(subject, complete_at));
    }
    let conflicts = queue::store::open_conflicts(db, corp).await?;
    if conflicts > 0 {
        findings.push(Finding::new(Row::RunsConflicts, &[same("count", &conflicts.to_string())]));
    }
    let taken = directory::bindings::store::taken(db, corp).await?;
    if !taken.is_empty() {
        let mut named: Vec<_> = taken.iter().take(NAMED).map(|one| one.userid.as_str()).collect();
        named.extend((taken.len() > NAMED).then_some("…"));
        let count = taken.len().to_string();
        let userids = named.join(", ");
        findings.push(Finding::new(Row::RulesTaken, &[same("count", &count), same("userids", &userids)]));
    }
    // In a chart that was never read every unit is missing.
    if complete_at.is_some() {
        let chart = directory::store::chart(db, corp).await?;
        let unfound = (subject.unfound)(config, chart);
        findings.extend(unfound.iter().map(|rule| Finding::new(Row::RulesUnfound, &[same("rule", rule)])));
    }
    Ok(findings)
}

fn last(subject: &Subject, run: &Run) -> Finding {
    let at = local(subject, run.finished_at.unwrap_or(run.requested_at));
    let values = [
        same("at", &at),
        same("kind", run.kind.as_str()),
        same("status", run.status.as_str()),
        same("cause", &run.cause),
        same("why", &run.reason),
    ];
    match run.status {
        Status::Done if run.complete => Finding::new(Row::RunsLast, &values),
        Status::Done => Finding::new(Row::RunsLastPartial, &values),
        Status::Refused => Finding::new(Row::RunsLastRefused, &values),
        Status::Queued | Status::Running | Status::Failed => Finding::new(Row::RunsLastFailed, &values),
    }
}

fn age(subject: &Subject, complete_at: Option<Timestamp>) -> Finding {
    let Some(at) = complete_at else { return Finding::new(Row::RunsNone, &[]) };
    let now = subject.clock.now();
    let limit = limit(&subject.config.wecom, now);
    let (at_text, age, limit_text) = (local(subject, at), hours(now.since(at)), hours(limit));
    let values = [same("at", &at_text), same("hours", &age), same("limit", &limit_text)];
    if now.since(at) > limit {
        Finding::new(Row::RunsOld, &values)
    } else {
        Finding::new(Row::RunsFresh, &values)
    }
}

/// The age from which a chart is old.
fn limit(wecom: &Wecom, now: Timestamp) -> Duration {
    // Every run reads every detail; a full one is there to repair what was missed, so its pauses are the measure.
    let schedule = wecom.force_sync_cron.as_ref().or(wecom.sync_cron.as_ref());
    schedule.map_or(OLD, |schedule| longest_pause(schedule, now).saturating_mul(2).max(OLD))
}

fn longest_pause(schedule: &Schedule, from: Timestamp) -> Duration {
    let (mut longest, mut at) = (Duration::ZERO, schedule.next_after(from));
    for _ in 0..FIRINGS {
        let Some(this) = at else { break };
        at = schedule.next_after(this);
        longest = longest.max(at.map_or(Duration::ZERO, |next| next.since(this)));
    }
    longest
}

fn hours(duration: Duration) -> String {
    (duration.as_secs() / 3600).to_string()
}

/// In the zone of the configuration, to the second.
fn local(subject: &Subject, at: Timestamp) -> String {
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
