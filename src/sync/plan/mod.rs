//! What a run would change: `plan(remote, local, policy) -> Plan`, without I/O.
//!
//! Persons are compared by fingerprint ([`fingerprint()`]), so that 100 000 unchanged ones cost no row. Of those that
//! differ the rows are read afterwards, in batches, and [`merge()`] says what each becomes and what that counts as.

//!
//! | module | decides |
//! |---|---|
//! | `tree` | departments become units: parents, cycles, names, leaders, what goes |
//! | `persons` | into which heap a member goes: unchanged, changed, new, gone; who is back |
//! | `link` | by which keys a local person is recognised, and whether by one member only |
//! | `renamed` | who of those that left is who of those that joined |
//! | `decide` | what becomes of everybody, and what a human is asked |
//! | `tags` | who has which tag |
//! | [`merge`](merge()) | what a changed row becomes |

mod decisions;
mod fingerprint;
mod link_keys;
mod merge;
mod persons;
mod tags;
mod text;
mod tree;
mod userid_changes;

use std::collections::{HashMap, HashSet};

pub use self::fingerprint::compute_fingerprint;
pub use self::merge::{mark_left, merge_person};

use self::decisions::PersonDecisions;
use self::persons::SortedMembers;
use self::tree::PlannedChart;
use super::remote::{RemoteDirectory, ReportNote};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UnitId, UserId};
use crate::directory::{EntrySource, Person, PersonStatus, Tag, Unit};

/// What we have, as far as a plan needs it.
#[derive(Debug, Clone)]
pub struct LocalDirectory {
    /// Whose directory it is.
    pub corp: CorpId,
    /// Every unit, WeCom's and local.
    pub units: Vec<Unit>,
    /// Every tag.
    pub tags: Vec<Tag>,
    /// Every person by folded userid, WeCom's and local, those who left included.
    pub persons: HashMap<String, KnownPerson>,
    /// Questions that were asked before, open or answered: (kind, person, candidates sorted). They are not asked again.
    pub known_conflicts: HashSet<(ConflictKind, PersonId, Vec<PersonId>)>,
}

/// A person as a plan knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    /// Our id.
    pub id: PersonId,
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// Empty if unknown.
    pub email: String,
    /// Empty if unknown.
    pub mobile: String,
    /// Empty if unknown.
    pub employee_number: String,
    /// The units the person is in.
    pub units: Vec<UnitId>,
    /// Those of them the person leads by its membership: a unit's leaders are known also where the person is not read.
    pub leads: Vec<UnitId>,
    /// Whose the entry is.
    pub source: EntrySource,
    /// The status.
    pub status: PersonStatus,
    /// Since when the person is left.
    pub left_at: Option<Timestamp>,
    /// The fingerprint of what WeCom said last; empty: not known.
    pub fingerprint: String,
}

/// A field by which a local person is recognised in WeCom (`directory.link_by`). Equal userids are the same person
/// whatever the setting, because userids are unique (WeCom document 90664). A mobile number or mail address, which
/// members may write themselves, counts only where the names agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkBy {
    /// The userid.
    Userid,
    /// The mobile number.
    Mobile,
    /// The mail address.
    Email,
    /// The employee number, an extension attribute.
    EmployeeNumber,
}

/// What an administrator allows a run to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPolicy {
    /// `directory.link_by`.
    pub link_by: Vec<LinkBy>,
    /// `directory.max_removals` in hundredths of a percent: 10% is 1000.
    pub max_removals: u32,
    /// `--force`: remove however much is missing (never on an incomplete fetch).
    pub force: bool,
}

/// What a run would do.
#[derive(Debug, Clone, Default)]
pub struct SyncPlan {
    /// Units to be created, changed or removed.
    pub units: Vec<PlannedUnitChange>,
    /// Persons to be created, changed or deactivated, by id in any order; unchanged ones are not here.
    pub persons: Vec<PlannedPersonChange>,
    /// Tags to be created, changed or removed.
    pub tags: Vec<PlannedTagChange>,
    /// New questions.
    pub conflicts: Vec<NewConflict>,
    /// How many persons and units the plan removes, and how many there are that it could.
    pub removals: Removals,
    /// Why it must not be applied without `--force`; `None`: it may.
    pub refused: Option<String>,
    /// What the report says: the notes of the fetch, then those of the plan.
    pub notes: Vec<ReportNote>,
}

/// How much a plan removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removals {
    /// WeCom's persons that become left, of `of_persons` that are not left now.
    pub persons: usize,
    /// WeCom's persons that are not left now.
    pub of_persons: usize,
    /// WeCom's units that go.
    pub units: usize,
    /// WeCom's units now.
    pub of_units: usize,
}

