//! Turns departments into units: parents, removals, and what local units lose.

use std::collections::{HashMap, HashSet};

use super::{LocalDirectory, PlannedUnitChange};
use crate::base::id::{UnitId, UserId};
use crate::base::text::clean_text;
use crate::directory::{EntrySource, Unit};
use crate::sync::remote::{RemoteUnit, ReportNote};

const ROOT_DEPARTMENT_ID: u32 = 1;

/// How many names a note lists.
const MAX_LISTED_NAMES: usize = 5;

/// Leaders by unit, as the flags in the members' records say.
pub(super) type UnitLeaders = HashMap<UnitId, Vec<UserId>>;

/// WeCom's units as they will be: the fetched ones and, after an incomplete fetch, the known ones.
#[derive(Debug)]
pub(super) struct PlannedChart<'a> {
    /// Unit ids by department id.
    ids: HashMap<u32, UnitId>,
    /// Each department once.
    fetched: Vec<RemoteUnit>,
    /// WeCom's units as they are now.
    old: HashMap<&'a UnitId, &'a Unit>,
    /// Units made by hand.
    local: Vec<&'a Unit>,
    /// Whether units that were not fetched are gone.
    complete: bool,
}

impl<'a> PlannedChart<'a> {
    pub(super) fn new(
        departments: Vec<RemoteUnit>,
        complete: bool,
        local: &'a LocalDirectory,
        notes: &mut Vec<ReportNote>,
    ) -> Self {
        let by_hand: Vec<&Unit> =
            local.units.iter().filter(|unit| unit.source == EntrySource::Local).collect();
        let local_ids: HashSet<&UnitId> = by_hand.iter().map(|unit| &unit.id).collect();
        let old: HashMap<&UnitId, &Unit> =
            local.units.iter().filter(|u| u.source == EntrySource::Wecom).map(|u| (&u.id, u)).collect();
        let mut ids = HashMap::new();
        let mut twice = Vec::new();
        let mut fetched: Vec<RemoteUnit> = Vec::with_capacity(departments.len());
        for department in departments {
            let id = UnitId::from_department(&local.corp, department.id);
            // A local unit that has this id, however it came about, stays.
            if local_ids.contains(&id) {
                continue;
            }
            if ids.insert(department.id, id).is_some() {
                twice.push(department.id.to_string());
            } else {
                fetched.push(department);
            }
        }
        if !twice.is_empty() {
            let text = format!(
                "WeCom told these departments twice, the first telling counts: {}",
                list_first_names(&twice)
            );
            notes.push(ReportNote::new("plan.department_twice", text));
        }
        if !complete {
            for unit in old.values() {
                if let Some(department) = unit.wecom_id {
                    // Known departments keep their place in the tree, so that fetched ones can hang
                    // below them.
                    ids.entry(department).or_insert_with(|| unit.id.clone());
                }
            }
        }
        Self { ids, fetched, old, local: by_hand, complete }
    }

    /// Returns the unit of a department, if it will be in the chart.
    pub(super) fn unit(&self, id: u32) -> Option<&UnitId> {
        self.ids.get(&id)
    }

    /// Returns the changes of units. `leads` holds leaders from the members' records; they come
    /// after the leaders that the departments name.
    pub(super) fn into_unit_changes(
        self,
        mut leads: UnitLeaders,
        notes: &mut Vec<ReportNote>,
    ) -> Vec<PlannedUnitChange> {
        let mut parents = self.parents();
        // A cycle would make paths endless, and rules name units by path.
        let cut = cut_cycles(&mut parents, notes);
        let Self { ids, fetched, old, local, complete, .. } = self;
        let mut changes = Vec::new();
        let mut seen = HashSet::with_capacity(fetched.len());
        for department in fetched {
            let Some(id) = ids.get(&department.id) else { continue };
            let before = old.get(id).copied();
            let parent = parents.get(&department.id).and_then(|parent| ids.get(parent)).cloned();
            seen.insert(id.clone());
            let unit = Unit {
                id: id.clone(),
                wecom_id: Some(department.id),
                source: EntrySource::Wecom,
                parent,
                name: kept_unit_name(department.name, before, department.id),
                name_en: clean_text(department.name_en),
                order: department.order,
                leaders: dedup_userids(department.leaders, leads.remove(id).unwrap_or_default()),
            };
            match before {
                None => changes.push(PlannedUnitChange::Create(unit)),
                Some(before) if *before != unit => changes.push(PlannedUnitChange::Update(unit)),
                Some(_) => {}
            }
        }
        let mut unseen: Vec<&Unit> = old.values().copied().filter(|unit| !seen.contains(&unit.id)).collect();
        unseen.sort_by_key(|unit| &unit.id);
        if complete {
            // Local units are never removed or moved, even if the unit above them is.
            note_orphaned_units(&local, &unseen, notes);
            changes.extend(unseen.into_iter().map(|unit| PlannedUnitChange::Remove(unit.id.clone())));
        } else {
            // A known unit that was not fetched stays as it is, unless a cycle was cut there.
            for unit in unseen {
                if unit.parent.is_some() && unit.wecom_id.is_some_and(|id| cut.contains(&id)) {
                    changes.push(PlannedUnitChange::Update(Unit { parent: None, ..unit.clone() }));
                }
            }
        }
        changes
    }

