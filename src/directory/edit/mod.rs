//! Local units and persons: what may be written by hand, and why not. [`store`] writes it.
//!
//! An entry is written as a whole: whoever changes one merges the change into what is there (RFC 7396) and hands in
//! the result, so that there is one set of checks for making and for changing.

pub mod store;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chart::{Chart, ChartReference, PlacedUnit};
use super::{EntrySource, Membership, Person, PersonStatus, Unit};
use crate::base::id::{UnitId, UserId};

/// How deep units may lie: as WeCom's (document 90205).
const MAX_UNIT_DEPTH: usize = 15;

/// The longest name or other text, in characters.
const MAX_TEXT_CHARS: usize = 128;

/// The longest value of an attribute, in characters.
const MAX_ATTRIBUTE_CHARS: usize = 1024;

/// How many attributes, memberships or leaders of a unit there may be.
const MAX_LIST_ITEMS: usize = 100;

/// How many direct leaders a person may have (WeCom document 90195).
const MAX_DIRECT_LEADERS: usize = 5;

/// Why nothing was written. Its text is for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is none of that id.
    #[error("there is none of that id")]
    NotFound,
    /// It is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// It is WeCom's.
    #[error("{0}")]
    OwnedByWecom(&'static str),
    /// There are units or persons in the unit.
    #[error("{units} units and {persons} persons are in this unit")]
    NotEmpty {
        /// Right below it.
        units: usize,
        /// In it, those who left included.
        persons: i64,
    },
    /// Somebody has the userid.
    #[error("the userid {0} is in use")]
    UseridTaken(UserId),
    /// Another unit has the path.
    #[error("there is a unit {0} already")]
    PathTaken(String),
    /// A run is about to change the entry.
    #[error("a synchronisation is about to change this entry; try again in a moment")]
    Busy,
    /// The database failed.
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

fn reject_input<T>(why: impl Into<String>) -> Result<T, EditError> {
    Err(EditError::Invalid(why.into()))
}

/// A unit as a hand writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitInput {
    /// Its name.
    pub name: String,
    /// The unit above, by our id or `wecom:ID`; `None`: on the top floor.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// The sort number; larger comes first.
    #[serde(default)]
    pub order: u32,
    /// Who leads it.
    #[serde(default)]
    pub leaders: Vec<UserId>,
}

/// A membership as a hand writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipInput {
    /// The unit, by our id or `wecom:ID`.
    pub unit_id: String,
    /// The sort number; larger comes first.
    #[serde(default)]
    pub order: u32,
    /// Whether the person leads it.
    #[serde(default)]
    pub leader: bool,
}

/// A person as a hand writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonInput {
    /// The userid.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// `active`, `disabled` or `inactive`.
    #[serde(default = "active")]
    pub status: String,
    /// The units the person is in.
    #[serde(default)]
    pub memberships: Vec<MembershipInput>,
    /// One of these units.
    #[serde(default)]
    pub main_unit: Option<String>,
    /// 直属上级.
    #[serde(default)]
    pub direct_leaders: Vec<UserId>,
    /// 职务.
    #[serde(default)]
    pub position: String,
    /// 手机.
    #[serde(default)]
    pub mobile: String,
    /// 邮箱.
    #[serde(default)]
    pub email: String,
    /// 别名.
    #[serde(default)]
    pub alias: String,
    /// 扩展属性.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// What a hand may write of a member of WeCom's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberInput {
    /// All memberships in local units; those in WeCom's stay as they are.
    pub local_memberships: Vec<MembershipInput>,
}

fn active() -> String {
    PersonStatus::Active.as_str().to_owned()
}

impl UnitInput {
    /// What a hand would have written to make this unit.
    pub fn from_unit(unit: &Unit) -> Self {
        let parent_id = unit.parent.as_ref().map(|id| id.as_str().to_owned());
        Self { name: unit.name.clone(), parent_id, order: unit.order, leaders: unit.leaders.clone() }
    }

    /// The unit `id` that this describes, if it may stand in `chart` beside the others there.
    ///
    /// # Errors
    /// [`Refused::Invalid`] and [`Refused::PathTaken`].
    pub fn validate(self, id: UnitId, chart: &Chart) -> Result<Unit, EditError> {
        check_name("name", &self.name)?;
        // A rule that names a unit's id, or wecom:2, means that unit and none that is called so.
        if self.name.starts_with("wecom:") || uuid::Uuid::try_parse(&self.name).is_ok() {
            return reject_input("name: it looks like an id");
        }
        check_userids("leaders", &self.leaders, MAX_LIST_ITEMS)?;
        let known = chart.unit(&id);
        let parent = match &self.parent_id {
            // Where it stood before it stays, even if that unit is gone.
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

/// The chart with one unit more, or another one of its id.
pub(super) fn with_unit(chart: &Chart, unit: Unit) -> Chart {
    let mut units = other_units(chart, &unit.id);
    units.push(unit);
    Chart::new(chart.version(), chart.complete_at(), units, Vec::new())
}

/// Every unit but one.
fn other_units(chart: &Chart, id: &UnitId) -> Vec<Unit> {
    chart.units().map(|placed| &placed.unit).filter(|unit| unit.id != *id).cloned().collect()
}

/// The chart with one unit less.
pub(super) fn without_unit(chart: &Chart, id: &UnitId) -> Chart {
    Chart::new(chart.version(), chart.complete_at(), other_units(chart, id), Vec::new())
}

/// The unit that our id or `wecom:ID` names.
fn find_unit<'c>(chart: &'c Chart, field: &str, text: &str) -> Result<&'c PlacedUnit, EditError> {
    let found = match ChartReference::parse(text) {
        Some(by_number @ ChartReference::Wecom(_)) => chart.find_unit(&by_number).ok(),
        _ => chart.unit(&UnitId::new(text)),
    };
    found.map_or_else(|| reject_input(format!("{field}: there is no unit {text:?}")), Ok)
}

impl PersonInput {
    /// What a hand would have written to make this person; memberships in units that are gone are left out.
    pub fn from_person(person: &Person, chart: &Chart) -> Self {
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
            attributes: person.details.attributes.clone(),
        }
    }

    /// Makes of `person` what this describes.
    ///
    /// # Errors
    /// [`Refused::Invalid`].
    pub fn validate(self, person: &Person, chart: &Chart) -> Result<Person, EditError> {
        if self.userid != person.userid || person.source == EntrySource::Local {
            check_userid(&self.userid)?;
        }
        check_name("name", &self.name)?;
        let status = match PersonStatus::parse(&self.status) {
            PersonStatus::Left => return reject_input("status: active, disabled or inactive"),
            status => status,
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
        person.details.attributes = self.attributes;
        Ok(person)
    }
}

impl MemberInput {
    /// The member with these memberships in local units instead of those it has.
    ///
    /// # Errors
    /// [`Refused::Invalid`], also for a unit of WeCom's.
    pub fn validate(self, person: &Person, chart: &Chart) -> Result<Person, EditError> {
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

/// Whether that is a local unit.
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

/// A name: 1 to 128 characters, none of them a control character, no space around them.
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

/// Userids of people who are somewhere already, each once.
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

/// A userid that may be given to somebody.
///
/// # Errors
/// [`Refused::Invalid`].
pub fn check_userid(userid: &UserId) -> Result<(), EditError> {
    UserId::parse(userid.as_str()).map(drop).or_else(|why| reject_input(format!("userid: {why}")))
}

fn is_mail_address(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or_default();
    !user.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
}

/// `change` merged into `current` by RFC 7396: what is absent stays, null empties, objects are merged.
pub fn merge_patch(current: Value, change: Value) -> Value {
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
