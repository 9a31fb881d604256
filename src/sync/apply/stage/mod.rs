//! Stages rows of the next version in short transactions; nobody sees them yet.

mod persons;

use std::collections::HashMap;
use std::time::Instant;

use sqlx::AnyConnection;

use super::chunk::{ChunkOutcome, RecordChunk};
use super::report::{self, ReportLines};
use super::store;
use super::{ApplyError, ApplyOptions, ApplyTarget};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, TagId, UnitId, UserId};
use crate::directory::changes::store::reserve_batch;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::directory::{Tag, Unit};
use crate::sync::plan::{PlannedTagChange, PlannedUnitChange};

/// What all staging transactions of a run share.
pub(super) struct StagedVersion<'a> {
    target: &'a ApplyTarget<'a>,
    options: &'a ApplyOptions<'a>,
    /// The published version, which the staged one follows.
    pub(super) published_version: i64,
    /// The batch of the change feed; `None` in a run that writes nothing.
    pub(super) batch: Option<i64>,
    units: HashMap<UnitId, Unit>,
    tags: HashMap<TagId, Tag>,
    /// Userids that the plan gives to known persons, ordered by id.
    userid_targets: Vec<(PersonId, UserId)>,
}

impl<'a> StagedVersion<'a> {
    /// Reads what the transactions share. `empty` says that the plan has no changes.
    pub(super) async fn begin(
        target: &'a ApplyTarget<'a>,
        options: &'a ApplyOptions<'a>,
        userid_targets: Vec<(PersonId, UserId)>,
        empty: bool,
    ) -> Result<Self, ApplyError> {
        let chart = crate::directory::store::load_chart(target.db, target.corp).await?;
        let batch = if options.dry_run || empty { None } else { Some(reserve_batch(target.db).await?) };
        let units: HashMap<UnitId, Unit> =
            chart.units().map(|placed| (placed.unit.id.clone(), placed.unit.clone())).collect();
        Ok(Self {
            target,
            options,
            published_version: chart.version(),
            batch,
            tags: chart.tags().map(|tag| (tag.id.clone(), tag.clone())).collect(),
            units,
            userid_targets,
        })
    }

    pub(super) const fn next_version(&self) -> i64 {
        self.published_version + 1
    }

    /// Writes one chunk or nothing of it. `staged` counts the entries of the change feed written
    /// before, `room` the report lines that are still kept.
    pub(super) async fn write(
        &self,
        chunk: &RecordChunk,
        staged: i64,
        room: usize,
    ) -> Result<ChunkOutcome, ApplyError> {
        let mut outcome = ChunkOutcome { lines: ReportLines::with_room(room), ..ChunkOutcome::default() };
        let Some(batch) = self.batch else {
            let mut connection = self.target.db.pool().acquire().await?;
            self.write_rows(&mut connection, chunk, &mut outcome).await?;
            return Ok(outcome);
        };
        let mut tx = super::begin_transaction(self.target).await?;
        let begun = Instant::now();
        self.write_rows(&mut tx, chunk, &mut outcome).await?;
        store::insert_changes(&mut tx, self.target.corp, batch, staged, &outcome.feed_entries).await?;
        tx.commit().await?;
        outcome.held = begun.elapsed();
        Ok(outcome)
    }

    async fn write_rows(
        &self,
        tx: &mut AnyConnection,
        chunk: &RecordChunk,
        out: &mut ChunkOutcome,
    ) -> Result<(), ApplyError> {
        match chunk {
            RecordChunk::Units(list) => self.write_units(tx, list, out).await,
            RecordChunk::Tags(list) => self.write_tags(tx, list, out).await,
            RecordChunk::Persons(list) => self.write_persons(tx, list, out).await,
        }
    }

    const fn is_writing(&self) -> bool {
        self.batch.is_some()
    }

    async fn write_units(
        &self,
        tx: &mut AnyConnection,
        changes: &[PlannedUnitChange],
        out: &mut ChunkOutcome,
    ) -> Result<(), ApplyError> {
        let (mut close, mut rows) = (Vec::new(), Vec::new());
        for change in changes {
            let (id, what) = match change {
                PlannedUnitChange::Create(unit) => {
                    out.counts.units.created += 1;
                    out.lines.add(|| format!("created unit {}", report::describe_unit(unit)));
                    rows.push(unit);
                    (&unit.id, DirectoryChangeKind::Created)
                }
                PlannedUnitChange::Update(unit) => {
                    out.counts.units.updated += 1;
                    out.lines.add(|| {
                        let fields =
                            self.units.get(&unit.id).map(|old| report::describe_unit_changes(old, unit));
                        format!(
                            "changed unit {}: {}",
                            report::describe_unit(unit),
                            fields.unwrap_or_default()
                        )
                    });
                    rows.push(unit);
                    (&unit.id, DirectoryChangeKind::Updated)
                }
                PlannedUnitChange::Remove(id) => {
                    out.counts.units.removed += 1;
                    out.lines.add(|| {
                        let name = self.units.get(id).map_or_else(|| id.to_string(), report::describe_unit);
                        format!("removed unit {name}")
                    });
                    (id, DirectoryChangeKind::Removed)
                }
            };
            close.push(id.as_str());
            out.feed_entries.push((DirectoryEntity::Unit, id.to_string(), what));
        }
        if self.is_writing() {
            store::close_rows(tx, DirectoryEntity::Unit, self.next_version(), &close).await?;
            store::insert_units(tx, self.target.corp, self.next_version(), &rows, self.now()).await?;
        }
        Ok(())
    }

    async fn write_tags(
        &self,
        tx: &mut AnyConnection,
        changes: &[PlannedTagChange],
        out: &mut ChunkOutcome,
    ) -> Result<(), ApplyError> {
        let (mut close, mut rows) = (Vec::new(), Vec::new());
        for change in changes {
            let (id, what) = match change {
                PlannedTagChange::Create(tag) => {
                    out.tags.created += 1;
                    out.lines.add(|| format!("created tag {}", report::describe_tag(tag)));
                    rows.push(tag);
                    (&tag.id, DirectoryChangeKind::Created)
                }
                PlannedTagChange::Update(tag) => {
                    out.tags.updated += 1;
                    out.lines.add(|| {
                        let fields = self.tags.get(&tag.id).map(|old| report::describe_tag_changes(old, tag));
                        format!("changed tag {}: {}", report::describe_tag(tag), fields.unwrap_or_default())
                    });
                    rows.push(tag);
                    (&tag.id, DirectoryChangeKind::Updated)
                }
                PlannedTagChange::Remove(id) => {
                    out.tags.removed += 1;
                    out.lines.add(|| {
                        let name = self.tags.get(id).map_or_else(|| id.to_string(), report::describe_tag);
                        format!("removed tag {name}")
                    });
                    (id, DirectoryChangeKind::Removed)
                }
            };
            close.push(id.as_str());
            out.feed_entries.push((DirectoryEntity::Tag, id.to_string(), what));
        }
        if self.is_writing() {
            store::close_rows(tx, DirectoryEntity::Tag, self.next_version(), &close).await?;
            store::insert_tags(tx, self.target.corp, self.next_version(), &rows, self.now()).await?;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.target.clock.now()
    }
}
