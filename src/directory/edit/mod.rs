//! Local units and persons: which input is valid, and why other input is not. [`store`] writes it.
//!
//! An entry is always written as a whole. Whoever changes one merges the change into the current
//! entry (RFC 7396) and passes the result, so that creating and changing share one set of checks.

pub(crate) mod store;

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::chart::{Chart, ChartReference, PlacedUnit};
use super::{EntrySource, Membership, Person, PersonStatus, Unit};
use crate::base::id::{UnitId, UserId};

/// The maximum depth of units, the same as WeCom's (document 90205).
const MAX_UNIT_DEPTH: usize = 15;

/// The maximum length of a name or other text, in characters.
const MAX_TEXT_CHARS: usize = 128;

/// The maximum length of an attribute's value, in characters.
const MAX_ATTRIBUTE_CHARS: usize = 1024;

/// The maximum number of attributes, memberships or leaders of a unit.
const MAX_LIST_ITEMS: usize = 100;

/// The maximum number of direct leaders of a person (WeCom document 90195).
const MAX_DIRECT_LEADERS: usize = 5;

/// Why nothing was written. The text is meant for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    #[error("there is none of that id")]
    NotFound,
    /// The input is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The entry is WeCom's.
    #[error("{0}")]
    OwnedByWecom(&'static str),
    /// Units or persons are in the unit.
    #[error("{units} units and {persons} persons are in this unit")]
    NotEmpty {
        /// Direct children.
        units: usize,
        /// Members, including those who left.
        persons: i64,
    },
    #[error("the userid {0} is in use")]
    UseridTaken(UserId),
    #[error("there is a unit {0} already")]
    PathTaken(String),
    /// A run has prepared another row for the entry.
    #[error("a synchronisation is about to change this entry; try again in a moment")]
    Busy,
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

fn reject_input<T>(why: impl Into<String>) -> Result<T, EditError> {
    Err(EditError::Invalid(why.into()))
}

/// A local unit as the API or the command line writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitInput {
    pub name: String,
    /// The parent, by our id or `wecom:ID`; `None` at the top level.
    pub parent_id: Option<String>,
    /// The sort number; larger comes first.
    pub order: u32,
    pub leaders: Vec<UserId>,
}

/// A membership as the API or the command line writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MembershipInput {
    /// The unit, by our id or `wecom:ID`.
    pub unit_id: String,
    /// The sort number; larger comes first.
    pub order: u32,
    /// Whether the person leads it.
    pub leader: bool,
}

/// A local person as the API or the command line writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonInput {
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// `active`, `disabled` or `inactive`.
    pub status: String,
    pub memberships: Vec<MembershipInput>,
    /// One of the memberships.
    pub main_unit: Option<String>,
    /// 直属上级.
    pub direct_leaders: Vec<UserId>,
    /// 职务.
    pub position: String,
    /// 手机.
    pub mobile: String,
    /// 邮箱.
    pub email: String,
    /// 别名.
    pub alias: String,
    /// 扩展属性.
    pub attributes: BTreeMap<String, String>,
}

/// What may be written by hand about a member of WeCom's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberInput {
    /// All memberships in local units; those in WeCom's stay as they are.
    pub local_memberships: Vec<MembershipInput>,
}

impl UnitInput {
    /// Returns the input that would create this unit.
    pub(crate) fn from_unit(unit: &Unit) -> Self {
        let parent_id = unit.parent.as_ref().map(|id| id.as_str().to_owned());
        Self { name: unit.name.clone(), parent_id, order: unit.order, leaders: unit.leaders.clone() }
    }

    /// Builds the unit `id`, if it may stand in `chart` beside the other units.
    ///
    /// # Errors
    /// [`EditError::Invalid`] and [`EditError::PathTaken`].
    pub(crate) fn validate(self, id: UnitId, chart: &Chart) -> Result<Unit, EditError> {
        check_name("name", &self.name)?;
        // A rule that names an id or `wecom:2` must mean that unit, and never one that is called
        // so.
        if self.name.starts_with("wecom:") || uuid::Uuid::try_parse(&self.name).is_ok() {
            return reject_input("name: it looks like an id");
        }
        check_userids("leaders", &self.leaders, MAX_LIST_ITEMS)?;
        let known = chart.unit(&id);
        let parent = match &self.parent_id {
            // A unit may stay where it is, even if its parent is gone.
            Some(text) if known.is_some_and(|k| names_id(k.unit.parent.as_ref(), text)) => {
                Some(UnitId::new(text.as_str()))
            }
            Some(text) => Some(find_unit(chart, "parent_id", text)?.unit.id.clone()),
            None => None,
        };
        if parent.as_ref().is_some_and(|parent| chart.subtree(&id).contains(parent)) {
            return reject_input("parent_id: the unit would lie below itself");
        }
        let unit = Unit {
            id,
            wecom_id: None,
            source: EntrySource::Local,
            parent,
            name: self.name,
            name_en: String::new(),
            order: self.order,
            leaders: self.leaders,
        };
        let after = with_unit(chart, unit.clone());
        let Some(placed) = after.unit(&unit.id) else { return Err(EditError::NotFound) };
        if after.units().any(|other| other.unit.id != unit.id && other.path == placed.path) {
            return Err(EditError::PathTaken(placed.path.to_string()));
        }
        let below = after.subtree(&unit.id);
        let deepest = below.iter().filter_map(|id| after.unit(id)).map(path_depth).max().unwrap_or(0);
        if deepest > MAX_UNIT_DEPTH {
            return reject_input(format!(
                "parent_id: {deepest} levels of units; there may be {MAX_UNIT_DEPTH}"
            ));
        }
        Ok(unit)
    }
}

