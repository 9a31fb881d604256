//! The severity of findings.

use serde::Serialize;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    /// All is well, or only a person can compare it.
    Ok,
    /// It works but may not be intended, or it could not be seen from here.
    Warn,
    /// Somebody cannot sign in or receives no messages, now or soon.
    Broken,
}

impl FindingLevel {
    /// Returns the word that is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Broken => "broken",
        }
    }
}
