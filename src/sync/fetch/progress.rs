//! The progress of a fetch, for whoever watches.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// What a fetch is reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchPhase {
    /// Departments, including the list of ids.
    Departments,
    /// The members of departments; the unit of progress is a department.
    Members,
    /// Members that are read one by one.
    Details,
    Tags,
}

/// The progress of a fetch. The three numbers are read one after another, so they may be a moment
/// apart.
#[derive(Debug, Default)]
pub(crate) struct FetchProgress {
    phase: AtomicU8,
    done: AtomicUsize,
    total: AtomicUsize,
}

impl FetchProgress {
    /// Returns what is being read, how much of it is done, and how much there is.
    pub(crate) fn read(&self) -> (FetchPhase, usize, usize) {
        let phase = match self.phase.load(Ordering::Relaxed) {
            0 => FetchPhase::Departments,
            1 => FetchPhase::Members,
            2 => FetchPhase::Details,
            _ => FetchPhase::Tags,
        };
        let total = self.total.load(Ordering::Relaxed);
        (phase, self.done.load(Ordering::Relaxed).min(total), total)
    }

    pub(super) fn begin(&self, phase: FetchPhase, total: usize) {
        let number = match phase {
            FetchPhase::Departments => 0,
            FetchPhase::Members => 1,
            FetchPhase::Details => 2,
            FetchPhase::Tags => 3,
        };
        self.phase.store(number, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(super) fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}
