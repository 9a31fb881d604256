//! The states of a conflict and why it was raised, as the table has them.
//!
//! | from | to | when |
//! |---|---|---|
//! | | open | a run or a sign-in raises it |
//! | open | merged | somebody says that the two are one |
//! | open | separate | somebody says that they are two |
//! | open | gone | the person or every candidate is gone, or no candidate can be meant any more |
//!
//! A closed conflict stays as it is, and is not raised again while both persons are known.

use serde::{Deserialize, Serialize};

use crate::db::types::column_enum;

column_enum! {
    /// The state of a conflict.
    pub(crate) enum ConflictState {
        /// Somebody has to decide it.
        Open = "open",
        /// The two persons are one.
        Merged = "merged",
        /// They are two persons.
        Separate = "separate",
        /// There is nothing left to decide.
        Gone = "gone",
    }
}

column_enum! {
    /// Why a conflict needs a human. A reason that only a newer version knows is told as the most
    /// general one, so that the conflict can be decided and the list goes on.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ConflictKind {
        /// A member could be one of several local persons, or shares a local person with another
        /// member, or has a local person's mobile number or mail address and another name.
        Ambiguous = "ambiguous",
        /// Somebody left and somebody joined in the same run, with the same name in the same unit,
        /// or with a key that others have too. Or somebody left who shares a key with a person
        /// admitted before.
        Renamed = "renamed",
        /// A userid came back after its holder had left, or now plainly belongs to somebody else.
        Reused = "reused",
    } else Ambiguous
}

impl ConflictState {
    /// Whether a conflict in this state may get the state `next`.
    pub(crate) const fn allows(self, next: Self) -> bool {
        matches!((self, next), (Self::Open, Self::Merged | Self::Separate | Self::Gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_conflict_is_closed_once_and_a_closed_one_stays() {
        for from in ConflictState::ALL {
            for to in ConflictState::ALL {
                let closes = *from == ConflictState::Open && *to != ConflictState::Open;
                assert_eq!(from.allows(*to), closes, "{from:?} to {to:?}");
            }
        }
    }
}
