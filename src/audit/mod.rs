//! The audit trail: who did what, when, from where, and what was decided. Append-only, kept for 180
//! days.
//!
//! A row is written in the transaction of the action itself, so that neither exists without the
//! other. There are three exceptions: denials of the gate come later, through a queue that drops
//! what it cannot hold; refused links of messages and the counts of refusals have nothing else to
//! write. No row holds a secret, code or token; [`AuditEntry::detail`] is a code, a rule's text or a
//! count. Refusals that anybody can cause pass the [`RefusalLimiter`] first. See [design:
//! audit](crate::design#audit).

mod limit;
mod refusal_trail;
pub(crate) mod store;

pub(crate) use self::limit::RefusalLimiter;
pub(crate) use self::refusal_trail::{RefusalTrail, jobs};

use std::net::IpAddr;

use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, PersonId, UserId};
use crate::db::types::column_enum;

pub(crate) const AUDIT_RETENTION: std::time::Duration = std::time::Duration::from_secs(180 * 24 * 3600);

column_enum! {
    /// The event of an entry, as the table and `gongpai audit` have it.
    pub enum AuditEvent {
        /// A sign-in, allowed or refused.
        SignIn = "sign-in",
        /// A session was handed to another application host.
        HandOff = "hand-off",
        /// The person signed out.
        SignOut = "sign-out",
        /// An administrator or an API client ended sessions.
        Revoke = "revoke",
        /// Sessions ended because the person is no longer active in WeCom.
        Recheck = "recheck",
        /// The gate refused a request of somebody who is signed in.
        Gate = "gate",
        /// A new signing key was made.
        KeyRotate = "key-rotate",
        /// Somebody made, changed or removed a local unit or person.
        Directory = "directory",
        /// Somebody decided whether two persons are one.
        Conflict = "conflict",
        /// A userid in rules was given to its new holder.
        Rules = "rules",
        /// Somebody asked for a synchronisation, or it was refused because it would remove too much.
        Sync = "sync",
        /// Somebody sent, retried, discarded or recalled a message by hand, or opened a message's
        /// link that is not for them.
        Message = "message",
    }
}

column_enum! {
    /// What was decided.
    pub enum AuditDecision {
        Allowed = "allowed",
        Refused = "refused",
        /// Somebody who may do it did it.
        Done = "done",
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Actor {
    /// Somebody at the command line of the server.
    Cli,
    /// Somebody who imports a table at the command line of the server.
    Import,
    /// An application, through the API.
    Client(ClientId),
    /// An administrator in the console.
    Admin(UserId),
    /// The gateway: by its own jobs, or for the person concerned, who asked for nothing else.
    #[default]
    System,
}

impl Actor {
    /// Signs what was done: `… , by command line`. The gateway signs nothing.
    pub fn sign(&self, event: AuditEvent, deed: &str) -> String {
        let by = match self {
            Self::Cli => "by command line".to_owned(),
            Self::Import => "by import".to_owned(),
            // Rows of runs have always had the article, and people search the trail by its words.
            Self::Client(id) if event == AuditEvent::Sync => format!("by the API client {id}"),
            Self::Client(id) => format!("by API client {id}"),
            Self::Admin(userid) => format!("by administrator {userid}"),
            Self::System => return deed.to_owned(),
        };
        if deed.is_empty() { by } else { format!("{deed}, {by}") }
    }
}

/// An entry to be written.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    pub event: AuditEvent,
    pub actor: Actor,
    /// The person concerned, if known.
    pub person: Option<PersonId>,
    /// The userid, if known; else empty.
    pub userid: String,
    pub address: Option<IpAddr>,
    /// The host, with its port if that matters.
    pub host: String,
    pub decision: AuditDecision,
    /// A code, the rule that decided, what was done, or a count. The actor signs it when it is
    /// written.
    pub detail: String,
    pub request_id: String,
}

impl AuditEntry {
    /// Says what an actor did. The person concerned, the address and the request are not known.
    pub(crate) const fn of_deed(actor: Actor, event: AuditEvent, deed: String) -> Self {
        Self {
            event,
            actor,
            person: None,
            userid: String::new(),
            address: None,
            host: String::new(),
            decision: AuditDecision::Done,
            detail: deed,
            request_id: String::new(),
        }
    }

    /// Adds the person concerned, if there is one.
    #[must_use]
    pub(crate) fn about(self, whom: Option<(PersonId, UserId)>) -> Self {
        let (person, userid) = whom.map_or((None, String::new()), |(p, u)| (Some(p), u.as_str().to_owned()));
        Self { person, userid, ..self }
    }
}

/// A row of the trail.
#[derive(Debug, Clone, serde::Serialize, sqlx::FromRow)]
pub struct AuditRow {
    #[serde(skip)]
    pub id: String,
    pub at: Timestamp,
    /// The word of an [`AuditEvent`]; another one if a newer version wrote the row.
    pub event: String,
    /// The userid of the person concerned; empty if unknown.
    pub userid: String,
    /// The client's address; empty if unknown.
    pub address: String,
    pub host: String,
    /// The word of an [`AuditDecision`].
    pub decision: String,
    /// A code, the rule that decided, what was done and by whom, or a count.
    pub detail: String,
    pub request_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_acts_by_hand_signs_and_the_gateway_does_not() {
        for (actor, signed) in [
            (Actor::Cli, "3 sessions, by command line"),
            (Actor::Import, "3 sessions, by import"),
            (Actor::Client(ClientId::new("hr")), "3 sessions, by API client hr"),
            (Actor::Admin(UserId::new("ZhangSan")), "3 sessions, by administrator ZhangSan"),
            (Actor::System, "3 sessions"),
        ] {
            assert_eq!(actor.sign(AuditEvent::Revoke, "3 sessions"), signed);
        }
        assert_eq!(Actor::Cli.sign(AuditEvent::KeyRotate, ""), "by command line");
        let client = Actor::Client(ClientId::new("hr"));
        assert_eq!(client.sign(AuditEvent::Sync, "update run r"), "update run r, by the API client hr");
    }
}
