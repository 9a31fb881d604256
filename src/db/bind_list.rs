//! Statements with lists of parameters: fixed texts for 100, 10 and 1 rows, so that each connection
//! prepares each of them once.

use std::fmt::Write as _;

/// A statement with texts for 100, 10 and 1 rows or values.
#[derive(Debug)]
pub(crate) struct ListStatement([(usize, String); 3]);

impl ListStatement {
    /// Makes the texts: `head`, then `pattern` for each row, then `tail`. Every `*` of the pattern
    /// becomes a parameter of its own after the `shared` ones.
    pub(crate) fn new(head: &str, shared: usize, pattern: &str, tail: &str) -> Self {
        Self([100, 10, 1].map(|rows| {
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
        }))
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
