//! Finds changed userids: which person who left is which member who joined.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::KnownPerson;
use super::link_keys::{LinkKey, LinkKeys, MAX_CANDIDATES};
use super::persons::Joiner;
use crate::base::id::{PersonId, UnitId};
use crate::config::LinkField;
use crate::directory::names_agree;

/// Pairs of leavers and joiners, as positions in their lists.
#[derive(Debug, Default)]
pub(super) struct UseridChanges {
    /// Joiner to leaver: a key that nobody else has proves it.
    proven: HashMap<usize, usize>,
    /// Joiner to the leavers it could be.
    possible: HashMap<usize, BTreeSet<usize>>,
}

/// Who has a key: leavers and joiners by position, and whether anybody else has it.
#[derive(Debug, Default)]
struct KeyHolders {
    leavers: Vec<usize>,
    joiners: Vec<usize>,
    has_remaining_holder: bool,
}

/// Finds persons who stay and share a key with a person who leaves.
///
/// WeCom gives nobody a key that another member has. So the one who stays was admitted a second
/// time: by a run that read too little to see that the first one was gone, or by signing in before
/// a run.
pub(super) fn find_second_entries<'a>(
    leavers: &[&'a KnownPerson],
    living: impl Iterator<Item = (&'a KnownPerson, LinkKeys)>,
) -> BTreeMap<&'a PersonId, BTreeSet<&'a PersonId>> {
    let mut by_key: HashMap<LinkKey, Vec<&PersonId>> = HashMap::new();
    for leaver in leavers {
        for key in LinkKeys::from_known(leaver).iter() {
            by_key.entry(key.clone()).or_default().push(&leaver.id);
        }
    }
    let mut found: BTreeMap<&PersonId, BTreeSet<&PersonId>> = BTreeMap::new();
    for (known, keys) in living {
        for gone in keys.iter().filter_map(|key| by_key.get(key)) {
            found.entry(&known.id).or_default().extend(gone.iter().take(MAX_CANDIDATES));
        }
    }
    found
}

/// Returns whether the keys of the kinds in `shared`, which only `known` and the member called
/// `name` have, prove that they are one person.
///
/// An employee number does. Members may write telephones and mail addresses themselves, and both
/// are passed on. So those count only together with an employee number or the same name, and only
/// if no other key contradicts.
fn is_proof(
    known: &KnownPerson,
    name: &str,
    keys: &LinkKeys,
    shared: &[LinkField],
    link_by: &[LinkField],
) -> bool {
    let theirs = LinkKeys::from_known(known);
    let differ = |by| keys.agree_on(&theirs, by) == Some(false);
    let counts = |by: LinkField| shared.contains(&by) && link_by.contains(&by);
    if differ(LinkField::EmployeeNumber) {
        return false;
    }
    let by_mail = counts(LinkField::Email) && !differ(LinkField::Mobile);
    let likely = names_agree(name, &known.name) || shared.contains(&LinkField::EmployeeNumber);
    counts(LinkField::EmployeeNumber) || (likely && (counts(LinkField::Mobile) || by_mail))
}

impl UseridChanges {
    /// Pairs leavers and joiners. `keys` are those of `joiners` in the same order, `living` those
    /// of everybody who stays; `link_by` names the keys that an administrator accepts as proof.
    pub(super) fn find(
        leavers: &[&KnownPerson],
        joiners: &[Joiner<'_>],
        keys: &[LinkKeys],
        living: impl Iterator<Item = LinkKeys>,
        link_by: &[LinkField],
    ) -> Self {
        if leavers.is_empty() || joiners.is_empty() {
            return Self::default();
        }
        let mut sharing: HashMap<LinkKey, KeyHolders> = HashMap::new();
        for (at, leaver) in leavers.iter().enumerate() {
            for key in LinkKeys::from_known(leaver).iter() {
                sharing.entry(key.clone()).or_default().leavers.push(at);
            }
        }
        for (at, keys) in keys.iter().enumerate() {
            for key in keys.iter() {
                if let Some(sharing) = sharing.get_mut(key) {
                    sharing.joiners.push(at);
                }
            }
        }
        // Most keys have no joiner; dropping them first spares the pass over everybody who stays.
        sharing.retain(|_, sharing| !sharing.joiners.is_empty());
        if !sharing.is_empty() {
            for keys in living {
                for key in keys.iter() {
                    if let Some(sharing) = sharing.get_mut(key) {
                        sharing.has_remaining_holder = true;
                    }
                }
            }
        }
        let mut renames = Self::default();
        renames.prove(leavers, joiners, keys, &sharing, link_by);
        let taken: HashSet<usize> = renames.proven.values().copied().collect();
        for KeyHolders { leavers: gone, joiners: come, .. } in sharing.values() {
            for joiner in come.iter().filter(|joiner| !renames.proven.contains_key(joiner)) {
                let possible =
                    gone.iter().copied().filter(|leaver| !taken.contains(leaver)).take(MAX_CANDIDATES);
                renames.possible.entry(*joiner).or_default().extend(possible);
            }
        }
        // Names prove nothing, so they come last and only raise conflicts.
        renames.suspect(leavers, joiners, &taken);
        // The conflict about a reused userid covers its former holder.
        for (joiner, possible) in &mut renames.possible {
            let holder = joiners.get(*joiner).and_then(|joiner| joiner.holder).map(|known| &known.id);
            possible.retain(|at| leavers.get(*at).map(|known| &known.id) != holder);
        }
        renames
    }

    /// Pairs a leaver and a joiner by keys that nobody else has, if all such keys name the same two
    /// persons and are proof enough.
    fn prove(
        &mut self,
        leavers: &[&KnownPerson],
        joiners: &[Joiner<'_>],
        keys: &[LinkKeys],
        sharing: &HashMap<LinkKey, KeyHolders>,
        link_by: &[LinkField],
    ) {
        let mut of_joiner: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut of_leaver: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut shared: HashMap<(usize, usize), Vec<LinkField>> = HashMap::new();
        for ((by, _), sharing) in sharing.iter().filter(|(_, sharing)| !sharing.has_remaining_holder) {
            // A key of two leavers or two joiners tells nobody apart.
            if let ([leaver], [joiner]) = (sharing.leavers.as_slice(), sharing.joiners.as_slice()) {
                of_joiner.entry(*joiner).or_default().insert(*leaver);
                of_leaver.entry(*leaver).or_default().insert(*joiner);
                shared.entry((*leaver, *joiner)).or_default().push(*by);
            }
        }
        for ((leaver, at), shared) in shared {
            let only = |of: &HashMap<usize, BTreeSet<usize>>, at| of.get(&at).is_some_and(|of| of.len() == 1);
            if let (Some(known), Some(joiner), Some(keys)) = (leavers.get(leaver), joiners.get(at), keys.get(at))
                // A userid that was somebody else's cannot pass to a third person without a
                // conflict.
                && joiner.holder.is_none()
                // Another key that pairs either of them with a third person contradicts the proof.
                && only(&of_joiner, at)
                && only(&of_leaver, leaver)
                && is_proof(known, &joiner.reported.name, keys, &shared, link_by)
            {
                self.proven.insert(at, leaver);
            }
        }
    }

    /// Suspects leavers with the same name and a common unit.
    fn suspect(&mut self, leavers: &[&KnownPerson], joiners: &[Joiner<'_>], taken: &HashSet<usize>) {
        let mut named: HashMap<(&str, &UnitId), Vec<usize>> = HashMap::new();
        for (at, leaver) in leavers.iter().enumerate().filter(|(at, _)| !taken.contains(at)) {
            for unit in leaver.units.iter().filter(|_| !leaver.name.is_empty()) {
                named.entry((&leaver.name, unit)).or_default().push(at);
            }
        }
        for (at, joiner) in joiners.iter().enumerate().filter(|(at, _)| !self.proven.contains_key(at)) {
            let name = joiner.reported.name.as_str();
            let units = joiner.reported.memberships.iter().map(|membership| &membership.unit);
            for possible in units.filter_map(|unit| named.get(&(name, unit))) {
                self.possible.entry(at).or_default().extend(possible.iter().take(MAX_CANDIDATES));
            }
        }
    }

    pub(super) fn proven_leaver(&self, joiner: usize) -> Option<usize> {
        self.proven.get(&joiner).copied()
    }

    /// Returns the leavers who continue under another userid.
    pub(super) fn renamed_leavers(&self) -> HashSet<usize> {
        self.proven.values().copied().collect()
    }

    /// Returns the leavers that an unproven joiner could be.
    pub(super) fn possible_leavers(&self, joiner: usize) -> impl Iterator<Item = usize> {
        self.possible.get(&joiner).into_iter().flatten().copied()
    }
}
