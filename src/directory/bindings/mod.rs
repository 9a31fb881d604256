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
pub struct RuleBindings(HashMap<String, PersonId>);

/// What a userid in a rule means for somebody who has that userid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingMatch {
    /// This person.
    Same,
    /// Nobody yet: it matches, and is to be written down.
    Nobody,
    /// Somebody who had the userid before.
    Other,
}

impl RuleBindings {
    /// Puts them together; userids folded.
    pub fn new(bindings: impl IntoIterator<Item = (String, PersonId)>) -> Self {
        Self(bindings.into_iter().collect())
    }

    /// What the userid `folded` means for `person`.
    pub fn match_person(&self, folded: &str, person: &PersonId) -> BindingMatch {
        match self.0.get(folded) {
            None => BindingMatch::Nobody,
            Some(bound) if bound == person => BindingMatch::Same,
            Some(_) => BindingMatch::Other,
        }
    }
}

/// A userid in a rule that now is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReassignedUserid {
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
