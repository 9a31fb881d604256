//! Who did what, when, from where, and what was decided: append-only, 180 days.
//!
//! A row is written in the transaction of the deed itself, so that neither exists without the other. The rows
//! carry no secret, code or token; [`Entry::detail`] is a code, a rule's text or a count. Refusals that anybody can cause
//! pass [`RefusalLimiter`] first.

mod limit;
pub mod store;

pub use self::limit::RefusalLimiter;

use std::net::IpAddr;

use crate::base::clock::Timestamp;
use crate::base::id::PersonId;

/// How long rows are kept.
pub const AUDIT_RETENTION: std::time::Duration = std::time::Duration::from_secs(180 * 24 * 3600);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// A sign-in, let in or refused.
    SignIn,
    /// A session handed to another application host.
    HandOff,
    /// A sign-out by the person.
    SignOut,
    /// Sessions ended by an administrator or an API client.
    Revoke,
    /// Sessions ended because WeCom says the person is not active.
    Recheck,
    /// A request refused at the gate to somebody signed in.
    Gate,
    /// A new signing key.
    KeyRotate,
    /// A local unit or person made, changed or removed by hand.
    Directory,
    /// Somebody decided whether two persons are one.
    Conflict,
    /// A userid in rules was given to its new holder.
    Rules,
    /// A synchronisation asked for by somebody, or refused because it would remove too much.
    Sync,
    /// A message sent, retried, buried or recalled by hand, or its link opened by somebody it is not for.
    Message,
}

impl AuditEvent {
    /// As the table and `gongpai audit` write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::HandOff => "hand-off",
            Self::SignOut => "sign-out",
            Self::Revoke => "revoke",
            Self::Recheck => "recheck",
            Self::Gate => "gate",
            Self::KeyRotate => "key-rotate",
            Self::Directory => "directory",
            Self::Conflict => "conflict",
            Self::Rules => "rules",
            Self::Sync => "sync",
            Self::Message => "message",
        }
    }
}

/// One row to be written.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// What happened.
    pub event: AuditEvent,
    /// Our id of whom it concerns, if known.
    pub person: Option<PersonId>,
    /// The userid, if known.
    pub userid: String,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The host, with its port if that matters.
    pub host: String,
    /// `allowed`, `refused`, `done`.
    pub decision: &'static str,
    /// A code, the rule that decided, a count.
    pub detail: String,
    /// The request's id.
    pub request_id: String,
}

/// One row read back.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// What, see [`Event::as_str`].
    pub event: String,
    /// Whom it concerns; empty if unknown.
    pub userid: String,
    /// From where; empty if unknown.
    pub address: String,
    /// On which host.
    pub host: String,
    /// `allowed`, `refused`, `done`.
    pub decision: String,
    /// A code, the rule that decided, a count.
    pub detail: String,
    /// The request's id.
    pub request_id: String,
}
