//! The simulator's own time: the machine's monotonic clock, which tests push forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Time since the simulator began. It runs, and [`Clock::advance`] makes it jump.
#[derive(Debug)]
pub(super) struct SimulatedClock {
    started: Instant,
    began: Duration,
    ahead_ms: AtomicU64,
}

impl SimulatedClock {
    /// A clock that stands at zero now.
    pub(super) fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the simulator has a clock of its own")]
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), began, ahead_ms: AtomicU64::new(0) }
    }

    /// How long ago the simulator began, jumps included.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed().saturating_add(Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst)))
    }

    /// When it stood at zero, since 1970.
    pub(super) fn began(&self) -> Duration {
        self.began
    }

    /// Jumps forward by `by`, to the millisecond.
    pub(super) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX / 4), Ordering::SeqCst);
    }
}
