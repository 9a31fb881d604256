//! Stages the rows of persons: finds out who each one is, then inserts, merges or marks as left.

use std::borrow::Cow;
use std::collections::HashSet;

use sqlx::AnyConnection;

use super::StagedVersion;
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UserId};
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::directory::{EntrySource, Person, PersonStatus};
use crate::sync::apply::chunk::{ChunkOutcome, UseridHandOver, UseridMove};
use crate::sync::apply::report::{self, Tally};
use crate::sync::apply::store::{self, CurrentRow};
use crate::sync::apply::{ApplyError, to_count};
use crate::sync::plan::{self, MergedPerson, PlannedPersonChange};

/// What a planned change of a person becomes.
enum PersonAction<'a> {
    /// Inserts the first row of an id.
    Insert(&'a Person),
    /// Merges WeCom's record into the row of an id.
    Merge(PersonId, &'a Person),
    /// Marks an id as left.
    Leave(&'a PersonId),
}

impl StagedVersion<'_> {
    pub(super) async fn write_persons(
        &self,
        tx: &mut AnyConnection,
        changes: &[PlannedPersonChange],
        out: &mut ChunkOutcome,
    ) -> Result<(), ApplyError> {
        let actions = self.resolve_identities(tx, changes, out).await?;
        let mut ids: Vec<&PersonId> = actions
            .iter()
            .filter_map(|action| match action {
                PersonAction::Insert(_) => None,
                PersonAction::Merge(id, _) => Some(id),
                PersonAction::Leave(id) => Some(*id),
            })
            .collect();
        ids.sort();
        if self.is_writing() && self.target.db.engine() == "postgresql" {
            // A sign-in of one of these persons waits for this transaction, or the other way round.
            // SQLite has a single writer anyway.
            store::lock_identities(tx, &ids).await?;
        }
        let now = store::find_current_rows(tx, &ids).await?;
        let mut rows = PersonRowChanges::default();
        for action in &actions {
            match action {
                PersonAction::Insert(person) => insert_person(Cow::Borrowed(person), &mut rows, out),
                PersonAction::Merge(id, reported) => match now.get(id) {
                    Some(now) => self.merge_row(id, reported, now, &mut rows, out),
                    // The identity exists without a row: a crash left it.
                    None if out.resolved_ids.iter().any(|(_, known)| known == id) => {
                        let person = Person { id: id.clone(), ..Person::clone(reported) };
                        insert_person(Cow::Owned(person), &mut rows, out);
                    }
                    None => out.skip_person(id, reported.userid.as_str(), "is gone since the plan was made"),
                },
                PersonAction::Leave(id) => match now.get(id) {
                    Some(now) => self.leave_row(id, now, &mut rows, out),
                    None => out.skip_person(id, "", "is gone since the plan was made"),
                },
            }
        }
        out.not_active +=
            to_count(rows.insert.iter().filter(|person| person.status != PersonStatus::Active).count());
        if self.is_writing() {
            store::close_rows(tx, DirectoryEntity::Person, self.next_version(), &rows.close).await?;
            store::insert_persons(tx, self.target.corp, self.next_version(), &rows.insert, self.now())
                .await?;
            store::set_fingerprints(tx, &rows.fingerprints).await?;
        }
        Ok(())
    }

    /// Finds or inserts the identity of every new person. If somebody has the userid already (by
    /// signing in since the plan was made, or because of a crash), the change becomes one of that
    /// person.
    async fn resolve_identities<'c>(
        &self,
        tx: &mut AnyConnection,
        changes: &'c [PlannedPersonChange],
        out: &mut ChunkOutcome,
    ) -> Result<Vec<PersonAction<'c>>, ApplyError> {
        let creates: Vec<&Person> = changes
            .iter()
            .filter_map(|change| match change {
                PlannedPersonChange::Create { person, .. } => Some(&**person),
                PlannedPersonChange::Update { .. } | PlannedPersonChange::Leave { .. } => None,
            })
            .collect();
        let made = self.insert_free_identities(tx, &creates).await?;
        let held: Vec<&UserId> =
            creates.iter().filter(|person| !made.contains(&person.id)).map(|person| &person.userid).collect();
        let holders = store::find_holders(tx, self.target.corp, &held).await?;
        let mut waiting: Vec<&Person> = Vec::new();
        let mut actions = Vec::with_capacity(changes.len());
        for change in changes {
            let (person, left) = match change {
                PlannedPersonChange::Create { person, takes_over } => (person, takes_over.as_ref()),
                PlannedPersonChange::Update { id, reported } => {
                    actions.push(PersonAction::Merge(id.clone(), reported));
                    continue;
                }
                PlannedPersonChange::Leave { id } => {
                    actions.push(PersonAction::Leave(id));
                    continue;
                }
            };
            if made.contains(&person.id) {
                actions.push(PersonAction::Insert(person));
                continue;
            }
            match holders.get(&person.userid.folded()) {
                Some(holder) if left == Some(holder) || self.is_giving_up(holder, &person.userid) => {
                    // The userid is not free before the publication: until then the identity has
                    // none.
                    waiting.push(person);
                    out.handed_over.push(UseridHandOver {
                        from: holder.clone(),
                        to: person.id.clone(),
                        userid: person.userid.clone(),
                        left: left == Some(holder),
                    });
                    actions.push(PersonAction::Insert(person));
                }
                Some(holder) => {
                    out.resolved_ids.push((person.id.clone(), holder.clone()));
                    actions.push(PersonAction::Merge(holder.clone(), person));
                }
                None if !self.is_writing() => actions.push(PersonAction::Insert(person)),
                // The insert failed although the userid is free, so the id itself must be taken.
                None => out.skip_person(&person.id, person.userid.as_str(), "its id exists already"),
            }
        }
        if self.is_writing() {
            let (corp, checked_at, now) = (self.target.corp, self.checked_at(), self.now());
            store::insert_identities(tx, corp, &waiting, checked_at, now, Some(now)).await?;
        }
        Ok(actions)
    }

    /// Inserts identities for those of `creates` whose userid nobody has; returns their ids.
    async fn insert_free_identities<'c>(
        &self,
        tx: &mut AnyConnection,
        creates: &[&'c Person],
    ) -> Result<HashSet<&'c PersonId>, ApplyError> {
        if !self.is_writing() {
            return Ok(HashSet::new());
        }
        let corp = self.target.corp;
        Ok(store::insert_identities(tx, corp, creates, self.checked_at(), self.now(), None).await?)
    }

    /// Returns whether the plan gives `holder` another userid than this one.
    fn is_giving_up(&self, holder: &PersonId, userid: &UserId) -> bool {
        let found = self.userid_targets.binary_search_by(|(id, _)| id.cmp(holder));
        let to = found.ok().and_then(|at| self.userid_targets.get(at));
        to.is_some_and(|(_, to)| to.folded() != userid.folded())
    }

    fn merge_row<'c>(
        &self,
        id: &PersonId,
        reported: &Person,
        now: &'c CurrentRow,
        rows: &mut PersonRowChanges<'c>,
        out: &mut ChunkOutcome,
    ) {
        let userid = reported.userid.as_str();
        let old = match &now.person {
            Ok(_) if now.is_released => {
                return out.skip_person(id, userid, "was merged into another person since the plan was made");
            }
            Ok(old) => old,
            Err(error) => return out.skip_person(id, userid, format!("its row cannot be read: {error}")),
        };
        let reported = Person { id: id.clone(), ..reported.clone() };
        let mut merged = plan::merge_person(reported, old);
        // A sign-in asked WeCom after the lists were read; its word is newer.
        if self.was_checked_later(now, old) && merged.person.status != old.status {
            out.checked_later += 1;
            merged.person.status = old.status;
            merged.person.left_at = old.left_at;
            merged.person.fingerprint.clone_from(&old.fingerprint);
            merged.changed = merged.person != *old;
            // The row differs from WeCom's record: without a fingerprint, the next run compares
            // every field.
            merged.person.fingerprint = String::new();
        }
        put_merged(merged, old, now, rows, out);
    }

    fn leave_row<'c>(
        &self,
        id: &PersonId,
        now: &'c CurrentRow,
        rows: &mut PersonRowChanges<'c>,
        out: &mut ChunkOutcome,
    ) {
        let old = match &now.person {
            // Merged into another person meanwhile: nobody is left who could leave.
            Ok(_) if now.is_released => return,
            Ok(old) => old,
            Err(error) => return out.skip_person(id, "", format!("its row cannot be read: {error}")),
        };
        if self.was_checked_later(now, old) && old.status == PersonStatus::Active {
            out.checked_later += 1;
            return;
        }
        put_merged(plan::mark_left(old, self.now()), old, now, rows, out);
    }

    /// Returns whether WeCom was asked about the person singly after this run began to read lists.
    fn was_checked_later(&self, now: &CurrentRow, old: &Person) -> bool {
        old.source == EntrySource::Wecom && now.checked_at > self.options.began
    }

    /// Returns when a new person's status counts as checked: only a run that read everything
    /// confirms it.
    fn checked_at(&self) -> Timestamp {
        self.options.complete_details_at.unwrap_or(Timestamp::from_millis(0))
    }
}

