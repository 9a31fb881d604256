//! SQL of sessions.

use std::net::IpAddr;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::identity::IdentityCache;
use super::{Amr, SessionMembership, SessionPerson};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, Sid, UserId};
use crate::db::Db;
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::directory;
use crate::directory::row::published;

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

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.sid, s.family, s.audience, s.amr, s.auth_time, s.created_at, s.last_seen_at, s.expires_at, ",
            "s.ended_at, s.address, s.user_agent, v.person_id, v.userid, v.name, v.email, v.status, v.memberships ",
            "FROM sessions s JOIN person_rows v ON v.person_id = s.person_id ",
            published!(),
            $rest
        )
    };
}

fn session_from_row(row: &AnyRow) -> sqlx::Result<SessionRow> {
    let instant = |column: &str| row.try_get::<i64, _>(column).map(Timestamp::from_millis);
    let amr: String = row.try_get("amr")?;
    Ok(SessionRow {
        sid: Sid::new(row.try_get::<String, _>("sid")?),
        person: person_from_row(row)?,
        family: Sid::new(row.try_get::<String, _>("family")?),
        audience: row.try_get("audience")?,
        amr: Amr::parse(&amr)
            .ok_or_else(|| sqlx::Error::Decode(format!("sessions.amr is {amr:?}").into()))?,
        auth_time: instant("auth_time")?,
        created_at: instant("created_at")?,
        last_seen_at: instant("last_seen_at")?,
        expires_at: instant("expires_at")?,
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(Timestamp::from_millis),
        address: row.try_get("address")?,
        user_agent: row.try_get("user_agent")?,
    })
}

fn person_from_row(row: &AnyRow) -> sqlx::Result<SessionPerson> {
    let status: String = row.try_get("status")?;
    Ok(SessionPerson {
        id: PersonId::new(row.try_get::<String, _>("person_id")?),
        userid: UserId::new(row.try_get::<String, _>("userid")?),
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        active: status == "active",
        memberships: directory::row::parse_memberships(&row.try_get::<String, _>("memberships")?)?
            .into_iter()
            .map(|m| SessionMembership { unit: m.unit, leader: m.leader })
            .collect(),
        identity: IdentityCache::default(),
    })
}

/// Writes a session.
///
/// # Errors
/// If the database fails.
pub async fn insert(change: &mut FeedTransaction, new: &NewSession) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now());
    let user_agent: String = new.user_agent.chars().filter(|c| !c.is_control()).take(200).collect();
    sqlx::query(
        "INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, created_at, last_seen_at, \
                               expires_at, address, user_agent) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11)",
    )
    .bind(new.sid.as_str())
    .bind(corp.as_str())
    .bind(new.person.as_str())
    .bind(new.family.as_str())
    .bind(&new.audience)
    .bind(new.amr.as_str())
    .bind(new.auth_time.millis())
    .bind(now.millis())
    .bind(new.expires_at.millis())
    .bind(new.address.map(|a| a.to_string()).unwrap_or_default())
    .bind(user_agent)
    .execute(change.tx())
    .await?;
    Ok(())
}

/// Returns a session, ended or not.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_session(db: &Db, corp: &CorpId, sid: &Sid) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query(select!("WHERE s.corp_id = $1 AND s.sid = $2"))
        .bind(corp.as_str())
        .bind(sid.as_str())
        .fetch_optional(db.pool())
        .await?
        .map(|row| session_from_row(&row))
        .transpose()
}

macro_rules! select_person {
    ($rest:literal) => {
        concat!(
            "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships FROM person_rows v ",
            published!(),
            $rest
        )
    };
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
    sqlx::query(select_person!("WHERE v.person_id = $2"))
        .bind(corp.as_str())
        .bind(id.as_str())
        .fetch_optional(db.pool())
        .await?
        .map(|row| person_from_row(&row))
        .transpose()
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

/// Returns the number of persons whose row is newer than `version`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_changed_persons(db: &Db, corp: &CorpId, version: i64) -> sqlx::Result<i64> {
    sqlx::query(concat!("SELECT COUNT(*) FROM person_rows v ", published!(), "WHERE v.since > $2"))
        .bind(corp.as_str())
        .bind(version)
        .fetch_one(db.pool())
        .await?
        .try_get(0)
}

