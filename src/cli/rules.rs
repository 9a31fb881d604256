//! `gongpai rules accept`: lists or accepts userids in rules that now belong to somebody else.

use std::io::Write;

use anyhow::Context as _;

use super::{database, table};
use crate::audit::{self, Actor, AuditEntry, AuditEvent};
use crate::base::clock::Clock;
use crate::base::id::UserId;
use crate::config::Config;
use crate::db::Db;
use crate::db::feed::FeedTransaction;
use crate::directory::bindings::{ReassignedUserid, store};

/// Which userids to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseridSelection {
    /// Accept none and list them.
    List,
    These(Vec<String>),
    All,
}

/// Lists or accepts userids that now belong to somebody else.
///
/// Returns `false` and accepts nothing if a named userid is not among them.
///
/// # Errors
/// If there is no database, it fails, or `out` cannot be written.
pub async fn accept_userids(
    config: &Config,
    clock: &Clock,
    selection: &UseridSelection,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let db = database::open_existing(config).await?;
    let taken = store::list_reassigned(&db, &config.wecom.corp_id).await?;
    let well = match selection {
        UseridSelection::List => print_userids(&taken, out).map(|()| true).map_err(Into::into),
        UseridSelection::All => accept_and_report(config, clock, &db, &taken, out).await.map(|()| true),
        UseridSelection::These(userids) => accept_named(config, clock, &db, &taken, userids, out).await,
    };
    db.close().await;
    well
}

fn print_userids(taken: &[ReassignedUserid], out: &mut dyn Write) -> std::io::Result<()> {
    if taken.is_empty() {
        return writeln!(out, "no userid in a rule is somebody else's now");
    }
    let mut table = table::Table::new(&["USERID", "RULES MEAN", "ID", "NOW IT IS", "ID"]);
    for one in taken {
        let bound_name = if one.bound_name.is_empty() { "(removed)" } else { &one.bound_name };
        table.push([
            one.userid.as_str().to_owned(),
            bound_name.to_owned(),
            one.bound.as_str().to_owned(),
            one.holder_name.clone(),
            one.holder.as_str().to_owned(),
        ]);
    }
    table.write(out)
}

async fn accept_named(
    config: &Config,
    clock: &Clock,
    db: &Db,
    taken: &[ReassignedUserid],
    userids: &[String],
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let is = |one: &ReassignedUserid, userid: &String| {
        one.userid.folded() == UserId::new(userid.as_str()).folded()
    };
    // All userids are checked before the first one is accepted.
    let strange: Vec<_> = userids.iter().filter(|userid| !taken.iter().any(|one| is(one, userid))).collect();
    for userid in &strange {
        let userid = table::to_printable(userid);
        writeln!(out, "{userid}: nothing to accept: no rule names this userid and means somebody else")?;
    }
    if !strange.is_empty() {
        return Ok(false);
    }
    let these: Vec<_> = taken.iter().filter(|one| userids.iter().any(|u| is(one, u))).cloned().collect();
    accept_and_report(config, clock, db, &these, out).await.map(|()| true)
}

async fn accept_and_report(
    config: &Config,
    clock: &Clock,
    db: &Db,
    these: &[ReassignedUserid],
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    bind_userids(config, clock, db, these).await.context("nothing was accepted")?;
    for one in these {
        let (bound, holder) = (table::to_printable(&one.bound_name), table::to_printable(&one.holder_name));
        let userid = table::to_printable(one.userid.as_str());
        writeln!(out, "{userid}: rules meant {bound}, from now on {holder}")?;
    }
    if these.is_empty() {
        writeln!(out, "no userid in a rule is somebody else's now")?;
    }
    Ok(())
}

/// Binds all userids in one transaction.
async fn bind_userids(
    config: &Config,
    clock: &Clock,
    db: &Db,
    these: &[ReassignedUserid],
) -> sqlx::Result<()> {
    let (corp, now) = (&config.wecom.corp_id, clock.now());
    let mut change = FeedTransaction::begin(db, corp, now).await?;
    for one in these {
        store::accept_holder(&mut change, &one.userid, &one.holder).await?;
        let deed = format!("the userid in rules meant {}", one.bound);
        let whom = Some((one.holder.clone(), one.userid.clone()));
        let entry = AuditEntry::of_deed(Actor::Cli, AuditEvent::Rules, deed).about(whom);
        audit::store::insert_entry(change.tx(), corp, &entry, now).await?;
    }
    change.commit().await
}
