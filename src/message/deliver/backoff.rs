//! How long a call that failed waits for its next attempt.

use std::time::Duration;

use crate::base::clock::Timestamp;

/// The pauses after WeCom asks us to try again or cannot be reached.
const RETRY_PAUSES_SECONDS: [u64; 9] = [1, 2, 5, 10, 30, 60, 120, 300, 600];

/// The pauses after an unknown outcome.
///
/// Several attempts have to fit into WeCom's shortest duplicate window, and a call that nobody
/// answers takes 14 s of it.
const UNCERTAIN_PAUSES_SECONDS: [u64; 8] = [2, 5, 12, 30, 60, 120, 300, 600];

/// A message should go out within a minute after the administrator has mended something.
///
/// The minute also contains the polling interval of the worker and the answer to the call.
const QUICK_PROBE_PAUSE: Duration = Duration::from_secs(50);

/// How long after the beginning of a hold it is probed at the quick pace.
const QUICK_PROBE_PERIOD: Duration = Duration::from_secs(600);

const SLOW_PROBE_PAUSE: Duration = Duration::from_secs(600);

/// Returns how long nothing is sent after WeCom refused a call for something that an administrator
/// has to mend.
///
/// A clock that was set back since `held_since` makes the hold young again.
pub(super) fn probe_pause(held_since: Timestamp, now: Timestamp) -> Duration {
    if now.since(held_since) < QUICK_PROBE_PERIOD { QUICK_PROBE_PAUSE } else { SLOW_PROBE_PAUSE }
}

/// Returns the pause after the attempt with this number, counted from 1.
///
/// `seed` is the id of the call: calls that failed together do not come back together.
pub(super) fn retry_pause(attempt: i64, seed: &str) -> Duration {
    jittered_pause(&RETRY_PAUSES_SECONDS, attempt, seed)
}

/// Returns the pause after an attempt with an unknown outcome.
pub(super) fn uncertain_pause(attempt: i64, seed: &str) -> Duration {
    jittered_pause(&UNCERTAIN_PAUSES_SECONDS, attempt, seed)
}

fn jittered_pause(seconds: &[u64], attempt: i64, seed: &str) -> Duration {
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(seconds.len().saturating_sub(1));
    let seconds = seconds.get(at).copied().unwrap_or(1);
    // Derived from the call and not random, so that it can be tested and is the same everywhere.
    let drawn = blake3::hash(format!("{seed} {attempt}").as_bytes());
    // Between 80 % and 120 %.
    let share = 800 + u64::from(u16::from_le_bytes([drawn.as_bytes()[0], drawn.as_bytes()[1]])) % 400;
    Duration::from_millis(seconds * share)
}

#[cfg(test)]
mod tests {
    use super::super::claim::RETRY_CUTOFF_MARGIN;
    use super::super::plan::DUPLICATE_WINDOW;
    use super::*;

    #[test]
    fn pauses_grow_from_a_second_to_ten_minutes_and_differ_between_calls() {
        let pauses: Vec<Duration> = (1..12).map(|n| retry_pause(n, "a")).collect();
        assert!(pauses[0] >= Duration::from_millis(800) && pauses[0] < Duration::from_millis(1200));
        for pair in pauses[..8].windows(2) {
            assert!(pair[0] < pair[1], "{pauses:?}");
        }
        for late in &pauses[8..] {
            assert!((480..720).contains(&late.as_secs()), "{late:?}");
        }
        assert_ne!(retry_pause(1, "a"), retry_pause(1, "b"));
        assert_eq!(retry_pause(3, "a"), retry_pause(3, "a"));
    }

    #[test]
    fn a_hold_is_probed_within_a_minute_for_ten_minutes_and_then_every_ten() {
        let since = Timestamp::from_millis(1_795_334_400_000);
        let at = |seconds| since.plus(Duration::from_secs(seconds));
        for seconds in [0, 1, 60, 300, 599] {
            let pause = probe_pause(since, at(seconds));
            assert!(
                pause > Duration::from_secs(30) && pause < Duration::from_secs(60),
                "{seconds}: {pause:?}"
            );
        }
        for seconds in [600, 601, 3600, 23 * 3600] {
            assert_eq!(probe_pause(since, at(seconds)), Duration::from_secs(600), "{seconds}");
        }
        assert!(probe_pause(since, since.minus(Duration::from_secs(3600))) < Duration::from_secs(60));
    }

    #[test]
    fn four_tries_that_nobody_answers_fit_the_shortest_window() {
        let waited: Duration = (1..4).map(|n| Duration::from_secs(14) + uncertain_pause(n, "call")).sum();
        assert!(waited < DUPLICATE_WINDOW.saturating_sub(RETRY_CUTOFF_MARGIN), "{waited:?}");
    }
}
