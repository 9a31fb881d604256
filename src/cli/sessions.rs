//! `gongpai sessions`: lists sessions and signs people out.
//!
//! It only writes to the database. Every gateway reads the change within a second.

use std::io::Write;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{database, table};
use crate::audit::{self, Actor, AuditEntry, AuditEvent};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, PersonId, Sid, UserId};
use crate::config::Config;
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::session::SessionEndReason;
use crate::session::store::{self, SessionRow, SessionsToEnd};

/// Sessions of one query.
const PAGE_ROWS: i64 = 500;

/// Whose sessions to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RevokeTarget {
    /// A session by its id.
    One(String),
    /// All sessions of a userid.
    Person(String),
    Everybody,
}

/// Prints the active sessions, of one userid or of everybody.
///
/// # Errors
/// If there is no database, it fails, or `out` cannot be written.
pub(crate) async fn list_sessions(
    config: &Config,
    clock: &Clock,
    user: Option<&str>,
    json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let (user, now) = (user.map(UserId::new), clock.now());
    let idle_since = now.minus(config.session.idle);
    let headings = ["USERID", "NAME", "HOST", "HOW", "SINCE", "LAST USED", "EXPIRES", "ADDRESS", "SID"];
    let mut table = table::Table::new(&headings);
    let (mut after, mut count) = (String::new(), 0_usize);
    loop {
        let corp = &config.wecom.corp_id;
        let rows = store::list_living(&db, corp, user.as_ref(), now, idle_since, &after, PAGE_ROWS).await?;
        let Some(last) = rows.last() else { break };
        last.sid.as_str().clone_into(&mut after);
        count = count.saturating_add(rows.len());
        for row in rows {
            if json {
                writeln!(out, "{}", table::to_json_line(&session_json(&row))?)?;
            } else {
                table.push(session_cells(&row, config.time_zone));
            }
        }
    }
    db.close().await;
    if !json && count == 0 {
        let who = user.map_or_else(String::new, |u| format!(" as {}", table::to_printable(u.as_str())));
        writeln!(out, "nobody is signed in{who}")?;
    } else if !json {
        table.write(out)?;
    }
    Ok(())
}

fn session_cells(row: &SessionRow, zone: chrono_tz::Tz) -> [String; 9] {
    [
        row.person.userid.as_str().to_owned(),
        row.person.name.clone(),
        row.audience.clone(),
        row.amr.as_str().to_owned(),
        table::format_local_time(row.auth_time, zone),
        table::format_local_time(row.last_seen_at, zone),
        table::format_local_time(row.expires_at, zone),
        row.address.clone(),
        row.sid.as_str().to_owned(),
    ]
}

/// Returns the same fields as the sessions API.
fn session_json(row: &SessionRow) -> serde_json::Value {
    json!({
        "sid": row.sid,
        "userid": row.person.userid,
        "name": row.person.name,
        "host": row.audience,
        "amr": [row.amr.as_str()],
        "auth_time": row.auth_time,
        "last_seen_at": row.last_seen_at,
        "expires_at": row.expires_at,
        "address": row.address,
        "user_agent": row.user_agent,
    })
}

/// Ends sessions and prints how many.
///
/// # Errors
/// If there is no database, no such active session, or the database fails. Nothing is ended then.
pub(crate) async fn revoke_sessions(
    config: &Config,
    clock: &Clock,
    target: &RevokeTarget,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let ended = match target {
        RevokeTarget::One(sid) => end_session(config, clock, &db, &Sid::new(sid.as_str())).await,
        RevokeTarget::Person(userid) => {
            end_sessions_of_userid(config, clock, &db, &UserId::new(userid.as_str())).await
        }
        RevokeTarget::Everybody => end_sessions(config, clock, &db, &SessionsToEnd::All, None).await,
    };
    db.close().await;
    let ended = ended?;
    if let (RevokeTarget::Person(userid), 0) = (target, ended) {
        writeln!(out, "note: nobody of the userid {} is signed in", table::to_printable(userid))?;
    }
    writeln!(out, "{ended} {} ended", if ended == 1 { "session" } else { "sessions" })?;
    Ok(())
}

async fn end_session(config: &Config, clock: &Clock, db: &Db, sid: &Sid) -> anyhow::Result<u64> {
    let row = store::find_session(db, &config.wecom.corp_id, sid).await?;
    // An ended or expired session may still have its row.
    let living = row.filter(|row| row.is_living(clock.now()));
    let Some(row) = living else {
        bail!("there is no living session {sid}; `gongpai sessions list` lists them")
    };
    end_sessions(
        config,
        clock,
        db,
        &SessionsToEnd::Family(&row.family),
        Some((row.person.id, row.person.userid)),
    )
    .await
}

async fn end_sessions_of_userid(
    config: &Config,
    clock: &Clock,
    db: &Db,
    userid: &UserId,
) -> anyhow::Result<u64> {
    let found = store::find_person_by_userid(db, &config.wecom.corp_id, userid).await?;
    // Not an error: a script that signs leavers out need not know who ever signed in.
    let Some(found) = found else { return Ok(0) };
    end_sessions(config, clock, db, &SessionsToEnd::Person(&found.id), Some((found.id.clone(), found.userid)))
        .await
}

async fn end_sessions(
    config: &Config,
    clock: &Clock,
    db: &Db,
    which: &SessionsToEnd<'_>,
    whom: Option<(PersonId, UserId)>,
) -> anyhow::Result<u64> {
    let ended = end_and_audit(db, &config.wecom.corp_id, clock.now(), which, whom).await;
    ended.context("no session was ended")
}

/// Ends sessions and writes the audit row in one transaction.
async fn end_and_audit(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
    which: &SessionsToEnd<'_>,
    whom: Option<(PersonId, UserId)>,
) -> sqlx::Result<u64> {
    let mut change = FeedTransaction::begin(db, corp, now).await?;
    let ended = store::end_sessions(&mut change, which, SessionEndReason::Revoked).await?;
    let entry = AuditEntry::of_deed(Actor::Cli, AuditEvent::Revoke, format!("{ended} sessions")).about(whom);
    audit::store::insert_entry(change.tx(), corp, &entry, now).await?;
    change.commit().await?;
    Ok(ended)
}
