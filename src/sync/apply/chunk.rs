//! What one transaction writes, and what it did.

use super::report::{Counts, ReportLines, SkippedRecord, Tally};
use crate::base::id::{PersonId, UserId};
use crate::db::feed::{DirectoryChangeKind, DirectoryEntity};
use crate::sync::plan::{PlannedPersonChange, PlannedTagChange, PlannedUnitChange};

/// What one transaction writes.
#[derive(Debug)]
pub(super) enum RecordChunk {
    /// Units.
    Units(Vec<PlannedUnitChange>),
    /// Tags.
    Tags(Vec<PlannedTagChange>),
    /// Persons, by id.
    Persons(Vec<PlannedPersonChange>),
}

/// What one transaction did.
#[derive(Debug, Default)]
pub(super) struct ChunkOutcome {
    pub(super) counts: Counts,
    pub(super) tags: Tally,
    pub(super) lines: ReportLines,
    pub(super) skipped: Vec<SkippedRecord>,
    /// For the change feed, in order.
    pub(super) feed_entries: Vec<(DirectoryEntity, String, DirectoryChangeKind)>,
    /// What happens to identities when the version is published.
    pub(super) handed_over: Vec<UseridHandOver>,
    pub(super) renamed: Vec<UseridMove>,
    /// Planned id → the id of whoever turned out to have the userid already.
    pub(super) resolved_ids: Vec<(PersonId, PersonId)>,
    /// Persons that stay, because WeCom said something else of them after the run began.
    pub(super) checked_later: u64,
    /// Rows of persons that may not sign in.
    pub(super) not_active: u64,
}

/// A userid goes to a new person when the version is published.
#[derive(Debug, Clone)]
pub(super) struct UseridHandOver {
    pub(super) from: PersonId,
    pub(super) to: PersonId,
    pub(super) userid: UserId,
    /// Whether `from` left; otherwise it has another userid by then.
    pub(super) left: bool,
}

/// A person has another userid when the version is published.
#[derive(Debug, Clone)]
pub(super) struct UseridMove {
    pub(super) id: PersonId,
    pub(super) from: UserId,
    pub(super) to: UserId,
}

impl RecordChunk {
    /// How many records.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Units(list) => list.len(),
            Self::Tags(list) => list.len(),
            Self::Persons(list) => list.len(),
        }
    }

    /// Two halves, or itself if it is a single record.
    pub(super) fn split_in_half(self) -> Result<(Self, Self), Self> {
        fn split<T>(mut list: Vec<T>, work: fn(Vec<T>) -> RecordChunk) -> (RecordChunk, RecordChunk) {
            let second = list.split_off(list.len() / 2);
            (work(list), work(second))
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

    /// Its records, as skipped ones.
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
                PlannedPersonChange::Update { id, said } => {
                    skip("person", id.as_str(), said.userid.to_string())
                }
                PlannedPersonChange::Leave { id } => skip("person", id.as_str(), String::new()),
            })),
        }
    }
}

impl ChunkOutcome {
    /// A person that stays as it was.
    pub(super) fn skip_person(&mut self, id: &PersonId, userid: &str, reason: impl Into<String>) {
        self.skipped.push(SkippedRecord {
            kind: "person".into(),
            id: id.to_string(),
            wecom: userid.into(),
            reason: reason.into(),
        });
    }
}
