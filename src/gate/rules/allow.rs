//! Whom a rule allows: the elements of `allow`, and what each means in the chart of now.

use std::collections::HashSet;

use crate::base::id::{TagId, UnitId, UserId};
use crate::directory::bindings::{Bindings, Bound};
use crate::directory::chart::{Chart, Reference, Unfound};
use crate::session::Person;

/// `allow`, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Allow {
    pub(super) anyone: bool,
    pub(super) members: bool,
    /// The other elements, in order.
    elements: Vec<Element>,
}

/// One element that means somebody in particular.
#[derive(Debug, Clone)]
struct Element {
    /// As it was written.
    text: String,
    means: Means,
}

#[derive(Debug, Clone)]
enum Means {
    /// `user:`, folded.
    User(String),
    /// `unit:`; with `/**` also everything below it.
    Unit { unit: Reference, below: bool },
    /// `leader:`, the same.
    Leader { unit: Reference, below: bool },
    /// `tag:`.
    Tag(Reference),
}

/// What the elements of one rule mean in one chart, in the same order.
#[derive(Debug)]
pub(super) struct Holders(Vec<Held>);

#[derive(Debug)]
enum Held {
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
    Nobody(Unfound),
}

/// Why somebody is allowed: the element, and what of the person it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant<'r> {
    /// The element as it was written; `members` for every active member.
    pub element: &'r str,
    /// What fits.
    pub through: Through<'r>,
}

/// What of a person fits an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through<'r> {
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

impl Allow {
    pub(super) const MEMBERS: Self = Self { anyone: false, members: true, elements: Vec::new() };

    /// Takes an element of `allow` over; says why, if it can match nobody.
    pub(super) fn add(&mut self, element: &str) -> Option<&'static str> {
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
            Some(("user", id)) => Means::User(UserId::new(id.trim()).folded()),
            Some(("unit", path)) => match unit(path) {
                Some((unit, below)) => Means::Unit { unit, below },
                None => return Some("it names no unit"),
            },
            Some(("leader", path)) => match unit(path) {
                Some((unit, below)) => Means::Leader { unit, below },
                None => return Some("it names no unit"),
            },
            Some(("tag", name)) => match Reference::parse(name) {
                Some(tag) => Means::Tag(tag),
                None => return Some("it names no tag"),
            },
            _ => return Some("an element is anyone, members, or begins with user:, unit:, tag: or leader:"),
        };
        self.elements.push(Element { text: element.to_owned(), means });
        None
    }

    /// Whether everybody whom `other` lets in is let in here, by what is written.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let named = |element: &Element| self.elements.iter().any(|own| own.text == element.text);
        self.anyone
            || (!other.anyone && (self.members || (!other.members && other.elements.iter().all(named))))
    }

    /// What the elements mean in `chart`.
    pub(super) fn holders(&self, chart: &Chart) -> Holders {
        Holders(self.elements.iter().map(|element| held(&element.means, chart)).collect())
    }

    /// Elements that mean nobody in the chart that `holders` were made for, and why.
    pub(super) fn unfound<'a>(
        &'a self,
        holders: &'a Holders,
    ) -> impl Iterator<Item = (&'a str, &'a Unfound)> {
        self.elements.iter().zip(&holders.0).filter_map(|(element, held)| match held {
            Held::Nobody(why) => Some((element.text.as_str(), why)),
            Held::ByUserid | Held::Units(_) | Held::Leaders { .. } | Held::Tag { .. } => None,
        })
    }

    /// The userids that are named.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.elements.iter().filter_map(|element| match &element.means {
            Means::User(folded) => Some(folded.as_str()),
            Means::Unit { .. } | Means::Leader { .. } | Means::Tag(_) => None,
        })
    }

    /// Why `person` is allowed; `None`: nothing allows it.
    pub(super) fn grant<'r>(
        &'r self,
        holders: &'r Holders,
        bindings: &Bindings,
        person: &'r Person,
    ) -> Option<Grant<'r>> {
        if self.members {
            return Some(Grant { element: "members", through: Through::Member });
        }
        self.elements.iter().zip(&holders.0).find_map(|(element, held)| {
            let through = through(&element.means, held, bindings, person)?;
            Some(Grant { element: &element.text, through })
        })
    }

    /// Whether a `user:` element names this person and nobody was matched by it before: it is bound to this person then,
    /// whichever element lets the person in.
    pub(super) fn is_first_match(&self, bindings: &Bindings, person: &Person) -> bool {
        self.users().any(|folded| {
            same_user(folded, &person.userid) && bindings.of(folded, &person.id) == Bound::Nobody
        })
    }

    /// Whether a `user:` element names this person's userid and means somebody who had it before.
    pub(super) fn names_an_earlier_holder(&self, bindings: &Bindings, person: &Person) -> bool {
        self.users().any(|folded| {
            same_user(folded, &person.userid) && bindings.of(folded, &person.id) == Bound::Other
        })
    }
}

