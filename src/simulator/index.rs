//! An index of the world, so that a corporation of a hundred thousand members answers as fast as a
//! small one.
//!
//! A test may change the lists of the world directly. Every change drops the index, and the next
//! call builds it again.

use std::collections::{HashMap, HashSet};

use super::people::{SimulatedDepartment, SimulatedMember, SimulatedStatus};
use super::world::{SimulatedApp, World};

/// The members and departments that an application sees: its 可见范围, resolved.
#[derive(Debug)]
pub(super) struct VisibleRange {
    departments: HashSet<i64>,
    /// In lower case.
    members: HashSet<String>,
    hidden: HashSet<String>,
}

impl VisibleRange {
    pub(super) fn from_app(world: &World, app: &SimulatedApp) -> Self {
        let mut below: HashMap<i64, Vec<i64>> = HashMap::new();
        for d in &world.departments {
            below.entry(d.parent).or_default().push(d.id);
        }
        let tags = || world.tags.iter().filter(|t| app.visible.tags.contains(&t.id));
        let known: HashSet<i64> = world.departments.iter().map(|d| d.id).collect();
        let tops = app.visible.departments.iter().chain(tags().flat_map(|t| &t.departments)).copied();
        // A deleted department is not visible, nor is a department that still names it as its
        // parent.
        let mut left: Vec<i64> = tops.filter(|id| known.contains(id)).collect();
        let mut departments = HashSet::new();
        while let Some(id) = left.pop() {
            if departments.insert(id) {
                left.extend(below.get(&id).into_iter().flatten());
            }
        }
        Self {
            departments,
            members: app
                .visible
                .members
                .iter()
                .chain(tags().flat_map(|t| &t.users))
                .map(|u| u.to_ascii_lowercase())
                .collect(),
            hidden: app.visible.hidden.iter().map(|u| u.to_ascii_lowercase()).collect(),
        }
    }

    pub(super) fn has_department(&self, id: i64) -> bool {
        self.departments.contains(&id)
    }

    pub(super) fn has_member(&self, member: &SimulatedMember) -> bool {
        let named =
            |list: &HashSet<String>| !list.is_empty() && list.contains(&member.userid.to_ascii_lowercase());
        !named(&self.hidden)
            && (member.departments.iter().any(|d| self.has_department(*d)) || named(&self.members))
    }
}

impl World {
    /// Tells whether the member is in the application's visible range. Resolves the whole range
    /// each time.
    pub(super) fn member_is_visible(&self, app: &SimulatedApp, member: &SimulatedMember) -> bool {
        VisibleRange::from_app(self, app).has_member(member)
    }
}

/// Positions in the lists of the world. Of two entries with the same id, the first counts.
#[derive(Debug)]
pub(super) struct WorldIndex {
    /// By userid in lower case.
    members: HashMap<String, usize>,
    departments: HashMap<i64, usize>,
    /// The departments directly below each department.
    below: HashMap<i64, Vec<usize>>,
    /// The members directly in each department, without those who left.
    within: HashMap<i64, Vec<usize>>,
    ranges: HashMap<i64, VisibleRange>,
}

impl WorldIndex {
    pub(super) fn from_world(world: &World) -> Self {
        let mut members = HashMap::with_capacity(world.members.len());
        let mut within: HashMap<i64, Vec<usize>> = HashMap::new();
        for (at, m) in world.members.iter().enumerate() {
            members.entry(m.userid.to_ascii_lowercase()).or_insert(at);
            if m.status != SimulatedStatus::Left {
                for d in &m.departments {
                    within.entry(*d).or_default().push(at);
                }
            }
        }
        let mut departments = HashMap::with_capacity(world.departments.len());
        let mut below: HashMap<i64, Vec<usize>> = HashMap::new();
        for (at, d) in world.departments.iter().enumerate() {
            departments.entry(d.id).or_insert(at);
            below.entry(d.parent).or_default().push(at);
        }
        let ranges = world.apps().map(|a| (a.agent_id, VisibleRange::from_app(world, a))).collect();
        Self { members, departments, below, within, ranges }
    }
}

/// The world with its index.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorldView<'w> {
    pub(super) world: &'w World,
    pub(super) index: &'w WorldIndex,
}

impl<'w> WorldView<'w> {
    /// Returns the member with that userid, ignoring case.
    pub(super) fn member(self, userid: &str) -> Option<&'w SimulatedMember> {
        let at = self.index.members.get(&userid.to_ascii_lowercase())?;
        self.world.members.get(*at)
    }

    pub(super) fn department(self, id: i64) -> Option<&'w SimulatedDepartment> {
        self.world.departments.get(*self.index.departments.get(&id)?)
    }

    /// Returns the departments directly below, larger order first.
    pub(super) fn children(self, id: i64) -> Vec<&'w SimulatedDepartment> {
        let at = self.index.below.get(&id).into_iter().flatten();
        let mut list: Vec<&SimulatedDepartment> =
            at.filter_map(|at| self.world.departments.get(*at)).filter(|d| d.id != id).collect();
        list.sort_by_key(|d| (std::cmp::Reverse(d.order), d.id));
        list
    }

    /// Returns the department and everything below it, in the order of the world's list.
    pub(super) fn subtree(self, id: i64) -> Vec<&'w SimulatedDepartment> {
        let mut found: Vec<usize> = Vec::new();
        let mut seen = HashSet::new();
        let mut left: Vec<usize> = self.index.departments.get(&id).copied().into_iter().collect();
        // Departments may form a circle; each is visited once.
        while let Some(at) = left.pop() {
            if seen.insert(at) {
                found.push(at);
                let id = self.world.departments.get(at).map(|d| d.id);
                left.extend(id.and_then(|id| self.index.below.get(&id)).into_iter().flatten());
            }
        }
        found.sort_unstable();
        found.into_iter().filter_map(|at| self.world.departments.get(at)).collect()
    }

    /// Returns the members directly in a department who have not left, in the order of the world's
    /// list.
    pub(super) fn members_in(self, id: i64) -> impl Iterator<Item = &'w SimulatedMember> {
        let at = self.index.within.get(&id).into_iter().flatten();
        at.filter_map(move |at| self.world.members.get(*at))
    }

    /// Returns what an application sees; `None` for an unknown application.
    pub(super) fn range(self, agent_id: i64) -> Option<&'w VisibleRange> {
        self.index.ranges.get(&agent_id)
    }
}
