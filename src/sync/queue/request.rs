//! Requests for a run: who asks, for what, and how two requests become one.

use crate::sync::state::{SyncCause, SyncKind};

/// A run to be requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    pub kind: SyncKind,
    pub cause: SyncCause,
    /// Whether the run only reports what it would change.
    pub dry_run: bool,
    /// Whether the run removes however much is missing.
    pub force: bool,
}

/// Combines a queued run and a new request into one that is at least as thorough as both, so that
/// nobody gets less than they requested.
pub(crate) const fn combine_requests(waiting: (SyncKind, bool), asked: (SyncKind, bool)) -> (SyncKind, bool) {
    let kind = match (waiting.0, asked.0) {
        (SyncKind::Update, SyncKind::Update) => SyncKind::Update,
        _ => SyncKind::Full,
    };
    (kind, waiting.1 || asked.1)
}
