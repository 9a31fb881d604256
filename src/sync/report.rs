//! What a run says about itself, as it is kept in its row. No secret, and of persons only what lists show anyway.

use serde::{Deserialize, Serialize};

pub use super::apply::Counts;
use super::apply::{ApplyResult, RaisedConflict, SkippedRecord, Tally};
use super::plan::Removals;
use super::remote::{FetchMode, ReportNote};

/// Everything beside the counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncReport {
    /// By which secrets the directory was read: `visible`, `ids`, `contacts`; empty if it was not.
    pub way: String,
    /// What an administrator should know, in the order in which it happened.
    pub notes: Vec<ReportNote>,
    /// How much the plan removes, of how much.
    pub removals: RemovalCounts,
    /// Questions that this run raised.
    pub conflicts: Vec<RaisedConflict>,
    /// Tags that changed.
    pub tags: Tally,
    /// One line for each change, at most 1000.
    pub lines: Vec<String>,
    /// How many lines more there would be.
    pub more_lines: u64,
    /// Records that stay as they were, and why; at most 1000.
    pub skipped: Vec<SkippedRecord>,
    /// How many more were skipped.
    pub more_skipped: u64,
}

/// How much a plan removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RemovalCounts {
    /// WeCom's persons that leave.
    pub persons: usize,
    /// Of so many.
    pub of_persons: usize,
    /// WeCom's units that go.
    pub units: usize,
    /// Of so many.
    pub of_units: usize,
}

impl From<Removals> for RemovalCounts {
    fn from(removals: Removals) -> Self {
        let Removals { persons, of_persons, units, of_units } = removals;
        Self { persons, of_persons, units, of_units }
    }
}

impl SyncReport {
    /// What is known once the directory was read and compared. `notes` are the plan's, the fetch's among them.
    pub(super) fn from_plan(way: FetchMode, removals: Removals, notes: Vec<ReportNote>) -> Self {
        Self { way: way.as_str().to_owned(), notes, removals: removals.into(), ..Self::default() }
    }

    /// The same with what was done, or in a rehearsal would be.
    pub(super) fn with_applied(&self, applied: &ApplyResult, conflicts: Vec<RaisedConflict>) -> Self {
        Self {
            way: self.way.clone(),
            // They begin with the plan's.
            notes: applied.notes.clone(),
            removals: self.removals,
            conflicts,
            tags: applied.tags,
            lines: applied.lines.clone(),
            more_lines: applied.more_lines,
            skipped: applied.skipped.clone(),
            more_skipped: applied.more_skipped,
        }
    }
}