fn names_id(id: Option<&UnitId>, text: &str) -> bool {
    id.is_some_and(|id| id.as_str() == text)
}

fn path_depth(placed: &PlacedUnit) -> usize {
    placed.path.split('/').count()
}

/// Returns a copy of the chart with this unit added or replaced.
pub(super) fn with_unit(chart: &Chart, unit: Unit) -> Chart {
    let mut units = other_units(chart, &unit.id);
    units.push(unit);
    Chart::new(chart.version(), chart.complete_at(), units, Vec::new())
}

/// Returns every unit but one.
fn other_units(chart: &Chart, id: &UnitId) -> Vec<Unit> {
    chart.units().map(|placed| &placed.unit).filter(|unit| unit.id != *id).cloned().collect()
}

/// Returns a copy of the chart without a unit.
pub(super) fn without_unit(chart: &Chart, id: &UnitId) -> Chart {
    Chart::new(chart.version(), chart.complete_at(), other_units(chart, id), Vec::new())
}

/// Returns the unit that our id or `wecom:ID` names.
fn find_unit<'c>(chart: &'c Chart, field: &str, text: &str) -> Result<&'c PlacedUnit, EditError> {
    let found = match ChartReference::parse(text) {
        Some(by_number @ ChartReference::Wecom(_)) => chart.find_unit(&by_number).ok(),
        _ => chart.unit(&UnitId::new(text)),
    };
    found.map_or_else(|| reject_input(format!("{field}: there is no unit {text:?}")), Ok)
}

impl PersonInput {
    /// Returns the input that would create this person. Memberships in units that are gone are left
    /// out.
    pub(crate) fn from_person(person: &Person, chart: &Chart) -> Self {
        let there = |unit: &&UnitId| chart.unit(unit).is_some();
        let membership = |m: &Membership| MembershipInput {
            unit_id: m.unit.as_str().to_owned(),
            order: m.order,
            leader: m.leader,
        };
        Self {
            userid: person.userid.clone(),
            name: person.name.clone(),
            status: person.status.as_str().to_owned(),
            memberships: person.memberships.iter().filter(|m| there(&&m.unit)).map(membership).collect(),
            main_unit: person.main_unit.as_ref().filter(there).map(|id| id.as_str().to_owned()),
            direct_leaders: person.details.direct_leaders.clone(),
            position: person.details.position.clone(),
            mobile: person.details.mobile.clone(),
            email: person.email.clone(),
            alias: person.details.alias.clone(),
            attributes: person.details.attributes.clone().into(),
        }
    }

    /// Applies the input to `person`.
    ///
    /// # Errors
    /// [`EditError::Invalid`].
    pub(crate) fn validate(self, person: &Person, chart: &Chart) -> Result<Person, EditError> {
        // A userid that WeCom gave may break our rules; it is checked only if it changes.
        if self.userid != person.userid || person.source == EntrySource::Local {
            check_userid(&self.userid)?;
        }
        check_name("name", &self.name)?;
        let status = match PersonStatus::parse(&self.status) {
            Some(PersonStatus::Left) | None => return reject_input("status: active, disabled or inactive"),
            Some(status) => status,
        };
        check_userids("direct_leaders", &self.direct_leaders, MAX_DIRECT_LEADERS)?;
        for (field, text) in [
            ("position", &self.position),
            ("mobile", &self.mobile),
            ("email", &self.email),
            ("alias", &self.alias),
        ] {
            check_text(field, text, MAX_TEXT_CHARS)?;
        }
        if !self.email.is_empty() && !is_mail_address(&self.email) {
            return reject_input("email: not a mail address");
        }
        if self.attributes.len() > MAX_LIST_ITEMS {
            return reject_input(format!("attributes: at most {MAX_LIST_ITEMS}"));
        }
        for (name, value) in &self.attributes {
            check_name("attributes: a name", name)?;
            check_text(&format!("attributes: {name}"), value, MAX_ATTRIBUTE_CHARS)?;
        }
        let memberships = check_memberships("memberships", &self.memberships, chart)?;
        let main_unit = match &self.main_unit {
            Some(text) => Some(find_unit(chart, "main_unit", text)?.unit.id.clone()),
            None => None,
        };
        if main_unit.as_ref().is_some_and(|main| memberships.iter().all(|m| m.unit != *main)) {
            return reject_input("main_unit: not one of the memberships");
        }
        let mut person = person.clone();
        (person.userid, person.name, person.email) = (self.userid, self.name, self.email);
        (person.status, person.left_at) = (status, None);
        (person.main_unit, person.memberships) = (main_unit, memberships);
        person.details.position = self.position;
        person.details.mobile = self.mobile;
        person.details.alias = self.alias;
        person.details.direct_leaders = self.direct_leaders;
        person.details.attributes = self.attributes.into();
        Ok(person)
    }
}

