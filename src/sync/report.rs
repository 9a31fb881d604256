//! The report that a run keeps in its row. It contains no secret, and about persons only what lists
//! show anyway.

use serde::{Deserialize, Serialize};

pub(crate) use super::apply::Counts;
use super::apply::{ApplyResult, RaisedConflict, SkippedRecord, Tally};
use super::plan::Removals;
use super::remote::{FetchMode, ReportNote};

/// The report of a run, without its counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncReport {
    /// The secrets the directory was read with; `None` if it was not read.
    pub way: Option<FetchMode>,
    /// Notes for administrators, in the order in which things happened.
    pub notes: Vec<ReportNote>,
    /// How much the plan removes, and of how much.
    pub removals: Removals,
    /// Conflicts that this run raised.
    pub conflicts: Vec<RaisedConflict>,
    pub tags: Tally,
    /// One line per change, at most 1000.
    pub lines: Vec<String>,
    /// How many lines were left out.
    pub more_lines: u64,
    /// Records that stay as they were, with the reason; at most 1000.
    pub skipped: Vec<SkippedRecord>,
    /// How many skipped records were left out.
    pub more_skipped: u64,
}

impl SyncReport {
    /// Builds the report of a plan. `notes` are the plan's; they include the fetch's.
    pub(super) fn from_plan(way: FetchMode, removals: Removals, notes: Vec<ReportNote>) -> Self {
        Self { way: Some(way), notes, removals, ..Self::default() }
    }

    /// Returns the report completed with what was applied, or in a dry run would be.
    pub(super) fn with_applied(&self, applied: &ApplyResult, conflicts: Vec<RaisedConflict>) -> Self {
        Self {
            way: self.way,
            // These begin with the plan's notes.
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
