//! Conflicts that only a human can decide, and the decisions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{ConflictKindWord, EntrySourceWord, PersonStatusWord, ResolvedStateWord};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, PersonId, UserId};
use crate::directory::conflicts::{ConflictDetails, ConflictPerson};

/// Whether two persons are one, which only a human can decide.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conflict)]
pub(crate) struct ConflictDto {
    #[schema(value_type = String)]
    id: ConflictId,
    #[schema(inline)]
    kind: ConflictKindWord,
    /// Our id of whoever was let in as itself.
    #[schema(value_type = String)]
    person_id: PersonId,
    /// Our ids of those who it could be.
    #[schema(value_type = Vec<String>)]
    candidates: Vec<PersonId>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who was let in as itself.
    #[schema(required)]
    person: Option<NamedPersonDto>,
    /// Who it could be; those who are gone are missing.
    people: Vec<NamedPersonDto>,
}

/// Somebody whom a conflict is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NamedPerson)]
struct NamedPersonDto {
    #[schema(value_type = String)]
    id: PersonId,
    #[schema(value_type = String)]
    userid: UserId,
    name: String,
    status: PersonStatusWord,
    source: EntrySourceWord,
}

/// Who the person of a conflict is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolution)]
pub(crate) struct ResolutionDto {
    /// Our id of a candidate: the two are one person, with the candidate's id. Our id of the person itself: they are two.
    #[schema(value_type = String)]
    pub(crate) person_id: PersonId,
}

/// How a conflict was closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resolved)]
pub(crate) struct ResolvedConflictDto {
    #[schema(value_type = String)]
    pub(crate) id: ConflictId,
    #[schema(inline)]
    pub(crate) state: ResolvedStateWord,
    /// Our id of the person that is left, or of the one that was asked about.
    #[schema(value_type = String)]
    pub(crate) person_id: PersonId,
}

impl From<ConflictDetails> for ConflictDto {
    fn from(details: ConflictDetails) -> Self {
        let ConflictDetails { conflict, person, people } = details;
        Self {
            id: conflict.id,
            kind: conflict.kind.into(),
            person_id: conflict.person_id,
            candidates: conflict.candidates,
            created_at: conflict.created_at,
            person: person.map(Into::into),
            people: people.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ConflictPerson> for NamedPersonDto {
    fn from(person: ConflictPerson) -> Self {
        let ConflictPerson { id, userid, name, status, source } = person;
        Self { id, userid, name, status: status.into(), source: source.into() }
    }
}
