//! Methods with which a test changes the address book: departments, members and tags.
//!
//! A change applies from the next call on. `false` means that the id does not exist and nothing
//! changed.

use super::Simulator;
use super::people::{SimulatedDepartment, SimulatedMember, SimulatedStatus, SimulatedTag};

impl Simulator {
    /// Adds a member, or replaces the one with the same userid in place.
    pub fn add_member(&self, member: SimulatedMember) {
        self.change(|w| match w.member_mut(&member.userid) {
            Some(there) => *there = member,
            None => w.members.push(member),
        });
    }

    pub fn change_member(&self, userid: &str, change: impl FnOnce(&mut SimulatedMember)) -> bool {
        self.change(|w| w.member_mut(userid).map(change).is_some())
    }

    /// Deletes a member, who is 60111 from then on. Tags and leaders that name the member stay.
    pub fn remove_member(&self, userid: &str) {
        self.change(|w| w.members.retain(|m| !m.userid.eq_ignore_ascii_case(userid)));
    }

    /// Moves a member to these departments.
    ///
    /// The orders are reset, the first department becomes the main one, and the member stays leader
    /// where it remains.
    pub fn move_member(&self, userid: &str, departments: impl IntoIterator<Item = i64>) -> bool {
        self.change_member(userid, |m| m.move_to(departments.into_iter().collect()))
    }

    /// Sets 激活状态.
    pub fn set_status(&self, userid: &str, status: SimulatedStatus) -> bool {
        self.change_member(userid, |m| m.status = status)
    }

    /// Makes a member the leader of a department, in both records.
    pub fn make_leader(&self, userid: &str, department: i64) -> bool {
        self.change(|w| {
            let Some(m) = w.member_mut(userid) else { return false };
            let userid = m.userid.clone();
            if !m.leads.contains(&department) {
                m.leads.push(department);
            }
            let Some(d) = w.departments.iter_mut().find(|d| d.id == department) else { return false };
            if !d.leaders.contains(&userid) {
                d.leaders.push(userid);
            }
            true
        })
    }

    /// Adds a department, or replaces the one with the same id in place.
    pub fn add_department(&self, department: SimulatedDepartment) {
        self.change(|w| match w.departments.iter_mut().find(|d| d.id == department.id) {
            Some(there) => *there = department,
            None => w.departments.push(department),
        });
    }

    pub fn change_department(&self, id: i64, change: impl FnOnce(&mut SimulatedDepartment)) -> bool {
        self.change(|w| w.departments.iter_mut().find(|d| d.id == id).map(change).is_some())
    }

    pub fn rename_department(&self, id: i64, name: &str) -> bool {
        self.change_department(id, |d| name.clone_into(&mut d.name))
    }

    /// Moves a department with everything below it. This may create a circle.
    pub fn move_department(&self, id: i64, parent: i64) -> bool {
        self.change_department(id, |d| d.parent = parent)
    }

    /// Deletes a department. Its members keep its id until they are changed.
    pub fn remove_department(&self, id: i64) {
        self.change(|w| w.departments.retain(|d| d.id != id));
    }

    /// Adds a tag, or replaces the one with the same id in place.
    pub fn add_tag(&self, tag: SimulatedTag) {
        self.change(|w| match w.tags.iter_mut().find(|t| t.id == tag.id) {
            Some(there) => *there = tag,
            None => w.tags.push(tag),
        });
    }

    pub fn change_tag(&self, id: i64, change: impl FnOnce(&mut SimulatedTag)) -> bool {
        self.change(|w| w.tags.iter_mut().find(|t| t.id == id).map(change).is_some())
    }

    /// Deletes a tag, which is 40068 from then on.
    pub fn remove_tag(&self, id: i64) {
        self.change(|w| w.tags.retain(|t| t.id != id));
    }
}
