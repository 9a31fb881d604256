//! Whose the userids in `user:` rules are.
//!
//! A rule means a person and can only write a userid. So the first person that a rule matches is written down, and from
//! then on the userid in rules means that person: whoever gets the userid later matches nothing, until an administrator
//! accepts it (`gongpai rules accept`).

pub mod store;

use std::collections::HashMap;

use crate::base::id::{PersonId, UserId};

/// Every binding.
#[derive(Debug, Default)]
pub struct Bindings(HashMap<String, PersonId>);

/// What a userid in a rule means for somebody who has that userid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This person.
    Same,
    /// Nobody yet: it matches, and is to be written down.
    Nobody,
    /// Somebody who had the userid before.
    Other,
}

impl Bindings {
    /// Puts them together; userids folded.
    pub fn new(bindings: impl IntoIterator<Item = (String, PersonId)>) -> Self {
        Self(bindings.into_iter().collect())
    }

    /// What the userid `folded` means for `person`.
    pub fn of(&self, folded: &str, person: &PersonId) -> Bound {
        match self.0.get(folded) {
            None => Bound::Nobody,
            Some(bound) if bound == person => Bound::Same,
            Some(_) => Bound::Other,
        }
    }
}

/// A userid in a rule that now is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The userid, as WeCom writes it.
    pub userid: UserId,
    /// Whom the rules mean.
    pub bound: PersonId,
    /// That person's name.
    pub bound_name: String,
    /// Who has the userid now.
    pub holder: PersonId,
    /// That person's name.
    pub holder_name: String,
}
