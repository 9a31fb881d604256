//! Output for people: columns, and times in their own time zone.

use std::io::{self, Write};

use chrono::TimeZone as _;
use chrono_tz::Tz;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::base::clock::Timestamp;
use crate::base::text::{escape_for_terminal, escape_json_for_terminal};

/// A table whose columns are as wide as their widest cell.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| to_printable(&cell)).collect());
    }

    /// Writes the table. The last column is not padded.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let of = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> =
            (0..columns).map(|c| of(c).map(|cell| cell.width()).max().unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(&widths) {
                line.push_str(&pad_to_width(cell, *wide));
                line.push_str("  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Formats an instant in `zone`, to the second.
pub(super) fn format_local_time(at: Timestamp, zone: Tz) -> String {
    // An instant is never ambiguous; this fails only outside chrono's range.
    let shown = zone.timestamp_millis_opt(at.millis()).single();
    shown.map_or_else(|| at.rfc3339(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Returns the text on one line, without characters that control a terminal, change its direction
/// or hide; `-` for an empty text. Every text from outside passes through here before it is
/// printed.
pub(super) fn to_printable(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escape_for_terminal(text) }
}

/// Appends blanks to a text of [`to_printable`], so that it fills `columns` of a terminal. A
/// Chinese character takes two.
pub(super) fn pad_to_width(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(text.width());
    format!("{text}{:blanks$}", "")
}

/// Returns a JSON value on one line, safe to show on a terminal.
///
/// # Errors
/// If `value` cannot be written as JSON.
pub(super) fn to_json_line(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(escape_json_for_terminal(&serde_json::to_string(value)?))
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
    fn a_name_neither_moves_nor_hides_what_stands_beside_it() {
        let mut table = Table::new(&["USERID", "NAME", "ROLE"]);
        let names = [
            "王五\u{202e}nimda",
            "a\u{200f}\u{2066}b\u{2069}",
            "l\u{200b}isi\n\u{1b}[2K",
            "中文，全角ＡＢ",
            "한국 🙂",
        ];
        for name in names {
            table.push(["u".to_owned(), name.to_owned(), "guest".to_owned()]);
        }
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), 1 + names.len(), "{out}");
        let bad = ['\u{202e}', '\u{200f}', '\u{2066}', '\u{2069}', '\u{200b}', '\u{1b}'];
        assert!(!out.contains(bad), "{out:?}");
        assert!(out.contains("王五\\u{202e}nimda"), "{out}");
        let columns: Vec<usize> =
            out.lines().skip(1).map(|line| line.split("guest").next().unwrap_or("").width()).collect();
        assert!(columns.iter().all(|column| *column == columns[0]), "{columns:?}\n{out}");
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let at = Timestamp::from_millis(1_795_334_400_000);
        assert_eq!(format_local_time(at, chrono_tz::Asia::Shanghai), "2026-11-22 16:00:00");
    }
}
