//! Requests for a run: who asks, for what, and how two requests become one.

use crate::base::id::ClientId;
use crate::sync::remote::SyncKind;

/// Who or what requested a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncCause {
    Cron,
    /// An application, through the API.
    Api(ClientId),
    CommandLine,
    /// The first start of an installation: there was no chart yet.
    FirstStart,
    /// The replacement of a run whose process was killed.
    KilledRun,
}

impl SyncCause {
    /// Returns the word that the table stores; for an API client, with its id.
    pub fn as_text(&self) -> String {
        match self {
            Self::Cron => "cron".to_owned(),
            Self::Api(client) => format!("api:{client}"),
            Self::CommandLine => "command".to_owned(),
            Self::FirstStart => "start".to_owned(),
            Self::KilledRun => "again".to_owned(),
        }
    }

    /// Returns who requested the run, for the audit trail; `None` if no human or client did.
    pub(super) fn requester(&self) -> Option<String> {
        match self {
            Self::Api(client) => Some(format!("by the API client {client}")),
            Self::CommandLine => Some("by command line".to_owned()),
            Self::Cron | Self::FirstStart | Self::KilledRun => None,
        }
    }
}

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
