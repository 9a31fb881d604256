//! The time by which a person expects an answer, whatever WeCom does.

use std::time::Duration;

use tokio::time::Instant;

/// An instant by which an answer is due. It is made once, where a request comes in, and handed
/// down, so that token, code and member together stay within one limit.
///
/// It counts on the monotonic clock: setting the machine's clock makes nobody wait longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// Makes a deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        // Instant + Duration panics on overflow; a century is as good as never.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        Self(Instant::now() + limit.min(CENTURY))
    }

    /// Returns the time left; zero once the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns the earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    pub(super) fn instant(self) -> Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_extended_by_a_longer_limit() {
        let short = Deadline::after(Duration::from_millis(50));
        assert_eq!(short.within(Duration::from_secs(9)), short);
        assert!(Deadline::after(Duration::from_secs(9)).within(Duration::ZERO).remaining().is_zero());
    }

    #[test]
    fn the_longest_limit_does_not_overflow() {
        assert!(Deadline::after(Duration::MAX).remaining() > Duration::from_secs(86_400));
    }
}
