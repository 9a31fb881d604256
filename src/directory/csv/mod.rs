//! Local persons as a CSV table (RFC 4180): written in UTF-8, read as spreadsheets save it.
//!
//! A row is a person, found by userid. A missing column changes nothing; an empty cell empties the
//! field. Units are written as paths, `研发部/前端组;销售部`, and missing local units are created. A missing
//! row removes nobody.

mod cell;
mod encoding;
pub mod store;
mod write;

use std::collections::{HashMap, HashSet};

use ::csv::ReaderBuilder;

pub use self::encoding::FileFormat;
pub use self::write::{write_headings, write_person};

use self::cell::{find_damage, find_key_damage, unguard_cell};
use super::chart::{Chart, ChartReference, ReferenceError};
use super::edit::{EditError, MembershipInput, PersonInput, UnitInput, with_unit};
use super::{EntrySource, Membership, Person, PersonDetails, PersonStatus};
use crate::base::id::{PersonId, UnitId, UserId};

/// The columns: the name of the field, and its Chinese heading.
const COLUMNS: [(Column, &str, &str); 8] = [
    (Column::Userid, "userid", "账号"),
    (Column::Name, "name", "姓名"),
    (Column::Mobile, "mobile", "手机"),
    (Column::Email, "email", "邮箱"),
    (Column::EmployeeNumber, "employee_number", "工号"),
    (Column::Position, "position", "职务"),
    (Column::Units, "units", "部门"),
    (Column::Status, "status", "状态"),
];

/// The words for a status in Chinese, as WeCom's console writes them.
const STATUS_WORDS: [(&str, PersonStatus); 6] = [
    ("", PersonStatus::Active),
    ("正常", PersonStatus::Active),
    ("已激活", PersonStatus::Active),
    ("已禁用", PersonStatus::Disabled),
    ("禁用", PersonStatus::Disabled),
    ("未激活", PersonStatus::Inactive),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Userid,
    Name,
    Mobile,
    Email,
    EmployeeNumber,
    Position,
    Units,
    Status,
}

impl Column {
    /// Returns whether persons are recognised by this column.
    const fn is_key(self) -> bool {
        matches!(self, Self::Userid | Self::Mobile | Self::Email | Self::EmployeeNumber)
    }

    /// Returns the column with this heading.
    fn from_heading(text: &str) -> Option<Self> {
        let of = |(_, name, zh): &&(Self, &str, &str)| text.eq_ignore_ascii_case(name) || text == *zh;
        COLUMNS.iter().find(of).map(|(column, ..)| *column)
    }

    /// Returns the name of the field and its Chinese heading.
    fn names(self) -> (&'static str, &'static str) {
        let of = |(column, ..): &&(Self, &'static str, &'static str)| *column == self;
        COLUMNS.iter().find(of).map_or(("", ""), |(_, name, zh)| (*name, *zh))
    }
}

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFinding {
    /// The line of the file, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

fn csv_finding(line: u64, what: impl Into<String>) -> CsvFinding {
    CsvFinding { line, what: what.into() }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvRecord {
    /// The line where the row begins, counted from 1.
    pub line: u64,
    pub userid: UserId,
    cells: HashMap<Column, String>,
}

/// Parses a file as a spreadsheet saved it, and detects its format.
///
/// # Errors
/// Everything that keeps it from being read.
pub fn parse_table(bytes: &[u8]) -> Result<(Vec<CsvRecord>, FileFormat), Vec<CsvFinding>> {
    let is_heading = |text: &str| Column::from_heading(text).is_some();
    let (text, format) = encoding::decode_file(bytes, is_heading).map_err(|good| {
        let before = bytes.get(..good).unwrap_or_default();
        let line = u64::try_from(before.split(|b| *b == b'\n').count()).unwrap_or(u64::MAX);
        let en = "neither UTF-8 nor GB18030: save the file as “CSV UTF-8”";
        vec![csv_finding(line, format!("{en} · 既不是 UTF-8 也不是 GB18030：请另存为「CSV UTF-8」"))]
    })?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.separator())
        .from_reader(text.as_bytes());
    let (mut columns, mut records, mut findings) = (None, Vec::new(), Vec::new());
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut at = LineCounter { text: text.as_bytes(), byte: 0, line: 1 };
    for row in reader.records() {
        let row = row.map_err(|e| vec![csv_finding(at.line_of(e.position()), e.to_string())])?;
        let line = at.line_of(row.position());
        let cells: Vec<&str> = row.iter().map(str::trim).collect();
        let Some(columns) = &columns else {
            columns = Some(parse_headings(&cells, line)?);
            continue;
        };
        if cells.iter().all(|cell| cell.is_empty()) {
            continue;
        }
        match parse_record(columns, &cells, line) {
            Ok(record) => {
                if let Some(first) = lines.insert(record.userid.folded(), line) {
                    findings.push(csv_finding(line, format!("{} is in line {first}, too", record.userid)));
                }
                records.push(record);
            }
            Err(wrong) => findings.extend(wrong.into_iter().map(|what| csv_finding(line, what))),
        }
    }
    match columns {
        None => {
            Err(vec![csv_finding(1, "the file is empty: its first line names the columns, at least userid")])
        }
        Some(_) if findings.is_empty() => Ok((records, format)),
        Some(_) => Err(findings),
    }
}

/// Counts the lines of a file.
///
/// The parser's own count is wrong after CRLF and empty lines: to it, a row begins where the row
/// before ended.
struct LineCounter<'t> {
    text: &'t [u8],
    byte: usize,
    line: u64,
}

