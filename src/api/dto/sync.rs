//! Synchronisation runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{ConflictKindWord, RunKindWord, RunStatusWord};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, PersonId, RunId};
use crate::sync::apply::{Counts, RaisedConflict, Tally};
use crate::sync::queue::SyncRun;
use crate::sync::state::SyncKind;

/// What a run is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = RunOrder)]
pub(crate) struct RunOrderDto {
    pub(crate) kind: RunKindWord,
    /// Only report what the run would change.
    pub(crate) dry_run: bool,
    /// Remove however much is missing in WeCom (`directory.max_removals`).
    pub(crate) force: bool,
}

impl Default for RunOrderDto {
    fn default() -> Self {
        Self { kind: SyncKind::Full.into(), dry_run: false, force: false }
    }
}

/// Which run was queued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueuedRun)]
pub(crate) struct QueuedRunDto {
    #[schema(value_type = String)]
    pub(crate) run_id: RunId,
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(crate) struct RunDto {
    #[schema(value_type = String)]
    id: RunId,
    #[schema(inline)]
    kind: RunKindWord,
    #[schema(inline)]
    status: RunStatusWord,
    /// Whether everything visible was read; a run that did not removes nothing.
    complete: bool,
    counts: RunCountsDto,
    /// Persons that may be one, found in this run; `/conflicts` has those that are still open.
    conflicts: Vec<RunConflictDto>,
    /// Why it was refused or failed; null otherwise.
    #[schema(required)]
    reason: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    finished_at: Option<Timestamp>,
}

/// A conflict as it was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunConflict)]
struct RunConflictDto {
    #[schema(value_type = String)]
    id: ConflictId,
    #[schema(inline)]
    kind: ConflictKindWord,
    #[schema(value_type = String)]
    person_id: PersonId,
    #[schema(value_type = Vec<String>)]
    candidates: Vec<PersonId>,
}

/// What a run changed, or would have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunCounts)]
struct RunCountsDto {
    units: RunCountDto,
    persons: RunCountDto,
    memberships: RunCountDto,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunCount)]
struct RunCountDto {
    created: u64,
    updated: u64,
    removed: u64,
}

impl From<SyncRun> for RunDto {
    fn from(run: SyncRun) -> Self {
        let reason = run.reason_text();
        Self {
            id: run.id,
            kind: run.kind.into(),
            status: run.status.into(),
            complete: run.complete,
            counts: run.counts.into(),
            conflicts: run.report.conflicts.into_iter().map(Into::into).collect(),
            reason,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

impl From<RaisedConflict> for RunConflictDto {
    fn from(raised: RaisedConflict) -> Self {
        let RaisedConflict { id, kind, person_id, candidates } = raised;
        Self { id, kind: kind.into(), person_id, candidates }
    }
}

impl From<Counts> for RunCountsDto {
    fn from(counts: Counts) -> Self {
        let Counts { units, persons, memberships } = counts;
        Self { units: units.into(), persons: persons.into(), memberships: memberships.into() }
    }
}

impl From<Tally> for RunCountDto {
    fn from(tally: Tally) -> Self {
        let Tally { created, updated, removed } = tally;
        Self { created, updated, removed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ClientId;
    use crate::sync::report::SyncReport;
    use crate::sync::state::{SyncCause, SyncRunReason, SyncRunStatus};

    #[test]
    fn a_run_shows_what_the_api_promises_and_nothing_else() {
        let run = SyncRun {
            id: RunId::new("r"),
            kind: SyncKind::Full,
            cause: SyncCause::Api(ClientId::new("oa")),
            dry_run: false,
            force: false,
            status: SyncRunStatus::Refused,
            complete: true,
            counts: Counts::default(),
            progress: None,
            report: SyncReport::default(),
            reason: Some(SyncRunReason::WecomDisabled),
            requested_at: Timestamp::from_millis(0),
            started_at: Some(Timestamp::from_millis(1_795_334_400_000)),
            finished_at: None,
        };
        let count = r#"{"created":0,"updated":0,"removed":0}"#;
        let want = format!(
            r#"{{"id":"r","kind":"full","status":"refused","complete":true,"counts":{{"units":{count},"persons":{count},"memberships":{count}}},"conflicts":[],"reason":"wecom.enable is false: WeCom is asked for nothing.","started_at":"2026-11-22T08:00:00.000Z","finished_at":null}}"#
        );
        assert_eq!(serde_json::to_string(&RunDto::from(run)).unwrap(), want);
    }
}
