//! By what a member is recognised: mobile number, mail address, employee number, each in the form in which it compares.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{KnownPerson, LinkBy, LocalDirectory};
use crate::base::id::PersonId;
use crate::directory::{
    EntrySource, Person, PersonDetails, PersonStatus, names_agree, normalize_mobile, normalize_text,
};
use crate::sync::remote::RemotePerson;

/// How many persons a question names at most, the oldest first: with more nobody could answer it, and thousands would be
/// compared with thousands. What more local persons than that have tells nobody from anybody, like a switchboard's
/// number.
pub(super) const MAX_CANDIDATES: usize = 20;

/// One of them.
pub(super) type LinkKey = (LinkBy, String);

/// Those of one person that are not empty, each kind at most once.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkKeys(Vec<LinkKey>);

impl LinkKeys {
    fn new(email: &str, mobile: &str, employee_number: &str) -> Self {
        let keys = [
            (LinkBy::Mobile, normalize_mobile(mobile)),
            (LinkBy::Email, normalize_text(email)),
            (LinkBy::EmployeeNumber, normalize_text(employee_number)),
        ];
        Self(keys.into_iter().filter(|(_, text)| !text.is_empty()).collect())
    }

    pub(super) fn from_known(known: &KnownPerson) -> Self {
        Self::new(&known.email, &known.mobile, &known.employee_number)
    }

    pub(super) fn from_record(record: &RemotePerson) -> Self {
        Self::new(&record.email, &record.mobile, PersonDetails::employee_number_in(&record.attributes))
    }

    /// Of `known` after WeCom says `said`: what WeCom hides is what it was.
    pub(super) fn from_changed(known: &KnownPerson, said: &Person) -> Self {
        let or = |new: &str, old: &str| if new.is_empty() { old.to_owned() } else { new.to_owned() };
        let email = or(&said.email, &known.email);
        let mobile = or(&said.details.mobile, &known.mobile);
        Self::new(&email, &mobile, said.details.employee_number())
    }

    /// Whether both have a key of this kind and it is the same; `None`: one of them has none.
    pub(super) fn agree_on(&self, other: &Self, by: LinkBy) -> Option<bool> {
        Some(self.get(by)? == other.get(by)?)
    }

    fn get(&self, by: LinkBy) -> Option<&str> {
        self.iter().find(|(kind, _)| *kind == by).map(|(_, text)| text.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkKey> {
        self.0.iter()
    }
}

/// Local persons by the keys that `directory.link_by` names, and how many members each matches.
#[derive(Debug, Default)]
pub(super) struct LocalPersonIndex<'a> {
    by_key: HashMap<LinkKey, Vec<&'a KnownPerson>>,
    claims: HashMap<&'a PersonId, usize>,
    link_by: Vec<LinkBy>,
}

impl<'a> LocalPersonIndex<'a> {
    /// Those that have not left. `present`: a member with a local person's userid claims it even unread.
    pub(super) fn new(local: &'a LocalDirectory, link_by: &[LinkBy], present: &HashSet<String>) -> Self {
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
        recognised.by_key.retain(|_, known| known.len() <= MAX_CANDIDATES);
        recognised
    }

    /// Whether nobody can be recognised by a key.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether `keys` are enough for a member called `name` to become `known` without asking. An employee number is:
    /// only an administrator writes it. A mail address or a mobile number is what members may write themselves, and
    /// what is handed on, so it proves somebody only together with the name, and not against another employee number.
    pub(super) fn proves(&self, known: &KnownPerson, keys: &LinkKeys, name: &str) -> bool {
        let theirs = LinkKeys::from_known(known);
        let shares = |by: LinkBy| self.link_by.contains(&by) && keys.agree_on(&theirs, by) == Some(true);
        if shares(LinkBy::EmployeeNumber) {
            return true;
        }
        keys.agree_on(&theirs, LinkBy::EmployeeNumber) != Some(false)
            && names_agree(name, &known.name)
            && (shares(LinkBy::Mobile) || shares(LinkBy::Email))
    }

    /// The local persons that one of `keys` matches, by id.
    pub(super) fn matches(&self, keys: &LinkKeys) -> Vec<&'a KnownPerson> {
        let found: BTreeMap<&PersonId, &'a KnownPerson> = keys
            .iter()
            .filter_map(|key| self.by_key.get(key))
            .flatten()
            .map(|known| (&known.id, *known))
            .collect();
        found.into_values().collect()
    }

    /// A member that stays matches these.
    pub(super) fn claim_for_known(&mut self, known: &KnownPerson) {
        let matched = self.matches(&LinkKeys::from_known(known));
        matched.into_iter().for_each(|known| self.claim(known));
    }

    /// A member that is `known`, by its userid, matches these; answers those that are not `known` itself.
    pub(super) fn claim_for_changed(&mut self, known: &'a KnownPerson, said: &Person) -> Vec<PersonId> {
        let mut others = self.matches(&LinkKeys::from_changed(known, said));
        others.retain(|other| other.id != known.id);
        others.iter().for_each(|other| self.claim(other));
        if known.source == EntrySource::Local {
            self.claim(known);
        }
        others.into_iter().map(|other| other.id.clone()).collect()
    }

    /// A new member matches these; answers them.
    pub(super) fn claim_for_joiner(&mut self, keys: &LinkKeys) -> Vec<&'a KnownPerson> {
        let matched = self.matches(keys);
        matched.iter().for_each(|known| self.claim(known));
        matched
    }

    /// Whether one member and no other matches `known`.
    pub(super) fn is_claimed_once(&self, known: &KnownPerson) -> bool {
        self.claims.get(&known.id) == Some(&1)
    }

    fn claim(&mut self, known: &'a KnownPerson) {
        *self.claims.entry(&known.id).or_default() += 1;
    }
}
