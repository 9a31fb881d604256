//! SQL that ends sessions, and announces it in the same transaction.
//!
//! A hand-off locks the session that it starts from until it commits. So each statement here runs
//! twice: the second one has a snapshot of its own on PostgreSQL, and sees the sessions that the
//! first one waited for.

use const_format::formatcp;

use crate::base::id::{PersonId, Sid};
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::directory::PersonStatus;
use crate::session::SessionEndReason;

/// Which sessions to end.
#[derive(Debug, Clone)]
pub enum SessionsToEnd<'a> {
    One(&'a Sid),
    /// All sessions that one sign-in led to.
    Family(&'a Sid),
    /// All sessions of one person.
    Person(&'a PersonId),
    All,
}

const END_ALL: &str = "UPDATE sessions SET ended_at = $2, end_reason = $3 \
     WHERE corp_id = $1 AND ended_at IS NULL AND expires_at > $2";

pub(super) const END_ONE: &str = "UPDATE sessions SET ended_at = $2, end_reason = $3 \
     WHERE corp_id = $1 AND sid = $4 AND ended_at IS NULL AND expires_at > $2 RETURNING sid";

pub(super) const END_FAMILY: &str = "UPDATE sessions SET ended_at = $2, end_reason = $3 \
     WHERE corp_id = $1 AND family = $4 AND ended_at IS NULL AND expires_at > $2 RETURNING sid";

pub(super) const END_PERSON: &str = "UPDATE sessions SET ended_at = $2, end_reason = $3 \
     WHERE corp_id = $1 AND person_id = $4 AND ended_at IS NULL AND expires_at > $2 RETURNING sid";

/// Ends sessions and announces it. Returns how many were alive.
///
/// # Errors
/// If the database fails.
pub async fn end_sessions(
    change: &mut FeedTransaction,
    which: &SessionsToEnd<'_>,
    reason: SessionEndReason,
) -> sqlx::Result<u64> {
    let (statement, id) = match which {
        SessionsToEnd::One(sid) => (END_ONE, sid.as_str()),
        SessionsToEnd::Family(family) => (END_FAMILY, family.as_str()),
        SessionsToEnd::Person(person) => (END_PERSON, person.as_str()),
        SessionsToEnd::All => return end_all(change, reason).await,
    };
    let (corp, now) = (change.corp().clone(), change.now());
    let mut ended = 0;
    for _ in 0..2 {
        let end = sqlx::query_scalar(statement).bind(&corp).bind(now).bind(reason).bind(id);
        let sids: Vec<String> = end.fetch_all(change.tx()).await?;
        for sid in sids {
            change.announce(FeedKind::Session, sid);
            ended += 1;
        }
    }
    Ok(ended)
}

async fn end_all(change: &mut FeedTransaction, reason: SessionEndReason) -> sqlx::Result<u64> {
    let (corp, now) = (change.corp().clone(), change.now());
    let mut ended = 0;
    for _ in 0..2 {
        let end = sqlx::query(END_ALL).bind(&corp).bind(now).bind(reason);
        ended += end.execute(change.tx()).await?.rows_affected();
    }
    change.announce(FeedKind::Sessions, "");
    Ok(ended)
}

/// Up to this many ended sessions are announced one by one. Beyond it every replica reads
/// everything again.
const MAX_SINGLE_ANNOUNCEMENTS: usize = 500;

/// The one place where a session's reason follows from a row of the directory; an unknown status
/// counts as left.
pub(super) const END_INACTIVE: &str = formatcp!(
    "UPDATE sessions SET ended_at = $2, end_reason = \
       (SELECT CASE MIN(v.status) WHEN '{DISABLED}' THEN '{DISABLED_REASON}' \
                                  WHEN '{INACTIVE}' THEN '{INACTIVE_REASON}' ELSE '{LEFT_REASON}' END \
        FROM person_rows v WHERE v.person_id = sessions.person_id AND v.until = 9223372036854775807 AND v.since = $3) \
     WHERE corp_id = $1 AND ended_at IS NULL AND expires_at > $2 AND person_id IN \
       (SELECT v.person_id FROM person_rows v WHERE v.corp_id = $1 AND v.since = $3 AND v.status <> '{ACTIVE}') \
     RETURNING sid",
    ACTIVE = PersonStatus::Active.as_str(),
    DISABLED = PersonStatus::Disabled.as_str(),
    INACTIVE = PersonStatus::Inactive.as_str(),
    DISABLED_REASON = SessionEndReason::Disabled.as_str(),
    INACTIVE_REASON = SessionEndReason::Inactive.as_str(),
    LEFT_REASON = SessionEndReason::Left.as_str(),
);

/// Ends the sessions of everybody who may not sign in by the rows that begin with `version`, and
/// announces it. Returns how many were alive.
///
/// # Errors
/// If the database fails.
pub(crate) async fn end_inactive(change: &mut FeedTransaction, version: i64) -> sqlx::Result<usize> {
    let (corp, now) = (change.corp().clone(), change.now());
    let mut ended: Vec<String> = Vec::new();
    for _ in 0..2 {
        let end = sqlx::query_scalar(END_INACTIVE).bind(&corp).bind(now).bind(version);
        let sids: Vec<String> = end.fetch_all(change.tx()).await?;
        ended.extend(sids);
    }
    let count = ended.len();
    if count > MAX_SINGLE_ANNOUNCEMENTS {
        change.announce(FeedKind::Sessions, "");
    } else {
        ended.into_iter().for_each(|sid| change.announce(FeedKind::Session, sid));
    }
    Ok(count)
}
