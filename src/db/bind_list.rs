//! Statements with lists of parameters: fixed texts for a few numbers of rows, so that each
//! connection prepares each of them once.
//!
//! SQLite finds the name of each parameter by walking the list of all names, so a text of a thousand
//! parameters costs a million steps at every execution. A text therefore has few hundred at most,
//! whatever the limits of the engines.

use std::fmt::Write as _;

/// The numbers of rows that a statement has texts for, the largest first.
const ROW_COUNTS: [usize; 5] = [100, 50, 20, 5, 1];

/// The most parameters that a text has, unless a single row has more.
const MAX_TEXT_PARAMETERS: usize = 250;

/// A statement with texts for several numbers of rows or values.
#[derive(Debug)]
pub(crate) struct ListStatement(Vec<(usize, String)>);

impl ListStatement {
    /// Makes the texts: `head`, then `pattern` for each row, then `tail`. Every `*` of the pattern
    /// becomes a parameter of its own after the `shared` ones.
    pub(crate) fn new(head: &str, shared: usize, pattern: &str, tail: &str) -> Self {
        let row_parameters = pattern.matches('*').count();
        let fits = |rows: &usize| *rows == 1 || shared + rows * row_parameters <= MAX_TEXT_PARAMETERS;
        let texts = ROW_COUNTS.into_iter().filter(fits).map(|rows| {
            let mut text = head.to_owned();
            let mut parameter = shared;
            for row in 0..rows {
                text.push_str(if row == 0 { "" } else { ", " });
                for character in pattern.chars() {
                    if character == '*' {
                        parameter += 1;
                        // Writing to a String never fails.
                        let _ = write!(text, "${parameter}");
                    } else {
                        text.push(character);
                    }
                }
            }
            text.push_str(tail);
            (rows, text)
        });
        Self(texts.collect())
    }

    /// Returns the text for a single row, which stands for the others where its plan is asked.
    pub(crate) fn single_row_text(&self) -> &str {
        self.0.last().map_or("", |(_, text)| text)
    }

    /// Returns the statements that together cover `rows`, each with its share of them.
    pub(crate) fn chunks<'r, T>(&'static self, rows: &'r [T]) -> Vec<(&'static str, &'r [T])> {
        let (mut left, mut parts) = (rows, Vec::new());
        // The largest first, so that few statements cover many rows.
        for (size, text) in &self.0 {
            while let Some((part, rest)) = left.split_at_checked(*size) {
                parts.push((text.as_str(), part));
                left = rest;
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static WIDE: LazyLock<ListStatement> =
        LazyLock::new(|| ListStatement::new("INSERT INTO t VALUES ", 1, "($1, *, *, *, *)", ""));

    #[test]
    fn the_texts_cover_every_row_once_and_in_order() {
        let rows: Vec<usize> = (0..127).collect();
        let parts = WIDE.chunks(&rows);
        let covered: Vec<usize> = parts.iter().flat_map(|(_, part)| part.iter().copied()).collect();
        assert_eq!(covered, rows);
        for (text, part) in parts {
            let last = format!("${})", 1 + 4 * part.len());
            assert!(text.ends_with(&last) && text.matches("($1, ").count() == part.len(), "{text}");
        }
    }

    #[test]
    fn no_text_of_several_rows_has_very_many_parameters() {
        assert_eq!(WIDE.0.first().map(|(rows, _)| *rows), Some(50));
        static SINGLE: LazyLock<ListStatement> =
            LazyLock::new(|| ListStatement::new("DELETE FROM t WHERE id IN (", 0, "*", ")"));
        assert_eq!(SINGLE.0.first().map(|(rows, _)| *rows), Some(100));
    }
}
