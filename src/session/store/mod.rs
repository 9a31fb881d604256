//! SQL of sessions.
//!
//! [`end`] ends them; [`tickets`] has what carries a sign-in to another host.

mod end;
mod hot;
mod tickets;

use std::net::IpAddr;

use sqlx::FromRow;

use super::identity::IdentityCache;
use super::{Amr, SessionMembership, SessionPerson};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, Sid, UserId};
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::directory::row::parse_memberships;
use crate::directory::{self, PersonStatus};

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

/// A session row with its person.
#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    pub sid: Sid,
    #[sqlx(flatten, try_from = "SessionPersonRow")]
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

impl SessionRow {
    /// Returns whether nobody ended it and its time is not over.
    pub(crate) fn is_living(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && self.expires_at > now
    }
}

/// What checks need of a row of `person_rows`.
#[derive(Debug, FromRow)]
struct SessionPersonRow {
    person_id: PersonId,
    userid: UserId,
    name: String,
    email: String,
    status: String,
    memberships: String,
}

impl TryFrom<SessionPersonRow> for SessionPerson {
    type Error = sqlx::Error;

    fn try_from(row: SessionPersonRow) -> sqlx::Result<Self> {
        let memberships = parse_memberships(&row.memberships)?.into_iter();
        Ok(Self {
            id: row.person_id,
            userid: row.userid,
            name: row.name,
            email: row.email,
            active: PersonStatus::parse(&row.status) == PersonStatus::Active,
            memberships: memberships.map(|m| SessionMembership { unit: m.unit, leader: m.leader }).collect(),
            identity: IdentityCache::default(),
        })
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

const FIND_SESSION: &str = "SELECT s.sid, s.family, s.audience, s.amr, s.auth_time, s.created_at, s.last_seen_at, \
       s.expires_at, s.ended_at, s.address, s.user_agent, \
       v.person_id, v.userid, v.name, v.email, v.status, v.memberships \
     FROM sessions s JOIN person_rows v ON v.person_id = s.person_id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE s.corp_id = $1 AND s.sid = $2";

/// Returns a session, ended or not.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_session(db: &Db, corp: &CorpId, sid: &Sid) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query_as(FIND_SESSION).bind(corp).bind(sid).fetch_optional(db.pool()).await
}

const FIND_PERSON: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships \
     FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.person_id = $2";

/// Returns the person with this id.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_person(
    db: &Db,
    corp: &CorpId,
    id: &PersonId,
) -> sqlx::Result<Option<SessionPerson>> {
    let row: Option<SessionPersonRow> =
        sqlx::query_as(FIND_PERSON).bind(corp).bind(id).fetch_optional(db.pool()).await?;
    row.map(SessionPerson::try_from).transpose()
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
    let id = directory::store::find_person_by_userid(db, corp, userid).await?.map(|person| person.id);
    match id {
        Some(id) => find_person(db, corp, &id).await,
        None => Ok(None),
    }
}

const COUNT_CHANGED_PERSONS: &str = "SELECT COUNT(*) FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.since > $2";

/// Returns the number of persons whose row is newer than `version`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_changed_persons(db: &Db, corp: &CorpId, version: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar(COUNT_CHANGED_PERSONS).bind(corp).bind(version).fetch_one(db.pool()).await
}

const LIST_CHANGED_PERSONS: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships \
     FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.since > $2 AND v.person_id > $3 ORDER BY v.person_id LIMIT $4";

/// Returns up to `limit` persons whose row is newer than `version`, by id after `after`.
///
/// Parses only those for whom `wanted` is true. The second value is the id to continue from.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_changed_persons(
    db: &Db,
    corp: &CorpId,
    version: i64,
    after: &str,
    limit: i64,
    wanted: impl Fn(&PersonId) -> bool,
) -> sqlx::Result<(Vec<SessionPerson>, Option<String>)> {
    let rows: Vec<SessionPersonRow> = sqlx::query_as(LIST_CHANGED_PERSONS)
        .bind(corp)
        .bind(version)
        .bind(after)
        .bind(limit)
        .fetch_all(db.pool())
        .await?;
    let more = i64::try_from(rows.len()).is_ok_and(|n| n == limit);
    let last = rows.last().filter(|_| more).map(|row| row.person_id.as_str().to_owned());
    let wanted_rows = rows.into_iter().filter(|row| wanted(&row.person_id));
    Ok((wanted_rows.map(SessionPerson::try_from).collect::<sqlx::Result<_>>()?, last))
}

const LIST_LIVING: &str = "SELECT s.sid, s.family, s.audience, s.amr, s.auth_time, s.created_at, s.last_seen_at, \
       s.expires_at, s.ended_at, s.address, s.user_agent, \
       v.person_id, v.userid, v.name, v.email, v.status, v.memberships \
     FROM sessions s JOIN person_rows v ON v.person_id = s.person_id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE s.corp_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $3 \
       AND s.sid > $4 AND ($5 = '' OR lower(v.userid) = lower($5)) ORDER BY s.sid LIMIT $6";

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
    sqlx::query_as(LIST_LIVING)
        .bind(corp)
        .bind(now)
        .bind(idle_since)
        .bind(after)
        .bind(userid.map_or("", |u| u.as_str()))
        .bind(limit)
        .fetch_all(db.pool())
        .await
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