impl LineCounter<'_> {
    fn line_of(&mut self, position: Option<&::csv::Position>) -> u64 {
        let begins = position.and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(self.byte);
        let rest = self.text.get(begins..).unwrap_or_default();
        let begins = begins + rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let passed = self.text.get(self.byte..begins).unwrap_or_default();
        let ends = passed.iter().filter(|b| **b == b'\n').count();
        self.line = self.line.saturating_add(u64::try_from(ends).unwrap_or(u64::MAX));
        self.byte = self.byte.max(begins);
        self.line
    }
}

/// Parses the row of headings into columns.
fn parse_headings(cells: &[&str], line: u64) -> Result<Vec<Column>, Vec<CsvFinding>> {
    let (mut columns, mut findings) = (Vec::new(), Vec::new());
    for cell in cells {
        match Column::from_heading(cell) {
            Some(column) if columns.contains(&column) => {
                findings.push(csv_finding(line, format!("the column {cell} is there twice")));
            }
            Some(column) => columns.push(column),
            None => {
                let names: Vec<_> = COLUMNS.iter().map(|(_, name, zh)| format!("{name} ({zh})")).collect();
                findings.push(csv_finding(
                    line,
                    format!("no column is called {cell:?}; there are {}", names.join(", ")),
                ));
            }
        }
    }
    if !columns.contains(&Column::Userid) && findings.is_empty() {
        findings.push(csv_finding(line, "the column userid (账号) is missing"));
    }
    if findings.is_empty() { Ok(columns) } else { Err(findings) }
}

