//! The directory: units, persons and tags, and the decisions about them.
//!
//! | module | holds |
//! |---|---|
//! | [`accounts`] | who has a userid, and who has an account of WeCom's |
//! | [`bindings`] | which persons the userids in rules mean |
//! | [`changes`] | the change feed that other systems follow, and the transaction that writes it |
//! | [`chart`] | units and tags in memory, as every check reads them: paths and subtrees |
//! | [`conflicts`] | open questions for a human: whether two persons are one |
//! | [`csv`] | local persons as a table, for spreadsheets |
//! | [`edit`] | local units and persons, created and changed by hand |
//! | [`listing`] | the directory for applications that copy it: lists and changes |
//! | [`present`] | persons as sessions carry them |
//! | [`row`] | how units, persons and tags are stored in their tables |
//! | [`store`] | SQL: the published chart, sign-ins, rechecks |
//!
//! A row is either WeCom's or local. Local rows are made by hand, and no synchronisation changes or
//! removes them. A local person who turns out to be a member of WeCom becomes WeCom's and keeps the
//! id.
//!
//! A person's id is ours (UUID v7) and stays when the userid changes. The id of a unit or tag is
//! derived from WeCom's.
//!
//! Readers see the rows of the published version (`src/db/migrations/0001_schema.sql`). A run
//! prepares the next version unseen and publishes it at once.

pub(crate) mod accounts;
pub(crate) mod bindings;
pub(crate) mod changes;
pub(crate) mod chart;
pub(crate) mod conflicts;
pub(crate) mod csv;
pub(crate) mod edit;
pub(crate) mod listing;
pub(crate) mod present;
pub(crate) mod row;
pub(crate) mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, TagId, UnitId, UserId};
use crate::base::text_map::TextMap;
use crate::db::hot_statement::HotStatement;
use crate::db::types::column_enum;

/// Returns the statements that run with each sign-in, unknown token, check of a person and accepted
/// message.
pub fn hot_statements() -> Vec<HotStatement> {
    let holders = HotStatement {
        name: "find_userid_holders",
        sql: accounts::store::find_holder_statement(),
        indexes: &["persons_userid", "person_rows_pkey (person_id)"],
    };
    [store::HOT_STATEMENTS, present::store::HOT_STATEMENTS, &[holders]].concat()
}

/// What WeCom said about a member, as far as a sign-in stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberProfile {
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// Empty if the secret may not see it; an empty one never replaces a known one.
    pub email: String,
    /// Empty if the secret may not see it.
    pub mobile: String,
    /// Empty if there is no such extension attribute.
    pub employee_number: String,
}

column_enum! {
    /// A person's status. An unknown one is read as left, so that it admits nobody.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum PersonStatus {
        /// May sign in.
        Active = "active",
        /// 已禁用 (WeCom status 2).
        Disabled = "disabled",
        /// 未激活 (WeCom status 4).
        Inactive = "inactive",
        /// No longer in the corporation, or not visible to us (60111, 60011, WeCom status 5).
        Left = "left",
    } else Left
}

column_enum! {
    /// Who owns an entry: WeCom, or this installation. An unknown owner is read as WeCom, so that
    /// nobody may edit the entry.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum EntrySource {
        /// WeCom's: only a synchronisation changes it.
        Wecom = "wecom",
        /// Made by hand: only hands change it.
        Local = "local",
    } else Wecom
}

/// A unit: a department of WeCom's, or one made by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub id: UnitId,
    /// The department's id; `None` for a local unit. The root is 1.
    pub wecom_id: Option<u32>,
    pub source: EntrySource,
    /// The parent unit. `None` at the top level, also for departments whose parent is not visible.
    pub parent: Option<UnitId>,
    pub name: String,
    /// Its English name; may be empty.
    pub name_en: String,
    /// The sort number among its siblings; larger comes first.
    pub order: u32,
    /// The leaders, as far as they are visible.
    pub leaders: Vec<UserId>,
}

/// A membership of a person in a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub unit: UnitId,
    /// The person's sort number in it; larger comes first.
    pub order: u32,
    /// Whether the person leads it.
    pub leader: bool,
}

