//! The states of a run, and the words and codes that its row stores.
//!
//! | from | what happens | to |
//! |---|---|---|
//! | – | a request, while none is queued | queued |
//! | queued | another request; kind and force become the stronger of both | queued |
//! | queued | a process claims the run, while none is running | running |
//! | running | its process stops and no other run is queued | queued |
//! | running | the plan is published, or a dry run is reported | done |
//! | running | the plan removes more than `directory.max_removals` | refused |
//! | running | anything else ends it: an error, a stop, an interruption, a lapsed lease | failed |
//!
//! Done, refused and failed are final; such a row only gets deleted. Two unique indexes keep at most
//! one run of a corporation running and one queued (a dry run may be queued besides). Why a run was
//! refused or failed is a [`SyncRunReason`] in the row; the sentence is made when it is shown
//! (`words`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::plan::ExcessiveRemovals;
use crate::audit::Actor;
use crate::base::id::{ClientId, UserId};
use crate::db::types::column_enum;

column_enum! {
    /// Where a run stands.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum SyncRunStatus {
        Queued = "queued",
        /// A process works on it.
        Running = "running",
        Done = "done",
        /// It would have removed too much; nothing was written.
        Refused = "refused",
        /// It stopped before the end; nothing was published.
        Failed = "failed",
    } else Failed
}

column_enum! {
    /// How thoroughly a run reads and compares.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum SyncKind {
        /// Brings the chart up to date; reads tags only where they are few (`wecom.sync_cron`).
        Update = "update",
        /// Reads everything again and compares every field (`wecom.force_sync_cron`).
        Full = "full",
    } else Full
}

column_enum! {
    /// The column `cause`; the client of an API request has a column of its own.
    pub(crate) enum SyncCauseKind {
        Cron = "cron",
        Api = "api",
        CommandLine = "command",
        FirstStart = "start",
        KilledRun = "again",
    }
}

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
    /// The word of a newer version.
    Unknown(String),
}

/// Why a run was refused or failed. The row stores it as JSON with its `code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum SyncRunReason {
    /// The lease ran out: the process ended without a word.
    ProcessKilled,
    /// The process stopped, and the queued run took over the work.
    ProcessStopped,
    /// Somebody pressed Ctrl-C at the command line.
    Interrupted,
    /// `wecom.enable` is false.
    WecomDisabled,
    KeyMissing {
        /// As it is written, `wecom.corp_id`.
        key: String,
    },
    /// Nothing useful could be read of WeCom's directory.
    Unread {
        part: FetchPart,
        /// The configuration key of the secret that was used.
        secret: String,
        /// The errcode, if WeCom gave one.
        errcode: Option<i64>,
        /// What happened, in the words of a log.
        error: String,
    },
    /// The plan removes more than `directory.max_removals`.
    ExcessiveRemovals(ExcessiveRemovals),
    /// The plan no longer fitted.
    Overtaken(InterveningChange),
    PlannerFailed {
        error: String,
    },
    DatabaseFailed {
        error: String,
    },
    /// A newer version wrote it.
    Unknown {
        /// The column as it is.
        text: String,
    },
}

/// The part of WeCom's directory without which a fetch is useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchPart {
    /// The departments that the secret sees.
    Departments,
    /// The departments of the whole company, which only the contacts secret sees.
    CompanyDepartments,
    /// The ids of all members.
    MemberIds,
}

/// A change that came between a plan and its publication, so that the plan no longer fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "change", content = "userid", rename_all = "snake_case")]
pub enum InterveningChange {
    #[error("person {0} was merged into another one")]
    Merged(UserId),
    #[error("person {0} came back")]
    Returned(UserId),
    #[error("somebody signed in as {0}")]
    SignedIn(UserId),
}

impl SyncRunStatus {
    /// Returns whether the status no longer changes.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Done | Self::Refused | Self::Failed => true,
        }
    }
}

