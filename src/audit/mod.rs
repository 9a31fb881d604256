//! The audit trail: who did what, when, from where, and what was decided. Append-only, kept for 180
//! days.
//!
//! A row is written in the transaction of the action itself, so that neither exists without the
//! other. There are four exceptions: denials of the gate come later, through a queue that drops
//! what it cannot hold; refused links of messages and the counts of refusals have nothing else to
//! write; and `gongpai send` writes its row after the message is accepted. No row holds a secret, code or token; [`AuditEntry::detail`] is a code, a rule's text or
//! a count. Refusals that anybody can cause pass the [`RefusalLimiter`] first. See [design:
//! audit](crate::design#audit).

mod limit;
mod refusal_trail;
pub(crate) mod store;

pub(crate) use self::limit::RefusalLimiter;
pub(crate) use self::refusal_trail::{RefusalTrail, jobs};

use std::net::IpAddr;

use crate::base::clock::Timestamp;
use crate::base::id::PersonId;

pub(crate) const AUDIT_RETENTION: std::time::Duration = std::time::Duration::from_secs(180 * 24 * 3600);

/// The event of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// A sign-in, allowed or refused.
    SignIn,
    /// A session was handed to another application host.
    HandOff,
    /// The person signed out.
    SignOut,
    /// An administrator or an API client ended sessions.
    Revoke,
    /// Sessions ended because the person is no longer active in WeCom.
    Recheck,
    /// The gate refused a request of somebody who is signed in.
    Gate,
    /// A new signing key was made.
    KeyRotate,
    /// Somebody made, changed or removed a local unit or person.
    Directory,
    /// Somebody decided whether two persons are one.
    Conflict,
    /// A userid in rules was given to its new holder.
    Rules,
    /// Somebody asked for a synchronisation, or it was refused because it would remove too much.
    Sync,
    /// Somebody sent, retried, discarded or recalled a message by hand, or opened a message's link
    /// that is not for them.
    Message,
}

impl AuditEvent {
    /// Returns the word of the table and of `gongpai audit`.
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

/// An entry to be written.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    pub event: AuditEvent,
    /// The person concerned, if known.
    pub person: Option<PersonId>,
    /// The userid, if known; else empty.
    pub userid: String,
    pub address: Option<IpAddr>,
    /// The host, with its port if that matters.
    pub host: String,
    /// `allowed`, `refused` or `done`.
    pub decision: &'static str,
    /// A code, the rule that decided, or a count.
    pub detail: String,
    pub request_id: String,
}

/// A row of the trail.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditRow {
    pub at: Timestamp,
    /// The word of [`AuditEvent::as_str`].
    pub event: String,
    /// The userid of the person concerned; empty if unknown.
    pub userid: String,
    /// The client's address; empty if unknown.
    pub address: String,
    pub host: String,
    /// `allowed`, `refused` or `done`.
    pub decision: String,
    /// A code, the rule that decided, or a count.
    pub detail: String,
    pub request_id: String,
}