fn parse_record(columns: &[Column], cells: &[&str], line: u64) -> Result<CsvRecord, Vec<String>> {
    let beyond = cells.get(columns.len()..).unwrap_or_default();
    if cells.len() < columns.len() || beyond.iter().any(|cell| !cell.is_empty()) {
        return Err(vec![format!("{} cells, but {} columns", cells.len(), columns.len())]);
    }
    let (mut values, mut wrong) = (HashMap::new(), Vec::new());
    for (at, (column, cell)) in columns.iter().zip(cells).enumerate() {
        // A cell that is marked as text holds what its writer meant.
        let text = unguard_cell(cell).unwrap_or_else(|| {
            let key = || if column.is_key() { find_key_damage(cell) } else { None };
            if let Some((en, zh)) = find_damage(cell).or_else(key) {
                let ((name, heading), letter) = (column.names(), column_letter(at));
                wrong.push(format!(
                    "column {letter}, {name}: {cell:?} {en}; format the column as text and enter it again · {letter} 列\
                     「{heading}」：{cell:?} {zh}；请把该列的单元格格式设为「文本」后重新填写"
                ));
            }
            cell
        });
        values.insert(*column, text.to_owned());
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    match values.get(&Column::Userid).filter(|userid| !userid.is_empty()) {
        Some(userid) => Ok(CsvRecord { line, userid: UserId::new(userid.as_str()), cells: values }),
        None => Err(vec!["userid is empty".to_owned()]),
    }
}

/// Returns the letter of the column at index `at`; there are fewer than 26.
fn column_letter(at: usize) -> char {
    u8::try_from(at).ok().and_then(|at| b'A'.checked_add(at)).map_or('?', char::from)
}

/// The changes that a file would make.
#[derive(Debug)]
pub struct ImportPlan {
    /// Paths of local units to create, parents first.
    pub units: Vec<String>,
    /// Persons to create or change, in the order of the file.
    pub persons: Vec<PlannedPerson>,
    /// The number of rows that change nothing.
    pub same: usize,
}

/// A row that creates or changes a person.
#[derive(Debug)]
pub struct PlannedPerson {
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
pub fn plan_import(
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
pub fn new_unit(name: String, parent: Option<&UnitId>) -> UnitInput {
    UnitInput { name, parent_id: parent.map(|id| id.as_str().to_owned()), order: 0, leaders: Vec::new() }
}

/// Returns the missing units of a path, parents first: each with the path of its parent, its name
/// and its path.
///
/// # Errors
/// If the path is none, or means several units, or an id that nobody has.
pub fn missing_units(chart: &Chart, path: &str) -> Result<Vec<(Option<String>, String, String)>, String> {
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
pub fn find_unit(chart: &Chart, path: &str) -> Result<UnitId, String> {
    // People write spaces around the names.
    let tidy: Vec<&str> = path.split('/').map(str::trim).collect();
    lookup_unit(chart, path)
        .or_else(|_| lookup_unit(chart, &tidy.join("/")))
        .map_err(|e| format!("{path}: {e}"))
}

impl CsvRecord {
    fn cell(&self, column: Column) -> Option<&str> {
        self.cells.get(&column).map(String::as_str)
    }

    /// Returns the units of the row, as they are written.
    pub fn unit_paths(&self) -> impl Iterator<Item = &str> {
        let cell = self.cell(Column::Units).unwrap_or_default();
        cell.split([';', '；']).map(str::trim).filter(|path| !path.is_empty())
    }

    /// Returns the person that the row describes, in a chart that contains its units.
    ///
    /// # Errors
    /// If that cannot be: says why.
    pub fn person_input(&self, before: Option<&Person>, chart: &Chart) -> Result<PersonInput, String> {
        let mut input = match before {
            Some(before) if before.source == EntrySource::Wecom => {
                return Err(format!("{} is a member of WeCom's, which only WeCom changes", before.userid));
            }
            Some(before) => PersonInput::from_person(before, chart),
            None => PersonInput::from_person(&blank_person(&self.userid), chart),
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

    fn apply_to(&self, before: Option<&Person>, chart: &Chart) -> Result<Person, String> {
        let input = self.person_input(before, chart)?;
        let nobody = blank_person(&self.userid);
        input.validate(before.unwrap_or(&nobody), chart).map_err(|refused: EditError| refused.to_string())
    }
}

/// Returns a person of whom only the userid is known.
fn blank_person(userid: &UserId) -> Person {
    Person {
        id: PersonId::new(""),
        userid: userid.clone(),
        name: String::new(),
        email: String::new(),
        source: EntrySource::Local,
        status: PersonStatus::Active,
        left_at: None,
        main_unit: None,
        memberships: Vec::new(),
        details: PersonDetails::default(),
        fingerprint: String::new(),
    }
}

fn parse_status(cell: &str) -> Result<PersonStatus, String> {
    let zh = STATUS_WORDS.iter().find(|(word, _)| *word == cell).map(|(_, status)| *status);
    let known = zh.unwrap_or_else(|| PersonStatus::parse(&cell.to_ascii_lowercase()));
    if known == PersonStatus::Left {
        return Err(format!("status {cell:?}: write active (正常), disabled (已禁用) or inactive (未激活)"));
    }
    Ok(known)
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

#[cfg(test)]
mod tests;