/// Returns up to `limit` persons whose row is newer than `version`, by id after `after`.
///
/// Reads only those for whom `wanted` is true. The second value is the id to continue from.
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
    let rows =
        sqlx::query(select_person!("WHERE v.since > $2 AND v.person_id > $3 ORDER BY v.person_id LIMIT $4"))
            .bind(corp.as_str())
            .bind(version)
            .bind(after)
            .bind(limit)
            .fetch_all(db.pool())
            .await?;
    let more = i64::try_from(rows.len()).is_ok_and(|n| n == limit);
    let last = rows.last().filter(|_| more).map(|row| row.try_get::<String, _>(0)).transpose()?;
    let mut persons = Vec::new();
    for row in &rows {
        if wanted(&PersonId::new(row.try_get::<String, _>(0)?)) {
            persons.push(person_from_row(row)?);
        }
    }
    Ok((persons, last))
}

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
    sqlx::query(select!(
        "WHERE s.corp_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $3 \
         AND s.sid > $4 AND ($5 = '' OR lower(v.userid) = lower($5)) ORDER BY s.sid LIMIT $6"
    ))
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(idle_since.millis())
    .bind(after)
    .bind(userid.map_or("", |u| u.as_str()))
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(session_from_row)
    .collect()
}

/// Locks a session until this change commits, and returns whether it is alive. Whoever ends it
/// waits for the commit.
///
/// # Errors
/// If the database fails.
pub(crate) async fn hold_session(change: &mut FeedTransaction, sid: &Sid) -> sqlx::Result<bool> {
    let (corp, now) = (change.corp().clone(), change.now().millis());
    let held = sqlx::query(
        "UPDATE sessions SET last_seen_at = last_seen_at \
         WHERE corp_id = $1 AND sid = $2 AND ended_at IS NULL AND expires_at > $3",
    )
    .bind(corp.as_str())
    .bind(sid.as_str())
    .bind(now)
    .execute(change.tx())
    .await?;
    Ok(held.rows_affected() == 1)
}

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

/// Ends sessions and announces it. Returns how many were alive.
///
/// # Errors
/// If the database fails.
pub async fn end_sessions(
    change: &mut FeedTransaction,
    which: &SessionsToEnd<'_>,
    reason: &str,
) -> sqlx::Result<u64> {
    let now = change.now().millis();
    let corp = change.corp().clone();
    if let SessionsToEnd::All = which {
        let mut ended = 0;
        // Twice, for the reason given below.
        for _ in 0..2 {
            let done = sqlx::query(
                "UPDATE sessions SET ended_at = $2, end_reason = $3 \
                 WHERE corp_id = $1 AND ended_at IS NULL AND expires_at > $2",
            )
            .bind(corp.as_str())
            .bind(now)
            .bind(reason)
            .execute(change.tx())
            .await?;
            ended += done.rows_affected();
        }
        change.announce(FeedKind::Sessions, "");
        return Ok(ended);
    }
    let (sql, id) = match which {
        SessionsToEnd::One(sid) => (
            "UPDATE sessions SET ended_at = $3, end_reason = $4 \
             WHERE corp_id = $1 AND sid = $2 AND ended_at IS NULL AND expires_at > $3 RETURNING sid",
            sid.as_str(),
        ),
        SessionsToEnd::Family(family) => (
            "UPDATE sessions SET ended_at = $3, end_reason = $4 \
             WHERE corp_id = $1 AND family = $2 AND ended_at IS NULL AND expires_at > $3 RETURNING sid",
            family.as_str(),
        ),
        SessionsToEnd::Person(person) => (
            "UPDATE sessions SET ended_at = $3, end_reason = $4 \
             WHERE corp_id = $1 AND person_id = $2 AND ended_at IS NULL AND expires_at > $3 RETURNING sid",
            person.as_str(),
        ),
        SessionsToEnd::All => return Ok(0),
    };
    let mut ended = 0;
    // A hand-off locks the session that it starts from until it commits. The second statement has a
    // snapshot of its own on PostgreSQL, so it sees the sessions that the first one waited for.
    for _ in 0..2 {
        let query = sqlx::query(sql).bind(corp.as_str()).bind(id).bind(now).bind(reason);
        for row in query.fetch_all(change.tx()).await? {
            change.announce(FeedKind::Session, row.try_get::<String, _>(0)?);
            ended += 1;
        }
    }
    Ok(ended)
}