/// A change of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedUnitChange {
    /// A new one.
    Create(Unit),
    /// The same id, another name, place, order or leader.
    Update(Unit),
    /// WeCom has it no more.
    Remove(UnitId),
}

/// A change of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedTagChange {
    /// A new one.
    Create(Tag),
    /// The same id, other name or holders.
    Update(Tag),
    /// WeCom has it no more.
    Remove(crate::base::id::TagId),
}

/// A change of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedPersonChange {
    /// Nobody we know: `person` with a new id. `takes_over`: the userid was that of this person, who left, or leaves by
    /// the same plan, and keeps its entry without the claim to the userid.
    Create {
        /// The new person.
        person: Person,
        /// Whose userid it was.
        takes_over: Option<PersonId>,
    },
    /// What WeCom says now about `id`; [`merge()`] makes the row of it. Also a local person that was recognised, and a
    /// person whose userid changed.
    Update {
        /// Whom.
        id: PersonId,
        /// What WeCom says, as a row; of the old row [`merge()`] keeps what WeCom does not say.
        said: Person,
    },
    /// WeCom has the person no more.
    Leave {
        /// Whom.
        id: PersonId,
    },
}

/// Why a human is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConflictKind {
    /// A member that could be one of several local persons, or shares a local person with another member, or has a
    /// local person's mobile number or mail address and another name.
    Ambiguous,
    /// Somebody left and somebody joined in the same run, with the same name and in the same unit, or with a key that is
    /// not theirs alone. Also somebody left who shares a key with somebody who was let in before.
    Renamed,
    /// A userid came back after its holder had left, or is plainly somebody else's than at the last run.
    Reused,
}

impl ConflictKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ambiguous, Self::Renamed, Self::Reused];

    /// As the table and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Renamed => "renamed",
            Self::Reused => "reused",
        }
    }
}

/// A new question: is `person` one of `candidates`?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConflict {
    /// Why.
    pub kind: ConflictKind,
    /// Who was let in as itself.
    pub person: PersonId,
    /// Who it could be; sorted, never empty.
    pub candidates: Vec<PersonId>,
}

/// What a changed person becomes, and what it counts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedPerson {
    /// The new row.
    pub person: Person,
    /// Whether anything but the fingerprint differs from the old row.
    pub changed: bool,
    /// Memberships created, updated (order, leader) and removed.
    pub memberships: (usize, usize, usize),
}

/// What it takes to make `local` what WeCom says in `remote`.
///
/// Local units are never in it, and local persons only where they are recognised as members. A fetch that read not every
/// department removes no unit, one that read not every member lets nobody leave but those whose userid it read to be
/// somebody else's; nothing else refuses such a plan. After the plan is applied, another one from the same `remote` is empty. `new_id` is asked once for every person created.
///
/// A plan that is [`refused`](Plan::refused) says all the same what it would do.
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
    let mut heaps =
        SortedMembers::sort(persons, &mut present, complete.persons, local, &chart, now, &mut notes);
    let leads = std::mem::take(&mut heaps.leads);
    let PersonDecisions { changes, conflicts, leaving } =
        PersonDecisions::from_sorted(heaps, &present, &policy.link_by, local, &chart, new_id);
    let tags = tags.map_or_else(Vec::new, |tags| tags::plan_tag_changes(tags, local, &chart));
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
        refused: refusal_reason(removals, policy),
        notes,
    }
}

/// Whether it is WeCom's to let `known` leave.
fn may_leave(known: &KnownPerson) -> bool {
    known.source == EntrySource::Wecom && known.status != PersonStatus::Left
}

/// Why a plan that removes so much must not be applied; `None`: it may.
fn refusal_reason(removals: Removals, policy: &SyncPolicy) -> Option<String> {
    let Removals { persons, of_persons, units, of_units } = removals;
    let too_many = persons > max_removals_of(of_persons, policy) || units > max_removals_of(of_units, policy);
    (too_many && !policy.force).then(|| {
        format!(
            "would let {persons} of {of_persons} persons leave and remove {units} of {of_units} units, more than \
             directory.max_removals allows ({} persons, {} units); if WeCom is right, run again with --force",
            max_removals_of(of_persons, policy),
            max_removals_of(of_units, policy)
        )
    })
}

/// `max_removals` of so many, rounded up, so that in a small company one may leave.
fn max_removals_of(of: usize, policy: &SyncPolicy) -> usize {
    let share = u128::from(policy.max_removals) * of as u128;
    usize::try_from(share.div_ceil(10_000)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
