//! The recipients of a message: resolves `touser`, `toparty` and `totag` to members (doc 90236).

use std::collections::HashSet;

use serde_json::Value;

use super::call::SimulatedRefusal;
use super::index::{VisibleRange, WorldView};
use super::people::{SimulatedMember, SimulatedStatus};
use super::world::SimulatedApp;

/// The largest number of userids in one call.
const MAX_USERS: usize = 1000;
const MAX_PARTIES: usize = 100;
const MAX_TAGS: usize = 100;

/// The recipients as the call names them.
#[derive(Debug, Default)]
pub(super) struct Address<'c> {
    /// `"@all"` alone in `touser`: everybody in the visible range. Departments and tags are ignored
    /// then.
    all: bool,
    users: Vec<&'c str>,
    parties: Vec<&'c str>,
    tags: Vec<&'c str>,
}

/// The members that a call reaches, and the invalid parts of its address.
#[derive(Debug, Default)]
pub(super) struct Addressees<'w> {
    /// Without duplicates.
    pub(super) members: Vec<&'w SimulatedMember>,
    /// As named, in lower case (doc 90236).
    pub(super) invalid_users: Vec<String>,
    pub(super) invalid_parties: Vec<String>,
    pub(super) invalid_tags: Vec<String>,
    /// Members without a basic licence, in lower case.
    pub(super) unlicensed: Vec<String>,
    /// Whether any part of the address was valid, even if nobody is behind it.
    pub(super) any_valid: bool,
}

impl<'c> Address<'c> {
    /// Parses the address of a call.
    ///
    /// # Errors
    /// 82001 if it names nobody, 40032, 82002 and 82003 if it names too many, 40035 if a list is no
    /// string.
    pub(super) fn parse(body: &'c Value) -> Result<Self, SimulatedRefusal> {
        let users = split_list(body, "touser")?;
        if users == ["@all"] {
            return Ok(Self { all: true, ..Self::default() });
        }
        let address = Self {
            all: false,
            users,
            parties: split_list(body, "toparty")?,
            tags: split_list(body, "totag")?,
        };
        if address.users.is_empty() && address.parties.is_empty() && address.tags.is_empty() {
            return Err(SimulatedRefusal(82001, "touser & toparty & totag all empty"));
        }
        if address.users.len() > MAX_USERS {
            return Err(SimulatedRefusal(40032, "invalid userid list size"));
        }
        if address.parties.len() > MAX_PARTIES {
            return Err(SimulatedRefusal(82002, "invalid party list size"));
        }
        if address.tags.len() > MAX_TAGS {
            return Err(SimulatedRefusal(82003, "invalid tag list size"));
        }
        Ok(address)
    }

    /// Resolves the address for an application.
    ///
    /// A member is invalid who is unknown, has left or is not in the visible range: doc 90236 names
    /// these reasons. A member who is disabled or has not activated WeCom is valid; the message
    /// waits until they open WeCom.
    pub(super) fn resolve<'w>(&self, view: WorldView<'w>, app: &SimulatedApp) -> Addressees<'w> {
        let mut found = Addressees::default();
        let Some(range) = view.range(app.agent_id) else { return found };
        let mut seen = HashSet::new();
        if self.all {
            found.add(&mut seen, filter_visible(range, view.world.members.iter()));
            found.any_valid = !found.members.is_empty();
            return found;
        }
        for name in &self.users {
            let member = view.member(name);
            match member.filter(|m| m.status != SimulatedStatus::Left && range.has_member(m)) {
                Some(member) if member.licensed => {
                    found.any_valid = true;
                    found.add(&mut seen, std::iter::once(member));
                }
                Some(member) => found.add(&mut seen, std::iter::once(member)),
                None => found.invalid_users.push(name.to_ascii_lowercase()),
            }
        }
        for name in &self.parties {
            match name.parse().ok().filter(|id| range.has_department(*id)) {
                Some(id) => {
                    found.any_valid = true;
                    found.add_below(&mut seen, view, range, id);
                }
                None => found.invalid_parties.push((*name).to_owned()),
            }
        }
        for name in &self.tags {
            let tag = name.parse::<i64>().ok().and_then(|id| view.world.tags.iter().find(|t| t.id == id));
            let Some(tag) = tag else {
                found.invalid_tags.push((*name).to_owned());
                continue;
            };
            found.any_valid = true;
            found.add(&mut seen, filter_visible(range, tag.users.iter().filter_map(|u| view.member(u))));
            for id in &tag.departments {
                found.add_below(&mut seen, view, range, *id);
            }
        }
        found
    }
}

impl<'w> Addressees<'w> {
    fn add(&mut self, seen: &mut HashSet<&'w str>, members: impl Iterator<Item = &'w SimulatedMember>) {
        for member in members.filter(|m| seen.insert(&m.userid)) {
            if member.licensed {
                self.members.push(member);
            } else {
                self.unlicensed.push(member.userid.to_ascii_lowercase());
            }
        }
    }

    /// Adds the members of a department and of everything below it.
    fn add_below(
        &mut self,
        seen: &mut HashSet<&'w str>,
        view: WorldView<'w>,
        range: &'w VisibleRange,
        id: i64,
    ) {
        for department in view.subtree(id) {
            self.add(seen, filter_visible(range, view.members_in(department.id)));
        }
    }
}

fn filter_visible<'w>(
    range: &'w VisibleRange,
    members: impl Iterator<Item = &'w SimulatedMember>,
) -> impl Iterator<Item = &'w SimulatedMember> {
    members.filter(|m| m.status != SimulatedStatus::Left && range.has_member(m))
}

/// Splits a list at `|`, without empty parts.
fn split_list<'c>(body: &'c Value, name: &str) -> Result<Vec<&'c str>, SimulatedRefusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => {
            Ok(text.split('|').map(str::trim).filter(|part| !part.is_empty()).collect())
        }
        Some(_) => Err(SimulatedRefusal(40035, "invalid parameter, touser, toparty and totag are strings")),
    }
}
