//! Whom a rule allows: the elements of `allow`, and the people each of them means in the current
//! chart.

use std::collections::HashSet;

use crate::base::id::{TagId, UnitId, UserId};
use crate::directory::bindings::{BindingMatch, RuleBindings};
use crate::directory::chart::{Chart, ChartReference, ReferenceError};
use crate::session::SessionPerson;

/// A compiled `allow`.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowList {
    pub(super) anyone: bool,
    pub(super) members: bool,
    /// All elements except `anyone` and `members`, in order.
    elements: Vec<AllowElement>,
}

/// One element that means certain people.
#[derive(Debug, Clone)]
struct AllowElement {
    /// As it was written.
    text: String,
    subject: AllowSubject,
}

#[derive(Debug, Clone)]
enum AllowSubject {
    /// `user:`, folded to lower case.
    User(String),
    /// `unit:`; with `/**` also everything below the unit.
    Unit { unit: ChartReference, below: bool },
    /// `leader:`, likewise.
    Leader { unit: ChartReference, below: bool },
    /// `tag:`.
    Tag(ChartReference),
}

/// The elements of one rule resolved in one chart, in the same order.
#[derive(Debug)]
pub(super) struct ResolvedSubjects(Vec<ResolvedSubject>);

#[derive(Debug)]
enum ResolvedSubject {
    /// The userid and its binding decide.
    ByUserid,
    Units(HashSet<UnitId>),
    Leaders {
        units: HashSet<UnitId>,
        users: HashSet<String>,
    },
    Tag {
        id: TagId,
        users: HashSet<String>,
        units: HashSet<UnitId>,
    },
    Nobody(ReferenceError),
}

/// Why a person is allowed: the element, and the part of the person that matches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant<'r> {
    /// The element as it was written; `members` for every active member.
    pub element: &'r str,
    pub basis: GrantBasis<'r>,
}

/// The part of a person that matches an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantBasis<'r> {
    /// Being an active member.
    Member,
    /// The userid.
    Userid,
    /// Being in this unit.
    Unit(&'r UnitId),
    /// Leading this unit. `None` if WeCom names the person as leader of a unit to which the person
    /// does not belong.
    Leading(Option<&'r UnitId>),
    /// Having this tag.
    Tag(&'r TagId),
}

impl AllowList {
    pub(super) const MEMBERS: Self = Self { anyone: false, members: true, elements: Vec::new() };

    /// Adds an element of `allow`. Returns the reason if the element can match nobody.
    pub(super) fn add_element(&mut self, element: &str) -> Option<&'static str> {
        let subject = match element.split_once(':') {
            None if element == "anyone" => {
                self.anyone = true;
                return None;
            }
            None if element == "members" => {
                self.members = true;
                return None;
            }
            Some(("user", id)) if id.trim().is_empty() => return Some("it names no userid"),
            Some(("user", id)) => AllowSubject::User(UserId::new(id.trim()).folded()),
            Some(("unit", path)) => match parse_unit(path) {
                Some((unit, below)) => AllowSubject::Unit { unit, below },
                None => return Some("it names no unit"),
            },
            Some(("leader", path)) => match parse_unit(path) {
                Some((unit, below)) => AllowSubject::Leader { unit, below },
                None => return Some("it names no unit"),
            },
            Some(("tag", name)) => match ChartReference::parse(name) {
                Some(tag) => AllowSubject::Tag(tag),
                None => return Some("it names no tag"),
            },
            _ => return Some("an element is anyone, members, or begins with user:, unit:, tag: or leader:"),
        };
        self.elements.push(AllowElement { text: element.to_owned(), subject });
        None
    }

    /// Returns whether everybody whom `other` allows is allowed here too, judged by the text alone.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let named = |element: &AllowElement| self.elements.iter().any(|own| own.text == element.text);
        // Anyone includes all members, and members include everybody who is named.
        self.anyone
            || (!other.anyone && (self.members || (!other.members && other.elements.iter().all(named))))
    }

    /// Resolves the elements in `chart`.
    pub(super) fn resolve_subjects(&self, chart: &Chart) -> ResolvedSubjects {
        ResolvedSubjects(
            self.elements.iter().map(|element| resolve_subject(&element.subject, chart)).collect(),
        )
    }

    /// Returns the elements that match nobody in the chart for which `subjects` were resolved, and
    /// why.
    pub(super) fn unmatched_elements<'a>(
        &'a self,
        subjects: &'a ResolvedSubjects,
    ) -> impl Iterator<Item = (&'a str, &'a ReferenceError)> {
        self.elements.iter().zip(&subjects.0).filter_map(|(element, resolved)| match resolved {
            ResolvedSubject::Nobody(why) => Some((element.text.as_str(), why)),
            ResolvedSubject::ByUserid
            | ResolvedSubject::Units(_)
            | ResolvedSubject::Leaders { .. }
            | ResolvedSubject::Tag { .. } => None,
        })
    }

    /// Returns the userids that are named, folded to lower case.
    pub(super) fn userids(&self) -> impl Iterator<Item = &str> {
        self.elements.iter().filter_map(|element| match &element.subject {
            AllowSubject::User(folded) => Some(folded.as_str()),
            AllowSubject::Unit { .. } | AllowSubject::Leader { .. } | AllowSubject::Tag(_) => None,
        })
    }

    /// Returns why `person` is allowed; `None` if nothing allows it.
    pub(super) fn grant<'r>(
        &'r self,
        subjects: &'r ResolvedSubjects,
        bindings: &RuleBindings,
        person: &'r SessionPerson,
    ) -> Option<Grant<'r>> {
        if self.members {
            return Some(Grant { element: "members", basis: GrantBasis::Member });
        }
        self.elements.iter().zip(&subjects.0).find_map(|(element, resolved)| {
            let basis = match_subject(&element.subject, resolved, bindings, person)?;
            Some(Grant { element: &element.text, basis })
        })
    }

    /// Returns whether a `user:` element names this person and is not bound yet. It is then bound
    /// to this person, whichever element allows the person.
    pub(super) fn is_first_match(&self, bindings: &RuleBindings, person: &SessionPerson) -> bool {
        self.userids().any(|folded| {
            is_same_user(folded, &person.userid)
                && bindings.match_person(folded, &person.id) == BindingMatch::Nobody
        })
    }

    /// Returns whether a `user:` element names this person's userid but is bound to an earlier
    /// holder of it.
    pub(super) fn names_an_earlier_holder(&self, bindings: &RuleBindings, person: &SessionPerson) -> bool {
        self.userids().any(|folded| {
            is_same_user(folded, &person.userid)
                && bindings.match_person(folded, &person.id) == BindingMatch::Other
        })
    }
}