/// The rows that a chunk of persons writes.
#[derive(Default)]
struct PersonRowChanges<'a> {
    close: Vec<&'a str>,
    insert: Vec<Cow<'a, Person>>,
    fingerprints: Vec<(&'a str, String)>,
}

fn insert_person<'c>(person: Cow<'c, Person>, rows: &mut PersonRowChanges<'c>, out: &mut ChunkOutcome) {
    out.counts.persons.created += 1;
    out.counts.memberships.created += to_count(person.memberships.len());
    out.lines.add(|| format!("created person {}", report::describe_person(&person)));
    out.feed_entries.push((DirectoryEntity::Person, person.id.to_string(), DirectoryChangeKind::Created));
    rows.insert.push(person);
}

fn put_merged<'c>(
    merged: MergedPerson,
    old: &'c Person,
    now: &CurrentRow,
    rows: &mut PersonRowChanges<'c>,
    out: &mut ChunkOutcome,
) {
    let MergedPerson { person, changed, memberships } = merged;
    if !changed {
        if person.fingerprint != old.fingerprint {
            // Only the fingerprint is new: no row of the next version and no entry in the feed.
            rows.fingerprints.push((old.id.as_str(), person.fingerprint));
        }
        return;
    }
    let (created, updated, removed) = memberships;
    out.counts.memberships.add(Tally {
        created: to_count(created),
        updated: to_count(updated),
        removed: to_count(removed),
    });
    if report::is_leaving(old, &person) {
        out.counts.persons.removed += 1;
        out.lines.add(|| format!("left: person {}", report::describe_person(old)));
    } else {
        out.counts.persons.updated += 1;
        out.lines.add(|| {
            format!(
                "changed person {}: {}",
                report::describe_person(old),
                report::describe_person_changes(old, &person)
            )
        });
    }
    // Also a userid that only changes its case is written, so that it shows as WeCom writes it.
    if now.userid != person.userid {
        out.renamed.push(UseridMove {
            id: person.id.clone(),
            from: now.userid.clone(),
            to: person.userid.clone(),
        });
    }
    out.feed_entries.push((DirectoryEntity::Person, person.id.to_string(), DirectoryChangeKind::Updated));
    rows.close.push(old.id.as_str());
    rows.insert.push(Cow::Owned(person));
}
