//! Conflicts: whether two persons are one, which only a human can decide.
//!
//! A run or a sign-in creates a person of its own and records who else that could be. A human then
//! answers. Either the flagged person is one of the candidates, and the two become one with the id
//! of the candidate, which applications have known for longer; or it is a different person, and
//! nobody is asked again.

pub(crate) mod state;
pub(crate) mod store;

pub(crate) use self::state::{ConflictKind, ConflictState};
use super::chart::Chart;
use super::edit::{EditError, is_local_unit};
use super::{EntrySource, Person, PersonDetails, PersonStatus};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, PersonId, UserId};

/// An open conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub id: ConflictId,
    pub kind: ConflictKind,
    /// The flagged person.
    pub person_id: PersonId,
    /// The persons that it could be.
    pub candidates: Vec<PersonId>,
    pub created_at: Timestamp,
}

/// A conflict with the data of its people, for whoever has to decide it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConflictDetails {
    pub conflict: Conflict,
    /// The flagged person.
    pub person: Option<ConflictPerson>,
    /// The candidates; those who are gone are missing.
    pub people: Vec<ConflictPerson>,
}

/// A person whom a conflict is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConflictPerson {
    pub id: PersonId,
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    pub status: PersonStatus,
    pub source: EntrySource,
}

impl From<Person> for ConflictPerson {
    fn from(person: Person) -> Self {
        Self {
            id: person.id,
            userid: person.userid,
            name: person.name,
            status: person.status,
            source: person.source,
        }
    }
}

/// Why a conflict was not closed. The text is meant for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("there is no conflict of that id")]
    NotFound,
    /// It was decided before, or one of the persons is gone.
    #[error("the conflict is closed already")]
    AlreadyClosed,
    /// The person has nothing to do with this conflict.
    #[error("{0} is neither the person of this conflict nor one of its candidates")]
    NotInvolved(PersonId),
    /// The candidate is an active member of WeCom's, so the two cannot be one.
    #[error("the candidate is an active member of WeCom's of its own: they are two persons")]
    CandidateIsMember,
    /// A run is about to change one of the two, or is running and knows them as two.
    #[error("a synchronisation is running; try again when it is done")]
    Busy,
    #[error("the database failed: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<EditError> for ResolveError {
    fn from(refused: EditError) -> Self {
        match refused {
            EditError::Store(error) => Self::Store(error),
            _ => Self::Busy,
        }
    }
}

/// Returns whether a person is a member of WeCom's that has not left, and so cannot be anybody
/// else.
fn is_current_member(person: &Person) -> bool {
    person.source == EntrySource::Wecom && person.status != PersonStatus::Left
}

/// Merges two persons into one: with the id of `kept` and everything that WeCom says about
/// `flagged`.
///
/// What WeCom does not say stays as it was, and so do memberships in local units.
pub(crate) fn merge_persons(kept: &Person, flagged: &Person, chart: &Chart) -> Person {
    let own = |ours: &str, theirs: &str| if theirs.is_empty() { ours.to_owned() } else { theirs.to_owned() };
    let (before, now) = (&kept.details, &flagged.details);
    let mut memberships = flagged.memberships.clone();
    for old in kept.memberships.iter().filter(|m| is_local_unit(chart, &m.unit)) {
        if memberships.iter().all(|m| m.unit != old.unit) {
            memberships.push(old.clone());
        }
    }
    let mut attributes = before.attributes.clone();
    attributes
        .extend(now.attributes.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| (n.clone(), v.clone())));
    let main_unit = flagged.main_unit.clone().or_else(|| kept.main_unit.clone());
    Person {
        id: kept.id.clone(),
        userid: flagged.userid.clone(),
        name: own(&kept.name, &flagged.name),
        email: own(&kept.email, &flagged.email),
        source: EntrySource::Wecom,
        status: flagged.status,
        left_at: flagged.left_at,
        main_unit: main_unit.filter(|main| memberships.iter().any(|m| m.unit == *main)),
        memberships,
        details: PersonDetails {
            position: own(&before.position, &now.position),
            mobile: own(&before.mobile, &now.mobile),
            alias: own(&before.alias, &now.alias),
            telephone: own(&before.telephone, &now.telephone),
            direct_leaders: if now.direct_leaders.is_empty() {
                before.direct_leaders.clone()
            } else {
                now.direct_leaders.clone()
            },
            attributes,
        },
        // The empty fingerprint makes the next run read the member again and correct what this may
        // have missed.
        fingerprint: String::new(),
    }
}

#[cfg(test)]
mod tests;
