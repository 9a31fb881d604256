//! What a fetch read of WeCom's directory, and how complete it is.

use std::collections::HashSet;

use crate::base::id::UserId;
use crate::base::text_map::TextMap;
use crate::directory::PersonStatus;

/// WeCom's directory as one fetch saw it, before it is compared with ours.
#[derive(Debug, Clone, Default)]
pub struct RemoteDirectory {
    /// Departments in any order; a parent may be missing.
    pub units: Vec<RemoteUnit>,
    /// Members whose details were read, each once.
    pub persons: Vec<RemotePerson>,
    /// Folded userids of members that exist but whose details were not read in this fetch: nothing
    /// about them seems to have changed, or their record could not be understood. Their persons
    /// stay as they are.
    pub present: HashSet<String>,
    /// Tags; `None` if they were not read and stay as they are.
    pub tags: Option<Vec<RemoteTag>>,
    pub completeness: Completeness,
    /// Notes for the report, in the order in which things happened.
    pub notes: Vec<ReportNote>,
    pub mode: FetchMode,
}

/// How much of the visible directory was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Completeness {
    /// Every department was read: a known unit that is missing is gone.
    pub units: bool,
    /// Every member is in `persons` or `present`: a known person who is missing is gone.
    pub persons: bool,
    /// The details of every member were read, so every status is confirmed.
    pub details: bool,
}

/// A department of WeCom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUnit {
    /// The root is 1.
    pub id: u32,
    /// The id of the department above; 0 for the root.
    pub parent: u32,
    /// Never empty.
    pub name: String,
    pub name_en: String,
    /// Departments with a larger value come first.
    pub order: u32,
    pub leaders: Vec<UserId>,
}

/// A member of WeCom, with details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePerson {
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名 (name); empty where WeCom hides it.
    pub name: String,
    /// The company's address, otherwise the private one; empty where WeCom hides both.
    pub email: String,
    /// WeCom's 1 is active, 2 disabled, 5 left; every other number is inactive.
    pub status: PersonStatus,
    /// The visible departments, in WeCom's order.
    pub memberships: Vec<RemoteMembership>,
    /// 主部门 (main department); it may be one that is not visible.
    pub main_department: Option<u32>,
    /// 直属上级 (direct superiors).
    pub direct_leaders: Vec<UserId>,
    /// 职务 (job title).
    pub position: String,
    /// 手机 (mobile number); empty where WeCom hides it.
    pub mobile: String,
    /// 别名 (alias).
    pub alias: String,
    /// 座机 (landline).
    pub telephone: String,
    /// 扩展属性 (extension attributes): name to text; the text of a link is its address.
    pub attributes: TextMap,
}

/// A member's place in one department.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteMembership {
    /// The department's id.
    pub unit: u32,
    /// Members with a larger value come first.
    pub order: u32,
    /// Whether the member leads the department.
    pub leader: bool,
}

/// A tag of WeCom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTag {
    pub id: u32,
    pub name: String,
    /// Members who have the tag directly.
    pub users: Vec<UserId>,
    /// Departments that have the tag, each including everything below it.
    pub units: Vec<u32>,
}

/// Which secrets a fetch reads with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FetchMode {
    /// The application's secret alone: its visible range, department by department.
    #[default]
    Visible,
    /// Ids with the 通讯录同步 (contacts) secret, details with the application's.
    Ids,
    /// Everything with the contacts secret. It works from addresses registered before 2022-08-15.
    Contacts,
}

/// Something an administrator should know about a run; part of its report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReportNote {
    /// A stable code, for example `fetch.department_unread`.
    pub code: String,
    /// One sentence: what happened, to whom, and what mends it. It contains no secret.
    pub text: String,
}

impl ReportNote {
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}
