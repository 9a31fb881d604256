//! Collects a fetch's notes for the administrator; few words, however much went wrong.

use std::collections::BTreeMap;

use crate::sync::remote::ReportNote;
use crate::wecom::{WecomError, errcode};

/// Further notes of the same code are only counted.
const MAX_NOTES_PER_CODE: usize = 20;

#[derive(Debug, Default)]
pub(super) struct FetchNotes {
    list: Vec<ReportNote>,
    counts: BTreeMap<&'static str, usize>,
}

impl FetchNotes {
    /// Adds a note; only the first notes of a code are kept.
    pub(super) fn add(&mut self, code: &'static str, text: impl Into<String>) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        if *count <= MAX_NOTES_PER_CODE {
            self.list.push(ReportNote::new(code, text));
        }
    }

    /// Returns the notes in order, followed by how many of each code were left out.
    pub(super) fn finish(mut self) -> Vec<ReportNote> {
        for (code, count) in self.counts {
            if count > MAX_NOTES_PER_CODE {
                self.list.push(ReportNote::new(
                    code,
                    format!("{} more of this kind.", count - MAX_NOTES_PER_CODE),
                ));
            }
        }
        self.list
    }
}

/// Describes an error with its errcode's meaning and remedy.
pub(super) fn describe_error(error: &WecomError) -> String {
    match error.code().and_then(errcode::explain_errcode) {
        Some(text) => format!("{error}. {} {}", text.en, text.remedy_en),
        None => format!("{error}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_notes_of_one_kind_are_twenty_and_a_number() {
        let mut notes = FetchNotes::default();
        for n in 0..1_000 {
            notes.add("fetch.department_unread", n.to_string());
        }
        notes.add("fetch.empty", "x");
        let list = notes.finish();
        assert_eq!(list.len(), 22);
        assert_eq!(list.last().map(|n| n.text.as_str()), Some("980 more of this kind."));
    }
}
