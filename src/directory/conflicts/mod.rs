//! What only a human can decide: whether two persons are one.
//!
//! A run, or a sign-in, lets somebody in as itself and writes down who else that could be. A human answers: the flagged
//! person is one of the candidates, then the two become one with the candidate's id, which applications know longer; or
//! it is somebody of its own, and nobody is asked again.

pub mod store;

use serde::Serialize;

use super::chart::Chart;
use super::edit::{EditError, is_local_unit};
use super::{EntrySource, Person, PersonDetails, PersonStatus};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, PersonId, UserId};

/// A question that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// `ambiguous`: one of several local persons, or a local person that several members could be or whose mobile number
    /// or mail address a member of another name has; `renamed`: one left and one joined in the same run, of the same name
    /// and unit; `reused`: a userid that came back after its holder left.
    pub kind: String,
    /// Who was let in as itself.
    pub person_id: PersonId,
    /// Who it could be.
    pub candidates: Vec<PersonId>,
    /// Since when it is asked.
    pub created_at: Timestamp,
}

/// A question with the people whom it is about, for whoever has to answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConflictDetails {
    /// The question.
    #[serde(flatten)]
    pub conflict: Conflict,
    /// Who was let in as itself.
    pub person: Option<ConflictPerson>,
    /// Who it could be; those who are gone are missing.
    pub people: Vec<ConflictPerson>,
}

/// Somebody whom a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConflictPerson {
    /// Its id.
    pub id: PersonId,
    /// Its userid.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// Whether it may sign in.
    pub status: PersonStatus,
    /// Whose entry it is.
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

/// Why a question was not closed. Its text is for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is none of that id.
    #[error("there is no conflict of that id")]
    NotFound,
    /// It was answered before, or one of the persons is gone.
    #[error("the conflict is closed already")]
    AlreadyClosed,
    /// Nobody whom the question is about.
    #[error("{0} is neither the person of this conflict nor one of its candidates")]
    NotInvolved(PersonId),
    /// The candidate is a member of WeCom's in its own right.
    #[error("the candidate is an active member of WeCom's of its own: they are two persons")]
    CandidateIsMember,
    /// A run is about to change one of the two, or goes on and knows them as two.
    #[error("a synchronisation is running; try again when it is done")]
    Busy,
    /// The database failed.
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

/// How a question was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictOutcome {
    /// The two are one.
    Merged,
    /// They are two.
    Separate,
    /// Somebody whom it is about is gone.
    Gone,
}

impl ConflictOutcome {
    /// As the table writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Separate => "separate",
            Self::Gone => "gone",
        }
    }
}

/// Whether somebody is a member of WeCom's of its own and cannot be anybody else.
fn is_current_member(person: &Person) -> bool {
    person.source == EntrySource::Wecom && person.status != PersonStatus::Left
}

/// The one person that two become: with the id of `kept`, and of `flagged` everything that WeCom says. What WeCom does not
/// say stays as it was, and so do places in local units.
pub fn merge_persons(kept: &Person, flagged: &Person, chart: &Chart) -> Person {
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
        // The next run reads the member again and makes good what this may have missed.
        fingerprint: String::new(),
    }
}

#[cfg(test)]
mod tests;
