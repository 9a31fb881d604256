//! Persons of the published chart as far as a session carries them: who it is, whether the person
//! may be there, and in which units.

pub(crate) mod store;

use super::{Membership, PersonStatus};
use crate::base::id::{PersonId, UserId};

/// A person of the published chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresentPerson {
    pub(crate) id: PersonId,
    pub(crate) userid: UserId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) status: PersonStatus,
    pub(crate) memberships: Vec<Membership>,
}
