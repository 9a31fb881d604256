//! `gongpai sessions`: who is signed in, and signing people out.
//!
//! It only writes rows; a gateway that runs, here or elsewhere, follows within a second.

use std::io::Write;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{database, table};
use crate::audit;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, PersonId, Sid, UserId};
use crate::config::Config;
use crate::db::Db;
use crate::db::feed::Change;
use crate::session::store::{self, Row, Which};

/// How many rows are read at once.
const PAGE: i64 = 500;

/// Whose sessions to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This one, by its id.
    One(String),
    /// Those of a userid.
    Person(String),
    /// Everybody's.
    Everybody,
}

/// Prints the living sessions, of one userid or of everybody; with `json` one object a line.
///
/// # Errors
/// If there is no database, it fails, or `out` cannot be written.
pub async fn list(
    config: &Config,
    clock: &Clock,
    user: Option<&str>,
    json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open(config).await?;
    let (user, now) = (user.map(UserId::new), clock.now());
    let idle_since = now.minus(config.session.idle);
    let headings = ["USERID", "NAME", "HOST", "HOW", "SINCE", "LAST USED", "EXPIRES", "ADDRESS", "SID"];
    let mut table = table::Table::new(&headings);
    let (mut after, mut count) = (String::new(), 0_usize);
    loop {
        let corp = &config.wecom.corp_id;
        let rows = store::list(&db, corp, user.as_ref(), now, idle_since, &after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        last.sid.as_str().clone_into(&mut after);
        count = count.saturating_add(rows.len());
        for row in rows {
            if json {
                writeln!(out, "{}", table::json_line(&object(&row))?)?;
            } else {
                table.push(cells(&row, config.time_zone));
            }
        }
    }
    db.close().await;
    if !json && count == 0 {
        let who = user.map_or_else(String::new, |u| format!(" as {}", table::printable(u.as_str())));
        writeln!(out, "nobody is signed in{who}")?;
    } else if !json {
        table.write(out)?;
    }
    Ok(())
}

fn cells(row: &Row, zone: chrono_tz::Tz) -> [String; 9] {
    [
        row.person.userid.as_str().to_owned(),
        row.person.name.clone(),
        row.audience.clone(),
        row.amr.as_str().to_owned(),
        table::local(row.auth_time, zone),
        table::local(row.last_seen_at, zone),
        table::local(row.expires_at, zone),
        row.address.clone(),
        row.sid.as_str().to_owned(),
    ]
}

/// The fields of the sessions API.
fn object(row: &Row) -> serde_json::Value {
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

/// Ends sessions and says how many.
///
/// # Errors
/// If there is no database, no such living session, or the database fails; nothing is ended
/// then.
pub async fn revoke(
    config: &Config,
    clock: &Clock,
    whose: &Whose,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open(config).await?;
    let ended = match whose {
        Whose::One(sid) => one(config, clock, &db, &Sid::new(sid.as_str())).await,
        Whose::Person(userid) => person(config, clock, &db, &UserId::new(userid.as_str())).await,
        Whose::Everybody => end(config, clock, &db, &Which::All, None).await,
    };
    db.close().await;
    let ended = ended?;
    if let (Whose::Person(userid), 0) = (whose, ended) {
        writeln!(out, "note: nobody of the userid {} is signed in", table::printable(userid))?;
    }
    writeln!(out, "{ended} {} ended", if ended == 1 { "session" } else { "sessions" })?;
    Ok(())
}

async fn one(config: &Config, clock: &Clock, db: &Db, sid: &Sid) -> anyhow::Result<u64> {
    let row = store::find(db, &config.wecom.corp_id, sid).await?;
    let living = row.filter(|row| row.ended_at.is_none() && row.expires_at > clock.now());
    let Some(row) = living else {
        bail!("there is no living session {sid}; `gongpai sessions list` lists them")
    };
    end(config, clock, db, &Which::Family(&row.family), Some((row.person.id, row.person.userid))).await
}

async fn person(config: &Config, clock: &Clock, db: &Db, userid: &UserId) -> anyhow::Result<u64> {
    let found = store::find_person_by_userid(db, &config.wecom.corp_id, userid).await?;
    // Whoever signs leavers out by a script need not know who ever came.
    let Some(found) = found else { return Ok(0) };
    end(config, clock, db, &Which::Person(&found.id), Some((found.id.clone(), found.userid))).await
}

async fn end(
    config: &Config,
    clock: &Clock,
    db: &Db,
    which: &Which<'_>,
    whom: Option<(PersonId, UserId)>,
) -> anyhow::Result<u64> {
    let ended = end_and_audit(db, &config.wecom.corp_id, clock.now(), which, whom).await;
    ended.context("no session was ended")
}

/// One transaction: neither happens without the other.
async fn end_and_audit(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
    which: &Which<'_>,
    whom: Option<(PersonId, UserId)>,
) -> sqlx::Result<u64> {
    let mut change = Change::begin(db, corp, now).await?;
    let ended = store::end(&mut change, which, "revoked").await?;
    let detail = format!("{ended} sessions, by command line");
    audit::store::insert(change.tx(), corp, &deed(audit::Event::Revoke, whom, detail), now).await?;
    change.commit().await?;
    Ok(ended)
}

/// An audit row of the command line's.
pub(super) fn deed(event: audit::Event, whom: Option<(PersonId, UserId)>, detail: String) -> audit::Entry {
    let (person, userid) = whom.map_or((None, String::new()), |(p, u)| (Some(p), u.as_str().to_owned()));
    audit::Entry {
        event,
        person,
        userid,
        address: None,
        host: String::new(),
        decision: "done",
        detail,
        request_id: String::new(),
    }
}
