//! WeCom's limits, kept by us: it drops what exceeds them and answers "ok" (document 90454).
//!
//! To one member of one application 30 messages a minute and 1000 an hour, whether they were for that member or for
//! everybody. We count when a call is settled, which is never before WeCom counted it; the next one is made after the
//! window has passed since then, and a little more.

use std::time::Duration;

use crate::base::clock::Timestamp;

/// A window of WeCom's, and how many messages may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its length, with a margin.
    pub(super) length: Duration,
    /// The most that we let into it.
    pub(super) most: i64,
}

const MINUTE: Duration = Duration::from_secs(62);
const HOUR: Duration = Duration::from_secs(3610);

/// A minute and an hour of one member's own messages. With [`EVERYBODY`] they are WeCom's 30 and 1000.
pub(super) const OWN: [Window; 2] = [Window { length: MINUTE, most: 28 }, Window { length: HOUR, most: 980 }];

/// The same of messages to everybody.
pub(super) const EVERYBODY: [Window; 2] =
    [Window { length: MINUTE, most: 2 }, Window { length: HOUR, most: 20 }];

/// From when on a window has room again; `nth` is when the `most`th newest message was counted, if there are so many.
pub(super) fn free_at(windows: [Window; 2], nth: [Option<Timestamp>; 2]) -> Option<Timestamp> {
    let [minute, hour] = windows;
    let [in_minute, in_hour] = nth;
    in_minute.map(|at| at.plus(minute.length)).max(in_hour.map(|at| at.plus(hour.length)))
}

/// How wide a bucket of `message_pace` is.
pub(super) const BUCKET: Duration = Duration::from_secs(10);

/// The bucket in which `at` is: when it begins.
pub(super) fn bucket(at: Timestamp) -> Timestamp {
    let width = i64::try_from(BUCKET.as_millis()).unwrap_or(1);
    Timestamp::from_millis(at.millis().div_euclid(width) * width)
}

/// Calls of the corporation and API: 10 000 a minute and 150 000 an hour, of which a tenth is left to others.
pub(super) const CALLS: [Window; 2] = [
    Window { length: Duration::from_secs(60), most: 9_000 },
    Window { length: Duration::from_secs(3600), most: 140_000 },
];

/// Recipients a day: so many for each account that the corporation may have.
const A_DAY_AND_ACCOUNT: i64 = 200;

/// WeCom counts the accounts that a corporation may have (账号上限), and we see those that the application sees: a small
/// range is no small corporation. Should the limit be lower all the same, WeCom says so (45009), and we wait.
const FEWEST_ACCOUNTS: i64 = 200;

/// How many recipients a day a corporation has of which so many accounts are seen.
pub(super) fn recipients_a_day(accounts: i64) -> i64 {
    accounts.max(FEWEST_ACCOUNTS).saturating_mul(A_DAY_AND_ACCOUNT)
}

/// How the reason ends for which the lane is held until tomorrow.
const USED_UP: &str = "recipients a day from this application, and they are used up.";

/// Why nothing is sent until tomorrow: all `most` recipients of a day have had a call.
pub(super) fn used_up(most: i64) -> String {
    format!("WeCom takes {most} {USED_UP}")
}

/// Whether the lane is held for that reason, which is none against taking messages back.
pub(in crate::message) fn is_used_up(hold_reason: &str) -> bool {
    hold_reason.ends_with(USED_UP)
}

/// The days of that limit begin at midnight in Shanghai, which has no summer time.
const SHANGHAI: i64 = 8 * 3_600_000;
const DAY: i64 = 86_400_000;

/// When the natural day began in which `now` is.
pub(super) fn day_began(now: Timestamp) -> Timestamp {
    let local = now.millis().saturating_add(SHANGHAI);
    Timestamp::from_millis(local.div_euclid(DAY) * DAY - SHANGHAI)
}

/// When the next one begins.
pub(super) fn tomorrow(now: Timestamp) -> Timestamp {
    day_began(now).plus(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_messages_and_those_to_everybody_are_together_wecoms_limits() {
        let [minute, hour] = [0, 1].map(|n| OWN[n].most + EVERYBODY[n].most);
        assert_eq!((minute, hour), (30, 1000));
    }

    #[test]
    fn the_later_of_the_two_windows_decides() {
        let at = Timestamp::from_millis;
        assert_eq!(free_at(OWN, [None, None]), None);
        assert_eq!(free_at(OWN, [Some(at(5000)), None]), Some(at(67_000)));
        assert_eq!(free_at(OWN, [Some(at(5_000_000)), Some(at(0))]), Some(at(5_062_000)));
        assert_eq!(free_at(OWN, [Some(at(1_000_000)), Some(at(0))]), Some(at(3_610_000)));
    }

    #[test]
    fn a_day_has_200_recipients_an_account_and_a_small_range_is_no_small_corporation() {
        assert_eq!(recipients_a_day(5000), 1_000_000);
        assert_eq!(recipients_a_day(3), recipients_a_day(200));
        assert_eq!(recipients_a_day(i64::MAX), i64::MAX);
    }

    #[test]
    fn a_hold_until_tomorrow_is_told_from_others() {
        assert!(is_used_up(&used_up(40_000)));
        assert!(!is_used_up("") && !is_used_up("60020 not allow to access from your ip"));
    }

    #[test]
    fn a_day_begins_at_midnight_in_shanghai() {
        // 2026-11-22 16:00 in Shanghai.
        let now = Timestamp::from_millis(1_795_334_400_000);
        assert_eq!(day_began(now).rfc3339(), "2026-11-21T16:00:00.000Z");
        assert_eq!(tomorrow(now).rfc3339(), "2026-11-22T16:00:00.000Z");
        assert_eq!(day_began(day_began(now)), day_began(now));
    }
}
