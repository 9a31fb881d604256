//! How a command ends: with an outcome, a usage error, or any other error.

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Exit code 0.
    Done,
    /// The command found a problem and printed it: exit code 1.
    Wrong,
}

impl CommandOutcome {
    pub(super) const fn from_success(good: bool) -> Self {
        if good { Self::Done } else { Self::Wrong }
    }
}

/// Arguments that only the configuration can prove wrong: exit code 2, as for arguments that clap
/// rejects.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);
