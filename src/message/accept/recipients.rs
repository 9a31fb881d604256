//! The recipients of a message: userids, units and tags looked up in the current directory.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use super::MAX_TARGETS;
use crate::base::clock::Timestamp;
use crate::base::id::UserId;
use crate::db::Db;
use crate::directory::accounts::store as accounts;
use crate::directory::chart::{Chart, ChartReference, ReferenceError};
use crate::directory::{EntrySource, PersonStatus};
use crate::message::content::{FieldError, RequestedRecipients};
use crate::message::{MessageSettings, MessageTargets};

/// How many wrong entries of one kind are named.
const MAX_NAMED_ENTRIES: usize = 10;

/// While a complete run is younger than this, a userid that it did not find does not exist.
const COMPLETE_RUN_VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// Resolves the recipients and adds what is wrong with them to `errors`.
pub(super) async fn resolve_targets(
    db: &Db,
    settings: &MessageSettings,
    chart: &Chart,
    to: &RequestedRecipients,
    now: Timestamp,
    errors: &mut Vec<FieldError>,
) -> sqlx::Result<MessageTargets> {
    let mut targets = MessageTargets { all: to.all, ..MessageTargets::default() };
    let count = to.users.len() + to.units.len() + to.tags.len();
    if count > MAX_TARGETS {
        add_error(errors, "to", format!("{count} users, units and tags, at most {MAX_TARGETS}"));
        return Ok(targets);
    }
    if to.all && count > 0 {
        add_error(
            errors,
            "to.all",
            "is for everybody: there can be no users, units or tags beside it".to_owned(),
        );
    } else if !to.all && count == 0 {
        add_error(errors, "to", "names nobody: users, units, tags or all".to_owned());
    }
    let userids = parse_userids(&to.users, errors);
    let holders = accounts::find_userid_holders(db, &settings.corp, &userids).await?;
    let current = chart.complete_at().is_some_and(|at| now.since(at) <= COMPLETE_RUN_VALIDITY);
    let (mut unknown, mut local, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for userid in userids {
        match holders.get(&userid.folded()) {
            // The last complete run would have found it.
            None if current => unknown.push(userid),
            // Without a recent complete run WeCom knows better than the directory.
            None => targets.users.push((userid, None)),
            Some(holder) if holder.status == PersonStatus::Left => left.push(userid),
            Some(holder) if holder.source == EntrySource::Local => local.push(userid),
            Some(holder) => targets.users.push((userid, Some(holder.id.clone()))),
        }
    }
    add_error_naming(errors, "to.users", "not in the directory", &unknown);
    add_error_naming(errors, "to.users", "no account in WeCom", &local);
    add_error_naming(errors, "to.users", "left the company", &left);
    targets.units = resolve_references(&to.units, "to.units", errors, |reference| {
        chart.find_unit(reference).map(|placed| placed.unit.id.clone())
    });
    targets.tags = resolve_references(&to.tags, "to.tags", errors, |reference| {
        chart.find_tag(reference).map(|tag| tag.id.clone())
    });
    Ok(targets)
}

fn add_error(errors: &mut Vec<FieldError>, field: &str, problem: String) {
    errors.push(FieldError { field: field.to_owned(), problem });
}

/// Adds one error that names the wrong entries.
fn add_error_naming<T: Display>(errors: &mut Vec<FieldError>, field: &str, what: &str, wrong: &[T]) {
    if wrong.is_empty() {
        return;
    }
    let short = |entry: &T| -> String {
        entry.to_string().chars().filter(|c| !c.is_control()).take(UserId::MAX_CHARS).collect()
    };
    let named = wrong.iter().take(MAX_NAMED_ENTRIES).map(short).collect::<Vec<_>>().join(", ");
    let more = wrong.len().saturating_sub(MAX_NAMED_ENTRIES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    add_error(errors, field, format!("{what}: {named}{more}"));
}

/// Parses userids; keeps one of those that differ only in case.
fn parse_userids(texts: &[String], errors: &mut Vec<FieldError>) -> Vec<UserId> {
    let (mut good, mut bad, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for text in texts {
        match UserId::parse_existing(text) {
            Ok(userid) if seen.insert(userid.folded()) => good.push(userid),
            Ok(_) => {}
            Err(_) => bad.push(text),
        }
    }
    add_error_naming(errors, "to.users", "no userids of WeCom's", &bad);
    good
}

/// Looks up units or tags, each once.
fn resolve_references<T: Clone + Eq + std::hash::Hash>(
    texts: &[String],
    field: &str,
    errors: &mut Vec<FieldError>,
    find: impl Fn(&ChartReference) -> Result<T, ReferenceError>,
) -> Vec<T> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    let (mut unknown, mut ambiguous) = (Vec::new(), Vec::new());
    for text in texts {
        match ChartReference::parse(text)
            .ok_or(ReferenceError::Unknown)
            .and_then(|reference| find(&reference))
        {
            Ok(id) => {
                if seen.insert(id.clone()) {
                    ids.push(id);
                }
            }
            Err(ReferenceError::Unknown) => unknown.push(format!("{text:?}")),
            Err(ReferenceError::Ambiguous(_)) => ambiguous.push(format!("{text:?}")),
        }
    }
    add_error_naming(errors, field, "not in the directory", &unknown);
    add_error_naming(errors, field, "several have that path, write wecom:ID", &ambiguous);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_every_userid_that_wecom_has_and_never_to_several_or_everybody() {
        let texts =
            ["zhangsan", "ZHANGSAN", "张三", "a+b", "w#1", "_lead", "@all", "a|b", "ww1/zhangsan", ""];
        let mut errors = Vec::new();
        let good = parse_userids(&texts.map(str::to_owned), &mut errors);
        assert_eq!(good, ["zhangsan", "张三", "a+b", "w#1", "_lead"].map(UserId::new));
        assert_eq!(errors[0].problem, "no userids of WeCom's: @all, a|b, ww1/zhangsan, ");
    }
}