/// A person with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: PersonId,
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// Company mail address, or else the private one; empty if unknown.
    pub email: String,
    pub source: EntrySource,
    /// Whether the person may sign in.
    pub status: PersonStatus,
    /// Since when the person is [`PersonStatus::Left`].
    pub left_at: Option<Timestamp>,
    /// 主部门, as far as visible.
    pub main_unit: Option<UnitId>,
    /// In the order in which WeCom lists them; those in local units after them.
    pub memberships: Vec<Membership>,
    pub details: PersonDetails,
    /// The fingerprint of what WeCom said when a run last read the person; empty where the row says
    /// something else.
    pub fingerprint: String,
}

/// Fields of a person that no query selects by; empty where unknown. The table holds them as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PersonDetails {
    /// 职务.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub position: String,
    /// 手机.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mobile: String,
    /// 别名.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// 座机.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub telephone: String,
    /// 直属上级, at most five userids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub direct_leaders: Vec<UserId>,
    /// 扩展属性: name and text; of a link its address.
    #[serde(skip_serializing_if = "TextMap::is_empty")]
    pub attributes: TextMap,
}

/// A tag (标签): who has it, directly or through a unit with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub id: TagId,
    pub wecom_id: Option<u32>,
    pub name: String,
    /// The members that have the tag directly.
    pub users: Vec<UserId>,
    /// The units that have the tag, with everybody in and below them.
    pub units: Vec<UnitId>,
}

/// A person whose status has to be checked with WeCom again.
#[derive(Debug, Clone)]
pub(crate) struct DuePerson {
    pub id: PersonId,
    pub userid: UserId,
}

/// The names of extension attributes that hold an employee number, without regard to case.
const EMPLOYEE_NUMBER_ATTRIBUTES: [&str; 8] = [
    "employee_number",
    "employee number",
    "employee id",
    "工号",
    "员工号",
    "员工编号",
    "员工工号",
    "人员编号",
];

impl PersonDetails {
    /// Returns the employee number from the extension attributes, or an empty text.
    pub fn employee_number(&self) -> &str {
        Self::employee_number_in(&self.attributes)
    }

    /// Returns the employee number among `attributes`, or an empty text.
    pub fn employee_number_in(attributes: &TextMap) -> &str {
        let mut attributes = attributes.iter();
        attributes.find(|(name, _)| Self::is_employee_number(name)).map_or("", |(_, value)| value.trim())
    }

    /// Returns whether an attribute of this name holds an employee number.
    pub fn is_employee_number(name: &str) -> bool {
        EMPLOYEE_NUMBER_ATTRIBUTES.contains(&name.to_lowercase().as_str())
    }
}

/// What distinguishes two persons with the same userid.
///
/// The mail address is not part of it: a company's address follows the userid, whoever holds that.
#[derive(Debug, Clone, Copy)]
pub struct IdentityEvidence<'a> {
    /// 姓名.
    pub name: &'a str,
    /// 手机; empty if unknown.
    pub mobile: &'a str,
    /// 工号; empty if unknown.
    pub employee_number: &'a str,
}

impl Person {
    /// Makes an active local person of whom nothing else is known yet.
    pub fn new_local(id: PersonId, userid: UserId) -> Self {
        Self {
            id,
            userid,
            name: String::new(),
            email: String::new(),
            source: EntrySource::Local,
            status: PersonStatus::Active,
            left_at: None,
            main_unit: None,
            memberships: Vec::new(),
            details: PersonDetails::default(),
            fingerprint: String::new(),
        }
    }

    /// Returns what distinguishes this person from others.
    pub fn evidence(&self) -> IdentityEvidence<'_> {
        IdentityEvidence {
            name: &self.name,
            mobile: &self.details.mobile,
            employee_number: self.details.employee_number(),
        }
    }
}

impl MemberProfile {
    /// Returns what distinguishes this member from others.
    pub fn evidence(&self) -> IdentityEvidence<'_> {
        IdentityEvidence { name: &self.name, mobile: &self.mobile, employee_number: &self.employee_number }
    }
}

/// How long a userid whose holder left is expected to come back with the same holder. After that
/// only a field of the person's own proves it.
pub(crate) const MAX_ABSENCE: Duration = Duration::from_secs(24 * 3600);