    /// Maps each department to the one above it, as far as that will be in the chart.
    fn parents(&self) -> HashMap<u32, u32> {
        let mut parents = HashMap::with_capacity(self.ids.len());
        if !self.complete {
            let departments: HashMap<&UnitId, u32> = self.ids.iter().map(|(id, unit)| (unit, *id)).collect();
            for unit in self.old.values() {
                let above = unit.parent.as_ref().and_then(|parent| departments.get(parent));
                if let (Some(id), Some(parent)) = (unit.wecom_id, above) {
                    parents.insert(id, *parent);
                }
            }
        }
        for department in &self.fetched {
            let top = department.id == ROOT_DEPARTMENT_ID || department.parent == 0;
            // A parent outside the visible range makes the department a top one.
            if top || !self.ids.contains_key(&department.parent) {
                parents.remove(&department.id);
            } else {
                parents.insert(department.id, department.parent);
            }
        }
        parents
    }
}

/// Cuts every cycle above its smallest id, and returns those ids.
fn cut_cycles(parents: &mut HashMap<u32, u32>, notes: &mut Vec<ReportNote>) -> HashSet<u32> {
    let mut starts: Vec<u32> = parents.keys().copied().collect();
    starts.sort_unstable();
    let mut done: HashSet<u32> = HashSet::with_capacity(starts.len());
    let mut cut = HashSet::new();
    for start in starts {
        let mut way = Vec::new();
        let mut on_the_way = HashSet::new();
        let mut here = Some(start);
        while let Some(id) = here.filter(|id| !done.contains(id) && on_the_way.insert(*id)) {
            way.push(id);
            here = parents.get(&id).copied();
        }
        // The walk met a department of its own way: from there on it is a cycle.
        if let Some(again) = here.filter(|id| !done.contains(id)) {
            let cycle: Vec<u32> = way.iter().copied().skip_while(|id| *id != again).collect();
            if let Some(smallest) = cycle.iter().copied().min() {
                parents.remove(&smallest);
                cut.insert(smallest);
                let listed: Vec<String> = cycle.iter().map(u32::to_string).collect();
                notes.push(ReportNote::new(
                    "plan.department_cycle",
                    format!(
                        "departments stand above each other in a circle ({}): {smallest} was put on the top floor",
                        list_first_names(&listed)
                    ),
                ));
            }
        }
        done.extend(way);
    }
    cut
}

/// Notes which local units lose the unit above them.
fn note_orphaned_units(local: &[&Unit], removed: &[&Unit], notes: &mut Vec<ReportNote>) {
    let gone: HashSet<&UnitId> = removed.iter().map(|unit| &unit.id).collect();
    let mut bereft: Vec<String> = local
        .iter()
        .filter(|unit| unit.parent.as_ref().is_some_and(|parent| gone.contains(parent)))
        .map(|unit| unit.name.clone())
        .collect();
    if !bereft.is_empty() {
        bereft.sort();
        let text = format!(
            "local units whose department above is gone stay, without it, until a hand moves them: {}",
            list_first_names(&bereft)
        );
        notes.push(ReportNote::new("plan.local_unit_bereft", text));
    }
}

/// Returns the name to keep: a department without a name keeps its old one, or else gets its
/// number.
fn kept_unit_name(name: String, before: Option<&Unit>, id: u32) -> String {
    let name = clean_text(name);
    if name.is_empty() { before.map_or_else(|| id.to_string(), |unit| unit.name.clone()) } else { name }
}

/// Joins userids in this order, each once whatever its case.
pub(super) fn dedup_userids(first: Vec<UserId>, mut then: Vec<UserId>) -> Vec<UserId> {
    then.sort_by_cached_key(UserId::folded);
    let mut seen = HashSet::new();
    first
        .into_iter()
        .chain(then)
        .filter(|userid| is_usable_userid(userid) && seen.insert(userid.folded()))
        .collect()
}

/// Returns whether a userid can be stored and looked up.
pub(super) fn is_usable_userid(userid: &UserId) -> bool {
    UserId::parse_existing(userid.as_str()).is_ok()
}

/// Lists the first few names, and how many more there are.
pub(super) fn list_first_names(names: &[String]) -> String {
    let listed = names.iter().take(MAX_LISTED_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED_NAMES) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}
