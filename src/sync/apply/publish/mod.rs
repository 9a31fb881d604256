//! Publishes a version in one transaction: the version number, userids, ended sessions, the change
//! feed and the end of the run.

mod store;

use std::collections::HashMap;

use super::chunk::{ChunkOutcome, RecordChunk, UseridHandOver, UseridMove};
use super::report::{ApplyResult, MAX_REPORT_LINES, SkippedRecord};
use super::stage::StagedVersion;
use super::{ApplyError, ApplyOptions, ApplyTarget, MAX_DEADLOCK_RETRIES, RunEndWriter, to_count};
use crate::base::id::{PersonId, UserId};
use crate::db::error::{WriteErrorKind, classify_write_error};
use crate::db::feed::FeedKind;
use crate::directory;
use crate::directory::changes::DirectoryTransaction;
use crate::directory::conflicts;
use crate::session;
use crate::sync::plan::NewConflict;
use crate::sync::remote::ReportNote;
use crate::sync::state::InterveningChange;

pub(super) use self::store::hot_statements;

/// The sum of what the staging transactions did.
pub(super) struct PendingPublication {
    applied: ApplyResult,
    /// How many entries of the change feed were written.
    staged: i64,
    handed_over: Vec<UseridHandOver>,
    renamed: Vec<UseridMove>,
    resolved_ids: HashMap<PersonId, PersonId>,
    checked_later: u64,
    not_active: u64,
}

impl PendingPublication {
    pub(super) fn new(notes: Vec<ReportNote>) -> Self {
        Self {
            applied: ApplyResult { notes, ..ApplyResult::default() },
            staged: 0,
            handed_over: Vec::new(),
            renamed: Vec::new(),
            resolved_ids: HashMap::new(),
            checked_later: 0,
            not_active: 0,
        }
    }

    pub(super) const fn staged(&self) -> i64 {
        self.staged
    }

    /// Returns how many more report lines are kept.
    pub(super) fn remaining_lines(&self) -> usize {
        MAX_REPORT_LINES.saturating_sub(self.applied.lines.len())
    }

    /// Adds what one transaction did.
    pub(super) fn add(&mut self, outcome: ChunkOutcome) {
        let applied = &mut self.applied;
        applied.counts.add(outcome.counts);
        applied.tags.add(outcome.tags);
        applied.lines.extend(outcome.lines.told);
        applied.more_lines += outcome.lines.more;
        for skipped in outcome.skipped {
            self.add_skipped(skipped);
        }
        self.staged += i64::try_from(outcome.feed_entries.len()).unwrap_or(i64::MAX);
        self.handed_over.extend(outcome.handed_over);
        self.renamed.extend(outcome.renamed);
        self.resolved_ids.extend(outcome.resolved_ids);
        self.checked_later += outcome.checked_later;
        self.not_active += outcome.not_active;
    }

    /// Records that a chunk could not be written.
    pub(super) fn skip(&mut self, chunk: &RecordChunk, error: &sqlx::Error) {
        for skipped in chunk.to_skipped(&error.to_string()) {
            self.add_skipped(skipped);
        }
    }

    fn add_skipped(&mut self, skipped: SkippedRecord) {
        tracing::warn!(kind = skipped.kind, id = skipped.id, reason = skipped.reason, "a record was skipped");
        if self.applied.skipped.len() < MAX_REPORT_LINES {
            self.applied.skipped.push(skipped);
        } else {
            self.applied.more_skipped += 1;
        }
    }

    /// Makes the staged version visible; a dry run only returns what would change.
    pub(super) async fn publish(
        mut self,
        target: &ApplyTarget<'_>,
        options: &ApplyOptions<'_>,
        stage: &StagedVersion<'_>,
        conflicts: Vec<NewConflict>,
        ending: &impl RunEndWriter,
    ) -> Result<ApplyResult, ApplyError> {
        let conflicts = self.finish_report(conflicts, stage.published_version);
        if options.dry_run {
            return Ok(self.applied);
        }
        if self.staged > 0 {
            self.applied.version = stage.next_version();
        }
        for _ in 0..MAX_DEADLOCK_RETRIES {
            match self.write(target, options, stage, &conflicts, ending).await {
                Err(ApplyError::Store(error)) if classify_write_error(&error) == WriteErrorKind::Deadlock => {
                }
                done => return done.map(|()| self.applied),
            }
        }
        self.write(target, options, stage, &conflicts, ending).await.map(|()| self.applied)
    }

    /// Completes the report. Returns the conflicts with the ids that the persons turned out to
    /// have.
    fn finish_report(&mut self, conflicts: Vec<NewConflict>, published: i64) -> Vec<NewConflict> {
        self.applied.version = published;
        let known = |id: PersonId| self.resolved_ids.get(&id).cloned().unwrap_or(id);
        let conflicts: Vec<NewConflict> = conflicts
            .into_iter()
            .map(|NewConflict { kind, person, candidates }| {
                let mut candidates: Vec<PersonId> = candidates.into_iter().map(known).collect();
                candidates.sort();
                candidates.dedup();
                NewConflict { kind, person: known(person), candidates }
            })
            .collect();
        self.applied.conflicts = to_count(conflicts.len());
        if self.checked_later > 0 {
            let text = format!(
                "{} persons keep the status that WeCom told of them after the run began; the next run asks again.",
                self.checked_later
            );
            self.applied.notes.push(ReportNote::new("apply.seen_later", text));
        }
        conflicts
    }