/// Returns whether a userid that comes back `away` after its holder left belongs to the same person
/// ([design: userids](crate::design#userids)).
///
/// WeCom has no field that would say so. Where both employee numbers are known, they decide.
/// Otherwise, where both mobile numbers are known, the same number and name prove it and anything
/// else disproves it, because telephones are handed on. Without either, the same name counts for
/// [`MAX_ABSENCE`].
pub(crate) fn is_same_person(
    left: &IdentityEvidence<'_>,
    back: &IdentityEvidence<'_>,
    away: Duration,
) -> bool {
    let agree = |left: String, back: String| (!left.is_empty() && !back.is_empty()).then(|| left == back);
    let same_name = !left.name.is_empty() && left.name == back.name;
    if let Some(agree) = agree(normalize_text(left.employee_number), normalize_text(back.employee_number)) {
        return agree;
    }
    match agree(normalize_mobile(left.mobile), normalize_mobile(back.mobile)) {
        Some(agree) => agree && same_name,
        None => same_name && away < MAX_ABSENCE,
    }
}

/// Returns a mail address or employee number in the form in which it is compared: lower case, with
/// plain instead of full-width characters.
pub(crate) fn normalize_text(text: &str) -> String {
    text.nfkc().collect::<String>().trim().to_lowercase()
}

/// Returns whether two names are equal without regard to case, width and surrounding blanks. An
/// empty name equals none.
pub(crate) fn names_agree(a: &str, b: &str) -> bool {
    !a.trim().is_empty() && normalize_text(a) == normalize_text(b)
}

/// Returns a mobile number without the separators that people write and without China's country
/// code.
pub(crate) fn normalize_mobile(mobile: &str) -> String {
    let bare: String = mobile.nfkc().filter(|c| !c.is_whitespace() && !c.is_control() && *c != '-').collect();
    let national = bare.strip_prefix("+86").or_else(|| bare.strip_prefix("0086")).unwrap_or(&bare);
    national.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_without_regard_to_case_width_and_blanks_around() {
        for (a, b) in [("张三", " 张三\u{3000}"), ("Anna Li", "ＡＮＮＡ　ｌｉ"), ("ﾊﾅ", "ハナ")]
        {
            assert!(names_agree(a, b), "{a} {b}");
        }
        for (a, b) in [("张三", "张叁"), ("", ""), (" ", "\u{3000}"), ("Anna Li", "AnnaLi")] {
            assert!(!names_agree(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_userid_that_comes_back_is_the_same_person_only_with_proof_or_soon() {
        let person = |name, mobile| IdentityEvidence { name, mobile, employee_number: "" };
        let (soon, late) = (Duration::from_secs(60), MAX_ABSENCE);
        assert!(is_same_person(&person("张伟", ""), &person("张伟", ""), soon));
        assert!(
            !is_same_person(&person("张伟", ""), &person("张伟", ""), late),
            "the name alone, after a day"
        );
        assert!(!is_same_person(&person("张伟", ""), &person("李娜", ""), soon), "another name");
        assert!(is_same_person(&person("张伟", "1"), &person("张伟", "1"), late), "the same mobile and name");
        assert!(!is_same_person(&person("张伟", "1"), &person("李娜", "1"), soon), "a telephone handed on");
        assert!(!is_same_person(&person("张伟", "1"), &person("张伟", "2"), soon), "another mobile");
        assert!(
            is_same_person(&person("张伟", "+86 138-0000"), &person("张伟", "1380000"), late),
            "written otherwise"
        );
        for mobile in ["", "1"] {
            assert!(!is_same_person(&person("", mobile), &person("", mobile), soon), "no name is no proof");
        }
        let numbered = |name, mobile, employee_number| IdentityEvidence { name, mobile, employee_number };
        assert!(
            is_same_person(&numbered("张伟", "1", "A7"), &numbered("张薇", "2", " a7"), late),
            "the same employee, whatever else changed"
        );
        assert!(
            !is_same_person(&numbered("张伟", "1", "7"), &numbered("张伟", "1", "8"), soon),
            "another employee, whatever else is the same"
        );
        assert!(
            !is_same_person(&numbered("张伟", "1", "7"), &numbered("张伟", "2", ""), soon),
            "a hidden number is no proof"
        );
    }
}
