//! Compares the clock with WeCom's, and with the newest row in the database.

use std::time::Duration;

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::audit;
use crate::base::clock::Timestamp;
use crate::config::{Readiness, WecomPurpose};
use crate::db::Db;
use crate::wecom::Deadline;

/// If the clock is further off than this, the gateway signs nobody in ([design:
/// clock](crate::design#clock)).
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// How long WeCom or the database may take.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn check_clock(subject: &DoctorSubject, db: Option<&Db>) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    if let Some(db) = db {
        // A database that does not answer is reported by its own check.
        if let Ok(Ok(Some(newest))) =
            tokio::time::timeout(CLOCK_TIMEOUT, audit::store::read_newest_instant(db)).await
        {
            findings.extend(compare_with_rows(subject.clock.now(), newest));
        }
    }
    if subject.config.wecom.readiness(WecomPurpose::Directory) == Readiness::Disabled {
        return findings;
    }
    let theirs = match &subject.client {
        Ok(client) => client.server_time(Deadline::after(CLOCK_TIMEOUT)).await,
        Err(_) => None,
    };
    findings.push(match theirs {
        Some(theirs) => compare_with_wecom(subject.clock.now(), theirs),
        None => DoctorFinding::new(FindingKind::ClockUnknown, &[]),
    });
    findings
}

fn compare_with_rows(ours: Timestamp, newest: Timestamp) -> Option<DoctorFinding> {
    let behind = newest.since(ours);
    let seconds = behind.as_secs().to_string();
    (behind > MAX_CLOCK_DIFFERENCE)
        .then(|| DoctorFinding::new(FindingKind::ClockBehindRows, &[untranslated("seconds", &seconds)]))
}

fn compare_with_wecom(ours: Timestamp, theirs: Timestamp) -> DoctorFinding {
    let (ahead, behind) = (ours.since(theirs), theirs.since(ours));
    let seconds = ahead.max(behind).as_secs().to_string();
    let (zh, en) = if ahead > behind { ("快", "ahead of") } else { ("慢", "behind") };
    let kind =
        if ahead.max(behind) > MAX_CLOCK_DIFFERENCE { FindingKind::ClockOff } else { FindingKind::ClockOk };
    DoctorFinding::new(kind, &[untranslated("seconds", &seconds), ("direction", zh, en)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::FindingLevel;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn more_than_a_minute_off_wecoms_clock_either_way_is_broken() {
        for (ours, level, words) in [
            (1000, FindingLevel::Ok, "0 s"),
            (1060, FindingLevel::Ok, "60 s ahead of"),
            (1061, FindingLevel::Broken, "61 s ahead of"),
            (939, FindingLevel::Broken, "61 s behind"),
        ] {
            let finding = compare_with_wecom(at(ours), at(1000));
            assert_eq!(finding.level, level, "{ours}");
            assert!(finding.what.en.contains(words), "{ours}: {}", finding.what.en);
        }
    }

    #[test]
    fn only_a_clock_behind_the_newest_row_is_wrong() {
        assert_eq!(compare_with_rows(at(5000), at(1000)), None);
        assert_eq!(compare_with_rows(at(1000), at(1060)), None);
        assert_eq!(compare_with_rows(at(1000), at(1061)).unwrap().level, FindingLevel::Broken);
    }
}
