//! The calls of a fetch: lists of departments, members, ids and tags (documents 90208, 95350,
//! 95351, 90200, 90201, 96067, 90213, 90216).
//!
//! They have a class of their own ([`CallClass::Fetch`]): at most ten at a time, up to 30 s and 32
//! MiB each, and never in the slot of somebody who is signing in. All of them only read, so
//! repeating one after a transport failure is safe; the caller does that.

use serde::Deserialize;
use serde_json::json;

use super::call_class::CallClass;
use super::exchange::{CallParameter, RequestBody, WecomRequest};
use super::lenient_list::{IdentifiedRecord, LenientList};
use super::wire::{
    DepartmentMember, DepartmentNode, DepartmentNodeList, MemberIdPage, MemberList, MemberName,
    MemberNameList, TagHolders, TagList, TagName,
};
use super::{Deadline, Department, Member, SecretKind, WecomClient, WecomError};
use crate::base::id::UserId;

impl IdentifiedRecord for Member {
    const ID_FIELD: &'static str = "userid";
}

impl IdentifiedRecord for MemberName {
    const ID_FIELD: &'static str = "userid";
}

impl IdentifiedRecord for DepartmentMember {
    const ID_FIELD: &'static str = "userid";
}

impl IdentifiedRecord for Department {
    const ID_FIELD: &'static str = "id";
}

impl IdentifiedRecord for DepartmentNode {
    const ID_FIELD: &'static str = "id";
}

impl IdentifiedRecord for TagName {
    const ID_FIELD: &'static str = "tagid";
}

/// The answer of `department/list`. The list is required: a directory that removes what it no
/// longer sees must tell an empty list from a missing one.
#[derive(Debug, Deserialize)]
pub(super) struct DepartmentList {
    pub(super) department: LenientList<Department>,
}

/// The answer of `department/get`: one object, not a list.
#[derive(Debug, Deserialize)]
struct DepartmentAnswer {
    department: Department,
}

impl WecomClient {
    /// Fetches every department that the token may see (`department/list`). With
    /// [`SecretKind::Contacts`] only addresses configured before 2022-08-15 get an answer; others
    /// get 48009.
    pub async fn departments(
        &self,
        which: SecretKind,
        deadline: Deadline,
    ) -> Result<LenientList<Department>, WecomError> {
        let list: DepartmentList = self.fetch(which, "department/list", &[], deadline).await?;
        Ok(list.department)
    }

    /// Fetches id and parent of departments (`department/simplelist`): all of them with
    /// [`SecretKind::Contacts`], the visible ones with [`SecretKind::App`].
    pub async fn department_nodes(
        &self,
        which: SecretKind,
        deadline: Deadline,
    ) -> Result<LenientList<DepartmentNode>, WecomError> {
        let list: DepartmentNodeList = self.fetch(which, "department/simplelist", &[], deadline).await?;
        Ok(list.department_id)
    }

    /// Fetches one department (`department/get`). An answer about another one counts as unreadable.
    pub async fn department(
        &self,
        which: SecretKind,
        id: u32,
        deadline: Deadline,
    ) -> Result<Department, WecomError> {
        const API: &str = "department/get";
        let text = id.to_string();
        let answer: DepartmentAnswer =
            self.fetch(which, API, &[CallParameter::open("id", &text)], deadline).await?;
        // A cache in between may answer an earlier request.
        if answer.department.id != id {
            let why = "it is about another department, perhaps from a cache in between".to_owned();
            return Err(WecomError::Unreadable { api: API, status: 200, why });
        }
        Ok(answer.department)
    }

    /// Fetches the members of one department with their details (`user/list`), without those of the
    /// departments below it.
    pub async fn members_of(
        &self,
        which: SecretKind,
        department: u32,
        deadline: Deadline,
    ) -> Result<LenientList<Member>, WecomError> {
        let id = department.to_string();
        let query = [CallParameter::open("department_id", &id)];
        let list: MemberList = self.fetch(which, "user/list", &query, deadline).await?;
        Ok(list.userlist)
    }

    /// Fetches the members of one department without details (`user/simplelist`), for departments
    /// where [`members_of`](Self::members_of) gets 45029.
    pub async fn member_names_of(
        &self,
        which: SecretKind,
        department: u32,
        deadline: Deadline,
    ) -> Result<LenientList<MemberName>, WecomError> {
        let id = department.to_string();
        let query = [CallParameter::open("department_id", &id)];
        let list: MemberNameList = self.fetch(which, "user/simplelist", &query, deadline).await?;
        Ok(list.userlist)
    }

    /// Fetches one member as [`member`](Self::member) does, but as part of a fetch and with either
    /// token.
    pub async fn listed_member(
        &self,
        which: SecretKind,
        userid: &UserId,
        deadline: Deadline,
    ) -> Result<Member, WecomError> {
        let query = [CallParameter::open("userid", userid.as_str())];
        let member: Member = self.fetch(which, "user/get", &query, deadline).await?;
        member.require_userid(userid)
    }

    /// Fetches a page of the complete list of ids (`user/list_id`, POST): every member in every
    /// department, whatever an application may see.
    ///
    /// `cursor` is `None` for the first page, `limit` at most 10 000. An application's secret gets
    /// 48002, a cursor that is too old 50100.
    pub async fn member_ids(
        &self,
        cursor: Option<&str>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<MemberIdPage, WecomError> {
        let body = match cursor {
            None => json!({"limit": limit}),
            Some(cursor) => json!({"cursor": cursor, "limit": limit}),
        };
        let request = WecomRequest {
            api: "user/list_id",
            query: &[],
            body: Some(RequestBody::Json(&body)),
            class: CallClass::Fetch,
        };
        self.call(SecretKind::Contacts, request, deadline).await
    }

    /// Fetches the tags that the application may see (`tag/list`).
    pub async fn tags(&self, deadline: Deadline) -> Result<LenientList<TagName>, WecomError> {
        let list: TagList = self.fetch(SecretKind::App, "tag/list", &[], deadline).await?;
        Ok(list.taglist)
    }

    /// Fetches who has a tag (`tag/get`).
    pub async fn tag(&self, id: u32, deadline: Deadline) -> Result<TagHolders, WecomError> {
        let id = id.to_string();
        self.fetch(SecretKind::App, "tag/get", &[CallParameter::open("tagid", &id)], deadline).await
    }

    async fn fetch<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        which: SecretKind,
        api: &'static str,
        query: &[CallParameter<'_>],
        deadline: Deadline,
    ) -> Result<T, WecomError> {
        self.call(which, WecomRequest { api, query, body: None, class: CallClass::Fetch }, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_list_without_a_list_is_not_an_empty_one() {
        let read = |json| serde_json::from_str::<DepartmentList>(json).map(|list| list.department);
        assert!(read("{}").is_err());
        assert_eq!(read(r#"{"department":null}"#).unwrap(), LenientList::default());
        assert_eq!(read(r#"{"department":[{"name":"x"}]}"#).unwrap().broken, [None]);
    }

    #[test]
    fn a_list_of_members_or_ids_or_tags_must_be_there() {
        assert!(serde_json::from_str::<MemberList>("{}").is_err());
        assert!(serde_json::from_str::<MemberNameList>("{}").is_err());
        assert!(serde_json::from_str::<MemberIdPage>("{}").is_err());
        assert!(serde_json::from_str::<DepartmentNodeList>("{}").is_err());
        assert!(serde_json::from_str::<TagList>("{}").is_err());
    }
}
