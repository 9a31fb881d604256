//! Who has a userid, and who has an account of WeCom's: what a message needs to know of persons.

pub(crate) mod store;

use sqlx::FromRow;

use super::{EntrySource, Membership, PersonStatus};
use crate::base::id::{PersonId, UserId};

/// The published person who has a userid.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct UseridHolder {
    #[sqlx(rename = "person_id")]
    pub(crate) id: PersonId,
    pub(crate) source: EntrySource,
    pub(crate) status: PersonStatus,
}

/// An active person of the published chart whom WeCom knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveAccount {
    pub(crate) id: PersonId,
    pub(crate) userid: UserId,
    pub(crate) memberships: Vec<Membership>,
}
