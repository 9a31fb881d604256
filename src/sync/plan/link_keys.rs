//! The keys by which a member is recognised: mobile number, mail address and employee number, each
//! normalised for comparison.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{KnownPerson, LocalDirectory};
use crate::base::id::PersonId;
use crate::config::LinkField;
use crate::directory::{
    EntrySource, Person, PersonDetails, PersonStatus, names_agree, normalize_mobile, normalize_text,
};
use crate::sync::remote::RemotePerson;

/// The most persons that one conflict names, the oldest first.
///
/// A human could not answer more, and thousands would be compared with thousands. A key that more
/// local persons share, like a switchboard's number, identifies nobody.
pub(super) const MAX_CANDIDATES: usize = 20;

/// One key: its kind and its normalised text.
pub(super) type LinkKey = (LinkField, String);

/// The keys of one person, without empty ones; each kind at most once.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkKeys(Vec<LinkKey>);

impl LinkKeys {
    fn new(email: &str, mobile: &str, employee_number: &str) -> Self {
        let keys = [
            (LinkField::Mobile, normalize_mobile(mobile)),
            (LinkField::Email, normalize_text(email)),
            (LinkField::EmployeeNumber, normalize_text(employee_number)),
        ];
        Self(keys.into_iter().filter(|(_, text)| !text.is_empty()).collect())
    }

    pub(super) fn from_known(known: &KnownPerson) -> Self {
        Self::new(&known.email, &known.mobile, &known.employee_number)
    }

    pub(super) fn from_record(record: &RemotePerson) -> Self {
        Self::new(&record.email, &record.mobile, PersonDetails::employee_number_in(&record.attributes))
    }

    /// Returns the keys of a member's record that is a row already.
    pub(super) fn from_row(row: &Person) -> Self {
        Self::new(&row.email, &row.details.mobile, row.details.employee_number())
    }

    /// Returns the keys `known` has after WeCom reported `reported`; a value that WeCom hides
    /// stays.
    pub(super) fn from_changed(known: &KnownPerson, reported: &Person) -> Self {
        let or = |new: &str, old: &str| if new.is_empty() { old.to_owned() } else { new.to_owned() };
        let email = or(&reported.email, &known.email);
        let mobile = or(&reported.details.mobile, &known.mobile);
        Self::new(&email, &mobile, reported.details.employee_number())
    }

    /// Returns whether both have the same key of this kind; `None` if one of them has none.
    pub(super) fn agree_on(&self, other: &Self, by: LinkField) -> Option<bool> {
        Some(self.get(by)? == other.get(by)?)
    }

    fn get(&self, by: LinkField) -> Option<&str> {
        self.iter().find(|(kind, _)| *kind == by).map(|(_, text)| text.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkKey> {
        self.0.iter()
    }
}

/// Local persons by the keys that `directory.link_by` names, and how many members match each.
#[derive(Debug, Default)]
pub(super) struct LocalPersonIndex<'a> {
    by_key: HashMap<LinkKey, Vec<&'a KnownPerson>>,
    claims: HashMap<&'a PersonId, usize>,
    link_by: Vec<LinkField>,
}

impl<'a> LocalPersonIndex<'a> {
    /// Indexes local persons who have not left. A member in `present` with a local person's userid
    /// counts as a match, although its details were not read.
    pub(super) fn new(local: &'a LocalDirectory, link_by: &[LinkField], present: &HashSet<String>) -> Self {
        let mut recognised = Self { link_by: link_by.to_vec(), ..Self::default() };
        for (folded, known) in &local.persons {
            if known.source != EntrySource::Local || known.status == PersonStatus::Left {
                continue;
            }
            for key in LinkKeys::from_known(known).0.into_iter().filter(|(by, _)| link_by.contains(by)) {
                recognised.by_key.entry(key).or_default().push(known);
            }
            if present.contains(folded) {
                recognised.claim(known);
            }
        }
        // A key that very many share identifies nobody.
        recognised.by_key.retain(|_, known| known.len() <= MAX_CANDIDATES);
        recognised
    }

    /// Returns whether no local person can be recognised by a key.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Returns whether `keys` suffice for a member called `name` to become `known` without a
    /// conflict.
    ///
    /// An employee number suffices: only an administrator writes it. Members may write mail
    /// addresses and mobile numbers themselves, and both are passed on. So those count only
    /// together with the same name, and not against a different employee number.
    pub(super) fn proves(&self, known: &KnownPerson, keys: &LinkKeys, name: &str) -> bool {
        let theirs = LinkKeys::from_known(known);
        let shares = |by: LinkField| self.link_by.contains(&by) && keys.agree_on(&theirs, by) == Some(true);
        if shares(LinkField::EmployeeNumber) {
            return true;
        }
        keys.agree_on(&theirs, LinkField::EmployeeNumber) != Some(false)
            && names_agree(name, &known.name)
            && (shares(LinkField::Mobile) || shares(LinkField::Email))
    }

    /// Returns the local persons that one of `keys` matches, by id.
    pub(super) fn matches(&self, keys: &LinkKeys) -> Vec<&'a KnownPerson> {
        let found: BTreeMap<&PersonId, &'a KnownPerson> = keys
            .iter()
            .filter_map(|key| self.by_key.get(key))
            .flatten()
            .map(|known| (&known.id, *known))
            .collect();
        found.into_values().collect()
    }

    /// Counts the matches of a member that stays as it is.
    pub(super) fn claim_for_known(&mut self, known: &KnownPerson) {
        let matched = self.matches(&LinkKeys::from_known(known));
        matched.into_iter().for_each(|known| self.claim(known));
    }

    /// Counts the matches of a member that is `known` by its userid; returns those that are not
    /// `known`.
    pub(super) fn claim_for_changed(&mut self, known: &'a KnownPerson, reported: &Person) -> Vec<PersonId> {
        let mut others = self.matches(&LinkKeys::from_changed(known, reported));
        others.retain(|other| other.id != known.id);
        others.iter().for_each(|other| self.claim(other));
        if known.source == EntrySource::Local {
            self.claim(known);
        }
        others.into_iter().map(|other| other.id.clone()).collect()
    }

    /// Counts the matches of a new member, and returns them.
    pub(super) fn claim_for_joiner(&mut self, keys: &LinkKeys) -> Vec<&'a KnownPerson> {
        let matched = self.matches(keys);
        matched.iter().for_each(|known| self.claim(known));
        matched
    }

    /// Returns whether exactly one member matches `known`.
    pub(super) fn is_claimed_once(&self, known: &KnownPerson) -> bool {
        self.claims.get(&known.id) == Some(&1)
    }

    fn claim(&mut self, known: &'a KnownPerson) {
        *self.claims.entry(&known.id).or_default() += 1;
    }
}
