//! Answers of the calls around directory, messages and JS-SDK, as WeCom writes them.
//!
//! In a list that a fetch reads one broken record does not cost the others ([`Sifted`]). Each type names its call and document. All are read through the same envelope as every answer, so none of
//! them repeats `errcode` and `errmsg`.

use serde::Deserialize;

pub use super::lenient_list::LenientList;
use super::{DepartmentId, Member, lenient_json};

/// `user/list` (90201): every detail of a department's members; linked corporations' members too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberList {
    /// A member of several departments occurs in each.
    pub userlist: LenientList<Member>,
}

/// `user/simplelist` (90200): names only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberNameList {
    /// The members.
    pub userlist: LenientList<MemberName>,
}

/// A member in `user/simplelist` and `tag/get`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberName {
    /// The userid.
    pub userid: String,
    /// The name; empty where WeCom hides it.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub name: String,
    /// The departments; not in `tag/get`.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub department: Vec<DepartmentId>,
}

/// `user/list_id` (96067): a page of the complete list of ids, for the 通讯录同步 secret only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberIdPage {
    /// For the next page; `None` on the last one.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub next_cursor: Option<String>,
    /// One row for each member in each department.
    pub dept_user: LenientList<DepartmentMember>,
}

/// A row of `user/list_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DepartmentMember {
    /// The userid; service providers get `open_userid` instead.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub userid: Option<String>,
    /// The userid as service providers see it.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub open_userid: Option<String>,
    /// The department.
    pub department: DepartmentId,
}

/// `department/simplelist` (95350): every department's id and place, without names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DepartmentNodeList {
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

/// `tag/list` (90216): the tags that the token may see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagList {
    /// The tags, without who has them.
    pub taglist: LenientList<TagName>,
}

/// A tag in `tag/list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagName {
    /// Its id.
    #[serde(deserialize_with = "lenient_json::number")]
    pub tagid: u32,
    /// Its name.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub tagname: String,
}

/// `tag/get` (90213): who has a tag, as far as the application may see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagHolders {
    /// Its name; older answers have none.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub tagname: Option<String>,
    /// Members who have it themselves.
    #[serde(default)]
    pub userlist: LenientList<MemberName>,
    /// Departments that have it; their members are not in `userlist`.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub partylist: Vec<DepartmentId>,
}

/// `message/send` (90236). WeCom answers errcode 0 also if it reached only some of the recipients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SentMessage {
    /// Needed to recall it; the linked-corporation call has none.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub msgid: Option<String>,
    /// Not reached. WeCom writes these in lower case whatever was sent.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invaliduser: Vec<String>,
    /// Departments not reached.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invalidparty: Vec<String>,
    /// Tags not reached.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invalidtag: Vec<String>,
    /// Not reached for want of a licence.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub unlicenseduser: Vec<String>,
    /// Needed to update a card, for 72 hours and once.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub response_code: Option<String>,
}
