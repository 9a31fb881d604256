//! Changed userids: who of those that left is who of those that joined.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Known;
use super::link::{Key, Keys};
use super::persons::Joiner;
use super::tree::Chart;
use crate::base::id::{PersonId, UnitId};

/// How many of those that left a question names at most, the oldest first: with more of one name in one unit nobody
/// could answer it, and thousands of them would be compared with thousands.
const CANDIDATES: usize = 20;

/// What the keys, names and units of both say; by their places in the lists.
#[derive(Debug, Default)]
pub(super) struct Renames {
    /// The joiner is the leaver: a key says so that nobody else of them has.
    proven: HashMap<usize, usize>,
    /// The joiner could be one of these leavers.
    possible: HashMap<usize, BTreeSet<usize>>,
}

/// Who stays and shares a key with somebody who leaves, with those who leave. WeCom gives nobody a key that somebody
/// else has: such a person was let in a second time, by a run that read too little to see the first one gone, or by
/// signing in before a run.
pub(super) fn second_entries<'a>(
    leavers: &[&'a Known],
    living: impl Iterator<Item = (&'a Known, Keys)>,
) -> BTreeMap<&'a PersonId, BTreeSet<&'a PersonId>> {
    let mut by_key: HashMap<Key, Vec<&PersonId>> = HashMap::new();
    for leaver in leavers {
        for key in Keys::of_known(leaver).iter() {
            by_key.entry(key.clone()).or_default().push(&leaver.id);
        }
    }
    let mut found: BTreeMap<&PersonId, BTreeSet<&PersonId>> = BTreeMap::new();
    for (known, keys) in living {
        for gone in keys.iter().filter_map(|key| by_key.get(key)) {
            found.entry(&known.id).or_default().extend(gone.iter().take(CANDIDATES));
        }
    }
    found
}

impl Renames {
    /// `keys` are those of `joiners`, in the same order.
    pub(super) fn find(leavers: &[&Known], joiners: &[Joiner<'_>], keys: &[Keys], chart: &Chart<'_>) -> Self {
        if leavers.is_empty() || joiners.is_empty() {
            return Self::default();
        }
        let mut sharing: HashMap<Key, (Vec<usize>, Vec<usize>)> = HashMap::new();
        for (at, leaver) in leavers.iter().enumerate() {
            for key in Keys::of_known(leaver).iter() {
                sharing.entry(key.clone()).or_default().0.push(at);
            }
        }
        for (at, keys) in keys.iter().enumerate() {
            for key in keys.iter() {
                if let Some((_, sharing)) = sharing.get_mut(key) {
                    sharing.push(at);
                }
            }
        }
        let mut renames = Self::default();
        renames.prove(leavers, joiners, keys, &sharing);
        let taken: HashSet<usize> = renames.proven.values().copied().collect();
        for (gone, come) in sharing.values() {
            for joiner in come.iter().filter(|joiner| !renames.proven.contains_key(joiner)) {
                let possible = gone.iter().copied().filter(|leaver| !taken.contains(leaver)).take(CANDIDATES);
                renames.possible.entry(*joiner).or_default().extend(possible);
            }
        }
        renames.suspect(leavers, joiners, chart, &taken);
        renames
    }

    /// A key that one leaver and one joiner have and nobody else of them, if all such keys name the same two.
    fn prove(
        &mut self,
        leavers: &[&Known],
        joiners: &[Joiner<'_>],
        keys: &[Keys],
        sharing: &HashMap<Key, (Vec<usize>, Vec<usize>)>,
    ) {
        let two_employees = |joiner: usize, leaver: usize| match (keys.get(joiner), leavers.get(leaver)) {
            (Some(keys), Some(leaver)) => keys.are_two_employees(&Keys::of_known(leaver)),
            _ => true,
        };
        let mut of_joiner: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut of_leaver: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        for sharing in sharing.values() {
            if let ([leaver], [joiner]) = (sharing.0.as_slice(), sharing.1.as_slice()) {
                of_joiner.entry(*joiner).or_default().insert(*leaver);
                of_leaver.entry(*leaver).or_default().insert(*joiner);
            }
        }
        for (joiner, leavers) in of_joiner {
            // Whose userid somebody who left still holds cannot go on as a third person without asking.
            let free = joiners.get(joiner).is_some_and(|joiner| joiner.holder.is_none());
            if let (true, 1, Some(leaver)) = (free, leavers.len(), leavers.first())
                && of_leaver.get(leaver).is_some_and(|joiners| joiners.len() == 1)
                && !two_employees(joiner, *leaver)
            {
                self.proven.insert(joiner, *leaver);
            }
        }
    }

    /// The same name and a unit in common.
    fn suspect(
        &mut self,
        leavers: &[&Known],
        joiners: &[Joiner<'_>],
        chart: &Chart<'_>,
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
                self.possible.entry(at).or_default().extend(possible.iter().take(CANDIDATES));
            }
        }
    }

    /// Which leaver the joiner is.
    pub(super) fn proven(&self, joiner: usize) -> Option<usize> {
        self.proven.get(&joiner).copied()
    }

    /// Which leavers go on under another userid.
    pub(super) fn staying(&self) -> HashSet<usize> {
        self.proven.values().copied().collect()
    }

    /// Which leavers the joiner could be, if it is none for certain.
    pub(super) fn possible(&self, joiner: usize) -> impl Iterator<Item = usize> {
        self.possible.get(&joiner).into_iter().flatten().copied()
    }
}
