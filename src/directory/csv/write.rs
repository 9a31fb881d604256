//! Writes a table so that a spreadsheet leaves its cells alone and an import reads them back
//! unchanged.

use std::io;

use ::csv::{Terminator, WriterBuilder};

use super::cell::guard_cell;
use super::{COLUMNS, Column, find_unit};
use crate::base::id::UnitId;
use crate::directory::Person;
use crate::directory::chart::Chart;

/// The byte order mark that tells Excel in China that a file is UTF-8.
const BOM: &str = "\u{feff}";

/// Writes the byte order mark and the headings.
///
/// # Errors
/// If `out` cannot be written.
pub(crate) fn write_headings(out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(BOM.as_bytes())?;
    write_row(out, COLUMNS.iter().map(|(_, name, _)| (*name).to_owned()))
}

/// Writes a person's row.
///
/// # Errors
/// If `out` cannot be written.
pub(crate) fn write_person(out: &mut dyn io::Write, person: &Person, chart: &Chart) -> io::Result<()> {
    let units: Vec<String> = person.memberships.iter().filter_map(|m| unit_cell(chart, &m.unit)).collect();
    let cell = |column| match column {
        Column::Userid => person.userid.as_str().to_owned(),
        Column::Name => person.name.clone(),
        Column::Mobile => person.details.mobile.clone(),
        Column::Email => person.email.clone(),
        Column::EmployeeNumber => person.details.employee_number().to_owned(),
        Column::Position => person.details.position.clone(),
        Column::Units => units.join(";"),
        Column::Status => person.status.as_str().to_owned(),
    };
    write_row(out, COLUMNS.iter().map(|(column, ..)| cell(*column)))
}

fn write_row(out: &mut dyn io::Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(cells.map(|cell| guard_cell(&cell)))?;
    writer.flush()
}

/// Returns how a cell names a unit: by its path, or by its number or id where the path would mean
/// another unit.
pub(super) fn unit_cell(chart: &Chart, unit: &UnitId) -> Option<String> {
    let placed = chart.unit(unit)?;
    let means_it = find_unit(chart, &placed.path).is_ok_and(|found| found == *unit);
    if means_it && !placed.path.contains([';', '；']) {
        return Some(placed.path.to_string());
    }
    Some(placed.unit.wecom_id.map_or_else(|| unit.as_str().to_owned(), |id| format!("wecom:{id}")))
}
