//! Whom a message is for: userids, units and tags held against the directory as it is now.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use super::MOST_RECIPIENTS;
use super::store;
use crate::base::clock::Timestamp;
use crate::base::id::UserId;
use crate::db::Db;
use crate::directory::chart::{Chart, Reference, Unfound};
use crate::directory::{Source, Status};
use crate::message::content::{Finding, To};
use crate::message::{Settings, Targets};

/// So many of one kind are named when they are wrong.
const NAMED: usize = 10;

/// While a complete run is younger, whom it did not find is not there.
const CURRENT: Duration = Duration::from_secs(24 * 3600);

/// Resolves recipients and adds to `findings` what is wrong with them.
pub(super) async fn resolve(
    db: &Db,
    settings: &Settings,
    chart: &Chart,
    to: &To,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> sqlx::Result<Targets> {
    let mut targets = Targets { all: to.all, ..Targets::default() };
    let count = to.users.len() + to.units.len() + to.tags.len();
    if count > MOST_RECIPIENTS {
        add(findings, "to", format!("{count} users, units and tags, at most {MOST_RECIPIENTS}"));
        return Ok(targets);
    }
    if to.all && count > 0 {
        add(
            findings,
            "to.all",
            "is for everybody: there can be no users, units or tags beside it".to_owned(),
        );
    } else if !to.all && count == 0 {
        add(findings, "to", "names nobody: users, units, tags or all".to_owned());
    }
    let userids = userids(&to.users, findings);
    let holders = store::holders(db, &settings.corp, &userids).await?;
    let current = chart.complete_at().is_some_and(|at| now.since(at) <= CURRENT);
    let (mut unknown, mut local, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for userid in userids {
        match holders.get(&userid.folded()) {
            None if current => unknown.push(userid),
            None => targets.users.push((userid, None)),
            Some(holder) if holder.status == Status::Left => left.push(userid),
            Some(holder) if holder.source == Source::Local => local.push(userid),
            Some(holder) => targets.users.push((userid, Some(holder.id.clone()))),
        }
    }
    name(findings, "to.users", "not in the directory", &unknown);
    name(findings, "to.users", "no account in WeCom", &local);
    name(findings, "to.users", "left the company", &left);
    targets.units = found(&to.units, "to.units", findings, |reference| {
        chart.find_unit(reference).map(|placed| placed.unit.id.clone())
    });
    targets.tags =
        found(&to.tags, "to.tags", findings, |reference| chart.find_tag(reference).map(|tag| tag.id.clone()));
    Ok(targets)
}

fn add(findings: &mut Vec<Finding>, field: &str, problem: String) {
    findings.push(Finding { field: field.to_owned(), problem });
}

/// Says of some entries what is wrong with them.
fn name<T: Display>(findings: &mut Vec<Finding>, field: &str, what: &str, wrong: &[T]) {
    if wrong.is_empty() {
        return;
    }
    let short = |entry: &T| -> String {
        entry.to_string().chars().filter(|c| !c.is_control()).take(UserId::MAX_CHARS).collect()
    };
    let named = wrong.iter().take(NAMED).map(short).collect::<Vec<_>>().join(", ");
    let more = wrong.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    add(findings, field, format!("{what}: {named}{more}"));
}

/// Userids, each once however it is capitalised.
fn userids(texts: &[String], findings: &mut Vec<Finding>) -> Vec<UserId> {
    let (mut good, mut bad, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for text in texts {
        match UserId::parse_existing(text) {
            Ok(userid) if seen.insert(userid.folded()) => good.push(userid),
            Ok(_) => {}
            Err(_) => bad.push(text),
        }
    }
    name(findings, "to.users", "no userids of WeCom's", &bad);
    good
}

/// Units or tags, each once.
fn found<T: Clone + Eq + std::hash::Hash>(
    texts: &[String],
    field: &str,
    findings: &mut Vec<Finding>,
    find: impl Fn(&Reference) -> Result<T, Unfound>,
) -> Vec<T> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    let (mut unknown, mut ambiguous) = (Vec::new(), Vec::new());
    for text in texts {
        match Reference::parse(text).ok_or(Unfound::Unknown).and_then(|reference| find(&reference)) {
            Ok(id) => {
                if seen.insert(id.clone()) {
                    ids.push(id);
                }
            }
            Err(Unfound::Unknown) => unknown.push(format!("{text:?}")),
            Err(Unfound::Ambiguous(_)) => ambiguous.push(format!("{text:?}")),
        }
    }
    name(findings, field, "not in the directory", &unknown);
    name(findings, field, "several have that path, write wecom:ID", &ambiguous);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_every_userid_that_wecom_has_and_never_to_several_or_everybody() {
        let texts =
            ["zhangsan", "ZHANGSAN", "张三", "a+b", "w#1", "_lead", "@all", "a|b", "ww1/zhangsan", ""];
        let mut findings = Vec::new();
        let good = userids(&texts.map(str::to_owned), &mut findings);
        assert_eq!(good, ["zhangsan", "张三", "a+b", "w#1", "_lead"].map(UserId::new));
        assert_eq!(findings[0].problem, "no userids of WeCom's: @all, a|b, ww1/zhangsan, ");
    }
}
