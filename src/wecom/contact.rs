//! Departments, and the call for one member (documents 90196, 90208).

use serde::{Deserialize, Deserializer};

use super::call_class::CallClass;
use super::exchange::{CallParameter, WecomRequest};
use super::lenient_json::{self, NumberOrText};
use super::{Deadline, Member, SecretKind, WecomClient, WecomError};
use crate::base::id::UserId;

/// The id of a department.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DepartmentId {
    /// A department of this corporation; the root is 1.
    Own(u32),
    /// A department of a linked corporation, `LINKEDID/1`.
    Linked(String),
}

impl<'de> Deserialize<'de> for DepartmentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(id) => Self::Own(id),
            NumberOrText::Text(id) => Self::Linked(id),
        })
    }
}

/// A department with its details.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Department {
    /// The root is 1.
    #[serde(deserialize_with = "lenient_json::number")]
    pub id: u32,
    /// Empty where WeCom hides it.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub name: String,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub name_en: Option<String>,
    /// The parent; 0 for the root. It may be missing from the list, because a visible range may
    /// begin anywhere in the tree.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub parentid: u32,
    /// The sort number among its siblings; larger comes first.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub order: u32,
    /// The leaders that the application may see.
    #[serde(default, deserialize_with = "userids", rename = "department_leader")]
    pub leaders: Vec<UserId>,
}

impl WecomClient {
    /// Fetches one member (`user/get`) with the application's token.
    ///
    /// Outside the visible range the answer is a refusal of the family
    /// [`NotVisible`](super::ErrorFamily::NotVisible); WeCom does not say whether the person left.
    /// An answer about somebody else counts as unreadable.
    pub async fn member(&self, userid: &UserId, deadline: Deadline) -> Result<Member, WecomError> {
        self.member_of_class(CallClass::Person, userid, deadline).await
    }

    /// Fetches a member who is signed in already. At most
    /// [`MAX_PARALLEL_RECHECKS`](super::MAX_PARALLEL_RECHECKS) of these calls run at once, and none
    /// takes the slot of somebody who waits for a sign-in.
    pub async fn recheck_member(&self, userid: &UserId, deadline: Deadline) -> Result<Member, WecomError> {
        self.member_of_class(CallClass::Recheck, userid, deadline).await
    }

    async fn member_of_class(
        &self,
        class: CallClass,
        userid: &UserId,
        deadline: Deadline,
    ) -> Result<Member, WecomError> {
        let query = [CallParameter::open("userid", userid.as_str())];
        let request = WecomRequest { api: "user/get", query: &query, body: None, class };
        let member: Member = self.call(SecretKind::App, request, deadline).await?;
        member.require_userid(userid)
    }
}

impl Member {
    /// Returns the member if it has this userid; an error otherwise.
    pub(super) fn require_userid(self, userid: &UserId) -> Result<Self, WecomError> {
        // WeCom may answer in another case than it was asked in.
        if self.userid.folded() != userid.folded() {
            let why = "it is about another member, perhaps from a cache in between".to_owned();
            return Err(WecomError::Unreadable { api: "user/get", status: 200, why });
        }
        Ok(self)
    }
}

/// Reads a list of userids; null is empty.
pub(super) fn userids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
    Ok(lenient_json::texts(deserializer)?.into_iter().map(UserId::new).collect())
}
