//! What a run did, or in a rehearsal would do: counted, and told line by line.

use serde::{Deserialize, Serialize};

use crate::base::id::{ConflictId, PersonId};
use crate::directory::{Person, PersonStatus, Tag, Unit};
use crate::sync::remote::ReportNote;

/// So many lines, and so many skipped records, are told; of the rest only the number.
pub(super) const MAX_REPORT_LINES: usize = 1000;

/// How many were created, updated and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// New ones.
    pub created: u64,
    /// Different ones.
    pub updated: u64,
    /// Those that are gone; of persons: those that left.
    pub removed: u64,
}

/// What changed, in the shape of `GET /api/v1/directory/sync/{run_id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Units.
    pub units: Tally,
    /// Persons.
    pub persons: Tally,
    /// Persons in units.
    pub memberships: Tally,
}

/// What a run did, or in a rehearsal would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplyResult {
    /// What changed.
    pub counts: Counts,
    /// Tags that changed.
    pub tags: Tally,
    /// New questions that only a human can decide.
    pub conflicts: u64,
    /// The version that is published now.
    pub version: i64,
    /// One line for each change: what, whom, which fields. At most 1000.
    pub lines: Vec<String>,
    /// How many lines more there would be.
    pub more_lines: u64,
    /// The plan's notes, then those of writing it.
    pub notes: Vec<ReportNote>,
    /// Records that stay as they were, because they could not be written or their old rows not be read. At most 1000.
    pub skipped: Vec<SkippedRecord>,
    /// How many more were skipped.
    pub more_skipped: u64,
}

/// A question that a run raised, as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedConflict {
    /// Its id.
    pub id: ConflictId,
    /// `ambiguous`, `renamed`, `reused`.
    pub kind: String,
    /// Who was let in as itself.
    pub person_id: PersonId,
    /// Who it could be.
    pub candidates: Vec<PersonId>,
}

/// A record that stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRecord {
    /// `unit`, `person` or `tag`.
    pub kind: String,
    /// Our id.
    pub id: String,
    /// As WeCom names it: a person's userid, `wecom:ID` of the others; empty if that is not known.
    pub wecom: String,
    /// Why.
    pub reason: String,
}

impl Tally {
    /// Counts also what another one counted.
    pub(super) const fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.removed += other.removed;
    }
}

impl Counts {
    /// Counts also what another one counted.
    pub(super) const fn add(&mut self, other: Self) {
        self.units.add(other.units);
        self.persons.add(other.persons);
        self.memberships.add(other.memberships);
    }
}

/// Lines up to a number; beyond it they are only counted, and never made.
#[derive(Debug, Default)]
pub(super) struct ReportLines {
    pub(super) told: Vec<String>,
    pub(super) more: u64,
    room: usize,
}

impl ReportLines {
    /// Room for so many.
    pub(super) const fn with_room(room: usize) -> Self {
        Self { told: Vec::new(), more: 0, room }
    }

    /// One more.
    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        if self.told.len() < self.room {
            self.told.push(line());
        } else {
            self.more += 1;
        }
    }
}

/// How a line names a unit.
pub(super) fn describe_unit(unit: &Unit) -> String {
    unit.wecom_id.map_or_else(|| unit.name.clone(), |id| format!("{} (wecom:{id})", unit.name))
}

/// How a line names a tag.
pub(super) fn describe_tag(tag: &Tag) -> String {
    tag.wecom_id.map_or_else(|| tag.name.clone(), |id| format!("{} (wecom:{id})", tag.name))
}

/// How a line names a person.
pub(super) fn describe_person(person: &Person) -> String {
    if person.name.is_empty() {
        return person.userid.to_string();
    }
    format!("{} ({})", person.userid, person.name)
}

/// Which fields of a unit are different.
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

/// Which fields of a tag are different.
pub(super) fn describe_tag_changes(old: &Tag, new: &Tag) -> String {
    let renamed = (old.name != new.name).then(|| format!("name {} → {}", old.name, new.name));
    let others =
        list_changed_fields([(old.users != new.users, "members"), (old.units != new.units, "units")]);
    join_parts(renamed.into_iter().chain(others))
}

/// Which fields of a person are different. Only of the userid and the status both values are told: mobile numbers and
/// the like have no place in a report.
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

/// Whether a person leaves with this change.
pub(super) fn is_leaving(old: &Person, new: &Person) -> bool {
    new.status == PersonStatus::Left && old.status != PersonStatus::Left
}

fn list_changed_fields<const N: usize>(fields: [(bool, &str); N]) -> impl Iterator<Item = String> {
    fields.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name.to_owned())
}

fn join_parts(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
