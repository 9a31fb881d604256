//! Plans what a run would change, without I/O: [`make_plan`].
//!
//! Persons are compared by fingerprint ([`fingerprint`]), so that 100 000 unchanged ones
//! cost no row. For those that differ, the rows are read afterwards in batches, and
//! [`merge_person`] says what each becomes.
//!
//! | module | decides |
//! |---|---|
//! | `tree` | how departments become units: parents, cycles, names, leaders, removals |
//! | `persons` | whether a member is unchanged, changed, new or gone, and who is back |
//! | `link_keys` | by which keys a local person is recognised, and whether by one member only |
//! | `userid_changes` | which person who left is which member who joined |
//! | `decisions` | the changes of persons, and the conflicts for a human |
//! | `tags` | the changes of tags |
//! | `merge` | the new row of a changed person |
//!
//! See [design: the organisation chart](crate::design#organisation-chart) and [design:
//! conflicts](crate::design#conflicts).

mod decisions;
mod fingerprint;
mod link_keys;
mod merge;
mod persons;
mod tags;
mod tree;
mod userid_changes;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

pub(crate) use crate::directory::conflicts::ConflictKind;

pub(crate) use self::merge::{mark_left, merge_person};

use self::decisions::PersonDecisions;
use self::persons::SortedMembers;
use self::tree::PlannedChart;
use super::remote::{RemoteDirectory, ReportNote};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UnitId, UserId};
use crate::config::LinkField;
use crate::directory::{EntrySource, Person, PersonStatus, Tag, Unit};

/// Our chart, as far as a plan needs it.
#[derive(Debug, Clone)]
pub struct LocalDirectory {
    pub corp: CorpId,
    /// Units from WeCom and local ones.
    pub units: Vec<Unit>,
    pub tags: Vec<Tag>,
    /// Every person by folded userid: from WeCom and local, including those who left.
    pub persons: HashMap<String, KnownPerson>,
    /// Conflicts that were raised before, open or closed, as kind, person and sorted candidates.
    /// They are not raised again.
    pub known_conflicts: HashSet<(ConflictKind, PersonId, Vec<PersonId>)>,
}

/// A person of ours, as far as a plan needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    pub id: PersonId,
    /// As WeCom writes it.
    pub userid: UserId,
    pub name: String,
    /// Empty if unknown.
    pub email: String,
    /// Empty if unknown.
    pub mobile: String,
    /// Empty if unknown.
    pub employee_number: String,
    pub units: Vec<UnitId>,
    /// Units that the person leads by its membership. They keep a unit's leaders complete when the
    /// person is not read.
    pub leads: Vec<UnitId>,
    pub source: EntrySource,
    pub status: PersonStatus,
    /// When the person left.
    pub left_at: Option<Timestamp>,
    /// The fingerprint of WeCom's last record; empty if no run has read one.
    pub fingerprint: String,
}

/// What an administrator allows a run to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPolicy {
    /// `directory.link_by`.
    pub link_by: Vec<LinkField>,
    /// `directory.max_removals` in hundredths of a percent: 10 % is 1000.
    pub max_removals: u32,
    /// `--force`: removes however much is missing, but never after an incomplete fetch.
    pub force: bool,
}

/// What a run would change.
#[derive(Debug, Clone, Default)]
pub struct SyncPlan {
    pub units: Vec<PlannedUnitChange>,
    /// In any order; unchanged persons are not listed.
    pub persons: Vec<PlannedPersonChange>,
    pub tags: Vec<PlannedTagChange>,
    pub conflicts: Vec<NewConflict>,
    /// How many persons and units the plan removes, and how many it could.
    pub removals: Removals,
    /// Set if the plan removes too much to be applied without `--force`.
    pub refused: Option<ExcessiveRemovals>,
    /// Notes for the report: the fetch's, then the plan's.
    pub notes: Vec<ReportNote>,
}

/// How many persons and units a plan removes; a run keeps it in its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Removals {
    /// Persons from WeCom who leave.
    pub persons: usize,
    /// Persons from WeCom who have not left before the run.
    pub of_persons: usize,
    /// Units from WeCom that are removed.
    pub units: usize,
    /// Units from WeCom before the run.
    pub of_units: usize,
}

/// The removals of a plan that removes more than `directory.max_removals` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error, Serialize, Deserialize)]
#[error(
    "would let {} of {} persons leave and remove {} of {} units, more than directory.max_removals allows \
     ({max_persons} persons, {max_units} units); if WeCom is right, run again with --force",
    removals.persons, removals.of_persons, removals.units, removals.of_units
)]
pub struct ExcessiveRemovals {
    #[serde(flatten)]
    pub removals: Removals,
    /// How many persons may leave.
    pub max_persons: usize,
    /// How many units may be removed.
    pub max_units: usize,
}

