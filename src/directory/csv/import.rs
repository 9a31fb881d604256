//! Plans an import: which units and persons the rows of a table create or change.

use std::collections::{HashMap, HashSet};

use super::{Column, CsvFinding, CsvRecord, csv_finding};
use crate::base::id::{PersonId, UnitId};
use crate::directory::chart::{Chart, ChartReference, ReferenceError};
use crate::directory::edit::{EditError, MembershipInput, PersonInput, UnitInput, with_unit};
use crate::directory::{EntrySource, Membership, Person, PersonDetails, PersonStatus};

/// The words for a status in Chinese, as WeCom's console writes them.
const STATUS_WORDS: [(&str, PersonStatus); 6] = [
    ("", PersonStatus::Active),
    ("正常", PersonStatus::Active),
    ("已激活", PersonStatus::Active),
    ("已禁用", PersonStatus::Disabled),
    ("禁用", PersonStatus::Disabled),
    ("未激活", PersonStatus::Inactive),
];

/// The changes that a file would make.
#[derive(Debug)]
pub(crate) struct ImportPlan {
    /// Paths of local units to create, parents first.
    pub units: Vec<String>,
    /// Persons to create or change, in the order of the file.
    pub persons: Vec<PlannedPerson>,
    /// The number of rows that change nothing.
    pub same: usize,
}

/// A row that creates or changes a person.
#[derive(Debug)]
pub(crate) struct PlannedPerson {
    pub record: CsvRecord,
    /// The person to change; `None` to create one.
    pub id: Option<PersonId>,
    /// The person afterwards.
    pub person: Person,
    /// The fields that differ.
    pub fields: Vec<&'static str>,
}

/// Computes what the rows change in `chart` and in `before`, which maps folded userids to the
/// present persons.
///
/// # Errors
/// Everything that is wrong with any row.
pub(crate) fn plan_import(
    records: Vec<CsvRecord>,
    chart: Chart,
    before: &HashMap<String, Person>,
) -> Result<ImportPlan, Vec<CsvFinding>> {
    let (mut chart, mut units, mut findings) = (chart, Vec::new(), Vec::new());
    for record in &records {
        for path in record.unit_paths() {
            if let Err(what) = add_missing_units(&mut chart, &mut units, path) {
                findings.push(csv_finding(record.line, what));
            }
        }
    }
    if !findings.is_empty() {
        // Persons cannot be checked without their units.
        findings.dedup();
        return Err(findings);
    }
    let mut plan = ImportPlan { units, persons: Vec::new(), same: 0 };
    for record in records {
        let known = before.get(&record.userid.folded());
        match record.apply_to(known, &chart) {
            Ok(person) => {
                let fields = known.map_or_else(Vec::new, |known| changed_fields(known, &person));
                if known.is_some() && fields.is_empty() {
                    plan.same += 1;
                } else {
                    plan.persons.push(PlannedPerson {
                        id: known.map(|k| k.id.clone()),
                        record,
                        person,
                        fields,
                    });
                }
            }
            Err(what) => findings.push(csv_finding(record.line, what)),
        }
    }
    if findings.is_empty() { Ok(plan) } else { Err(findings) }
}

/// Adds the missing units of a path to the chart and to `made`.
fn add_missing_units(chart: &mut Chart, made: &mut Vec<String>, path: &str) -> Result<(), String> {
    for (parent, name, path) in missing_units(chart, path)? {
        let parent_id = parent.map(|parent| find_unit(chart, &parent)).transpose()?;
        let input = new_unit(name, parent_id.as_ref());
        // The id is valid within this plan only.
        let id = UnitId::new(format!("new unit {}", made.len()));
        let unit = input.validate(id, chart).map_err(|e| format!("{path}: {e}"))?;
        *chart = with_unit(chart, unit);
        made.push(path);
    }
    Ok(())
}

/// Returns the input for a local unit that an import creates.
pub(crate) fn new_unit(name: String, parent: Option<&UnitId>) -> UnitInput {
    UnitInput { name, parent_id: parent.map(|id| id.as_str().to_owned()), order: 0, leaders: Vec::new() }
}

/// Returns the missing units of a path, parents first: each with the path of its parent, its name
/// and its path.
///
/// # Errors
/// If the path is none, or means several units, or an id that nobody has.
pub(crate) fn missing_units(
    chart: &Chart,
    path: &str,
) -> Result<Vec<(Option<String>, String, String)>, String> {
    match lookup_unit(chart, path) {
        Ok(_) => return Ok(Vec::new()),
        Err(ReferenceError::Ambiguous(_)) => return Err(format!("{path}: {}", ReferenceError::Ambiguous(2))),
        Err(ReferenceError::Unknown) => {}
    }
    if path.starts_with("wecom:") || uuid::Uuid::parse_str(path).is_ok() {
        return Err(format!("there is no unit {path}"));
    }
    let names: Vec<&str> = path.trim_matches('/').split('/').map(str::trim).collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(format!("{path}: a name in this path is empty"));
    }
    let (mut missing, mut above) = (Vec::new(), None::<String>);
    for name in names {
        let here = above.as_ref().map_or_else(|| name.to_owned(), |above| format!("{above}/{name}"));
        match lookup_unit(chart, &here) {
            Ok(_) => {}
            Err(ReferenceError::Unknown) => missing.push((above, name.to_owned(), here.clone())),
            Err(several @ ReferenceError::Ambiguous(_)) => return Err(format!("{here}: {several}")),
        }
        above = Some(here);
    }
    Ok(missing)
}

