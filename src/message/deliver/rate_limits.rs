//! WeCom's limits, which we keep ourselves: WeCom drops what exceeds them and answers "ok"
//! (document 90454).
//!
//! A member gets 30 messages a minute and 1000 an hour from one application, including those to
//! everybody. We count a message when its call is settled, which is never before WeCom counts it.
//! The next one goes out when the minute or hour since then is over, with a margin.

use std::time::Duration;

use crate::base::clock::Timestamp;

/// One of WeCom's windows of time, and how many messages may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateWindow {
    /// Its length, with a margin.
    pub(super) length: Duration,
    /// The most messages that we let into it.
    pub(super) limit: i64,
}

const MINUTE_WITH_MARGIN: Duration = Duration::from_secs(62);
const HOUR_WITH_MARGIN: Duration = Duration::from_secs(3610);

/// The windows of one member's own messages. Together with [`EVERYBODY_WINDOWS`] they are WeCom's
/// 30 and 1000.
pub(super) const MEMBER_WINDOWS: [RateWindow; 2] = [
    RateWindow { length: MINUTE_WITH_MARGIN, limit: 28 },
    RateWindow { length: HOUR_WITH_MARGIN, limit: 980 },
];

/// The windows of messages to everybody.
pub(super) const EVERYBODY_WINDOWS: [RateWindow; 2] =
    [RateWindow { length: MINUTE_WITH_MARGIN, limit: 2 }, RateWindow { length: HOUR_WITH_MARGIN, limit: 20 }];

/// Returns when the windows take another message.
///
/// `nth` tells for each window when the message was counted that has to leave it first; `None` if
/// the window is not full.
pub(super) fn earliest_free_time(windows: [RateWindow; 2], nth: [Option<Timestamp>; 2]) -> Option<Timestamp> {
    let [minute, hour] = windows;
    let [in_minute, in_hour] = nth;
    in_minute.map(|at| at.plus(minute.length)).max(in_hour.map(|at| at.plus(hour.length)))
}

/// The width of a bucket of `message_counts`.
pub(super) const BUCKET_WIDTH: Duration = Duration::from_secs(10);

/// Returns the beginning of the bucket that contains `at`.
pub(super) fn bucket_start(at: Timestamp) -> Timestamp {
    let width = i64::try_from(BUCKET_WIDTH.as_millis()).unwrap_or(1);
    Timestamp::from_millis(at.millis().div_euclid(width) * width)
}

/// Calls of one corporation and API: WeCom allows 10 000 a minute and 150 000 an hour. A tenth is
/// left to other programs.
pub(super) const CALL_WINDOWS: [RateWindow; 2] = [
    RateWindow { length: Duration::from_secs(60), limit: 9_000 },
    RateWindow { length: Duration::from_secs(3600), limit: 140_000 },
];

/// WeCom's limit of recipients a day, for each account that the corporation may have.
const DAILY_RECIPIENTS_PER_ACCOUNT: i64 = 200;

/// WeCom counts the accounts that a corporation may have (账号上限), and we see only those that the
/// application sees. A small range of visibility does not mean a small corporation. If the limit is
/// lower all the same, WeCom says so (45009), and we wait.
const MIN_ACCOUNTS: i64 = 200;

/// Returns how many recipients a day may have a message, from the number of visible accounts.
pub(super) fn daily_recipient_limit(accounts: i64) -> i64 {
    accounts.max(MIN_ACCOUNTS).saturating_mul(DAILY_RECIPIENTS_PER_ACCOUNT)
}

/// The days of that limit begin at midnight in Shanghai, which has no summer time.
const SHANGHAI_OFFSET_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// Returns the beginning of the day that contains `now`.
pub(super) fn day_start(now: Timestamp) -> Timestamp {
    let local = now.millis().saturating_add(SHANGHAI_OFFSET_MS);
    Timestamp::from_millis(local.div_euclid(DAY_MS) * DAY_MS - SHANGHAI_OFFSET_MS)
}

/// Returns the beginning of the next day.
pub(super) fn next_day_start(now: Timestamp) -> Timestamp {
    day_start(now).plus(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_messages_and_those_to_everybody_are_together_wecoms_limits() {
        let [minute, hour] = [0, 1].map(|n| MEMBER_WINDOWS[n].limit + EVERYBODY_WINDOWS[n].limit);
        assert_eq!((minute, hour), (30, 1000));
    }

    #[test]
    fn the_later_of_the_two_windows_decides() {
        let at = Timestamp::from_millis;
        assert_eq!(earliest_free_time(MEMBER_WINDOWS, [None, None]), None);
        assert_eq!(earliest_free_time(MEMBER_WINDOWS, [Some(at(5000)), None]), Some(at(67_000)));
        assert_eq!(
            earliest_free_time(MEMBER_WINDOWS, [Some(at(5_000_000)), Some(at(0))]),
            Some(at(5_062_000))
        );
        assert_eq!(
            earliest_free_time(MEMBER_WINDOWS, [Some(at(1_000_000)), Some(at(0))]),
            Some(at(3_610_000))
        );
    }

    #[test]
    fn a_day_has_200_recipients_an_account_and_a_small_range_is_no_small_corporation() {
        assert_eq!(daily_recipient_limit(5000), 1_000_000);
        assert_eq!(daily_recipient_limit(3), daily_recipient_limit(200));
        assert_eq!(daily_recipient_limit(i64::MAX), i64::MAX);
    }

    #[test]
    fn a_day_begins_at_midnight_in_shanghai() {
        // 2026-11-22 16:00 in Shanghai.
        let now = Timestamp::from_millis(1_795_334_400_000);
        assert_eq!(day_start(now).rfc3339(), "2026-11-21T16:00:00.000Z");
        assert_eq!(next_day_start(now).rfc3339(), "2026-11-22T16:00:00.000Z");
        assert_eq!(day_start(day_start(now)), day_start(now));
    }
}
