//! What one transaction writes, and what it did.

use super::report::{Counts, ReportLines, SkippedRecord, Tally};
use crate::base::id::{PersonId, UserId};
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::sync::plan::{PlannedPersonChange, PlannedTagChange, PlannedUnitChange};

/// The records that one transaction writes.
#[derive(Debug)]
pub(super) enum RecordChunk {
    Units(Vec<PlannedUnitChange>),
    Tags(Vec<PlannedTagChange>),
    /// Ordered by id.
    Persons(Vec<PlannedPersonChange>),
}

#[derive(Debug, Default)]
pub(super) struct ChunkOutcome {
    pub(super) counts: Counts,
    pub(super) tags: Tally,
    pub(super) lines: ReportLines,
    pub(super) skipped: Vec<SkippedRecord>,
    /// Entries for the change feed, in order.
    pub(super) feed_entries: Vec<(DirectoryEntity, String, DirectoryChangeKind)>,
    pub(super) handed_over: Vec<UseridHandOver>,
    pub(super) renamed: Vec<UseridMove>,
    /// A planned id, and the id of the person who already had the userid.
    pub(super) resolved_ids: Vec<(PersonId, PersonId)>,
    /// Persons who keep their status because WeCom reported another one after the run began.
    pub(super) checked_later: u64,
    /// Rows of persons who may not sign in.
    pub(super) not_active: u64,
}

/// A userid that passes to a new person when the version is published.
#[derive(Debug, Clone)]
pub(super) struct UseridHandOver {
    pub(super) from: PersonId,
    pub(super) to: PersonId,
    pub(super) userid: UserId,
    /// Whether `from` left; otherwise it has another userid by then.
    pub(super) left: bool,
}

/// A userid that a person changes to when the version is published.
#[derive(Debug, Clone)]
pub(super) struct UseridMove {
    pub(super) id: PersonId,
    pub(super) from: UserId,
    pub(super) to: UserId,
}

impl RecordChunk {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Units(list) => list.len(),
            Self::Tags(list) => list.len(),
            Self::Persons(list) => list.len(),
        }
    }

    /// Splits the chunk in two; a single record is returned unchanged as the error.
    pub(super) fn split_in_half(self) -> Result<(Self, Self), Self> {
        fn split<T>(mut list: Vec<T>, into_chunk: fn(Vec<T>) -> RecordChunk) -> (RecordChunk, RecordChunk) {
            let second = list.split_off(list.len() / 2);
            (into_chunk(list), into_chunk(second))
        }
        if self.len() < 2 {
            return Err(self);
        }
        Ok(match self {
            Self::Units(list) => split(list, Self::Units),
            Self::Tags(list) => split(list, Self::Tags),
            Self::Persons(list) => split(list, Self::Persons),
        })
    }

    /// Lists the records as skipped, with `reason`.
    pub(super) fn to_skipped(&self, reason: &str) -> Vec<SkippedRecord> {
        let skip = |kind: &str, id: &str, wecom: String| SkippedRecord {
            kind: kind.to_owned(),
            id: id.to_owned(),
            wecom,
            reason: reason.to_owned(),
        };
        let number = |id: Option<u32>| id.map_or_else(String::new, |id| format!("wecom:{id}"));
        match self {
            Self::Units(list) => Vec::from_iter(list.iter().map(|change| match change {
                PlannedUnitChange::Create(u) | PlannedUnitChange::Update(u) => {
                    skip("unit", u.id.as_str(), number(u.wecom_id))
                }
                PlannedUnitChange::Remove(id) => skip("unit", id.as_str(), String::new()),
            })),
            Self::Tags(list) => Vec::from_iter(list.iter().map(|change| match change {
                PlannedTagChange::Create(t) | PlannedTagChange::Update(t) => {
                    skip("tag", t.id.as_str(), number(t.wecom_id))
                }
                PlannedTagChange::Remove(id) => skip("tag", id.as_str(), String::new()),
            })),
            Self::Persons(list) => Vec::from_iter(list.iter().map(|change| match change {
                PlannedPersonChange::Create { person, .. } => {
                    skip("person", person.id.as_str(), person.userid.to_string())
                }
                PlannedPersonChange::Update { id, reported } => {
                    skip("person", id.as_str(), reported.userid.to_string())
                }
                PlannedPersonChange::Leave { id } => skip("person", id.as_str(), String::new()),
            })),
        }
    }
}

impl ChunkOutcome {
    /// Records that a person stays as it was.
    pub(super) fn skip_person(&mut self, id: &PersonId, userid: &str, reason: impl Into<String>) {
        self.skipped.push(SkippedRecord {
            kind: "person".into(),
            id: id.to_string(),
            wecom: userid.into(),
            reason: reason.into(),
        });
    }
}
