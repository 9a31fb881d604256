//! What a changed person's row becomes: what WeCom says now, and of the old row what WeCom does not say.

use std::collections::{HashMap, HashSet};

use super::Merged;
use crate::base::clock::Timestamp;
use crate::base::id::UnitId;
use crate::directory::{Membership, Person, Source, Status};

/// What becomes of `old` when WeCom says `said`; the id stays.
///
/// Kept of the old row: the name, mail address and mobile number that WeCom does not tell (the last two it tells since
/// 2022 only where the member consented), and memberships in units that are no departments, after WeCom's. Everything
/// else follows WeCom, only a local person that is recognised keeps the attributes WeCom does not have.
pub fn merge(said: Person, old: &Person) -> Merged {
    let mut person = said;
    person.id = old.id.clone();
    keep_if_empty(&mut person.name, &old.name);
    keep_if_empty(&mut person.email, &old.email);
    keep_if_empty(&mut person.detail.mobile, &old.detail.mobile);
    if old.source == Source::Local {
        for (name, value) in &old.detail.attributes {
            if !person.detail.attributes.contains_key(name) {
                person.detail.attributes.insert(name.clone(), value.clone());
            }
        }
    }
    person.left_at = match person.status {
        Status::Left => person.left_at.or(old.left_at),
        Status::Active | Status::Disabled | Status::Inactive => None,
    };
    let mut seen = HashSet::new();
    let local = old.memberships.iter().filter(|m| !m.unit.is_departments());
    let all: Vec<Membership> = person
        .memberships
        .iter()
        .chain(local)
        .filter(|membership| seen.insert(membership.unit.clone()))
        .cloned()
        .collect();
    person.memberships = all;
    if person.main_unit.is_none() {
        person.main_unit = old.main_unit.clone().filter(|unit| !unit.is_departments());
    }
    merged(person, old)
}

/// What becomes of `old` when WeCom has the person no more: it left `now`, unless it had before, and of its memberships
/// only those in units that are no departments stay. The fingerprint goes, so that a return is read whole.
pub fn leave(old: &Person, now: Timestamp) -> Merged {
    let mut person = old.clone();
    if old.status != Status::Left {
        person.status = Status::Left;
        person.left_at = Some(now);
    }
    person.memberships.retain(|membership| !membership.unit.is_departments());
    person.main_unit = person.main_unit.filter(|unit| !unit.is_departments());
    person.said = String::new();
    merged(person, old)
}

fn keep_if_empty(field: &mut String, old: &str) {
    if field.is_empty() {
        old.clone_into(field);
    }
}

fn merged(mut person: Person, old: &Person) -> Merged {
    let memberships = count(&person.memberships, &old.memberships);
    let said = std::mem::replace(&mut person.said, old.said.clone());
    let changed = person != *old;
    person.said = said;
    Merged { person, changed, memberships }
}

/// How many memberships are created, updated and removed, by unit; in which order they stand counts as no change.
fn count(new: &[Membership], old: &[Membership]) -> (usize, usize, usize) {
    let before: HashMap<&UnitId, &Membership> = old.iter().map(|m| (&m.unit, m)).collect();
    let after: HashSet<&UnitId> = new.iter().map(|m| &m.unit).collect();
    let created = new.iter().filter(|m| !before.contains_key(&m.unit)).count();
    let updated = new.iter().filter(|m| before.get(&m.unit).is_some_and(|was| was != m)).count();
    let removed = before.keys().filter(|unit| !after.contains(*unit)).count();
    (created, updated, removed)
}
