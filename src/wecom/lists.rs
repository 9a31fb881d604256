//! The calls of a fetch: lists of departments, members, ids and tags (documents 90208, 95350, 95351, 90200, 90201,
//! 96067, 90213, 90216).
//!
//! They go out in a lane of their own ([`Lane::Fetch`]): at most ten at a time whoever asks, up to 30 s and 32 MiB
//! each, and never in the place of somebody who is signing in. All of them only read, so that repeating one after a
//! transport failure is safe; that is left to the caller.

use serde::Deserialize;
use serde_json::json;

use super::exchange::{Body, Param, Request};
use super::lane::Lane;
use super::sifted::{Named, Sifted};
use super::wire::{
    DepartmentMember, DepartmentNode, DepartmentNodes, MemberIds, MemberList, MemberName, MemberNames, Tag,
    TagName, Tags,
};
use super::{Client, Deadline, Department, Error, Member, SecretKind};
use crate::base::id::UserId;

impl Named for Member {
    const NAME: &'static str = "userid";
}

impl Named for MemberName {
    const NAME: &'static str = "userid";
}

impl Named for DepartmentMember {
    const NAME: &'static str = "userid";
}

impl Named for Department {
    const NAME: &'static str = "id";
}

impl Named for DepartmentNode {
    const NAME: &'static str = "id";
}

impl Named for TagName {
    const NAME: &'static str = "tagid";
}

/// The answer of `department/list`. The list must be there: nothing shown and nothing answered are different
/// things to a directory that removes what it no longer sees.
#[derive(Debug, Deserialize)]
pub(super) struct DepartmentList {
    pub(super) department: Sifted<Department>,
}

/// The answer of `department/get`: one object, not a list.
#[derive(Debug, Deserialize)]
struct OneDepartment {
    department: Department,
}

impl Client {
    /// Every department that the token may see (`department/list`). With [`SecretKind::Contacts`] only
    /// addresses configured before 2022-08-15 get an answer, others 48009.
    pub async fn departments(
        &self,
        which: SecretKind,
        deadline: Deadline,
    ) -> Result<Sifted<Department>, Error> {
        let list: DepartmentList = self.fetch(which, "department/list", &[], deadline).await?;
        Ok(list.department)
    }

    /// Ids and places of every department (`department/simplelist`): all of them with [`SecretKind::Contacts`], the
    /// visible ones with [`SecretKind::App`].
    pub async fn department_nodes(
        &self,
        which: SecretKind,
        deadline: Deadline,
    ) -> Result<Sifted<DepartmentNode>, Error> {
        let list: DepartmentNodes = self.fetch(which, "department/simplelist", &[], deadline).await?;
        Ok(list.department_id)
    }

    /// One department (`department/get`). An answer about another one is unreadable.
    pub async fn department(
        &self,
        which: SecretKind,
        id: u32,
        deadline: Deadline,
    ) -> Result<Department, Error> {
        const API: &str = "department/get";
        let text = id.to_string();
        let answer: OneDepartment = self.fetch(which, API, &[Param::open("id", &text)], deadline).await?;
        if answer.department.id != id {
            let why = "it is about another department, perhaps from a cache in between".to_owned();
            return Err(Error::Unreadable { api: API, status: 200, why });
        }
        Ok(answer.department)
    }

    /// The members of one department with their details (`user/list`); not those of departments below it.
    pub async fn members_of(
        &self,
        which: SecretKind,
        department: u32,
        deadline: Deadline,
    ) -> Result<Sifted<Member>, Error> {
        let id = department.to_string();
        let query = [Param::open("department_id", &id)];
        let list: MemberList = self.fetch(which, "user/list", &query, deadline).await?;
        Ok(list.userlist)
    }

    /// The members of one department without details (`user/simplelist`), for where [`members_of`](Self::members_of)
    /// answers 45029.
    pub async fn member_names_of(
        &self,
        which: SecretKind,
        department: u32,
        deadline: Deadline,
    ) -> Result<Sifted<MemberName>, Error> {
        let id = department.to_string();
        let query = [Param::open("department_id", &id)];
        let list: MemberNames = self.fetch(which, "user/simplelist", &query, deadline).await?;
        Ok(list.userlist)
    }

    /// As [`member`](Self::member), as part of a fetch and with either token.
    pub async fn listed_member(
        &self,
        which: SecretKind,
        userid: &UserId,
        deadline: Deadline,
    ) -> Result<Member, Error> {
        let query = [Param::open("userid", userid.as_str())];
        let member: Member = self.fetch(which, "user/get", &query, deadline).await?;
        member.about(userid)
    }

    /// A page of the complete list of ids (`user/list_id`, POST): every member in every department, whatever an
    /// application may see. `cursor` is `None` for the first page, `limit` at most 10 000. An application's secret gets
    /// 48002, a cursor that is too old 50100.
    pub async fn member_ids(
        &self,
        cursor: Option<&str>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<MemberIds, Error> {
        let body = match cursor {
            None => json!({"limit": limit}),
            Some(cursor) => json!({"cursor": cursor, "limit": limit}),
        };
        let request =
            Request { api: "user/list_id", query: &[], body: Some(Body::Json(&body)), lane: Lane::Fetch };
        self.call(SecretKind::Contacts, request, deadline).await
    }

    /// The tags that the application may see (`tag/list`).
    pub async fn tags(&self, deadline: Deadline) -> Result<Sifted<TagName>, Error> {
        let list: Tags = self.fetch(SecretKind::App, "tag/list", &[], deadline).await?;
        Ok(list.taglist)
    }

    /// Who has a tag (`tag/get`).
    pub async fn tag(&self, id: u32, deadline: Deadline) -> Result<Tag, Error> {
        let id = id.to_string();
        self.fetch(SecretKind::App, "tag/get", &[Param::open("tagid", &id)], deadline).await
    }

    async fn fetch<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        which: SecretKind,
        api: &'static str,
        query: &[Param<'_>],
        deadline: Deadline,
    ) -> Result<T, Error> {
        self.call(which, Request { api, query, body: None, lane: Lane::Fetch }, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_list_without_a_list_is_not_an_empty_one() {
        let read = |json| serde_json::from_str::<DepartmentList>(json).map(|list| list.department);
        assert!(read("{}").is_err());
        assert_eq!(read(r#"{"department":null}"#).unwrap(), Sifted::default());
        assert_eq!(read(r#"{"department":[{"name":"x"}]}"#).unwrap().broken, [None]);
    }

    #[test]
    fn a_list_of_members_or_ids_or_tags_must_be_there() {
        assert!(serde_json::from_str::<MemberList>("{}").is_err());
        assert!(serde_json::from_str::<MemberNames>("{}").is_err());
        assert!(serde_json::from_str::<MemberIds>("{}").is_err());
        assert!(serde_json::from_str::<DepartmentNodes>("{}").is_err());
        assert!(serde_json::from_str::<Tags>("{}").is_err());
    }
}
