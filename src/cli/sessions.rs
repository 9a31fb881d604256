//! `gongpai sessions`: who is signed in, and signing them out.

use std::io::Write;

use anyhow::bail;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::rows;
use crate::audit;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{Sid, UserId};
use crate::config::Sources;
use crate::db::feed::Change;
use crate::session::store::{self, Row, Which};

const PAGE: i64 = 500;

/// Prints living sessions, oldest first.
///
/// # Errors
/// If the configuration is not accepted or the database fails.
pub async fn list(
    sources: &Sources,
    user: Option<String>,
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let config = rows::load(sources)?;
    let db = rows::database(&config).await?;
    let user = user.map(UserId::new);
    let now = Clock::System.now();
    let idle_since = now.minus(config.session.idle);
    let mut after = String::new();
    let mut count = 0_usize;
    loop {
        let corp = &config.wecom.corp_id;
        let page = store::list(&db, corp, user.as_ref(), now, idle_since, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.sid.as_str().to_owned();
        for row in &page {
            if as_json {
                writeln!(out, "{}", line_json(row))?;
            } else {
                if count == 0 {
                    writeln!(out, "{HEAD}")?;
                }
                writeln!(out, "{}", line(row, config.time_zone))?;
            }
            count += 1;
        }
    }
    if !as_json {
        writeln!(out, "{count} sessions")?;
    }
    Ok(())
}

const HEAD: &str = "USERID            NAME          HOW        SINCE             LAST USED         ADDRESS          HOST  SID";

fn line(row: &Row, zone: Tz) -> String {
    let at = |t: Timestamp| local(t, zone);
    format!(
        "{:<17} {:<13} {:<10} {:<17} {:<17} {:<16} {}  {}",
        row.person.userid,
        row.person.name,
        row.amr.as_str(),
        at(row.auth_time),
        at(row.last_seen_at),
        row.address,
        row.audience,
        row.sid
    )
}

/// An instant as people here write it.
pub(super) fn local(at: Timestamp, zone: Tz) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.millis())
        .map_or_else(|| at.rfc3339(), |t| t.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string())
}

fn line_json(row: &Row) -> serde_json::Value {
    json!({
        "sid": row.sid, "userid": row.person.userid, "name": row.person.name, "host": row.audience,
        "amr": [row.amr.as_str()], "auth_time": row.auth_time, "last_seen_at": row.last_seen_at,
        "expires_at": row.expires_at, "address": row.address, "user_agent": row.user_agent,
    })
}

/// Whose sessions to end.
#[derive(Debug, Clone)]
pub enum Whose {
    /// One session.
    Session(String),
    /// One person's.
    Person(String),
    /// Everybody's.
    Everybody,
}

/// Ends sessions and prints how many; every replica that reaches the database knows within a second.
///
/// # Errors
/// If the configuration is not accepted, the database fails, or there is no such person or session.
pub async fn revoke(sources: &Sources, whose: &Whose, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = rows::load(sources)?;
    let db = rows::database(&config).await?;
    let corp = &config.wecom.corp_id;
    let now = Clock::System.now();
    let mut change = Change::begin(&db, corp, now).await?;
    let (person, userid, ended) = match whose {
        Whose::Everybody => (None, String::new(), store::end(&mut change, &Which::All, "revoked").await?),
        Whose::Person(userid) => {
            let found = store::find_person_by_userid(&db, corp, &UserId::new(userid.as_str())).await?;
            let Some(person) = found else { bail!("nobody with the userid {userid} has signed in here") };
            let ended = store::end(&mut change, &Which::Person(&person.id), "revoked").await?;
            (Some(person.id), person.userid.as_str().to_owned(), ended)
        }
        Whose::Session(sid) => {
            let sid = Sid::new(sid.as_str());
            let Some(row) = store::find(&db, corp, &sid).await? else { bail!("there is no session {sid}") };
            let ended = store::end(&mut change, &Which::One(&sid), "revoked").await?;
            (Some(row.person.id), row.person.userid.as_str().to_owned(), ended)
        }
    };
    let entry = audit::Entry {
        event: audit::Event::Revoke,
        person,
        userid,
        address: None,
        host: String::new(),
        decision: "done",
        detail: format!("{ended} sessions, by command line"),
        request_id: String::new(),
    };
    audit::store::insert(change.tx(), corp, &entry, now).await?;
    change.commit().await?;
    writeln!(out, "{ended} sessions ended")?;
    Ok(())
}
