//! Answers of the calls about the directory and messages, as WeCom writes them.
//!
//! In a list of a fetch, one broken record does not lose the others ([`LenientList`]). Each type
//! names its call and document. All answers share one envelope, so none of these repeats `errcode`
//! and `errmsg`.

use serde::Deserialize;

pub(crate) use super::lenient_list::LenientList;
use super::{DepartmentId, Member, lenient_json};

/// The answer of `user/list` (90201): every detail of a department's members, including members of
/// linked corporations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MemberList {
    /// A member of several departments is listed in each.
    pub userlist: LenientList<Member>,
}

/// The answer of `user/simplelist` (90200): names only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MemberNameList {
    pub userlist: LenientList<MemberName>,
}

/// A member in `user/simplelist` and `tag/get`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberName {
    pub userid: String,
    /// The name; empty if WeCom hides it.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub name: String,
    /// The departments; missing in `tag/get`.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub department: Vec<DepartmentId>,
}

/// The answer of `user/list_id` (96067): a page of the complete list of ids, for the 通讯录同步 secret
/// only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberIdPage {
    /// The cursor of the next page; `None` on the last one.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub next_cursor: Option<String>,
    /// One row for each member in each department.
    pub dept_user: LenientList<DepartmentMember>,
}

/// A member of a department in `user/list_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DepartmentMember {
    /// The userid; service providers get `open_userid` instead.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub userid: Option<String>,
    /// The userid as service providers see it.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub open_userid: Option<String>,
    pub department: DepartmentId,
}

/// The answer of `department/simplelist` (95350): id and parent of departments, without names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DepartmentNodeList {
    /// The key is WeCom's.
    pub department_id: LenientList<DepartmentNode>,
}

/// A department without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct DepartmentNode {
    /// The root is 1.
    #[serde(deserialize_with = "lenient_json::number")]
    pub id: u32,
    /// 0 for the root.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub parentid: u32,
    /// Larger comes first.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub order: u32,
}

/// The answer of `tag/list` (90216): the tags that the token may see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TagList {
    /// The tags, without their holders.
    pub taglist: LenientList<TagName>,
}

/// A tag in `tag/list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagName {
    #[serde(deserialize_with = "lenient_json::number")]
    pub tagid: u32,
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub tagname: String,
}

/// The answer of `tag/get` (90213): who has a tag, as far as the application may see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagHolders {
    /// The name; missing in older answers.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub tagname: Option<String>,
    /// Members who have the tag themselves.
    #[serde(default)]
    pub userlist: LenientList<MemberName>,
    /// Departments that have the tag; their members are not in `userlist`.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub partylist: Vec<DepartmentId>,
}

/// The answer of `message/send` (90236). WeCom answers errcode 0 even if it reached only some of
/// the recipients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SentMessage {
    /// The id for a recall; missing in the answer of the linked-corporation call.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub msgid: Option<String>,
    /// Members not reached. WeCom writes them in lower case, however they were sent.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invaliduser: Vec<String>,
    /// Departments not reached.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invalidparty: Vec<String>,
    /// Tags not reached.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invalidtag: Vec<String>,
    /// Members not reached because they have no licence.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub unlicenseduser: Vec<String>,
    /// The code to update a card, valid once within 72 hours.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub response_code: Option<String>,
}
