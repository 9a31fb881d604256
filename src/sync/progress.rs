//! How far a run is: written by the run, read by whoever watches, here or through its row.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::fetch;

/// What a run does just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncStep {
    /// Clearing away what a run left that was cut off, and reading what we have.
    #[default]
    Beginning,
    /// Reading departments.
    Departments,
    /// Reading the members of departments, counted by department.
    Members,
    /// Reading members one by one.
    Details,
    /// Reading tags.
    Tags,
    /// Comparing what was read with what we have.
    Comparing,
    /// Writing records; of a rehearsal, counting them.
    Writing,
}

impl SyncStep {
    /// In words, for a progress bar.
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

/// How far a run is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgressSnapshot {
    /// What it does.
    pub step: SyncStep,
    /// How much of that is done.
    pub done: u64,
    /// Of how much; 0: not known, or not counted.
    pub total: u64,
}

impl fmt::Display for ProgressSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step.as_str())?;
        if self.total > 0 { write!(f, " {}/{}", self.done, self.total) } else { Ok(()) }
    }
}

/// The progress of one run.
#[derive(Debug, Default)]
pub struct SyncProgress {
    /// What the fetch says; asked while the step is one of its own.
    pub(super) fetch: fetch::FetchProgress,
    step: Mutex<Option<SyncStep>>,
    done: AtomicU64,
    total: AtomicU64,
}

impl SyncProgress {
    /// From now on the fetch says how far it is.
    pub(super) fn begin_fetch(&self) {
        *self.step.lock() = None;
    }

    /// Another step begins.
    pub(super) fn begin(&self, step: SyncStep) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
        *self.step.lock() = Some(step);
    }

    /// So much of the step is done.
    pub(super) fn set_done(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// How far it is. The numbers are read one after another and may be a moment apart.
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
