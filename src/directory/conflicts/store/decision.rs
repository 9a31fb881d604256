//! SQL that decides a conflict: it locks the persons, merges them or leaves them apart.

use sqlx::Row as _;

use super::{find_conflict, replace_candidate, set_state};
use crate::base::id::{ConflictId, PersonId};
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::directory::Person;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::conflicts::{
    Conflict, ConflictOutcome, ResolveError, is_current_member, merge_persons,
};
use crate::directory::edit::store as edit;

/// A conflict whose persons are locked until the change commits.
#[derive(Debug)]
pub(crate) struct HeldConflict {
    conflict: Conflict,
    flagged: Person,
    /// The person that the flagged one is; `None` if they are two.
    kept: Option<Person>,
}

impl HeldConflict {
    /// Returns the flagged person.
    pub(crate) const fn flagged(&self) -> &Person {
        &self.flagged
    }

    /// Returns the text for the audit trail.
    pub(crate) fn audit_detail(&self) -> String {
        let (id, flagged) = (&self.conflict.id, &self.flagged.id);
        match &self.kept {
            Some(kept) => {
                format!("conflict {id}: {flagged} is {}, whose userid was {}", kept.id, kept.userid)
            }
            None => format!("conflict {id}: {flagged} is nobody else"),
        }
    }

    /// Returns the id of the flagged person from now on.
    pub(crate) fn resulting_person(&self) -> &PersonId {
        self.kept.as_ref().map_or(&self.flagged.id, |kept| &kept.id)
    }

    /// Returns the persons whose sessions must end before [`close_conflict`]: both, if they become
    /// one.
    ///
    /// Whoever was signed in as a person who left is not signed in again by a decision.
    pub(crate) fn persons_to_sign_out(&self) -> impl Iterator<Item = &PersonId> {
        self.kept.iter().flat_map(|kept| [&self.flagged.id, &kept.id])
    }
}

/// Locks everybody whom the conflict `id` is about, to be decided with `person`: a candidate if the
/// two are one, or the flagged person itself or `None` if they are two.
///
/// # Errors
/// [`ResolveError`].
pub(crate) async fn hold_conflict(
    change: &mut FeedTransaction,
    id: &ConflictId,
    person: Option<&PersonId>,
) -> Result<HeldConflict, ResolveError> {
    // While a conflict is open its persons never change, except for candidates that are gone.
    let (conflict, _) = find_conflict(change, id).await?;
    let person = person.unwrap_or(&conflict.person_id).clone();
    let person = &person;
    if conflict.person_id != *person && !conflict.candidates.contains(person) {
        return Err(ResolveError::NotInvolved(person.clone()));
    }
    let mut ids = vec![conflict.person_id.clone()];
    ids.extend((conflict.person_id != *person).then(|| person.clone()));
    // Ordered by id, so that two who decide at once never deadlock on each other's rows.
    ids.sort();
    let mut held = Vec::new();
    for id in &ids {
        held.extend(edit::hold_person(change, id, None).await?.map(|held| held.person));
    }
    // The flagged person is locked, so the conflict can no longer change.
    let (conflict, state) = find_conflict(change, id).await?;
    let mut take = |id: &PersonId| {
        let at = held.iter().position(|p| p.id == *id)?;
        Some(held.swap_remove(at))
    };
    let (Some(flagged), true) = (take(&conflict.person_id), state == "open") else {
        return Err(ResolveError::AlreadyClosed);
    };
    if conflict.person_id == *person {
        return Ok(HeldConflict { conflict, flagged, kept: None });
    }
    if !conflict.candidates.contains(person) {
        return Err(ResolveError::NotInvolved(person.clone()));
    }
    let kept = take(person).ok_or_else(|| ResolveError::NotInvolved(person.clone()))?;
    Ok(HeldConflict { conflict, flagged, kept: Some(kept) })
}

/// Decides the conflict. The sessions of [`HeldConflict::persons_to_sign_out`] have been ended in
/// the same change.
///
/// # Errors
/// [`ResolveError`]; the change must not be committed then.
pub(crate) async fn close_conflict(
    change: &mut DirectoryTransaction,
    question: &HeldConflict,
) -> Result<ConflictOutcome, ResolveError> {
    let HeldConflict { conflict, flagged, kept } = question;
    let Some(kept) = kept else {
        set_state(change, &conflict.id, ConflictOutcome::Separate).await?;
        return Ok(ConflictOutcome::Separate);
    };
    if is_current_member(kept) {
        return Err(ResolveError::CandidateIsMember);
    }
    let context = edit::open_context(change).await?;
    // A run may have prepared rows of the two as they were: then they cannot change now.
    edit::refuse_if_staged(change, &context, &flagged.id).await?;
    edit::refuse_if_staged(change, &context, &kept.id).await?;
    refuse_during_run(change).await?;
    let one = merge_persons(kept, flagged, context.chart());
    set_state(change, &conflict.id, ConflictOutcome::Merged).await?;
    edit::remove_person(change, &flagged.id).await?;
    sqlx::query("UPDATE persons SET userid = $2, released_at = NULL WHERE id = $1")
        .bind(one.id.as_str())
        .bind(one.userid.as_str())
        .execute(change.tx())
        .await?;
    edit::write_person(change, &context, &one).await?;
    change.announce(FeedKind::Person, one.id.as_str());
    change.note_directory_change(DirectoryEntity::Person, one.id.as_str(), DirectoryChangeKind::Updated);
    move_bindings(change, &flagged.id, &one.id).await?;
    replace_candidate(change, &flagged.id, Some(&one.id)).await?;
    Ok(ConflictOutcome::Merged)
}

/// Refuses while a run is under way: it knows the two as two from the moment it has read them, long
/// before it writes.
async fn refuse_during_run(change: &mut FeedTransaction) -> Result<(), ResolveError> {
    let (corp, now) = (change.corp().clone(), change.now().millis());
    let running: i64 = sqlx::query(
        "SELECT COUNT(*) FROM sync_runs WHERE corp_id = $1 AND status = 'running' AND dry_run = 0 AND lease_until > $2",
    )
    .bind(corp.as_str())
    .bind(now)
    .fetch_one(change.tx())
    .await?
    .try_get(0)?;
    if running > 0 { Err(ResolveError::Busy) } else { Ok(()) }
}

/// Makes the userids in rules that meant `from` mean `to`.
async fn move_bindings(change: &mut FeedTransaction, from: &PersonId, to: &PersonId) -> sqlx::Result<()> {
    let corp = change.corp().clone();
    let moved = sqlx::query(
        "UPDATE rule_bindings SET person_id = $3 WHERE corp_id = $1 AND person_id = $2 RETURNING userid",
    )
    .bind(corp.as_str())
    .bind(from.as_str())
    .bind(to.as_str())
    .fetch_all(change.tx())
    .await?;
    for row in moved {
        change.announce(FeedKind::Binding, row.try_get::<String, _>(0)?);
    }
    Ok(())
}
