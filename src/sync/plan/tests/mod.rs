//! Tests: what the planner promises, rule by rule, on a directory in memory to which plans are
//! applied.

mod links;
mod members;
mod merging;
mod properties;
mod removals;
mod renames;
mod tagging;
mod units;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::*;
use crate::base::id::TagId;
use crate::base::text_map::TextMap;
use crate::directory::{Membership, PersonDetails};
use crate::sync::remote::{Completeness, RemoteMembership, RemotePerson, RemoteTag, RemoteUnit};

/// A directory in memory.
#[derive(Debug, Clone)]
struct DirectoryModel {
    units: BTreeMap<UnitId, Unit>,
    persons: BTreeMap<PersonId, Person>,
    /// Persons whose userid passed to somebody else.
    released: HashSet<PersonId>,
    tags: BTreeMap<TagId, Tag>,
    known_conflicts: HashSet<(ConflictKind, PersonId, Vec<PersonId>)>,
    policy: SyncPolicy,
    now: Timestamp,
    next: usize,
}

fn corp() -> CorpId {
    CorpId::new("ww1")
}

fn department_unit_id(id: u32) -> UnitId {
    UnitId::from_department(&corp(), id)
}

impl DirectoryModel {
    fn new() -> Self {
        let link_by = vec![LinkField::Userid, LinkField::Mobile, LinkField::Email, LinkField::EmployeeNumber];
        Self {
            units: BTreeMap::new(),
            persons: BTreeMap::new(),
            released: HashSet::new(),
            tags: BTreeMap::new(),
            known_conflicts: HashSet::new(),
            policy: SyncPolicy { link_by, max_removals: 10_000, force: false },
            now: Timestamp::from_millis(1_800_000_000_000),
            next: 0,
        }
    }

    fn local(&self) -> LocalDirectory {
        let known = |person: &Person| KnownPerson {
            id: person.id.clone(),
            userid: person.userid.clone(),
            name: person.name.clone(),
            email: person.email.clone(),
            mobile: person.details.mobile.clone(),
            employee_number: person.details.employee_number().to_owned(),
            units: person.memberships.iter().map(|m| m.unit.clone()).collect(),
            leads: person.memberships.iter().filter(|m| m.leader).map(|m| m.unit.clone()).collect(),
            source: person.source,
            status: person.status,
            left_at: person.left_at,
            fingerprint: person.fingerprint.clone(),
        };
        let persons: Vec<&Person> =
            self.persons.values().filter(|person| !self.released.contains(&person.id)).collect();
        let by_userid: HashMap<String, KnownPerson> =
            persons.iter().map(|person| (person.userid.folded(), known(person))).collect();
        assert_eq!(by_userid.len(), persons.len(), "two persons have one userid: {persons:#?}");
        LocalDirectory {
            corp: corp(),
            units: self.units.values().cloned().collect(),
            tags: self.tags.values().cloned().collect(),
            persons: by_userid,
            known_conflicts: self.known_conflicts.clone(),
        }
    }

    fn plan(&mut self, remote: &RemoteDirectory) -> SyncPlan {
        let local = self.local();
        let next = &mut self.next;
        make_plan(remote.clone(), &local, &self.policy, self.now, &mut || {
            *next += 1;
            PersonId::new(format!("p{next:04}"))
        })
    }

    fn apply(&mut self, plan: &SyncPlan) {
        for change in &plan.units {
            match change {
                PlannedUnitChange::Create(unit) => {
                    assert!(self.units.insert(unit.id.clone(), unit.clone()).is_none());
                }
                PlannedUnitChange::Update(unit) => {
                    let old = self.units.insert(unit.id.clone(), unit.clone());
                    assert!(old.is_some_and(|old| old != *unit), "an update of nothing: {unit:?}");
                }
                PlannedUnitChange::Remove(id) => assert!(self.units.remove(id).is_some()),
            }
        }
        for change in &plan.tags {
            match change {
                PlannedTagChange::Create(tag) => {
                    assert!(self.tags.insert(tag.id.clone(), tag.clone()).is_none());
                }
                PlannedTagChange::Update(tag) => {
                    assert!(self.tags.insert(tag.id.clone(), tag.clone()).is_some());
                }
                PlannedTagChange::Remove(id) => assert!(self.tags.remove(id).is_some()),
            }
        }
        for change in plan.persons.clone() {
            match change {
                PlannedPersonChange::Create { person, takes_over } => {
                    self.released.extend(takes_over);
                    assert!(self.persons.insert(person.id.clone(), *person).is_none());
                }
                PlannedPersonChange::Update { id, reported } => {
                    let merged = merge_person(*reported, &self.persons[&id]);
                    self.persons.insert(id, merged.person);
                }
                PlannedPersonChange::Leave { id } => {
                    let left = mark_left(&self.persons[&id], self.now);
                    self.persons.insert(id, left.person);
                }
            }
        }
        let conflicts = plan.conflicts.iter().cloned();
        self.known_conflicts.extend(conflicts.map(|new| (new.kind, new.person, new.candidates)));
        let _ = self.local();
    }

