//! A run as its row says, and the end that is recorded in it.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::base::clock::Timestamp;
use crate::base::id::RunId;
use crate::sync::progress::ProgressSnapshot;
use crate::sync::remote::SyncKind;
use crate::sync::report::{Counts, SyncReport};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncRunStatus {
    Queued,
    /// A process works on it.
    Running,
    Done,
    /// It would have removed too much; nothing was written.
    Refused,
    /// It stopped before the end; nothing was published.
    Failed,
}

impl SyncRunStatus {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Refused, Self::Failed];

    /// Returns the word used in tables and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Parses the table's word; an unknown word counts as failed.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Failed)
    }

    /// Returns whether the status no longer changes.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// A run as its row says. It serialises as the API shows it ([design: API
/// shapes](crate::design#api-shapes)).
#[derive(Debug, Clone)]
pub struct SyncRun {
    pub id: RunId,
    pub kind: SyncKind,
    /// Who requested it, as [`SyncCause::as_text`](super::SyncCause::as_text) writes it.
    pub cause: String,
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
    /// Why it was refused or failed; empty otherwise.
    pub reason: String,
    pub requested_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Serialize for SyncRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Run", 9)?;
        object.serialize_field("id", &self.id)?;
        object.serialize_field("kind", &self.kind)?;
        object.serialize_field("status", &self.status)?;
        object.serialize_field("complete", &self.complete)?;
        object.serialize_field("counts", &self.counts)?;
        object.serialize_field("conflicts", &self.report.conflicts)?;
        object.serialize_field("reason", &Some(self.reason.as_str()).filter(|reason| !reason.is_empty()))?;
        object.serialize_field("started_at", &self.started_at)?;
        object.serialize_field("finished_at", &self.finished_at)?;
        object.end()
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
    /// Why the run was refused or failed; empty otherwise.
    pub reason: String,
}

impl SyncRunEnd {
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            status: SyncRunStatus::Failed,
            complete: false,
            counts: Counts::default(),
            report: SyncReport::default(),
            reason: reason.into(),
        }
    }
}