/// A change of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedUnitChange {
    Create(Unit),
    /// The same id with another name, parent, order or leader.
    Update(Unit),
    Remove(UnitId),
}

/// A change of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedTagChange {
    Create(Tag),
    /// The same id with another name or other holders.
    Update(Tag),
    Remove(crate::base::id::TagId),
}

/// A change of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedPersonChange {
    /// Somebody new. The userid may have been another person's, who left before or leaves by the
    /// same plan and keeps its row without the userid.
    Create {
        /// The new person, with a new id. In a box, so that a plan of very many takes no more memory
        /// than their texts.
        person: Box<Person>,
        /// Who had the userid before.
        takes_over: Option<PersonId>,
    },
    /// WeCom reports something new about `id`; [`merge_person`] makes the row. This includes local
    /// persons who are recognised and persons whose userid changed.
    Update {
        id: PersonId,
        /// WeCom's record as a row, not yet merged with the old one.
        reported: Box<Person>,
    },
    /// WeCom no longer has the person.
    Leave { id: PersonId },
}

/// A new conflict: is `person` one of `candidates`?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConflict {
    pub kind: ConflictKind,
    /// Who was admitted as a person of its own.
    pub person: PersonId,
    /// Who it could be; sorted, never empty.
    pub candidates: Vec<PersonId>,
}

/// The new row of a changed person, and what changed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergedPerson {
    pub person: Person,
    /// Whether anything but the fingerprint differs from the old row.
    pub changed: bool,
    /// Memberships created, updated (order, leader) and removed.
    pub memberships: (usize, usize, usize),
}

/// Plans how `local` becomes what WeCom says in `remote`.
///
/// Local units are never changed, local persons only where they are recognised as members. If the
/// fetch missed departments, no unit is removed. If it missed members, only those leave whose
/// userid was read as somebody else's. After the plan is applied, planning the same `remote` again
/// gives an empty plan. `new_id` is called once for each person created.
///
/// A plan that is [`refused`](SyncPlan::refused) still lists everything it would change.
pub fn make_plan(
    remote: RemoteDirectory,
    local: &LocalDirectory,
    policy: &SyncPolicy,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> PersonId,
) -> SyncPlan {
    let RemoteDirectory { units, persons, mut present, tags, completeness: complete, mut notes, mode: _ } =
        remote;
    let chart = PlannedChart::new(units, complete.units, local, &mut notes);
    let mut sorted =
        SortedMembers::sort(persons, &mut present, complete.persons, local, &chart, now, &mut notes);
    let leads = std::mem::take(&mut sorted.leads);
    let PersonDecisions { changes, conflicts, leaving } =
        PersonDecisions::from_sorted(sorted, &present, &policy.link_by, local, new_id);
    let tags = tags.map_or_else(Vec::new, |tags| tags::plan_tag_changes(tags, local, &chart));
    // After the persons, whose records name further leaders of units.
    let units = chart.into_unit_changes(leads, &mut notes);
    let removals = Removals {
        persons: leaving,
        of_persons: local.persons.values().filter(|known| may_leave(known)).count(),
        units: units.iter().filter(|change| matches!(change, PlannedUnitChange::Remove(_))).count(),
        of_units: local.units.iter().filter(|unit| unit.source == EntrySource::Wecom).count(),
    };
    SyncPlan {
        units,
        persons: changes,
        tags,
        conflicts,
        removals,
        refused: find_excess(removals, policy),
        notes,
    }
}

/// Returns whether `known` can leave by WeCom's word.
fn may_leave(known: &KnownPerson) -> bool {
    known.source == EntrySource::Wecom && known.status != PersonStatus::Left
}

/// Returns the limits that the removals exceed; `None` if the plan may be applied.
fn find_excess(removals: Removals, policy: &SyncPolicy) -> Option<ExcessiveRemovals> {
    let max_persons = max_removals_of(removals.of_persons, policy);
    let max_units = max_removals_of(removals.of_units, policy);
    let too_many = removals.persons > max_persons || removals.units > max_units;
    (too_many && !policy.force).then_some(ExcessiveRemovals { removals, max_persons, max_units })
}

/// Returns `max_removals` of `of`, rounded up, so that in a small company one person may leave.
fn max_removals_of(of: usize, policy: &SyncPolicy) -> usize {
    let share = u128::from(policy.max_removals) * of as u128;
    usize::try_from(share.div_ceil(10_000)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