    async fn write(
        &self,
        target: &ApplyTarget<'_>,
        options: &ApplyOptions<'_>,
        stage: &StagedVersion<'_>,
        conflicts: &[NewConflict],
        ending: &impl RunEndWriter,
    ) -> Result<(), ApplyError> {
        let (db, corp, now) = (target.db, target.corp, target.clock.now());
        // Read before the transaction begins: it holds the write lock as briefly as possible.
        let gone = conflicts::store::find_obsolete_conflicts(db, corp).await?;
        let mut change = DirectoryTransaction::begin(db, corp, now).await?;
        super::store::renew_lease(change.tx(), target.fence, now).await?;
        self.move_userids(&mut change).await?;
        let next = stage.next_version();
        // A run that stages only active persons can neither keep anybody out nor end a session.
        if self.not_active > 0 {
            store::keep_signed_in_active(&mut change, next, options.began).await?;
            session::store::end_inactive(&mut change, next).await?;
        }
        let mut raised = Vec::new();
        for conflict in conflicts {
            raised.extend(store::insert_conflict(&mut change, conflict).await?);
        }
        conflicts::store::close_obsolete_conflicts(&mut change, &gone).await?;
        // A skipped record was not confirmed, so the chart is not complete as of this run.
        let complete_at = options.complete_details_at.filter(|_| self.applied.skipped.is_empty());
        // Without staged rows the published version stays as it is; only its age changes.
        if let Some(batch) = stage.batch.filter(|_| self.staged > 0) {
            if !store::publish_version(&mut change, next, complete_at).await? {
                return Err(ApplyError::Lost);
            }
            change.announce(FeedKind::Chart, next.to_string());
            change.publish_batch(batch, self.staged);
        } else if let Some(complete_at) = complete_at {
            store::confirm_complete(&mut change, complete_at).await?;
            change.announce(FeedKind::Chart, stage.published_version.to_string());
        }
        ending.write(&mut change, &self.applied, raised).await?;
        Ok(change.commit().await?)
    }

    /// Moves userids to their owners in the new version. All are given up first, so that two
    /// persons can swap theirs.
    async fn move_userids(&self, change: &mut DirectoryTransaction) -> Result<(), ApplyError> {
        if self.renamed.is_empty() && self.handed_over.is_empty() {
            return Ok(());
        }
        let corp = change.corp().clone();
        let moved: Vec<&UseridMove> =
            self.renamed.iter().filter(|renamed| renamed.from.folded() != renamed.to.folded()).collect();
        let left: Vec<&PersonId> = self.handed_over.iter().filter(|h| h.left).map(|h| &h.from).collect();
        let mut give_up: Vec<&PersonId> = moved.iter().map(|r| &r.id).chain(left.iter().copied()).collect();
        give_up.sort();
        give_up.dedup();
        let given_up = store::release_userids(change, &give_up).await?;
        // Nothing was released: the identity had no userid any more.
        if let Some(merged) = moved.iter().find(|renamed| !given_up.contains(&renamed.id)) {
            return Err(ApplyError::Changed(InterveningChange::Merged(merged.from.clone())));
        }
        let back = store::find_not_left(change, &left).await?;
        if let Some(back) = self.handed_over.iter().find(|h| h.left && back.contains(&h.from)) {
            return Err(ApplyError::Changed(InterveningChange::Returned(back.userid.clone())));
        }
        let wanted: Vec<&UserId> =
            moved.iter().map(|r| &r.to).chain(self.handed_over.iter().map(|h| &h.userid)).collect();
        let holders = super::store::find_holders(change.tx(), &corp, &wanted).await?;
        let held: Vec<&PersonId> = holders.values().collect();
        // Holders who left give their userids up; an active one signed in since the plan was made.
        let active = store::find_not_left(change, &held).await?;
        if let Some((userid, _)) = holders.iter().find(|(_, holder)| active.contains(*holder)) {
            return Err(ApplyError::Changed(InterveningChange::SignedIn(UserId::new(userid.as_str()))));
        }
        store::release_userids(change, &held).await?;
        for renamed in &self.renamed {
            let moves = renamed.from.folded() != renamed.to.folded();
            store::rename_person(change, &renamed.id, &renamed.to, moves).await?;
        }
        for handed_over in &self.handed_over {
            store::claim_userid(change, &handed_over.to).await?;
        }
        let to_somebody_else: Vec<UserId> = self.handed_over.iter().map(|h| h.userid.clone()).collect();
        // Departments were just read, so those bindings are certain; the run may not have read
        // tags.
        directory::bindings::store::strip_reassigned_userids(change, &to_somebody_else, false).await?;
        // A session token names the userid it was made for.
        for renamed in moved {
            session::store::end_sessions(
                change,
                &session::store::SessionsToEnd::Person(&renamed.id),
                session::SessionEndReason::Renamed,
            )
            .await?;
        }
        Ok(())
    }
}
