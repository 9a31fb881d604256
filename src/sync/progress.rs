//! The progress of a run: the run writes it, and whoever watches reads it, in this process or from
//! the run's row.

use std::fmt;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncStep {
    /// Removing leftovers of an interrupted run and reading our chart.
    #[default]
    Beginning,
    /// Reading departments, including the list of ids.
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
pub struct SyncProgress(Mutex<ProgressSnapshot>);

impl SyncProgress {
    /// Begins a step of `total` parts; 0 if they are not counted.
    pub(super) fn begin(&self, step: SyncStep, total: usize) {
        *self.0.lock() = ProgressSnapshot { step, done: 0, total: u64::try_from(total).unwrap_or(u64::MAX) };
    }

    /// Counts one more part of the step as done. A part that is repeated does not count beyond the
    /// total.
    pub(super) fn advance(&self) {
        let mut now = self.0.lock();
        now.done = now.done.saturating_add(1).min(now.total);
    }

    pub(super) fn set_done(&self, done: u64, total: u64) {
        let mut now = self.0.lock();
        (now.done, now.total) = (done.min(total), total);
    }

    /// Returns how far the run is.
    pub fn snapshot(&self) -> ProgressSnapshot {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_words_with_its_numbers_if_it_has_any() {
        let progress = SyncProgress::default();
        progress.begin(SyncStep::Writing, 0);
        assert_eq!(progress.snapshot().to_string(), "writing");
        progress.set_done(1200, 5000);
        assert_eq!(progress.snapshot().to_string(), "writing 1200/5000");
        progress.begin(SyncStep::Comparing, 0);
        assert_eq!(progress.snapshot().to_string(), "comparing", "numbers belong to their step");
    }

    #[test]
    fn a_part_that_is_done_twice_does_not_count_beyond_the_total() {
        let progress = SyncProgress::default();
        progress.begin(SyncStep::Tags, 2);
        for _ in 0..3 {
            progress.advance();
        }
        assert_eq!(progress.snapshot().to_string(), "reading tags 2/2");
    }
}
