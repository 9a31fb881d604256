//! Counts and describes what a run did, or in a dry run would do.

use serde::{Deserialize, Serialize};

use crate::base::id::{ConflictId, PersonId};
use crate::directory::conflicts::ConflictKind;
use crate::directory::{Person, PersonStatus, Tag, Unit};
use crate::sync::remote::ReportNote;

/// How many lines, and how many skipped records, a report lists; the rest is only counted.
pub(super) const MAX_REPORT_LINES: usize = 1000;

/// How many records were created, updated and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub created: u64,
    pub updated: u64,
    /// For persons: how many left.
    pub removed: u64,
}

/// What changed, in the shape of `GET /api/v1/directory/sync/{run_id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub units: Tally,
    pub persons: Tally,
    pub memberships: Tally,
}

/// What a run did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplyResult {
    pub counts: Counts,
    pub tags: Tally,
    /// New conflicts that only a human can decide.
    pub conflicts: u64,
    /// The version that is published now.
    pub version: i64,
    /// One line per change (what, whom, which fields), at most 1000.
    pub lines: Vec<String>,
    /// How many lines were left out.
    pub more_lines: u64,
    /// The plan's notes, then those of writing it.
    pub notes: Vec<ReportNote>,
    /// Records that stay as they were because they could not be written, or their old rows not be
    /// read; at most 1000.
    pub skipped: Vec<SkippedRecord>,
    /// How many skipped records were left out.
    pub more_skipped: u64,
}

/// A conflict that a run raised, as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedConflict {
    pub id: ConflictId,
    pub kind: ConflictKind,
    /// Who was admitted as a person of its own.
    pub person_id: PersonId,
    pub candidates: Vec<PersonId>,
}

/// A record that stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRecord {
    /// `unit`, `person` or `tag`.
    pub kind: String,
    pub id: String,
    /// WeCom's name of it: a person's userid, otherwise `wecom:ID`; empty if unknown.
    pub wecom: String,
    pub reason: String,
}

impl Tally {
    pub(super) const fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.removed += other.removed;
    }
}

impl Counts {
    pub(super) const fn add(&mut self, other: Self) {
        self.units.add(other.units);
        self.persons.add(other.persons);
        self.memberships.add(other.memberships);
    }
}

/// Report lines up to a limit; further lines are counted but never built.
#[derive(Debug, Default)]
pub(super) struct ReportLines {
    pub(super) told: Vec<String>,
    pub(super) more: u64,
    room: usize,
}

impl ReportLines {
    pub(super) const fn with_room(room: usize) -> Self {
        Self { told: Vec::new(), more: 0, room }
    }

    /// Adds a line, which is only built if there is room.
    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        if self.told.len() < self.room {
            self.told.push(line());
        } else {
            self.more += 1;
        }
    }
}

pub(super) fn describe_unit(unit: &Unit) -> String {
    unit.wecom_id.map_or_else(|| unit.name.clone(), |id| format!("{} (wecom:{id})", unit.name))
}

pub(super) fn describe_tag(tag: &Tag) -> String {
    tag.wecom_id.map_or_else(|| tag.name.clone(), |id| format!("{} (wecom:{id})", tag.name))
}

pub(super) fn describe_person(person: &Person) -> String {
    if person.name.is_empty() {
        return person.userid.to_string();
    }
    format!("{} ({})", person.userid, person.name)
}

/// Lists which fields of a unit changed.
pub(super) fn describe_unit_changes(old: &Unit, new: &Unit) -> String {
    let renamed = (old.name != new.name).then(|| format!("name {} → {}", old.name, new.name));
    let others = list_changed_fields([
        (old.name_en != new.name_en, "English name"),
        (old.parent != new.parent, "parent"),
        (old.order != new.order, "order"),
        (old.leaders != new.leaders, "leaders"),
    ]);
    join_parts(renamed.into_iter().chain(others))
}

/// Lists which fields of a tag changed.
pub(super) fn describe_tag_changes(old: &Tag, new: &Tag) -> String {
    let renamed = (old.name != new.name).then(|| format!("name {} → {}", old.name, new.name));
    let others =
        list_changed_fields([(old.users != new.users, "members"), (old.units != new.units, "units")]);
    join_parts(renamed.into_iter().chain(others))
}

/// Lists which fields of a person changed. Only userid and status are shown with their values:
/// mobile numbers and the like do not belong in a report.
pub(super) fn describe_person_changes(old: &Person, new: &Person) -> String {
    let userid = (old.userid != new.userid).then(|| format!("userid {} → {}", old.userid, new.userid));
    let status = (old.status != new.status)
        .then(|| format!("status {} → {}", old.status.as_str(), new.status.as_str()));
    let (was, is) = (&old.details, &new.details);
    let others = list_changed_fields([
        (old.source != new.source, "now WeCom's"),
        (old.name != new.name, "name"),
        (old.email != new.email, "email"),
        (old.memberships != new.memberships, "units"),
        (old.main_unit != new.main_unit, "main unit"),
        (was.position != is.position, "position"),
        (was.mobile != is.mobile, "mobile"),
        (was.alias != is.alias, "alias"),
        (was.telephone != is.telephone, "telephone"),
        (was.direct_leaders != is.direct_leaders, "direct leaders"),
        (was.attributes != is.attributes, "attributes"),
    ]);
    join_parts(userid.into_iter().chain(status).chain(others))
}

/// Returns whether a person leaves with this change.
pub(super) fn is_leaving(old: &Person, new: &Person) -> bool {
    new.status == PersonStatus::Left && old.status != PersonStatus::Left
}

fn list_changed_fields<const N: usize>(fields: [(bool, &str); N]) -> impl Iterator<Item = String> {
    fields.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name.to_owned())
}

fn join_parts(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
