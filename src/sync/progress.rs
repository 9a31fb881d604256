//! The progress of a run: the run writes it, and whoever watches reads it, in this process or from
//! the run's row.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::fetch;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncStep {
    /// Removing leftovers of an interrupted run and reading our chart.
    #[default]
    Beginning,
    Departments,
    /// Reading the members of departments; the unit of progress is a department.
    Members,
    /// Reading members one by one.
    Details,
    Tags,
    /// Comparing what was read with our chart.
    Comparing,
    /// Writing records; in a dry run, counting them.
    Writing,
}

impl SyncStep {
    /// Returns words for a progress bar.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Beginning => "reading what we have",
            Self::Departments => "reading departments",
            Self::Members => "reading members by department",
            Self::Details => "reading members one by one",
            Self::Tags => "reading tags",
            Self::Comparing => "comparing",
            Self::Writing => "writing",
        }
    }
}

/// How far a run was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgressSnapshot {
    pub step: SyncStep,
    /// How much of the step is done.
    pub done: u64,
    /// The size of the step; 0 if it is unknown or not counted.
    pub total: u64,
}

impl fmt::Display for ProgressSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step.as_str())?;
        if self.total > 0 { write!(f, " {}/{}", self.done, self.total) } else { Ok(()) }
    }
}

/// The progress of one run, shared with whoever watches it.
#[derive(Debug, Default)]
pub struct SyncProgress {
    /// The progress of the fetch; read while the fetch decides the step.
    pub(super) fetch: fetch::FetchProgress,
    step: Mutex<Option<SyncStep>>,
    done: AtomicU64,
    total: AtomicU64,
}

impl SyncProgress {
    /// Lets the fetch report the step from now on.
    pub(super) fn begin_fetch(&self) {
        *self.step.lock() = None;
    }

    /// Begins a step that the fetch does not report.
    pub(super) fn begin(&self, step: SyncStep) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
        *self.step.lock() = Some(step);
    }

    pub(super) fn set_done(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Returns how far the run is. The numbers are read one after another, so they may be a moment
    /// apart.
    pub fn snapshot(&self) -> ProgressSnapshot {
        if let Some(step) = *self.step.lock() {
            let total = self.total.load(Ordering::Relaxed);
            return ProgressSnapshot { step, done: self.done.load(Ordering::Relaxed).min(total), total };
        }
        let (phase, done, total) = self.fetch.read();
        let step = match phase {
            fetch::FetchPhase::Departments => SyncStep::Departments,
            fetch::FetchPhase::Members => SyncStep::Members,
            fetch::FetchPhase::Details => SyncStep::Details,
            fetch::FetchPhase::Tags => SyncStep::Tags,
        };
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        ProgressSnapshot { step, done: wide(done), total: wide(total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_words_with_its_numbers_if_it_has_any() {
        let progress = SyncProgress::default();
        progress.begin(SyncStep::Writing);
        assert_eq!(progress.snapshot().to_string(), "writing");
        progress.set_done(1200, 5000);
        assert_eq!(progress.snapshot().to_string(), "writing 1200/5000");
        progress.begin(SyncStep::Comparing);
        assert_eq!(progress.snapshot().to_string(), "comparing", "numbers belong to their step");
    }
}
