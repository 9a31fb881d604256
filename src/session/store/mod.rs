//! SQL of sessions.
//!
//! [`end`] ends them; [`tickets`] has what carries a sign-in to another host.

mod end;
mod hot;
mod tickets;

use std::net::IpAddr;

use sqlx::{AnyConnection, FromRow};

use super::identity::IdentityCache;
use super::{Amr, SessionMembership, SessionPerson};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, Sid, UserId};
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::directory::present::{PresentPerson, store as present};
use crate::directory::{Membership, PersonStatus};

pub(crate) use end::end_inactive;
pub use end::{SessionsToEnd, end_sessions};
pub use hot::hot_statements;
pub(crate) use tickets::{NewTicket, Ticket, delete_old_tickets, find_ticket, insert_ticket, redeem_ticket};

/// A session to be written.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub sid: Sid,
    pub person: PersonId,
    /// The session that the sign-in began with; for that session its own id.
    pub family: Sid,
    /// The host, or the cookie domain.
    pub audience: String,
    pub amr: Amr,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// The absolute limit.
    pub expires_at: Timestamp,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Cut to 200 characters.
    pub user_agent: String,
}

/// A session with its person.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub sid: Sid,
    pub person: SessionPerson,
    /// The session that the sign-in began with.
    pub family: Sid,
    /// The host, or the cookie domain.
    pub audience: String,
    pub amr: Amr,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was last used, as far as written.
    pub last_seen_at: Timestamp,
    /// The absolute limit.
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The client's address.
    pub address: String,
    pub user_agent: String,
}

/// A row of `sessions`.
#[derive(Debug, FromRow)]
struct StoredSession {
    sid: Sid,
    person_id: PersonId,
    family: Sid,
    audience: String,
    amr: Amr,
    auth_time: Timestamp,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    expires_at: Timestamp,
    ended_at: Option<Timestamp>,
    address: String,
    user_agent: String,
}

impl StoredSession {
    fn with_person(self, person: SessionPerson) -> SessionRow {
        SessionRow {
            sid: self.sid,
            person,
            family: self.family,
            audience: self.audience,
            amr: self.amr,
            auth_time: self.auth_time,
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            expires_at: self.expires_at,
            ended_at: self.ended_at,
            address: self.address,
            user_agent: self.user_agent,
        }
    }
}

impl SessionRow {
    /// Returns whether nobody ended it and its time is not over.
    pub(crate) fn is_living(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && self.expires_at > now
    }
}

impl From<PresentPerson> for SessionPerson {
    fn from(person: PresentPerson) -> Self {
        let membership = |m: Membership| SessionMembership { unit: m.unit, leader: m.leader };
        Self {
            id: person.id,
            userid: person.userid,
            name: person.name,
            email: person.email,
            active: person.status == PersonStatus::Active,
            memberships: person.memberships.into_iter().map(membership).collect(),
            identity: IdentityCache::default(),
        }
    }
}

const INSERT_SESSION: &str = "INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, \
       created_at, last_seen_at, expires_at, address, user_agent) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11)";

/// Writes a session.
///
/// # Errors
/// If the database fails.
pub async fn insert(change: &mut FeedTransaction, new: &NewSession) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now());
    let user_agent: String = new.user_agent.chars().filter(|c| !c.is_control()).take(200).collect();
    sqlx::query(INSERT_SESSION)
        .bind(&new.sid)
        .bind(corp)
        .bind(&new.person)
        .bind(&new.family)
        .bind(&new.audience)
        .bind(new.amr)
        .bind(new.auth_time)
        .bind(now)
        .bind(new.expires_at)
        .bind(new.address.map(|a| a.to_string()).unwrap_or_default())
        .bind(user_agent)
        .execute(change.tx())
        .await?;
    Ok(())
}

const FIND_SESSION: &str = "SELECT sid, person_id, family, audience, amr, auth_time, created_at, last_seen_at, \
       expires_at, ended_at, address, user_agent \
     FROM sessions WHERE corp_id = $1 AND sid = $2";

/// Returns a session, ended or not. A session of a person whom the chart does not show is none.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_session(db: &Db, corp: &CorpId, sid: &Sid) -> sqlx::Result<Option<SessionRow>> {
    let stored: Option<StoredSession> =
        sqlx::query_as(FIND_SESSION).bind(corp).bind(sid).fetch_optional(db.pool()).await?;
    let Some(stored) = stored else { return Ok(None) };
    let person = find_person(db, corp, &stored.person_id).await?;
    Ok(person.map(|person| stored.with_person(person)))
}

/// Returns the person with this id.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_person(
    db: &Db,
    corp: &CorpId,
    id: &PersonId,
) -> sqlx::Result<Option<SessionPerson>> {
    Ok(present::find_present(db, corp, id).await?.map(SessionPerson::from))
}

/// Returns the person with this userid, without regard to case.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_person_by_userid(
    db: &Db,
    corp: &CorpId,
    userid: &UserId,
) -> sqlx::Result<Option<SessionPerson>> {
    Ok(present::find_present_by_userid(db, corp, userid).await?.map(SessionPerson::from))
}