impl MemberInput {
    /// Returns the member with these memberships in local units instead of the present ones.
    ///
    /// # Errors
    /// [`EditError::Invalid`], also for a unit of WeCom's.
    pub(crate) fn validate(self, person: &Person, chart: &Chart) -> Result<Person, EditError> {
        let local = check_memberships("local_memberships", &self.local_memberships, chart)?;
        if let Some(theirs) = local.iter().find(|m| !is_local_unit(chart, &m.unit)) {
            return reject_input(format!("local_memberships: {} is a unit of WeCom's", theirs.unit));
        }
        let mut person = person.clone();
        person
            .memberships
            .retain(|m| chart.unit(&m.unit).is_none_or(|p| p.unit.source == EntrySource::Wecom));
        person.memberships.extend(local);
        Ok(person)
    }
}

/// Returns whether `unit` is a local unit of the chart.
pub(super) fn is_local_unit(chart: &Chart, unit: &UnitId) -> bool {
    chart.unit(unit).is_some_and(|placed| placed.unit.source == EntrySource::Local)
}

fn check_memberships(
    field: &str,
    inputs: &[MembershipInput],
    chart: &Chart,
) -> Result<Vec<Membership>, EditError> {
    if inputs.len() > MAX_LIST_ITEMS {
        return reject_input(format!("{field}: at most {MAX_LIST_ITEMS}"));
    }
    let (mut memberships, mut seen) = (Vec::new(), HashSet::new());
    for input in inputs {
        let unit = find_unit(chart, field, &input.unit_id)?.unit.id.clone();
        if !seen.insert(unit.clone()) {
            return reject_input(format!("{field}: {unit} is there twice"));
        }
        memberships.push(Membership { unit, order: input.order, leader: input.leader });
    }
    Ok(memberships)
}

/// Checks a name: 1 to 128 characters, no control characters, no surrounding spaces.
fn check_name(field: &str, text: &str) -> Result<(), EditError> {
    check_text(field, text, MAX_TEXT_CHARS)?;
    if text.is_empty() || text.trim() != text {
        return reject_input(format!(
            "{field}: 1 to {MAX_TEXT_CHARS} characters, without spaces around them"
        ));
    }
    Ok(())
}

fn check_text(field: &str, text: &str, longest: usize) -> Result<(), EditError> {
    if text.chars().count() > longest {
        return reject_input(format!("{field}: longer than {longest} characters"));
    }
    if text.chars().any(char::is_control) {
        return reject_input(format!("{field}: contains a control character"));
    }
    Ok(())
}

/// Checks a list of existing userids, each once.
fn check_userids(field: &str, userids: &[UserId], most: usize) -> Result<(), EditError> {
    if userids.len() > most {
        return reject_input(format!("{field}: at most {most}"));
    }
    let mut seen = HashSet::new();
    for userid in userids {
        if let Err(why) = UserId::parse_existing(userid.as_str()) {
            return reject_input(format!("{field}: {userid:?}: {why}"));
        }
        if !seen.insert(userid.folded()) {
            return reject_input(format!("{field}: {userid} is there twice"));
        }
    }
    Ok(())
}

/// Checks that a userid may be given to a person.
///
/// # Errors
/// [`EditError::Invalid`].
pub(crate) fn check_userid(userid: &UserId) -> Result<(), EditError> {
    UserId::parse(userid.as_str()).map(drop).or_else(|why| reject_input(format!("userid: {why}")))
}

fn is_mail_address(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or_default();
    !user.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
}

/// Merges `change` into `current` by RFC 7396: absent fields stay, null removes, objects are
/// merged.
pub(crate) fn merge_patch(current: Value, change: Value) -> Value {
    let Value::Object(change) = change else { return change };
    let mut merged = match current {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    for (name, value) in change {
        if value.is_null() {
            merged.remove(&name);
        } else {
            let before = merged.remove(&name).unwrap_or(Value::Null);
            merged.insert(name, merge_patch(before, value));
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests;
