//! What one transaction writes, how much, and what it did.

use std::time::Duration;
use std::vec;

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

/// The records that no transaction has written yet, and how many of each kind the next one takes.
#[derive(Debug)]
pub(super) struct WaitingRecords {
    units: (vec::IntoIter<PlannedUnitChange>, ChunkSize),
    tags: (vec::IntoIter<PlannedTagChange>, ChunkSize),
    persons: (vec::IntoIter<PlannedPersonChange>, ChunkSize),
}

/// How many records one transaction writes.
///
/// Every commit waits for the disk, so few large transactions are faster than many small ones. But
/// SQLite's other writers wait meanwhile. So the number follows from how long the last transaction
/// held the write lock, on this machine and with what else happens there.
#[derive(Debug)]
struct ChunkSize(usize);

#[derive(Debug, Default)]
pub(super) struct ChunkOutcome {
    /// How long the transaction held its locks, with the commit.
    pub(super) held: Duration,
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

impl WaitingRecords {
    pub(super) fn new(
        units: Vec<PlannedUnitChange>,
        tags: Vec<PlannedTagChange>,
        persons: Vec<PlannedPersonChange>,
    ) -> Self {
        Self {
            units: (units.into_iter(), ChunkSize::default()),
            tags: (tags.into_iter(), ChunkSize::default()),
            persons: (persons.into_iter(), ChunkSize::default()),
        }
    }

    /// Takes the records of the next transaction: units before tags, tags before persons.
    pub(super) fn next_chunk(&mut self) -> Option<RecordChunk> {
        fn take<T>((list, size): &mut (vec::IntoIter<T>, ChunkSize)) -> Option<Vec<T>> {
            let taken: Vec<T> = list.by_ref().take(size.0).collect();
            (!taken.is_empty()).then_some(taken)
        }
        take(&mut self.units)
            .map(RecordChunk::Units)
            .or_else(|| take(&mut self.tags).map(RecordChunk::Tags))
            .or_else(|| take(&mut self.persons).map(RecordChunk::Persons))
    }

    /// Adapts how many records the next transaction of this kind takes to one that wrote `chunk` and
    /// held its locks for `held`.
    pub(super) fn adapt_size(&mut self, chunk: &RecordChunk, held: Duration) {
        let size = match chunk {
            RecordChunk::Units(_) => &mut self.units.1,
            RecordChunk::Tags(_) => &mut self.tags.1,
            RecordChunk::Persons(_) => &mut self.persons.1,
        };
        size.adapt(chunk.len(), held);
    }
}

/// The write lock should be held for about so long: a third of what others may be made to wait,
/// because any transaction may be the slow one.
const TARGET_HOLD: Duration = Duration::from_millis(30);

const FIRST_CHUNK_RECORDS: usize = 250;

/// However slow the machine is, a run must come to its end. Where a commit alone takes longer than
/// [`TARGET_HOLD`], fewer records would only mean more commits.
const MIN_CHUNK_RECORDS: usize = 250;

/// More records would save little, and all of them are repeated after a deadlock.
const MAX_CHUNK_RECORDS: usize = 1000;

impl Default for ChunkSize {
    fn default() -> Self {
        Self(FIRST_CHUNK_RECORDS)
    }
}

impl ChunkSize {
    /// Adapts to a transaction that wrote `records` records and held its locks for `held`. The size
    /// at most doubles at once, because a single transaction may have been quick by chance.
    fn adapt(&mut self, records: usize, held: Duration) {
        // How quick the last few records were says nothing about as many as the size allows.
        if records < self.0 && held < TARGET_HOLD {
            return;
        }
        let allowed = u128::try_from(records).unwrap_or(u128::MAX).saturating_mul(TARGET_HOLD.as_micros())
            / held.as_micros().max(1);
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
        self.0 = allowed.min(self.0 * 2).clamp(MIN_CHUNK_RECORDS, MAX_CHUNK_RECORDS);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_size_of_a_chunk_follows_from_how_long_the_lock_was_held() {
        let mut size = ChunkSize::default();
        for (records, held, next) in [
            (250, 5 * MS, 500), // It doubles at most.
            (500, 20 * MS, 750),
            (3, 4 * MS, 750),    // A quick remainder says nothing,
            (500, 50 * MS, 300), // but a slow one does.
            (300, 25 * MS, 360),
            (360, 9000 * MS, MIN_CHUNK_RECORDS),
        ] {
            size.adapt(records, held);
            assert_eq!(size.0, next, "{records} in {held:?}");
        }
        for _ in 0..9 {
            size.adapt(size.0, Duration::ZERO);
        }
        assert_eq!(size.0, MAX_CHUNK_RECORDS);
    }
}