    /// Plans, applies, and checks that a second plan is empty.
    fn run(&mut self, remote: &RemoteDirectory) -> SyncPlan {
        let plan = self.plan(remote);
        assert_eq!(plan.refused, None);
        self.apply(&plan);
        let again = self.plan(remote);
        assert!(is_empty(&again), "not settled after {plan:#?}\n\n{again:#?}");
        plan
    }

    /// Returns the person who has this userid.
    fn person(&self, userid: &str) -> &Person {
        let has = |person: &&Person| person.userid.as_str() == userid && !self.released.contains(&person.id);
        self.persons.values().find(has).unwrap_or_else(|| panic!("nobody is {userid}: {:#?}", self.persons))
    }

    fn id(&self, userid: &str) -> PersonId {
        self.person(userid).id.clone()
    }

    fn add_local_person(&mut self, userid: &str, edit: impl FnOnce(&mut Person)) -> PersonId {
        let id = PersonId::new(format!("local-{userid}"));
        let mut person = Person {
            id: id.clone(),
            userid: UserId::new(userid),
            name: format!("{userid} by hand"),
            email: String::new(),
            source: EntrySource::Local,
            status: PersonStatus::Active,
            left_at: None,
            main_unit: None,
            memberships: Vec::new(),
            details: PersonDetails::default(),
            fingerprint: String::new(),
        };
        edit(&mut person);
        self.persons.insert(id.clone(), person);
        id
    }

    fn add_local_unit(&mut self, id: &str, parent: Option<UnitId>) -> UnitId {
        let unit = Unit {
            id: UnitId::new(id),
            wecom_id: None,
            source: EntrySource::Local,
            parent,
            name: id.to_owned(),
            name_en: String::new(),
            order: 0,
            leaders: Vec::new(),
        };
        self.units.insert(unit.id.clone(), unit);
        UnitId::new(id)
    }

    fn advance_hours(&mut self, hours: u64) {
        self.now = self.now.plus(Duration::from_secs(hours * 3600));
    }
}

fn is_empty(plan: &SyncPlan) -> bool {
    plan.units.is_empty() && plan.persons.is_empty() && plan.tags.is_empty() && plan.conflicts.is_empty()
}

/// A complete fetch: departments 2 and 3 below department 1, and 4 below 3.
fn remote(persons: Vec<RemotePerson>) -> RemoteDirectory {
    RemoteDirectory {
        units: vec![department(1, 0), department(2, 1), department(3, 1), department(4, 3)],
        persons,
        completeness: Completeness { units: true, persons: true, details: true },
        ..RemoteDirectory::default()
    }
}

fn department(id: u32, parent: u32) -> RemoteUnit {
    let leaders = Vec::new();
    RemoteUnit { id, parent, name: format!("dept {id}"), name_en: String::new(), order: 0, leaders }
}

fn member(userid: &str) -> RemotePerson {
    RemotePerson {
        userid: UserId::new(userid),
        name: format!("{userid}'s name"),
        email: String::new(),
        status: PersonStatus::Active,
        memberships: vec![RemoteMembership { unit: 2, order: 0, leader: false }],
        main_department: Some(2),
        direct_leaders: Vec::new(),
        position: String::new(),
        mobile: String::new(),
        alias: String::new(),
        telephone: String::new(),
        attributes: TextMap::default(),
    }
}

fn member_with(userid: &str, edit: impl FnOnce(&mut RemotePerson)) -> RemotePerson {
    let mut member = member(userid);
    edit(&mut member);
    member
}

fn in_units(units: &[u32]) -> Vec<RemoteMembership> {
    units.iter().map(|unit| RemoteMembership { unit: *unit, order: 0, leader: false }).collect()
}

fn userids(list: &[UserId]) -> Vec<&str> {
    list.iter().map(UserId::as_str).collect()
}

fn note_codes(plan: &SyncPlan) -> Vec<&str> {
    plan.notes.iter().map(|note| note.code.as_str()).collect()
}

fn expected_conflict(kind: ConflictKind, person: &PersonId, candidates: &[&PersonId]) -> NewConflict {
    let candidates = candidates.iter().map(|id| (*id).clone()).collect();
    NewConflict { kind, person: person.clone(), candidates }
}

/// Counts persons created, updated and left.
fn count_person_changes(plan: &SyncPlan) -> (usize, usize, usize) {
    let count = |wanted: fn(&PlannedPersonChange) -> bool| plan.persons.iter().filter(|c| wanted(c)).count();
    (
        count(|c| matches!(c, PlannedPersonChange::Create { .. })),
        count(|c| matches!(c, PlannedPersonChange::Update { .. })),
        count(|c| matches!(c, PlannedPersonChange::Leave { .. })),
    )
}
