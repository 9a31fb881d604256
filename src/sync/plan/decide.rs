//! Who each member is: what becomes of the heaps, and what a human is asked.

use std::collections::HashSet;

use super::link::{CANDIDATES, Keys, Recognised};
use super::persons::{Heaps, as_person};
use super::renamed::{Renames, second_entries};
use super::tree::Chart;
use super::{ConflictKind, Known, LinkBy, Local, NewConflict, PersonChange};
use crate::base::id::PersonId;
use crate::directory::{Person, Source};

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) changes: Vec<PersonChange>,
    pub(super) conflicts: Vec<NewConflict>,
    /// How many leave.
    pub(super) leaving: usize,
}

impl Decided {
    /// Decides over everybody. A userid decides first, then a key shared with somebody who would leave, then a key
    /// shared with a local person; who is left is new.
    pub(super) fn of(
        heaps: Heaps<'_>,
        present: &HashSet<String>,
        link_by: &[LinkBy],
        local: &Local,
        chart: &Chart<'_>,
        new_id: &mut dyn FnMut() -> PersonId,
    ) -> Self {
        let Heaps { changed, joiners, leavers, staying, .. } = heaps;
        let mut decided = Self::default();
        // A local person by its userid, or somebody who signed in before any run read who it is.
        let met = |known: &Known| known.source == Source::Local || known.said.is_empty();
        let first_read = changed.iter().any(|(known, _)| met(known));
        let mut recognised = Recognised::default();
        if !joiners.is_empty() || first_read {
            recognised = Recognised::new(local, link_by, present);
        }
        // Most runs compare nothing by keys.
        let compare = !recognised.is_empty() || !leavers.is_empty();
        let keys: Vec<Keys> = joiners
            .iter()
            .map(|joiner| if compare { Keys::of_record(&joiner.record) } else { Keys::default() })
            .collect();
        let living = changed
            .iter()
            .flat_map(|(known, said)| [Keys::of_known(known), Keys::of_changed(known, said)])
            .chain(staying.iter().map(|known| Keys::of_known(known)));
        let renames = Renames::find(&leavers, &joiners, &keys, living, link_by, chart);
        let renamed = renames.staying();
        let moved: HashSet<&PersonId> =
            renamed.iter().filter_map(|at| leavers.get(*at)).map(|known| &known.id).collect();

        if !recognised.is_empty() {
            staying.iter().for_each(|known| recognised.claim_of_known(known));
        }
        decided.ask_about_second_entries(&changed, &staying, &leavers, &renames);
        for (known, said) in changed {
            let others = recognised.claim_of_changed(known, &said);
            if met(known) {
                decided.ask(ConflictKind::Ambiguous, &known.id, others);
            }
            decided.changes.push(PersonChange::Update { id: known.id.clone(), said });
        }
        let matched: Vec<Vec<&Known>> = keys.iter().map(|keys| recognised.claim_of_joiner(keys)).collect();
        drop(keys);
        for (at, (joiner, matched)) in joiners.into_iter().zip(matched).enumerate() {
            let renamed = renames.proven(at).and_then(|leaver| leavers.get(leaver)).copied();
            let only = match (matched.as_slice(), joiner.holder) {
                ([known], None)
                    if recognised.is_claimed_once(known)
                        && recognised.proves(
                            known,
                            &Keys::of_record(&joiner.record),
                            &joiner.record.name,
                        ) =>
                {
                    Some(*known)
                }
                _ => None,
            };
            if let Some(known) = renamed.or(only) {
                let id = known.id.clone();
                let said = as_person(joiner.record, joiner.said, id.clone(), &known.name, chart);
                decided.changes.push(PersonChange::Update { id, said });
                continue;
            }
            let id = new_id();
            let possible = renames.possible(at).filter_map(|leaver| leavers.get(leaver));
            decided.ask(ConflictKind::Ambiguous, &id, matched.iter().map(|known| known.id.clone()).collect());
            decided.ask(ConflictKind::Renamed, &id, possible.map(|known| known.id.clone()).collect());
            // Whoever goes on under another userid gives this one up by that.
            let takes_over = joiner.holder.map(|known| &known.id).filter(|id| !moved.contains(id)).cloned();
            decided.ask(ConflictKind::Reused, &id, takes_over.iter().cloned().collect());
            let person = as_person(joiner.record, joiner.said, id, "", chart);
            decided.changes.push(PersonChange::Create { person, takes_over });
        }
        for (_, leaver) in leavers.iter().enumerate().filter(|(at, _)| !renamed.contains(at)) {
            decided.changes.push(PersonChange::Leave { id: leaver.id.clone() });
            decided.leaving += 1;
        }
        decided
            .conflicts
            .retain(|new| !local.asked.contains(&(new.kind, new.person.clone(), new.candidates.clone())));
        decided
    }

    fn ask_about_second_entries(
        &mut self,
        changed: &[(&Known, Person)],
        staying: &[&Known],
        leavers: &[&Known],
        renames: &Renames,
    ) {
        let renamed = renames.staying();
        let gone: Vec<&Known> = leavers
            .iter()
            .enumerate()
            .filter(|(at, _)| !renamed.contains(at))
            .map(|(_, known)| *known)
            .collect();
        if gone.is_empty() {
            return;
        }
        // What a known person is told to have only now may be inherited, like a telephone; of one that was never read
        // it is what it always had.
        let changed = changed.iter().map(|(known, said)| match known.said.as_str() {
            "" => (*known, Keys::of_changed(known, said)),
            _ => (*known, Keys::of_known(known)),
        });
        let staying = staying.iter().map(|known| (*known, Keys::of_known(known)));
        for (person, candidates) in second_entries(&gone, changed.chain(staying)) {
            self.ask(ConflictKind::Renamed, person, candidates.into_iter().cloned().collect());
        }
    }

    fn ask(&mut self, kind: ConflictKind, person: &PersonId, mut candidates: Vec<PersonId>) {
        candidates.sort();
        candidates.dedup();
        candidates.truncate(CANDIDATES);
        if !candidates.is_empty() {
            self.conflicts.push(NewConflict { kind, person: person.clone(), candidates });
        }
    }
}
