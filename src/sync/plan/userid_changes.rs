//! Changed userids: who of those that left is who of those that joined.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::link_keys::{LinkKey, LinkKeys, MAX_CANDIDATES};
use super::persons::Joiner;
use super::tree::PlannedChart;
use super::{KnownPerson, LinkBy};
use crate::base::id::{PersonId, UnitId};
use crate::directory::names_agree;

/// What the keys, names and units of both say; by their places in the lists.
#[derive(Debug, Default)]
pub(super) struct UseridChanges {
    /// The joiner is the leaver: a key says so that nobody else has.
    proven: HashMap<usize, usize>,
    /// The joiner could be one of these leavers.
    possible: HashMap<usize, BTreeSet<usize>>,
}

/// Who has a key: leavers and joiners by their places, and whether somebody who stays has it, too.
#[derive(Debug, Default)]
struct KeyHolders {
    leavers: Vec<usize>,
    joiners: Vec<usize>,
    has_remaining_holder: bool,
}

/// Who stays and shares a key with somebody who leaves, with those who leave. WeCom gives nobody a key that somebody
/// else has: such a person was let in a second time, by a run that read too little to see the first one gone, or by
/// signing in before a run.
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

/// Whether the keys that `known` and the member `name` with `keys` and nobody else have, of the kinds in `shared`, prove
/// that they are one. An employee number does. Telephones and mail addresses are handed on, and members may write them
/// themselves: they do together with it or with the same name, unless another key says that they are two.
fn is_proof(known: &KnownPerson, name: &str, keys: &LinkKeys, shared: &[LinkBy], link_by: &[LinkBy]) -> bool {
    let theirs = LinkKeys::from_known(known);
    let differ = |by| keys.agree_on(&theirs, by) == Some(false);
    let counts = |by: LinkBy| shared.contains(&by) && link_by.contains(&by);
    if differ(LinkBy::EmployeeNumber) {
        return false;
    }
    let by_mail = counts(LinkBy::Email) && !differ(LinkBy::Mobile);
    let likely = names_agree(name, &known.name) || shared.contains(&LinkBy::EmployeeNumber);
    counts(LinkBy::EmployeeNumber) || (likely && (counts(LinkBy::Mobile) || by_mail))
}

impl UseridChanges {
    /// `keys` are those of `joiners`, in the same order; `living` those of everybody who stays. `link_by`: what an
    /// administrator takes for proof.
    pub(super) fn find(
        leavers: &[&KnownPerson],
        joiners: &[Joiner<'_>],
        keys: &[LinkKeys],
        living: impl Iterator<Item = LinkKeys>,
        link_by: &[LinkBy],
        chart: &PlannedChart<'_>,
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
        renames.suspect(leavers, joiners, chart, &taken);
        // Whose userid it was is another question.
        for (joiner, possible) in &mut renames.possible {
            let holder = joiners.get(*joiner).and_then(|joiner| joiner.holder).map(|known| &known.id);
            possible.retain(|at| leavers.get(*at).map(|known| &known.id) != holder);
        }
        renames
    }

    /// A key that one leaver and one joiner have and nobody else, if all such keys name the same two and say enough.
    fn prove(
        &mut self,
        leavers: &[&KnownPerson],
        joiners: &[Joiner<'_>],
        keys: &[LinkKeys],
        sharing: &HashMap<LinkKey, KeyHolders>,
        link_by: &[LinkBy],
    ) {
        let mut of_joiner: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut of_leaver: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut shared: HashMap<(usize, usize), Vec<LinkBy>> = HashMap::new();
        for ((by, _), sharing) in sharing.iter().filter(|(_, sharing)| !sharing.has_remaining_holder) {
            if let ([leaver], [joiner]) = (sharing.leavers.as_slice(), sharing.joiners.as_slice()) {
                of_joiner.entry(*joiner).or_default().insert(*leaver);
                of_leaver.entry(*leaver).or_default().insert(*joiner);
                shared.entry((*leaver, *joiner)).or_default().push(*by);
            }
        }
        for ((leaver, at), shared) in shared {
            let only = |of: &HashMap<usize, BTreeSet<usize>>, at| of.get(&at).is_some_and(|of| of.len() == 1);
            if let (Some(known), Some(joiner), Some(keys)) = (leavers.get(leaver), joiners.get(at), keys.get(at))
                // Whose userid somebody else held cannot go on as a third person without asking.
                && joiner.holder.is_none()
                && only(&of_joiner, at)
                && only(&of_leaver, leaver)
                && is_proof(known, &joiner.record.name, keys, &shared, link_by)
            {
                self.proven.insert(at, leaver);
            }
        }
    }

    /// The same name and a unit in common.
    fn suspect(
        &mut self,
        leavers: &[&KnownPerson],
        joiners: &[Joiner<'_>],
        chart: &PlannedChart<'_>,
        taken: &HashSet<usize>,
    ) {
        let mut named: HashMap<(&str, &UnitId), Vec<usize>> = HashMap::new();
        for (at, leaver) in leavers.iter().enumerate().filter(|(at, _)| !taken.contains(at)) {
            for unit in leaver.units.iter().filter(|_| !leaver.name.is_empty()) {
                named.entry((&leaver.name, unit)).or_default().push(at);
            }
        }
        for (at, joiner) in joiners.iter().enumerate().filter(|(at, _)| !self.proven.contains_key(at)) {
            let name = joiner.record.name.as_str();
            let units = joiner.record.memberships.iter().filter_map(|membership| chart.unit(membership.unit));
            for possible in units.filter_map(|unit| named.get(&(name, unit))) {
                self.possible.entry(at).or_default().extend(possible.iter().take(MAX_CANDIDATES));
            }
        }
    }

    /// Which leaver the joiner is.
    pub(super) fn proven_leaver(&self, joiner: usize) -> Option<usize> {
        self.proven.get(&joiner).copied()
    }

    /// Which leavers go on under another userid.
    pub(super) fn renamed_leavers(&self) -> HashSet<usize> {
        self.proven.values().copied().collect()
    }

    /// Which leavers the joiner could be, if it is none for certain.
    pub(super) fn possible_leavers(&self, joiner: usize) -> impl Iterator<Item = usize> {
        self.possible.get(&joiner).into_iter().flatten().copied()
    }
}