fn lookup_unit(chart: &Chart, text: &str) -> Result<UnitId, ReferenceError> {
    let reference = ChartReference::parse(text).ok_or(ReferenceError::Unknown)?;
    chart.find_unit(&reference).map(|placed| placed.unit.id.clone())
}

/// Returns the unit that a path, `wecom:ID` or id in a cell means.
///
/// # Errors
/// If none or several.
pub(crate) fn find_unit(chart: &Chart, path: &str) -> Result<UnitId, String> {
    // People write spaces around the names.
    let tidy: Vec<&str> = path.split('/').map(str::trim).collect();
    lookup_unit(chart, path)
        .or_else(|_| lookup_unit(chart, &tidy.join("/")))
        .map_err(|e| format!("{path}: {e}"))
}

impl CsvRecord {
    pub(super) fn cell(&self, column: Column) -> Option<&str> {
        self.cells.get(&column).map(String::as_str)
    }

    /// Returns the units of the row, as they are written.
    pub(crate) fn unit_paths(&self) -> impl Iterator<Item = &str> {
        let cell = self.cell(Column::Units).unwrap_or_default();
        cell.split([';', '；']).map(str::trim).filter(|path| !path.is_empty())
    }

    /// Returns the person that the row describes, in a chart that contains its units.
    ///
    /// # Errors
    /// If that cannot be: says why.
    pub(crate) fn person_input(&self, before: Option<&Person>, chart: &Chart) -> Result<PersonInput, String> {
        let mut input = match before {
            Some(before) if before.source == EntrySource::Wecom => {
                return Err(format!("{} is a member of WeCom's, which only WeCom changes", before.userid));
            }
            Some(before) => PersonInput::from_person(before, chart),
            None => PersonInput::from_person(&self.new_person(), chart),
        };
        let put = |field: &mut String, column| {
            if let Some(cell) = self.cell(column) {
                cell.clone_into(field);
            }
        };
        put(&mut input.name, Column::Name);
        put(&mut input.mobile, Column::Mobile);
        put(&mut input.email, Column::Email);
        put(&mut input.position, Column::Position);
        if let Some(cell) = self.cell(Column::Status) {
            input.status = parse_status(cell)?.as_str().to_owned();
        }
        if let Some(number) = self.cell(Column::EmployeeNumber) {
            let known = input.attributes.keys().find(|name| PersonDetails::is_employee_number(name)).cloned();
            let name = known.unwrap_or_else(|| "工号".to_owned());
            if number.is_empty() {
                input.attributes.remove(&name);
            } else {
                input.attributes.insert(name, number.to_owned());
            }
        }
        if self.cell(Column::Units).is_some() {
            input.memberships = self.memberships(before, chart)?;
            let mut there = input.memberships.iter().map(|m| &m.unit_id);
            if !input.main_unit.as_ref().is_some_and(|main| there.any(|unit| unit == main)) {
                input.main_unit = input.memberships.first().map(|m| m.unit_id.clone());
            }
        }
        Ok(input)
    }

    /// Returns the memberships of the row. A unit that the person is in already keeps its order and
    /// lead.
    fn memberships(&self, before: Option<&Person>, chart: &Chart) -> Result<Vec<MembershipInput>, String> {
        let before: HashMap<&UnitId, &Membership> =
            before.iter().flat_map(|p| &p.memberships).map(|m| (&m.unit, m)).collect();
        let (mut memberships, mut seen) = (Vec::new(), HashSet::new());
        for path in self.unit_paths() {
            let unit = find_unit(chart, path)?;
            if !seen.insert(unit.clone()) {
                return Err(format!("{path} is there twice"));
            }
            let (order, leader) = before.get(&unit).map_or((0, false), |m| (m.order, m.leader));
            memberships.push(MembershipInput { unit_id: unit.as_str().to_owned(), order, leader });
        }
        Ok(memberships)
    }

    /// Returns a person of whom only the userid is known. The id is assigned when it is written.
    fn new_person(&self) -> Person {
        Person::new_local(PersonId::new(""), self.userid.clone())
    }

    /// Returns the person that the row makes of `before`, or of nobody.
    pub(super) fn apply_to(&self, before: Option<&Person>, chart: &Chart) -> Result<Person, String> {
        let input = self.person_input(before, chart)?;
        let new = self.new_person();
        input.validate(before.unwrap_or(&new), chart).map_err(|refused: EditError| refused.to_string())
    }
}

fn parse_status(cell: &str) -> Result<PersonStatus, String> {
    let zh = STATUS_WORDS.iter().find(|(word, _)| *word == cell).map(|(_, status)| *status);
    zh.or_else(|| PersonStatus::parse(&cell.to_ascii_lowercase()))
        .filter(|status| *status != PersonStatus::Left)
        .ok_or_else(|| {
            format!("status {cell:?}: write active (正常), disabled (已禁用) or inactive (未激活)")
        })
}

/// Returns the fields that differ, by the names of the columns.
fn changed_fields(before: &Person, after: &Person) -> Vec<&'static str> {
    let fields = [
        ("userid", before.userid != after.userid),
        ("name", before.name != after.name),
        ("mobile", before.details.mobile != after.details.mobile),
        ("email", before.email != after.email),
        ("employee_number", before.details.attributes != after.details.attributes),
        ("position", before.details.position != after.details.position),
        ("units", before.memberships != after.memberships || before.main_unit != after.main_unit),
        ("status", before.status != after.status),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
