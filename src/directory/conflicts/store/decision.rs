//! SQL that decides a conflict: it locks the persons, merges them or leaves them apart.

use futures_util::future::BoxFuture;
use sqlx::AnyConnection;

use super::{close_as, find_conflict, replace_candidate};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, CorpId, PersonId};
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::directory::Person;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::conflicts::{Conflict, ConflictState, ResolveError, is_current_member, merge_persons};
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
    let (Some(flagged), true) = (take(&conflict.person_id), state == ConflictState::Open) else {
        return Err(ResolveError::AlreadyClosed);
    };
    if conflict.person_id == *person {
        return Ok(HeldConflict { conflict, flagged, kept: None });
    }
    if !conflict.candidates.contains(person) {
        return Err(ResolveError::NotInvolved(person.clone()));
    }
    let kept = take(person).ok_or_else(|| ResolveError::NotInvolved(person.clone()))?;
    if is_current_member(&kept) {
        return Err(ResolveError::CandidateIsMember);
    }
    Ok(HeldConflict { conflict, flagged, kept: Some(kept) })
}

/// Returns whether a run that writes is under way in a corporation.
pub(crate) type RunProbe =
    for<'c> fn(&'c mut AnyConnection, &'c CorpId, Timestamp) -> BoxFuture<'c, sqlx::Result<bool>>;

/// Decides the conflict. The sessions of [`HeldConflict::persons_to_sign_out`] have been ended in
/// the same change.
///
/// While a run is under way nobody is merged: it knows the two as two from the moment it has read
/// them, long before it writes. `is_run_writing` is asked here and not by the caller, because ending
/// sessions may have waited, and a run may have begun meanwhile. `keeps_identity`: whether sessions,
/// ended or not, refer to the flagged person.
///
/// # Errors
/// [`ResolveError`]; the change must not be committed then.
pub(crate) async fn close_conflict(
    change: &mut DirectoryTransaction,
    question: &HeldConflict,
    keeps_identity: bool,
    is_run_writing: RunProbe,
) -> Result<ConflictState, ResolveError> {
    let HeldConflict { conflict, flagged, kept } = question;
    let Some(kept) = kept else {
        close_as(change, &conflict.id, ConflictState::Separate).await?;
        return Ok(ConflictState::Separate);
    };
    let context = edit::open_context(change).await?;
    // A run may have prepared rows of the two as they were: then they cannot change now.
    edit::refuse_if_staged(change, &context, &flagged.id).await?;
    edit::refuse_if_staged(change, &context, &kept.id).await?;
    let (corp, now) = (change.corp().clone(), change.now());
    if is_run_writing(change.tx(), &corp, now).await? {
        return Err(ResolveError::Busy);
    }
    let one = merge_persons(kept, flagged, context.chart());
    close_as(change, &conflict.id, ConflictState::Merged).await?;
    edit::remove_person(change, &flagged.id, keeps_identity).await?;
    sqlx::query("UPDATE persons SET userid = $2, released_at = NULL WHERE id = $1")
        .bind(&one.id)
        .bind(&one.userid)
        .execute(change.tx())
        .await?;
    edit::write_person(change, &context, &one).await?;
    change.announce(FeedKind::Person, one.id.as_str());
    change.note_directory_change(DirectoryEntity::Person, one.id.as_str(), DirectoryChangeKind::Updated);
    move_bindings(change, &flagged.id, &one.id).await?;
    replace_candidate(change, &flagged.id, Some(&one.id)).await?;
    Ok(ConflictState::Merged)
}

/// Makes the userids in rules that meant `from` mean `to`.
async fn move_bindings(change: &mut FeedTransaction, from: &PersonId, to: &PersonId) -> sqlx::Result<()> {
    let corp = change.corp().clone();
    let moved: Vec<String> = sqlx::query_scalar(
        "UPDATE rule_bindings SET person_id = $3 WHERE corp_id = $1 AND person_id = $2 RETURNING userid",
    )
    .bind(corp)
    .bind(from)
    .bind(to)
    .fetch_all(change.tx())
    .await?;
    moved.into_iter().for_each(|userid| change.announce(FeedKind::Binding, userid));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{DatabaseLocation, Db};
    use crate::directory::conflicts::ConflictKind;
    use crate::directory::conflicts::tests::somebody;
    use crate::directory::{EntrySource, store};

    const NOW: Timestamp = Timestamp::from_millis(1_795_334_400_000);

    #[tokio::test]
    async fn two_become_one_only_if_no_run_is_writing_at_that_very_moment() {
        let folder = tempfile::TempDir::new().unwrap();
        let db = Db::open(DatabaseLocation::Sqlite(&folder.path().join("test.db"))).await.unwrap();
        let corp = CorpId::new("corp");
        store::ensure_chart(&db, &corp).await.unwrap();
        let conflict = || Conflict {
            id: ConflictId::new("c1"),
            kind: ConflictKind::Ambiguous,
            person_id: PersonId::new("flagged"),
            candidates: vec![PersonId::new("kept")],
            created_at: NOW,
        };
        let flagged = || somebody("flagged", EntrySource::Wecom, &[]);
        let one = HeldConflict {
            conflict: conflict(),
            flagged: flagged(),
            kept: Some(somebody("kept", EntrySource::Local, &[])),
        };
        let two = HeldConflict { conflict: conflict(), flagged: flagged(), kept: None };
        let mut change = DirectoryTransaction::begin(&db, &corp, NOW).await.unwrap();
        let merged = close_conflict(&mut change, &one, true, |_, _, _| Box::pin(async { Ok(true) })).await;
        assert!(matches!(merged, Err(ResolveError::Busy)), "{merged:?}");
        let kept = close_conflict(&mut change, &two, true, |_, _, _| Box::pin(async { Ok(true) })).await;
        assert!(matches!(kept, Ok(ConflictState::Separate)), "{kept:?}");
    }
}
