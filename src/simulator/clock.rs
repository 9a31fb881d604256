//! The simulator's clock: the machine's monotonic clock, which tests can move forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Counts from the start of the simulator. [`SimulatedClock::advance`] makes it jump.
#[derive(Debug)]
pub(super) struct SimulatedClock {
    started: Instant,
    began: Duration,
    ahead_ms: AtomicU64,
}

impl SimulatedClock {
    /// Starts a clock at zero.
    pub(super) fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the simulator has a clock of its own")]
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), began, ahead_ms: AtomicU64::new(0) }
    }

    /// Returns the time since the start, jumps included.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed().saturating_add(Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst)))
    }

    /// Returns the time of the start, since 1970.
    pub(super) fn began(&self) -> Duration {
        self.began
    }

    /// Jumps forward by `by`, to the millisecond.
    pub(super) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX / 4), Ordering::SeqCst);
    }
}
