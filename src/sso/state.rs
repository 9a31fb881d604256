//! The states of a sign-in attempt, whose row the first callback writes.
//!
//! | from | when | to |
//! |---|---|---|
//! | – | the first callback comes with a good state and cookie | [`Claimed`](AttemptState::Claimed) |
//! | claimed | WeCom's answer lets the person in | [`SignedIn`](AttemptState::SignedIn) |
//! | claimed | WeCom's answer does not | [`Refused`](AttemptState::Refused) |
//! | claimed | the process died, or the database was away | stays claimed; whoever waits gives up in time |
//!
//! The first result stays: a statement that finishes an attempt changes a claimed one only.

use sqlx::FromRow;

use super::error::RecordedFailure;
use crate::base::clock::Timestamp;
use crate::base::id::Sid;
use crate::http::words::Code;

/// An attempt whose code came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The SHA-256 of the code, in hex.
    pub code_hash: String,
    /// The time of its first callback.
    pub claimed_at: Timestamp,
    pub state: AttemptState,
}

/// How far an attempt has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptState {
    /// Its first callback has not ended.
    Claimed,
    /// It led to a session.
    SignedIn {
        sid: Sid,
        /// The page to which it led.
        target: String,
    },
    /// It was refused.
    Refused(RecordedFailure),
}

/// A row of `attempts`.
#[derive(Debug, FromRow)]
pub(super) struct AttemptRow {
    code_hash: String,
    claimed_at: Timestamp,
    sid: Option<Sid>,
    target: Option<String>,
    failure: Option<String>,
    failure_errcode: Option<i64>,
    failure_address: Option<String>,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        let state = match (row.sid, row.failure) {
            (Some(sid), _) => AttemptState::SignedIn { sid, target: row.target.unwrap_or_default() },
            (None, Some(code)) => AttemptState::Refused(RecordedFailure {
                // A newer version may write a code that this one does not have.
                code: Code::ALL.iter().copied().find(|c| c.as_str() == code).unwrap_or(Code::Internal),
                errcode: row.failure_errcode,
                address: row.failure_address.and_then(|address| address.parse().ok()),
            }),
            (None, None) => AttemptState::Claimed,
        };
        Self { code_hash: row.code_hash, claimed_at: row.claimed_at, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> AttemptRow {
        AttemptRow {
            code_hash: "c".to_owned(),
            claimed_at: Timestamp::from_millis(5),
            sid: None,
            target: None,
            failure: None,
            failure_errcode: None,
            failure_address: None,
        }
    }

    fn state(row: AttemptRow) -> AttemptState {
        Attempt::from(row).state
    }

    #[test]
    fn a_row_without_a_result_is_claimed_and_a_session_counts_more_than_a_failure() {
        assert_eq!(state(row()), AttemptState::Claimed);
        let both = AttemptRow {
            sid: Some(Sid::new("s")),
            target: Some("/x".to_owned()),
            failure: Some("signin.code_used".to_owned()),
            ..row()
        };
        assert_eq!(state(both), AttemptState::SignedIn { sid: Sid::new("s"), target: "/x".to_owned() });
    }

    #[test]
    fn a_failure_comes_back_with_its_parts_and_an_unknown_code_is_internal() {
        for code in Code::ALL {
            let refused = AttemptRow {
                failure: Some(code.as_str().to_owned()),
                failure_errcode: Some(60020),
                failure_address: Some("203.0.113.9".to_owned()),
                ..row()
            };
            let failure = RecordedFailure {
                code: *code,
                errcode: Some(60020),
                address: Some("203.0.113.9".parse().unwrap()),
            };
            assert_eq!(state(refused), AttemptState::Refused(failure));
        }
        let newer = AttemptRow { failure: Some("signin.of_tomorrow".to_owned()), ..row() };
        let internal = RecordedFailure { code: Code::Internal, errcode: None, address: None };
        assert_eq!(state(newer), AttemptState::Refused(internal));
    }
}