/// Parses `财务部`, `财务部/**` or `/**`: the unit, and whether everything below it is included.
fn parse_unit(text: &str) -> Option<(ChartReference, bool)> {
    let text = text.trim();
    let (path, below) = match text.strip_suffix("**") {
        // `**` and `/**` mean the whole company.
        Some("" | "/") => ("/", true),
        Some(path) => (path.strip_suffix('/')?, true),
        None => (text, false),
    };
    Some((ChartReference::parse(path)?, below))
}

fn resolve_subject(subject: &AllowSubject, chart: &Chart) -> ResolvedSubject {
    let covered = |unit: &ChartReference, below: bool| -> Result<HashSet<UnitId>, ReferenceError> {
        let id = &chart.find_unit(unit)?.unit.id;
        Ok(if below { chart.subtree(id) } else { HashSet::from([id.clone()]) })
    };
    let resolved = match subject {
        AllowSubject::User(_) => Ok(ResolvedSubject::ByUserid),
        AllowSubject::Unit { unit, below } => covered(unit, *below).map(ResolvedSubject::Units),
        AllowSubject::Leader { unit, below } => covered(unit, *below).map(|units| {
            let leaders =
                units.iter().filter_map(|id| chart.unit(id)).flat_map(|placed| &placed.unit.leaders);
            ResolvedSubject::Leaders { users: leaders.map(UserId::folded).collect(), units }
        }),
        AllowSubject::Tag(tag) => chart.find_tag(tag).map(|tag| ResolvedSubject::Tag {
            id: tag.id.clone(),
            users: tag.users.iter().map(UserId::folded).collect(),
            units: tag.units.iter().flat_map(|unit| chart.subtree(unit)).collect(),
        }),
    };
    resolved.unwrap_or_else(ResolvedSubject::Nobody)
}

fn match_subject<'r>(
    subject: &AllowSubject,
    resolved: &'r ResolvedSubject,
    bindings: &RuleBindings,
    person: &'r SessionPerson,
) -> Option<GrantBasis<'r>> {
    let mut units = person.memberships.iter().map(|place| &place.unit);
    match (resolved, subject) {
        (ResolvedSubject::ByUserid, AllowSubject::User(folded)) if is_same_user(folded, &person.userid) => {
            (bindings.match_person(folded, &person.id) != BindingMatch::Other).then_some(GrantBasis::Userid)
        }
        (ResolvedSubject::Units(covered), _) => {
            units.find(|unit| covered.contains(*unit)).map(GrantBasis::Unit)
        }
        (ResolvedSubject::Leaders { units: covered, users }, _) => {
            let leads = person.memberships.iter().find(|p| p.leader && covered.contains(&p.unit));
            match leads {
                Some(place) => Some(GrantBasis::Leading(Some(&place.unit))),
                // WeCom may name a leader who does not belong to the unit.
                None => users.contains(&person.userid.folded()).then_some(GrantBasis::Leading(None)),
            }
        }
        (ResolvedSubject::Tag { id, users, units: covered }, _) => {
            // A tag covers users and whole units.
            let has = units.any(|unit| covered.contains(unit)) || users.contains(&person.userid.folded());
            has.then_some(GrantBasis::Tag(id))
        }
        (ResolvedSubject::ByUserid | ResolvedSubject::Nobody(_), _) => None,
    }
}

/// Compares userids without regard to case. Nearly all are ASCII, for which no copy is made.
fn is_same_user(folded: &str, userid: &UserId) -> bool {
    if userid.as_str().is_ascii() {
        folded.eq_ignore_ascii_case(userid.as_str())
    } else {
        userid.folded() == folded
    }
}