/// Up to this many ended sessions are announced one by one. Beyond it every replica reads
/// everything again.
const MAX_SINGLE_ANNOUNCEMENTS: usize = 500;

/// Ends the sessions of everybody who may not sign in by the rows that begin with `version`, and
/// announces it. Returns how many were alive.
///
/// # Errors
/// If the database fails.
pub(crate) async fn end_inactive(change: &mut FeedTransaction, version: i64) -> sqlx::Result<usize> {
    let (corp, now) = (change.corp().clone(), change.now().millis());
    let mut ended: Vec<String> = Vec::new();
    // Twice, for the reason given in `end_sessions`.
    for _ in 0..2 {
        let rows = sqlx::query(
            "UPDATE sessions SET ended_at = $2, end_reason = (SELECT MIN(v.status) FROM person_rows v \
               WHERE v.person_id = sessions.person_id AND v.until = 9223372036854775807 AND v.since = $3) \
             WHERE corp_id = $1 AND ended_at IS NULL AND expires_at > $2 AND person_id IN \
               (SELECT v.person_id FROM person_rows v WHERE v.corp_id = $1 AND v.since = $3 AND v.status <> 'active') \
             RETURNING sid",
        )
        .bind(corp.as_str())
        .bind(now)
        .bind(version)
        .fetch_all(change.tx())
        .await?;
        for row in rows {
            ended.push(row.try_get(0)?);
        }
    }
    let count = ended.len();
    if count > MAX_SINGLE_ANNOUNCEMENTS {
        change.announce(FeedKind::Sessions, "");
    } else {
        ended.into_iter().for_each(|sid| change.announce(FeedKind::Session, sid));
    }
    Ok(count)
}

/// Writes when sessions were last used; never moves an instant back.
///
/// # Errors
/// If the database fails.
pub(crate) async fn write_last_seen(db: &Db, seen: &[(Sid, Timestamp)]) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    for (sid, at) in seen {
        sqlx::query("UPDATE sessions SET last_seen_at = $2 WHERE sid = $1 AND last_seen_at < $2")
            .bind(sid.as_str())
            .bind(at.millis())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await
}

/// Deletes up to `limit` sessions that expired or ended before `before`, with their tickets.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_old_sessions(db: &Db, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    sqlx::query(
        "DELETE FROM tickets WHERE sid IN (SELECT sid FROM sessions WHERE expires_at < $1 OR ended_at < $1 \
                                           ORDER BY expires_at, sid LIMIT $2)",
    )
    .bind(before.millis())
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    // Another replica may delete at the same time. Then this statement selects other sessions than
    // the first one, and those that still have tickets must wait.
    let done = sqlx::query(
        "DELETE FROM sessions WHERE sid IN (SELECT s.sid FROM sessions s WHERE (s.expires_at < $1 OR s.ended_at < $1) \
           AND NOT EXISTS (SELECT 1 FROM tickets t WHERE t.sid = s.sid) ORDER BY s.expires_at, s.sid LIMIT $2)",
    )
    .bind(before.millis())
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
