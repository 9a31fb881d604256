//! Bindings of the userids in `user:` rules to persons.
//!
//! A rule means a person but can only name a userid. So the first person that a rule matches is
//! recorded, and from then on the userid in rules means that person. Whoever gets the userid later
//! matches nothing until an administrator accepts it (`gongpai rules accept`).

pub(crate) mod store;

use std::collections::HashMap;

use sqlx::FromRow;

use crate::base::id::{PersonId, UserId};

/// All bindings, from folded userids to persons.
#[derive(Debug, Default)]
pub struct RuleBindings(HashMap<String, PersonId>);

/// What a userid in a rule means for a person who has this userid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingMatch {
    /// The userid means this person.
    Same,
    /// The userid means nobody yet: the rule matches, and the person is recorded.
    Nobody,
    /// The userid means a person who had it before.
    Other,
}

impl RuleBindings {
    /// Collects bindings, by folded userid.
    pub fn new(bindings: impl IntoIterator<Item = (String, PersonId)>) -> Self {
        Self(bindings.into_iter().collect())
    }

    /// Returns what the userid `folded` means for `person`.
    pub fn match_person(&self, folded: &str, person: &PersonId) -> BindingMatch {
        match self.0.get(folded) {
            None => BindingMatch::Nobody,
            Some(bound) if bound == person => BindingMatch::Same,
            Some(_) => BindingMatch::Other,
        }
    }
}

/// A userid in a rule that belongs to somebody else now.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct ReassignedUserid {
    /// The userid, as WeCom writes it.
    pub userid: UserId,
    /// The person whom the rules mean.
    pub bound: PersonId,
    pub bound_name: String,
    /// The person who has the userid now.
    pub holder: PersonId,
    pub holder_name: String,
}
