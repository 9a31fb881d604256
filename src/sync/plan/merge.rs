//! Merges what WeCom reports about a person into the person's row.

use std::collections::{HashMap, HashSet};

use super::MergedPerson;
use crate::base::clock::Timestamp;
use crate::base::id::UnitId;
use crate::directory::{EntrySource, Membership, Person, PersonStatus};

/// Returns the row of `old` after WeCom reported `reported`; the id stays.
///
/// Three fields are kept where WeCom reports nothing: name, mail address and mobile number (since
/// 2022 WeCom shows the last two only if the member consented). Memberships in local units are kept
/// too, after WeCom's. Everything else follows WeCom; a local person who is recognised also keeps
/// attributes that WeCom does not have.
pub(crate) fn merge_person(reported: Person, old: &Person) -> MergedPerson {
    let mut person = reported;
    person.id = old.id.clone();
    keep_if_empty(&mut person.name, &old.name);
    keep_if_empty(&mut person.email, &old.email);
    keep_if_empty(&mut person.details.mobile, &old.details.mobile);
    if old.source == EntrySource::Local {
        for (name, value) in &old.details.attributes {
            if !person.details.attributes.contains_key(name) {
                person.details.attributes.insert(name.clone(), value.clone());
            }
        }
    }
    // A person who is back keeps no date of leaving; one still away keeps the first.
    person.left_at = match person.status {
        PersonStatus::Left => person.left_at.or(old.left_at),
        PersonStatus::Active | PersonStatus::Disabled | PersonStatus::Inactive => None,
    };
    let mut seen = HashSet::new();
    let local = old.memberships.iter().filter(|m| !m.unit.is_of_department());
    let all: Vec<Membership> = person
        .memberships
        .iter()
        .chain(local)
        .filter(|membership| seen.insert(membership.unit.clone()))
        .cloned()
        .collect();
    person.memberships = all;
    if person.main_unit.is_none() {
        person.main_unit = old.main_unit.clone().filter(|unit| !unit.is_of_department());
    }
    compare_rows(person, old)
}

/// Returns the row of `old` after WeCom removed the person. The person left `now`, unless already
/// left before. Only memberships in local units stay. The fingerprint is cleared, so that a return
/// is compared in full.
pub(crate) fn mark_left(old: &Person, now: Timestamp) -> MergedPerson {
    let mut person = old.clone();
    if old.status != PersonStatus::Left {
        person.status = PersonStatus::Left;
        person.left_at = Some(now);
    }
    person.memberships.retain(|membership| !membership.unit.is_of_department());
    person.main_unit = person.main_unit.filter(|unit| !unit.is_of_department());
    person.fingerprint = String::new();
    compare_rows(person, old)
}

fn keep_if_empty(field: &mut String, old: &str) {
    if field.is_empty() {
        old.clone_into(field);
    }
}

fn compare_rows(mut person: Person, old: &Person) -> MergedPerson {
    let memberships = count_membership_changes(&person.memberships, &old.memberships);
    let fingerprint = std::mem::replace(&mut person.fingerprint, old.fingerprint.clone());
    let changed = person != *old;
    person.fingerprint = fingerprint;
    MergedPerson { person, changed, memberships }
}

/// Counts memberships created, updated and removed, by unit. A different order among them is no
/// change.
fn count_membership_changes(new: &[Membership], old: &[Membership]) -> (usize, usize, usize) {
    let before: HashMap<&UnitId, &Membership> = old.iter().map(|m| (&m.unit, m)).collect();
    let after: HashSet<&UnitId> = new.iter().map(|m| &m.unit).collect();
    let created = new.iter().filter(|m| !before.contains_key(&m.unit)).count();
    let updated = new.iter().filter(|m| before.get(&m.unit).is_some_and(|was| was != m)).count();
    let removed = before.keys().filter(|unit| !after.contains(*unit)).count();
    (created, updated, removed)
}