impl SyncCause {
    /// Makes a cause of its two columns.
    pub(super) fn from_columns(word: String, client: Option<ClientId>) -> Self {
        match SyncCauseKind::parse(&word) {
            Some(SyncCauseKind::Cron) => Self::Cron,
            Some(SyncCauseKind::Api) => Self::Api(client.unwrap_or_else(|| ClientId::new(""))),
            Some(SyncCauseKind::CommandLine) => Self::CommandLine,
            Some(SyncCauseKind::FirstStart) => Self::FirstStart,
            Some(SyncCauseKind::KilledRun) => Self::KilledRun,
            None => Self::Unknown(word),
        }
    }

    /// Returns the word of the column `cause`.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Cron => SyncCauseKind::Cron.as_str(),
            Self::Api(_) => SyncCauseKind::Api.as_str(),
            Self::CommandLine => SyncCauseKind::CommandLine.as_str(),
            Self::FirstStart => SyncCauseKind::FirstStart.as_str(),
            Self::KilledRun => SyncCauseKind::KilledRun.as_str(),
            Self::Unknown(word) => word,
        }
    }

    pub(super) const fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Api(client) => Some(client),
            Self::Cron | Self::CommandLine | Self::FirstStart | Self::KilledRun | Self::Unknown(_) => None,
        }
    }

    /// Returns who requested the run; the gateway itself if no human or client did.
    pub(super) fn actor(&self) -> Actor {
        match self {
            Self::Api(client) => Actor::Client(client.clone()),
            Self::CommandLine => Actor::Cli,
            Self::Cron | Self::FirstStart | Self::KilledRun | Self::Unknown(_) => Actor::System,
        }
    }
}

impl SyncRunReason {
    /// Reads the column `reason`. What only a newer version can read is kept as it is.
    pub(super) fn from_column(text: String) -> Self {
        serde_json::from_str(&text).unwrap_or(Self::Unknown { text })
    }
}

impl fmt::Display for FetchPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Departments => "the list of departments",
            Self::CompanyDepartments => "the company's list of departments",
            Self::MemberIds => "the list of ids",
        })
    }
}

impl fmt::Display for SyncCause {
    /// Writes the word, and the client of an API request after it: `api:hr`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        self.client().map_or(Ok(()), |client| write!(f, ":{client}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_comes_back_from_its_columns() {
        for word in SyncCauseKind::ALL.iter().map(|kind| kind.as_str()).chain(["moon"]) {
            let client = (word == SyncCauseKind::Api.as_str()).then(|| ClientId::new("hr"));
            let cause = SyncCause::from_columns(word.to_owned(), client.clone());
            assert_eq!((cause.as_str(), cause.client()), (word, client.as_ref()));
            assert_eq!(matches!(cause, SyncCause::Unknown(_)), word == "moon");
        }
        assert_eq!(SyncCause::Api(ClientId::new("hr")).to_string(), "api:hr");
    }

    #[test]
    fn a_reason_is_stored_by_a_code_with_its_values() {
        let stored = |reason: &SyncRunReason| serde_json::to_value(reason).unwrap();
        let unread = SyncRunReason::Unread {
            part: FetchPart::MemberIds,
            secret: "wecom.app_secret".to_owned(),
            errcode: Some(40001),
            error: "no\0 ids".to_owned(),
        };
        assert_eq!(
            stored(&unread),
            serde_json::json!({"code": "unread", "part": "member_ids", "secret": "wecom.app_secret",
                "errcode": 40001, "error": "no\0 ids"})
        );
        // PostgreSQL stores no NUL in a text, and WeCom's words may contain anything.
        assert!(!serde_json::to_string(&unread).unwrap().contains('\0'));
        let overtaken = SyncRunReason::Overtaken(InterveningChange::SignedIn(UserId::new("b")));
        assert_eq!(
            stored(&overtaken),
            serde_json::json!({"code": "overtaken", "change": "signed_in", "userid": "b"})
        );
        for reason in [unread, overtaken, SyncRunReason::ProcessKilled] {
            assert_eq!(serde_json::from_value::<SyncRunReason>(stored(&reason)).unwrap(), reason);
        }
    }
}