const LIST_LIVING: &str = "SELECT sid, person_id, family, audience, amr, auth_time, created_at, last_seen_at, \
       expires_at, ended_at, address, user_agent \
     FROM sessions \
     WHERE corp_id = $1 AND ended_at IS NULL AND expires_at > $2 AND last_seen_at > $3 AND sid > $4 \
       AND ($5 = '' OR person_id = $5) \
     ORDER BY sid LIMIT $6";

/// Returns the live sessions of one person or of everybody, by id after `after`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_living(
    db: &Db,
    corp: &CorpId,
    userid: Option<&UserId>,
    now: Timestamp,
    idle_since: Timestamp,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<SessionRow>> {
    let person = match userid {
        None => None,
        Some(userid) => match present::find_present_by_userid(db, corp, userid).await? {
            None => return Ok(Vec::new()),
            Some(person) => Some(person.id),
        },
    };
    let mut after = after.to_owned();
    let mut living = Vec::new();
    // A session of a person whom the chart does not show is left out, and the page is filled up.
    loop {
        let wanted = limit - i64::try_from(living.len()).unwrap_or(limit);
        let page: Vec<StoredSession> = sqlx::query_as(LIST_LIVING)
            .bind(corp)
            .bind(now)
            .bind(idle_since)
            .bind(&after)
            .bind(person.as_ref().map_or("", |id| id.as_str()))
            .bind(wanted)
            .fetch_all(db.pool())
            .await?;
        let is_last = i64::try_from(page.len()).is_ok_and(|rows| rows < wanted);
        let Some(last) = page.last() else { return Ok(living) };
        last.sid.as_str().clone_into(&mut after);
        let ids: Vec<PersonId> = page.iter().map(|stored| stored.person_id.clone()).collect();
        let persons = present::find_all_present(db, corp, &ids).await?;
        for stored in page {
            if let Some(person) = persons.get(&stored.person_id) {
                living.push(stored.with_person(person.clone().into()));
            }
        }
        if is_last || i64::try_from(living.len()).is_ok_and(|rows| rows >= limit) {
            return Ok(living);
        }
    }
}

/// Returns whether any session refers to a person, ended or not.
///
/// # Errors
/// If the database fails.
pub(crate) async fn has_sessions(tx: &mut AnyConnection, person: &PersonId) -> sqlx::Result<bool> {
    let found: Option<Sid> = sqlx::query_scalar("SELECT sid FROM sessions WHERE person_id = $1 LIMIT 1")
        .bind(person)
        .fetch_optional(tx)
        .await?;
    Ok(found.is_some())
}

/// Returns whether a person is signed in anywhere.
///
/// # Errors
/// If the database fails.
pub(crate) async fn has_living_sessions(
    tx: &mut AnyConnection,
    person: &PersonId,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let found: Option<Sid> = sqlx::query_scalar(
        "SELECT sid FROM sessions WHERE person_id = $1 AND ended_at IS NULL AND expires_at > $2 LIMIT 1",
    )
    .bind(person)
    .bind(now)
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}

const HOLD_SESSION: &str = "UPDATE sessions SET last_seen_at = last_seen_at \
     WHERE corp_id = $1 AND sid = $2 AND ended_at IS NULL AND expires_at > $3";

/// Locks a session until this change commits, and returns whether it is alive. Whoever ends it
/// waits for the commit.
///
/// # Errors
/// If the database fails.
pub(crate) async fn hold_session(change: &mut FeedTransaction, sid: &Sid) -> sqlx::Result<bool> {
    let hold = sqlx::query(HOLD_SESSION).bind(change.corp().clone()).bind(sid).bind(change.now());
    Ok(hold.execute(change.tx()).await?.rows_affected() == 1)
}

const WRITE_LAST_SEEN: &str = "UPDATE sessions SET last_seen_at = $2 WHERE sid = $1 AND last_seen_at < $2";

/// Writes when sessions were last used; never moves an instant back.
///
/// # Errors
/// If the database fails.
pub(crate) async fn write_last_seen(db: &Db, seen: &[(Sid, Timestamp)]) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    for (sid, at) in seen {
        sqlx::query(WRITE_LAST_SEEN).bind(sid).bind(*at).execute(&mut *tx).await?;
    }
    tx.commit().await
}

const DELETE_TICKETS_OF_OLD_SESSIONS: &str = "DELETE FROM tickets WHERE sid IN \
       (SELECT sid FROM sessions WHERE expires_at < $1 OR ended_at < $1 ORDER BY expires_at, sid LIMIT $2)";

/// Another replica may delete at the same time. Then this statement selects other sessions than
/// the one of the tickets, and those that still have tickets must wait.
const DELETE_OLD_SESSIONS: &str = "DELETE FROM sessions WHERE sid IN \
       (SELECT s.sid FROM sessions s WHERE (s.expires_at < $1 OR s.ended_at < $1) \
          AND NOT EXISTS (SELECT 1 FROM tickets t WHERE t.sid = s.sid) ORDER BY s.expires_at, s.sid LIMIT $2)";

/// Deletes up to `limit` sessions that expired or ended before `before`, with their tickets.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_old_sessions(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    sqlx::query(DELETE_TICKETS_OF_OLD_SESSIONS).bind(before).bind(limit).execute(&mut *tx).await?;
    let deleted = sqlx::query(DELETE_OLD_SESSIONS).bind(before).bind(limit).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected())
}
