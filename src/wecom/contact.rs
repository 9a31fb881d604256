//! What a department is, and the call for one member (documents 90196, 90208).

use serde::{Deserialize, Deserializer};

use super::call_class::CallClass;
use super::exchange::{CallParameter, WecomRequest};
use super::lenient_json::{self, NumberOrText};
use super::{Deadline, Member, SecretKind, WecomClient, WecomError};
use crate::base::id::UserId;

/// The id of a department.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DepartmentId {
    /// One of the own corporation; the root is 1.
    Own(u32),
    /// One of a linked corporation, `LINKEDID/1`.
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

/// A department.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Department {
    /// The root is 1.
    #[serde(deserialize_with = "lenient_json::number")]
    pub id: u32,
    /// Empty where WeCom hides it.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub name: String,
    /// The English name.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub name_en: Option<String>,
    /// 0 for the root. Need not be among the departments shown: a visible range may begin anywhere.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub parentid: u32,
    /// The sort number among its siblings; larger comes first.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub order: u32,
    /// Only leaders whom the application may see.
    #[serde(default, deserialize_with = "userids", rename = "department_leader")]
    pub leaders: Vec<UserId>,
}

impl WecomClient {
    /// One member (`user/get`), with the application's token.
    ///
    /// Outside the visible range the answer is a refusal of the family [`NotVisible`](super::Family); WeCom
    /// does not say whether the person left. An answer about somebody else is unreadable.
    pub async fn member(&self, userid: &UserId, deadline: Deadline) -> Result<Member, WecomError> {
        self.member_of_class(CallClass::Person, userid, deadline).await
    }

    /// As [`member`](Self::member), of somebody who is signed in: at most [`MAX_PARALLEL_RECHECKS`](super::MAX_PARALLEL_RECHECKS) at once, and never
    /// in the place of somebody who waits for a sign-in.
    pub async fn recheck_member(&self, userid: &UserId, deadline: Deadline) -> Result<Member, WecomError> {
        self.member_of_class(CallClass::Recheck, userid, deadline).await
    }

    async fn member_of_class(
        &self,
        lane: CallClass,
        userid: &UserId,
        deadline: Deadline,
    ) -> Result<Member, WecomError> {
        let query = [CallParameter::open("userid", userid.as_str())];
        let request = WecomRequest { api: "user/get", query: &query, body: None, class: lane };
        let member: Member = self.call(SecretKind::App, request, deadline).await?;
        member.require_userid(userid)
    }
}

impl Member {
    /// This member, if it is the one that was asked for.
    pub(super) fn require_userid(self, userid: &UserId) -> Result<Self, WecomError> {
        if self.userid.folded() != userid.folded() {
            let why = "it is about another member, perhaps from a cache in between".to_owned();
            return Err(WecomError::Unreadable { api: "user/get", status: 200, why });
        }
        Ok(self)
    }
}

/// A list of userids; null is empty.
pub(super) fn userids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
    Ok(lenient_json::texts(deserializer)?.into_iter().map(UserId::new).collect())
}
