//! Decides who each member is: the changes of persons, and the conflicts that need a human.

use std::collections::HashSet;

use super::link_keys::{LinkKeys, LocalPersonIndex, MAX_CANDIDATES};
use super::persons::SortedMembers;
use super::userid_changes::{UseridChanges, find_second_entries};
use super::{ConflictKind, KnownPerson, LocalDirectory, NewConflict, PlannedPersonChange};
use crate::base::id::PersonId;
use crate::config::LinkField;
use crate::directory::{EntrySource, Person};

/// The changes and conflicts of a plan's persons.
#[derive(Debug, Default)]
pub(super) struct PersonDecisions {
    pub(super) changes: Vec<PlannedPersonChange>,
    pub(super) conflicts: Vec<NewConflict>,
    /// How many persons leave.
    pub(super) leaving: usize,
}

impl PersonDecisions {
    /// Decides about every member. First its userid counts, then a key shared with a person who
    /// would leave, then a key shared with a local person. A member recognised by none of them is
    /// new.
    pub(super) fn from_sorted(
        sorted: SortedMembers<'_>,
        present: &HashSet<String>,
        link_by: &[LinkField],
        local: &LocalDirectory,
        new_id: &mut dyn FnMut() -> PersonId,
    ) -> Self {
        let SortedMembers { changed, joiners, leavers, staying, .. } = sorted;
        let mut decisions = Self::default();
        decisions.changes.reserve(changed.len() + joiners.len());
        // Persons whom no run has read before: local ones with the member's userid, and those who
        // signed in before the first run.
        let unread = |known: &KnownPerson| known.source == EntrySource::Local || known.fingerprint.is_empty();
        let first_read = changed.iter().any(|(known, _)| unread(known));
        let mut recognised = LocalPersonIndex::default();
        if !joiners.is_empty() || first_read {
            recognised = LocalPersonIndex::new(local, link_by, present);
        }
        // Most runs have nobody to recognise; comparing keys would be wasted work.
        let compare = !recognised.is_empty() || !leavers.is_empty();
        let keys: Vec<LinkKeys> = joiners
            .iter()
            .map(|joiner| if compare { LinkKeys::from_row(&joiner.reported) } else { LinkKeys::default() })
            .collect();
        let living = changed
            .iter()
            .flat_map(|(known, reported)| {
                [LinkKeys::from_known(known), LinkKeys::from_changed(known, reported)]
            })
            .chain(staying.iter().map(|known| LinkKeys::from_known(known)));
        let renames = UseridChanges::find(&leavers, &joiners, &keys, living, link_by);
        let renamed = renames.renamed_leavers();
        let moved: HashSet<&PersonId> =
            renamed.iter().filter_map(|at| leavers.get(*at)).map(|known| &known.id).collect();

        if !recognised.is_empty() {
            staying.iter().for_each(|known| recognised.claim_for_known(known));
        }
        decisions.add_second_entry_conflicts(&changed, &staying, &leavers, &renames);
        for (known, reported) in changed {
            let others = recognised.claim_for_changed(known, &reported);
            if unread(known) {
                decisions.add_conflict(ConflictKind::Ambiguous, &known.id, others);
            }
            decisions.changes.push(PlannedPersonChange::Update { id: known.id.clone(), reported });
        }
        let matched: Vec<Vec<&KnownPerson>> =
            keys.iter().map(|keys| recognised.claim_for_joiner(keys)).collect();
        drop(keys);
        for (at, (joiner, matched)) in joiners.into_iter().zip(matched).enumerate() {
            let renamed = renames.proven_leaver(at).and_then(|leaver| leavers.get(leaver)).copied();
            // One local person, matched by no other member, may be taken over without a conflict.
            let only = match (matched.as_slice(), joiner.holder) {
                ([known], None)
                    if recognised.is_claimed_once(known)
                        && recognised.proves(
                            known,
                            &LinkKeys::from_row(&joiner.reported),
                            &joiner.reported.name,
                        ) =>
                {
                    Some(*known)
                }
                _ => None,
            };
            if let Some(known) = renamed.or(only) {
                let id = known.id.clone();
                let reported = joiner.into_row(id.clone(), &known.name);
                decisions.changes.push(PlannedPersonChange::Update { id, reported });
                continue;
            }
            let id = new_id();
            let possible = renames.possible_leavers(at).filter_map(|leaver| leavers.get(leaver));
            decisions.add_conflict(
                ConflictKind::Ambiguous,
                &id,
                matched.iter().map(|known| known.id.clone()).collect(),
            );
            decisions.add_conflict(
                ConflictKind::Renamed,
                &id,
                possible.map(|known| known.id.clone()).collect(),
            );
            // A person who continues under another userid already gives this one up; no extra
            // conflict is needed.
            let takes_over = joiner.holder.map(|known| &known.id).filter(|id| !moved.contains(id)).cloned();
            decisions.add_conflict(ConflictKind::Reused, &id, takes_over.iter().cloned().collect());
            let person = joiner.into_row(id, "");
            decisions.changes.push(PlannedPersonChange::Create { person, takes_over });
        }
        for (_, leaver) in leavers.iter().enumerate().filter(|(at, _)| !renamed.contains(at)) {
            decisions.changes.push(PlannedPersonChange::Leave { id: leaver.id.clone() });
            decisions.leaving += 1;
        }
        decisions.conflicts.retain(|new| {
            !local.known_conflicts.contains(&(new.kind, new.person.clone(), new.candidates.clone()))
        });
        decisions
    }

    fn add_second_entry_conflicts(
        &mut self,
        changed: &[(&KnownPerson, Box<Person>)],
        staying: &[&KnownPerson],
        leavers: &[&KnownPerson],
        renames: &UseridChanges,
    ) {
        let renamed = renames.renamed_leavers();
        let gone: Vec<&KnownPerson> = leavers
            .iter()
            .enumerate()
            .filter(|(at, _)| !renamed.contains(at))
            .map(|(_, known)| *known)
            .collect();
        if gone.is_empty() {
            return;
        }
        // A key that a known person has only since this fetch may be inherited, like a desk
        // telephone, so the old keys count. A person who was never read before has always had the
        // keys it has now.
        let changed = changed.iter().map(|(known, reported)| match known.fingerprint.as_str() {
            "" => (*known, LinkKeys::from_changed(known, reported)),
            _ => (*known, LinkKeys::from_known(known)),
        });
        let staying = staying.iter().map(|known| (*known, LinkKeys::from_known(known)));
        for (person, candidates) in find_second_entries(&gone, changed.chain(staying)) {
            self.add_conflict(ConflictKind::Renamed, person, candidates.into_iter().cloned().collect());
        }
    }

    fn add_conflict(&mut self, kind: ConflictKind, person: &PersonId, mut candidates: Vec<PersonId>) {
        candidates.sort();
        candidates.dedup();
        candidates.truncate(MAX_CANDIDATES);
        if !candidates.is_empty() {
            self.conflicts.push(NewConflict { kind, person: person.clone(), candidates });
        }
    }
}
