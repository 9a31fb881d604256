//! Local persons as a CSV table (RFC 4180): written in UTF-8, read as spreadsheets save it.
//!
//! A row is a person, found by userid. A missing column changes nothing; an empty cell empties the
//! field. Units are written as paths, `研发部/前端组;销售部`, and missing local units are created. A missing
//! row removes nobody.

mod cell;
mod encoding;
mod import;
pub(crate) mod store;
mod write;

use std::collections::HashMap;

use ::csv::ReaderBuilder;

pub(crate) use self::encoding::FileFormat;
pub(crate) use self::import::{ImportPlan, PlannedPerson, find_unit, missing_units, new_unit, plan_import};
pub(crate) use self::write::{write_headings, write_person};

use self::cell::{find_damage, find_key_damage, unguard_cell};
use crate::base::id::UserId;

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
pub(crate) struct CsvFinding {
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
pub(crate) struct CsvRecord {
    /// The line where the row begins, counted from 1.
    pub line: u64,
    pub userid: UserId,
    cells: HashMap<Column, String>,
}

/// Parses a file as a spreadsheet saved it, and detects its format.
///
/// # Errors
/// Everything that keeps it from being read.
pub(crate) fn parse_table(bytes: &[u8]) -> Result<(Vec<CsvRecord>, FileFormat), Vec<CsvFinding>> {
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
                // Two rows for one userid contradict each other, whatever the case of the letters.
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

#[cfg(test)]
mod tests;
