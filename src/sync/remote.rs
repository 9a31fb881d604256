//! What a fetch read of WeCom's directory, and how much of it.

use std::collections::{BTreeMap, HashSet};

use crate::base::id::UserId;
use crate::directory::PersonStatus;

/// WeCom's directory as one fetch saw it, before anything of ours is compared with it.
#[derive(Debug, Clone, Default)]
pub struct RemoteDirectory {
    /// Departments, in any order; a parent need not be among them.
    pub units: Vec<RemoteUnit>,
    /// Members whose details were read, each once.
    pub persons: Vec<RemotePerson>,
    /// Members that exist (folded userids) whose details were not read in this fetch, because nothing of them seems to
    /// have changed or because their record could not be understood. They stay as they are.
    pub present: HashSet<String>,
    /// Tags; `None`: not read, they stay as they are.
    pub tags: Option<Vec<RemoteTag>>,
    /// How much was read.
    pub completeness: Completeness,
    /// What the report says about the fetch, in the order in which it happened.
    pub notes: Vec<ReportNote>,
    /// How it was read.
    pub mode: FetchMode,
}

/// How much of what is visible was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Completeness {
    /// Every department: units that are missing are gone.
    pub units: bool,
    /// Every member is in `persons` or `present`: persons that are missing are gone.
    pub persons: bool,
    /// Every member's details were read, so that every status is confirmed.
    pub details: bool,
}

/// A department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUnit {
    /// Its id; the root is 1.
    pub id: u32,
    /// The id above; 0 for the root.
    pub parent: u32,
    /// Its name; never empty.
    pub name: String,
    /// Its English name.
    pub name_en: String,
    /// Larger comes first.
    pub order: u32,
    /// Its leaders.
    pub leaders: Vec<UserId>,
}

/// A member with details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePerson {
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名; empty where WeCom hides it.
    pub name: String,
    /// Company mail address, else the private one; empty where WeCom hides both.
    pub email: String,
    /// 1 active, 2 disabled, 5 left; everything else is inactive.
    pub status: PersonStatus,
    /// The visible departments, in WeCom's order.
    pub memberships: Vec<RemoteMembership>,
    /// 主部门; may be one that is not visible.
    pub main_department: Option<u32>,
    /// 直属上级.
    pub direct_leaders: Vec<UserId>,
    /// 职务.
    pub position: String,
    /// 手机; empty where WeCom hides it.
    pub mobile: String,
    /// 别名.
    pub alias: String,
    /// 座机.
    pub telephone: String,
    /// 扩展属性: name and text; of a link its address.
    pub attributes: BTreeMap<String, String>,
}

/// A member in a department.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteMembership {
    /// The department.
    pub unit: u32,
    /// Larger comes first.
    pub order: u32,
    /// Whether the member leads it.
    pub leader: bool,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTag {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Who has it directly.
    pub users: Vec<UserId>,
    /// Departments that have it, each with everything below it.
    pub units: Vec<u32>,
}

/// By which secrets a fetch was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FetchMode {
    /// With the application's secret alone: its visible range, department by department.
    #[default]
    Visible,
    /// Ids with the 通讯录同步 secret, details with the application's.
    Ids,
    /// Everything with the 通讯录同步 secret, from an address entered before 2022-08-15.
    Contacts,
}

impl FetchMode {
    /// As the report writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Ids => "ids",
            Self::Contacts => "contacts",
        }
    }
}

/// Something about a run that an administrator should know; part of its report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReportNote {
    /// A stable code: `fetch.department_unread`, `plan.name_missing`, ….
    pub code: String,
    /// One sentence: what, whom it concerns, and what mends it. No secret.
    pub text: String,
}

impl ReportNote {
    /// One with this code and sentence.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// How thoroughly to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncKind {
    /// Bring the chart up to date, without tags where there are many (`wecom.sync_cron`).
    Update,
    /// Read everything again and compare every field (`wecom.force_sync_cron`).
    Full,
}

impl SyncKind {
    /// As tables and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Full => "full",
        }
    }

    /// Reads the table's word; anything unknown is the thorough one.
    pub fn parse(text: &str) -> Self {
        if text == Self::Update.as_str() { Self::Update } else { Self::Full }
    }
}
