//! The clock: against WeCom's, and against the newest row that anybody wrote.

use std::time::Duration;

use super::Subject;
use super::finding::{Finding, same};
use super::words::Row;
use crate::audit;
use crate::base::clock::Timestamp;
use crate::db::Db;
use crate::wecom::Deadline;

/// More than this, and the gateway signs nobody in (DESIGN §7.1).
const SLACK: Duration = Duration::from_secs(60);

/// How long WeCom may take to tell the time.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn check(subject: &Subject, db: Option<&Db>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(db) = db {
        // That the database does not answer is its own check's to say.
        if let Ok(Ok(Some(newest))) = tokio::time::timeout(PATIENCE, audit::store::newest(db)).await {
            findings.extend(against_rows(subject.clock.now(), newest));
        }
    }
    if !subject.config.wecom.enable {
        return findings;
    }
    let theirs = match &subject.client {
        Ok(client) => client.server_time(Deadline::after(PATIENCE)).await,
        Err(_) => None,
    };
    findings.push(match theirs {
        Some(theirs) => against_wecom(subject.clock.now(), theirs),
        None => Finding::new(Row::ClockUnknown, &[]),
    });
    findings
}

fn against_rows(ours: Timestamp, newest: Timestamp) -> Option<Finding> {
    let behind = newest.since(ours);
    let seconds = behind.as_secs().to_string();
    (behind > SLACK).then(|| Finding::new(Row::ClockBehindRows, &[same("seconds", &seconds)]))
}

fn against_wecom(ours: Timestamp, theirs: Timestamp) -> Finding {
    let (ahead, behind) = (ours.since(theirs), theirs.since(ours));
    let seconds = ahead.max(behind).as_secs().to_string();
    let (zh, en) = if ahead > behind { ("快", "ahead of") } else { ("慢", "behind") };
    let row = if ahead.max(behind) > SLACK { Row::ClockOff } else { Row::ClockOk };
    Finding::new(row, &[same("seconds", &seconds), ("direction", zh, en)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn more_than_a_minute_off_wecoms_clock_either_way_is_broken() {
        for (ours, level, words) in [
            (1000, Level::Ok, "0 s"),
            (1060, Level::Ok, "60 s ahead of"),
            (1061, Level::Broken, "61 s ahead of"),
            (939, Level::Broken, "61 s behind"),
        ] {
            let finding = against_wecom(at(ours), at(1000));
            assert_eq!(finding.level, level, "{ours}");
            assert!(finding.what.en.contains(words), "{ours}: {}", finding.what.en);
        }
    }

    #[test]
    fn only_a_clock_behind_the_newest_row_is_wrong() {
        assert_eq!(against_rows(at(5000), at(1000)), None);
        assert_eq!(against_rows(at(1000), at(1060)), None);
        assert_eq!(against_rows(at(1000), at(1061)).unwrap().level, Level::Broken);
    }
}
