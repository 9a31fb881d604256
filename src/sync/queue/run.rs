//! A run as its row says, and the end that is recorded in it.

use crate::base::clock::Timestamp;
use crate::base::id::RunId;
use crate::sync::progress::ProgressSnapshot;
use crate::sync::report::{Counts, SyncReport};
use crate::sync::state::{SyncCause, SyncKind, SyncRunReason, SyncRunStatus};

/// A run as its row says.
#[derive(Debug, Clone)]
pub struct SyncRun {
    pub id: RunId,
    pub kind: SyncKind,
    pub cause: SyncCause,
    /// Whether the run only reports what it would change.
    pub dry_run: bool,
    /// Whether the run removes however much is missing.
    pub force: bool,
    pub status: SyncRunStatus,
    /// Whether every department and every member was read.
    pub complete: bool,
    /// What the run changed; a dry run, what it would have changed.
    pub counts: Counts,
    pub progress: Option<ProgressSnapshot>,
    pub report: SyncReport,
    /// Why it was refused or failed; `None` otherwise.
    pub reason: Option<SyncRunReason>,
    pub requested_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl SyncRun {
    /// Returns why it was refused or failed, in English; `None` otherwise.
    pub fn reason_text(&self) -> Option<String> {
        self.reason.as_ref().map(|reason| reason.text().en.into_owned())
    }
}

/// The end of a run, to be recorded in its row.
#[derive(Debug, Clone)]
pub struct SyncRunEnd {
    /// One of the final statuses.
    pub status: SyncRunStatus,
    /// Whether every department and every member was read.
    pub complete: bool,
    pub counts: Counts,
    pub report: SyncReport,
    /// Why the run was refused or failed; `None` otherwise.
    pub reason: Option<SyncRunReason>,
}

impl SyncRunEnd {
    pub fn failed(reason: SyncRunReason) -> Self {
        Self {
            status: SyncRunStatus::Failed,
            complete: false,
            counts: Counts::default(),
            report: SyncReport::default(),
            reason: Some(reason),
        }
    }

    /// Returns why the run was refused or failed, in English for logs; empty otherwise.
    pub(in crate::sync) fn reason_text(&self) -> String {
        self.reason.as_ref().map_or_else(String::new, |reason| reason.text().en.into_owned())
    }
}
