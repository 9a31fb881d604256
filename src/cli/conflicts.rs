//! `gongpai directory conflicts`: lists conflicts, and decides whether two persons are one.

use std::io::Write;

use anyhow::Context as _;

use super::{database, table};
use crate::api::dto::conflicts::ConflictDto;
use crate::audit::{self, Actor, AuditEntry, AuditEvent};
use crate::base::clock::Clock;
use crate::base::id::{ConflictId, CorpId, PersonId};
use crate::config::Config;
use crate::db::Db;
use crate::directory::changes::DirectoryTransaction;
use crate::directory::conflicts::{
    Conflict, ConflictDetails, ConflictPerson, ConflictState, ResolveError, store,
};
use crate::session;
use crate::session::SessionEndReason;
use crate::session::store::SessionsToEnd;
use crate::sync;

/// Conflicts of one query.
const PAGE_ROWS: i64 = 500;

/// Prints the open conflicts.
///
/// # Errors
/// If there is no database, it fails, or `out` cannot be written.
pub async fn list_conflicts(config: &Config, json: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let corp = &config.wecom.corp_id;
    let mut table =
        table::Table::new(&["CONFLICT", "SINCE", "WHY", "WHO", "USERID", "NAME", "STATUS", "PERSON ID"]);
    let (mut after, mut count) = (String::new(), 0_usize);
    loop {
        let found = store::list_open(&db, corp, &after, PAGE_ROWS).await?;
        let Some(last) = found.last() else { break };
        last.id.as_str().clone_into(&mut after);
        count = count.saturating_add(found.len());
        for told in store::load_details(&db, corp, found).await? {
            if json {
                writeln!(out, "{}", table::to_json_line(&ConflictDto::from(told))?)?;
                continue;
            }
            let ConflictDetails { conflict, person, people } = &told;
            table.push(conflict_cells(config, conflict, "came", &conflict.person_id, person.as_ref()));
            for id in &conflict.candidates {
                let person = people.iter().find(|person| person.id == *id);
                table.push(conflict_cells(config, conflict, "could be", id, person));
            }
        }
    }
    db.close().await;
    if !json && count == 0 {
        writeln!(out, "there is no open conflict")?;
    } else if !json {
        table.write(out)?;
        writeln!(out, "\ngongpai directory conflicts resolve CONFLICT --person ID | --separate")?;
    }
    Ok(())
}

fn conflict_cells(
    config: &Config,
    conflict: &Conflict,
    who: &str,
    id: &PersonId,
    person: Option<&ConflictPerson>,
) -> [String; 8] {
    let of = |text: fn(&ConflictPerson) -> String| person.map(text).unwrap_or_default();
    [
        conflict.id.as_str().to_owned(),
        table::format_local_time(conflict.created_at, config.time_zone),
        conflict.kind.as_str().to_owned(),
        who.to_owned(),
        of(|p| p.userid.as_str().to_owned()),
        of(|p| p.name.clone()),
        of(|p| p.status.as_str().to_owned()),
        id.as_str().to_owned(),
    ]
}

/// Closes a conflict: merges the person with a candidate, or keeps both if `person` is `None`.
///
/// # Errors
/// If there is no database, no such open conflict or candidate, a synchronisation runs, or the
/// database fails. Nothing is changed then.
pub async fn resolve_conflict(
    config: &Config,
    clock: &Clock,
    id: &str,
    person: Option<&str>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let (id, person) = (ConflictId::new(id), person.map(PersonId::new));
    let closed = close_conflict(&db, &config.wecom.corp_id, clock, &id, person.as_ref()).await;
    db.close().await;
    match closed.context("nothing was changed")? {
        ConflictState::Merged => writeln!(out, "they are one person now; both are signed out")?,
        _ => {
            writeln!(out, "they are two persons; nobody asks again")?;
        }
    }
    Ok(())
}

/// Writes the decision, the sign-outs and the audit row in one transaction.
async fn close_conflict(
    db: &Db,
    corp: &CorpId,
    clock: &Clock,
    id: &ConflictId,
    person: Option<&PersonId>,
) -> Result<ConflictState, ResolveError> {
    let now = clock.now();
    let mut change = DirectoryTransaction::begin(db, corp, now).await?;
    let question = store::hold_conflict(&mut change, id, person).await?;
    for person in question.persons_to_sign_out() {
        let (which, reason) = (SessionsToEnd::Person(person), SessionEndReason::Directory);
        session::store::end_sessions(&mut change, &which, reason).await?;
    }
    let keeps_identity = session::store::has_sessions(change.tx(), &question.flagged().id).await?;
    let is_writing = sync::queue::store::is_writing;
    let closed = store::close_conflict(&mut change, &question, keeps_identity, is_writing).await?;
    let whom = Some((question.flagged().id.clone(), question.flagged().userid.clone()));
    let entry = AuditEntry::of_deed(Actor::Cli, AuditEvent::Conflict, question.audit_detail()).about(whom);
    audit::store::insert_entry(change.tx(), corp, &entry, now).await?;
    change.commit().await?;
    Ok(closed)
}