/// `财务部`, `财务部/**`, `/**`: the unit, and whether what is below it is meant, too.
fn unit(text: &str) -> Option<(Reference, bool)> {
    let text = text.trim();
    let (path, below) = match text.strip_suffix("**") {
        Some("" | "/") => ("/", true),
        Some(path) => (path.strip_suffix('/')?, true),
        None => (text, false),
    };
    Some((Reference::parse(path)?, below))
}

fn held(means: &Means, chart: &Chart) -> Held {
    let covered = |unit: &Reference, below: bool| -> Result<HashSet<UnitId>, Unfound> {
        let id = &chart.find_unit(unit)?.unit.id;
        Ok(if below { chart.with_below(id) } else { HashSet::from([id.clone()]) })
    };
    let held = match means {
        Means::User(_) => Ok(Held::ByUserid),
        Means::Unit { unit, below } => covered(unit, *below).map(Held::Units),
        Means::Leader { unit, below } => covered(unit, *below).map(|units| {
            let leaders =
                units.iter().filter_map(|id| chart.unit(id)).flat_map(|placed| &placed.unit.leaders);
            Held::Leaders { users: leaders.map(UserId::folded).collect(), units }
        }),
        Means::Tag(tag) => chart.find_tag(tag).map(|tag| Held::Tag {
            id: tag.id.clone(),
            users: tag.users.iter().map(UserId::folded).collect(),
            units: tag.units.iter().flat_map(|unit| chart.with_below(unit)).collect(),
        }),
    };
    held.unwrap_or_else(Held::Nobody)
}

fn through<'r>(
    means: &Means,
    held: &'r Held,
    bindings: &Bindings,
    person: &'r Person,
) -> Option<Through<'r>> {
    let mut units = person.places.iter().map(|place| &place.unit);
    match (held, means) {
        (Held::ByUserid, Means::User(folded)) if same_user(folded, &person.userid) => {
            (bindings.of(folded, &person.id) != Bound::Other).then_some(Through::Userid)
        }
        (Held::Units(covered), _) => units.find(|unit| covered.contains(*unit)).map(Through::Unit),
        (Held::Leaders { units: covered, users }, _) => {
            let leads = person.places.iter().find(|p| p.leader && covered.contains(&p.unit));
            match leads {
                Some(place) => Some(Through::Leading(Some(&place.unit))),
                None => users.contains(&person.userid.folded()).then_some(Through::Leading(None)),
            }
        }
        (Held::Tag { id, users, units: covered }, _) => {
            let has = units.any(|unit| covered.contains(unit)) || users.contains(&person.userid.folded());
            has.then_some(Through::Tag(id))
        }
        (Held::ByUserid | Held::Nobody(_), _) => None,
    }
}

/// Userids compare without regard to case; nearly all are ASCII, for which no copy is made.
fn same_user(folded: &str, userid: &UserId) -> bool {
    if userid.as_str().is_ascii() {
        folded.eq_ignore_ascii_case(userid.as_str())
    } else {
        userid.folded() == folded
    }
}
