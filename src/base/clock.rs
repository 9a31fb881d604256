//! The only way to ask what time it is, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// An instant in milliseconds since 1970-01-01T00:00:00Z, as every table stores it.
///
/// Serialises as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Makes the instant `ms` milliseconds after 1970 began.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since 1970 began.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since 1970 began, as JWTs count (RFC 7519 §2, `NumericDate`).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns this instant plus `d`; saturates.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(millis(d)))
    }

    /// Returns this instant minus `d`; saturates.
    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(millis(d)))
    }

    /// Returns the time from `earlier` to this instant; zero if this one is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns RFC 3339 in UTC with milliseconds, `2026-11-22T08:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_millis(self.0)
            .map_or_else(|| self.0.to_string(), |t| t.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.rfc3339())
    }
}

/// A clock: the system's, or one that only moves when a test moves it.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Milliseconds that a test sets.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Makes a clock that stands at `at` until [`Clock::advance`] moves it.
    pub fn fixed(at: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.millis())))
    }

    /// Returns the current instant.
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that may ask the system")]
            Self::System => Timestamp(Utc::now().timestamp_millis()),
            Self::Fixed(ms) => Timestamp(ms.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock forward by `d`; the system's clock does not move.
    pub fn advance(&self, d: Duration) {
        if let Self::Fixed(ms) = self {
            ms.fetch_add(millis(d), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_334_400_123).rfc3339(), "2026-11-22T08:00:00.123Z");
    }

    #[test]
    fn a_later_instant_is_never_a_negative_time_ago() {
        let early = Timestamp::from_millis(1);
        assert_eq!(early.since(early.plus(Duration::from_secs(9))), Duration::ZERO);
    }
}
