//! What people read: columns, and times of their own zone.

use std::io::{self, Write};

use chrono::TimeZone as _;
use chrono_tz::Tz;

use crate::base::clock::Timestamp;

/// Columns as wide as what is in them.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Appends a row.
    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Writes the table; the last column is not padded.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let of = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> =
            (0..columns).map(|c| of(c).map(|cell| width(cell)).max().unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell)).saturating_add(2)));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// An instant in `zone`, to the second.
pub(super) fn local(at: Timestamp, zone: Tz) -> String {
    let shown = zone.timestamp_millis_opt(at.millis()).single();
    shown.map_or_else(|| at.rfc3339(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Text on its line and off the terminal's controls; `-` for nothing.
pub(super) fn printable(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Columns on a terminal: Chinese, Japanese and Korean characters and full-width forms take two.
fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_chinese_names_in_them() {
        let mut table = Table::new(&["userid", "name", "host"]);
        table.push(["lisi".to_owned(), "李四".to_owned(), "a".to_owned()]);
        table.push(["w".to_owned(), "Wang\u{1b}".to_owned(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let want = "userid  name   host\nlisi    李四   a\nw       Wang\u{fffd}  -\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let at = Timestamp::from_millis(1_795_334_400_000);
        assert_eq!(local(at, chrono_tz::Asia::Shanghai), "2026-11-22 16:00:00");
    }
}
