//! Whom a rule allows: the elements of `allow`, and what each means in the chart of now.

use std::collections::HashSet;

use crate::base::id::{TagId, UnitId, UserId};
use crate::directory::bindings::{BindingMatch, RuleBindings};
use crate::directory::chart::{Chart, ChartReference, ReferenceError};
use crate::session::SessionPerson;

/// `allow`, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowList {
    pub(super) anyone: bool,
    pub(super) members: bool,
    /// The other elements, in order.
    elements: Vec<AllowElement>,
}

/// One element that means somebody in particular.
#[derive(Debug, Clone)]
struct AllowElement {
    /// As it was written.
    text: String,
    subject: AllowSubject,
}

#[derive(Debug, Clone)]
enum AllowSubject {
    /// `user:`, folded.
    User(String),
    /// `unit:`; with `/**` also everything below it.
    Unit { unit: ChartReference, below: bool },
    /// `leader:`, the same.
    Leader { unit: ChartReference, below: bool },
    /// `tag:`.
    Tag(ChartReference),
}

/// What the elements of one rule mean in one chart, in the same order.
#[derive(Debug)]
pub(super) struct ResolvedSubjects(Vec<ResolvedSubject>);

#[derive(Debug)]
enum ResolvedSubject {
    /// Decided by the userid and what it is bound to.
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

/// Why somebody is allowed: the element, and what of the person it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant<'r> {
    /// The element as it was written; `members` for every active member.
    pub element: &'r str,
    /// What fits.
    pub basis: GrantBasis<'r>,
}

/// What of a person fits an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantBasis<'r> {
    /// Being an active member.
    Member,
    /// The userid.
    Userid,
    /// Being in this unit.
    Unit(&'r UnitId),
    /// Leading this unit; `None`: WeCom names the person as leader of a unit it is not in.
    Leading(Option<&'r UnitId>),
    /// Having this tag.
    Tag(&'r TagId),
}

impl AllowList {
    pub(super) const MEMBERS: Self = Self { anyone: false, members: true, elements: Vec::new() };

    /// Takes an element of `allow` over; says why, if it can match nobody.
    pub(super) fn add_element(&mut self, element: &str) -> Option<&'static str> {
        let means = match element.split_once(':') {
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
        self.elements.push(AllowElement { text: element.to_owned(), subject: means });
        None
    }

    /// Whether everybody whom `other` lets in is let in here, by what is written.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let named = |element: &AllowElement| self.elements.iter().any(|own| own.text == element.text);
        self.anyone
            || (!other.anyone && (self.members || (!other.members && other.elements.iter().all(named))))
    }

    /// What the elements mean in `chart`.
    pub(super) fn resolve_subjects(&self, chart: &Chart) -> ResolvedSubjects {
        ResolvedSubjects(
            self.elements.iter().map(|element| resolve_subject(&element.subject, chart)).collect(),
        )
    }

    /// Elements that mean nobody in the chart that `holders` were made for, and why.
    pub(super) fn unmatched_elements<'a>(
        &'a self,
        holders: &'a ResolvedSubjects,
    ) -> impl Iterator<Item = (&'a str, &'a ReferenceError)> {
        self.elements.iter().zip(&holders.0).filter_map(|(element, held)| match held {
            ResolvedSubject::Nobody(why) => Some((element.text.as_str(), why)),
            ResolvedSubject::ByUserid
            | ResolvedSubject::Units(_)
            | ResolvedSubject::Leaders { .. }
            | ResolvedSubject::Tag { .. } => None,
        })
    }

    /// The userids that are named.
    pub(super) fn userids(&self) -> impl Iterator<Item = &str> {
        self.elements.iter().filter_map(|element| match &element.subject {
            AllowSubject::User(folded) => Some(folded.as_str()),
            AllowSubject::Unit { .. } | AllowSubject::Leader { .. } | AllowSubject::Tag(_) => None,
        })
    }

    /// Why `person` is allowed; `None`: nothing allows it.
    pub(super) fn grant<'r>(
        &'r self,
        holders: &'r ResolvedSubjects,
        bindings: &RuleBindings,
        person: &'r SessionPerson,
    ) -> Option<Grant<'r>> {
        if self.members {
            return Some(Grant { element: "members", basis: GrantBasis::Member });
        }
        self.elements.iter().zip(&holders.0).find_map(|(element, held)| {
            let through = match_subject(&element.subject, held, bindings, person)?;
            Some(Grant { element: &element.text, basis: through })
        })
    }

    /// Whether a `user:` element names this person and nobody was matched by it before: it is bound to this person then,
    /// whichever element lets the person in.
    pub(super) fn is_first_match(&self, bindings: &RuleBindings, person: &SessionPerson) -> bool {
        self.userids().any(|folded| {
            is_same_user(folded, &person.userid)
                && bindings.match_person(folded, &person.id) == BindingMatch::Nobody
        })
    }

    /// Whether a `user:` element names this person's userid and means somebody who had it before.
    pub(super) fn names_an_earlier_holder(&self, bindings: &RuleBindings, person: &SessionPerson) -> bool {
        self.userids().any(|folded| {
            is_same_user(folded, &person.userid)
                && bindings.match_person(folded, &person.id) == BindingMatch::Other
        })
    }
}

/// `财务部`, `财务部/**`, `/**`: the unit, and whether what is below it is meant, too.
fn parse_unit(text: &str) -> Option<(ChartReference, bool)> {
    let text = text.trim();
    let (path, below) = match text.strip_suffix("**") {
        Some("" | "/") => ("/", true),
        Some(path) => (path.strip_suffix('/')?, true),
        None => (text, false),
    };
    Some((ChartReference::parse(path)?, below))
}

fn resolve_subject(means: &AllowSubject, chart: &Chart) -> ResolvedSubject {
    let covered = |unit: &ChartReference, below: bool| -> Result<HashSet<UnitId>, ReferenceError> {
        let id = &chart.find_unit(unit)?.unit.id;
        Ok(if below { chart.subtree(id) } else { HashSet::from([id.clone()]) })
    };
    let held = match means {
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
    held.unwrap_or_else(ResolvedSubject::Nobody)
}

fn match_subject<'r>(
    means: &AllowSubject,
    held: &'r ResolvedSubject,
    bindings: &RuleBindings,
    person: &'r SessionPerson,
) -> Option<GrantBasis<'r>> {
    let mut units = person.memberships.iter().map(|place| &place.unit);
    match (held, means) {
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
                None => users.contains(&person.userid.folded()).then_some(GrantBasis::Leading(None)),
            }
        }
        (ResolvedSubject::Tag { id, users, units: covered }, _) => {
            let has = units.any(|unit| covered.contains(unit)) || users.contains(&person.userid.folded());
            has.then_some(GrantBasis::Tag(id))
        }
        (ResolvedSubject::ByUserid | ResolvedSubject::Nobody(_), _) => None,
    }
}

/// Userids compare without regard to case; nearly all are ASCII, for which no copy is made.
fn is_same_user(folded: &str, userid: &UserId) -> bool {
    if userid.as_str().is_ascii() {
        folded.eq_ignore_ascii_case(userid.as_str())
    } else {
        userid.folded() == folded
    }
}
