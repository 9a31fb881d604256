//! A member as WeCom describes one (documents 90196, 90201).
//!
//! Reading is lenient: which fields a call returns depends on when the application was made, on its
//! visible range, and on the edition of WeCom. Only what decides about a person is strict: the
//! userid and the status.

use serde::{Deserialize, Deserializer};

use super::contact::{DepartmentId, userids};
use super::lenient_json;
use crate::base::id::UserId;

/// A member as `user/get` and `user/list` return one. What WeCom leaves out, leaves blank or sends
/// as null is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawMember")]
pub struct Member {
    /// The userid in WeCom's spelling.
    pub userid: UserId,
    /// The name; empty where WeCom hides it.
    pub name: String,
    /// 别名; in private editions `english_name`.
    pub alias: Option<String>,
    /// Decides whether the person may sign in.
    pub status: MemberStatus,
    /// The member's departments, as far as the application may see them.
    pub memberships: Vec<MemberDepartment>,
    /// It may be one that the application does not see.
    pub main_department: Option<DepartmentId>,
    /// At most five, and only leaders that the application may see.
    pub direct_leader: Vec<UserId>,
    /// 职务; in private editions the first of `positions`.
    pub position: Option<String>,
    /// Not for applications made since 2022-06-20.
    pub mobile: Option<String>,
    /// Not for applications made since 2022-06-20.
    pub email: Option<String>,
    /// The company mail address; not for applications made since 2022-06-20.
    pub biz_mail: Option<String>,
    /// The number of the landline.
    pub telephone: Option<String>,
    /// Not for applications made since 2022-06-20.
    pub address: Option<String>,
    /// Not for applications made since 2022-06-20.
    pub gender: MemberGender,
    /// The address of a picture; not for applications made since 2022-06-20.
    pub avatar: Option<String>,
    /// The small picture; not for applications made since 2022-06-20.
    pub thumb_avatar: Option<String>,
    /// The person's QR card; not for applications made since 2022-06-20.
    pub qr_code: Option<String>,
    /// Only for applications of service providers.
    pub open_userid: Option<String>,
    /// The corporation of a linked member.
    pub corpid: Option<String>,
    /// 扩展属性.
    pub attributes: Vec<MemberAttribute>,
    /// 对外职务.
    pub external_position: Option<String>,
    /// What outsiders see of the person.
    pub external_profile: ExternalProfile,
}

/// One department of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDepartment {
    pub department: DepartmentId,
    /// The sort number in the department; larger comes first.
    pub order: u32,
    /// Whether the member leads the department.
    pub leader: bool,
}

/// 激活状态.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberStatus {
    /// 1, 已激活: the only status that may sign in.
    Active,
    /// 2, 已禁用.
    Disabled,
    /// 4, 未激活.
    NotActivated,
    /// 5, 退出企业.
    Left,
    /// Any other number; 0 stands for a missing status. Such a member may not sign in.
    Unknown(i64),
}

impl MemberStatus {
    /// Whether this is the one status that may sign in.
    pub fn is_active(self) -> bool {
        self == Self::Active
    }

    /// Reads the status.
    ///
    /// If `status` is there it decides alone: `enable` is a leftover that contradicts it in
    /// recorded answers (document 90196 no longer has it). Without `status`, `enable` 0 still means
    /// disabled, but 1 proves nothing: the document promises `status` with every member and private
    /// editions send it too, so an answer without one lets nobody in.
    fn from_fields(status: Option<i64>, enable: Option<i64>) -> Self {
        match (status, enable) {
            (Some(1), _) => Self::Active,
            (Some(2), _) | (None, Some(0)) => Self::Disabled,
            (Some(4), _) => Self::NotActivated,
            (Some(5), _) => Self::Left,
            (Some(other), _) => Self::Unknown(other),
            (None, _) => Self::Unknown(0),
        }
    }
}

/// 性别.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemberGender {
    /// Not known or not shown.
    #[default]
    Unknown,
    /// 1.
    Male,
    /// 2.
    Female,
}

/// An extension attribute of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAttribute {
    /// The name in the console.
    pub name: String,
    pub value: AttributeValue,
}

/// The value of an extension attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Type 0, and every attribute of a private edition.
    Text(String),
    /// Type 1.
    Web {
        url: String,
        /// The text to show.
        title: String,
    },
    /// Type 2, in external profiles only.
    MiniProgram {
        /// The mini program's appid.
        appid: String,
        /// The page in it.
        pagepath: String,
        /// The text to show.
        title: String,
    },
}

/// What outsiders see of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExternalProfile {
    /// 企业简称.
    pub corp_name: Option<String>,
    /// 对外属性.
    pub attributes: Vec<MemberAttribute>,
}

#[derive(Deserialize)]
struct RawMember {
    #[serde(deserialize_with = "lenient_json::optional_text")]
    userid: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::text")]
    name: String,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    alias: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    english_name: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    status: Option<i64>,
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    enable: Option<i64>,
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    department: Vec<DepartmentId>,
    #[serde(default, deserialize_with = "lenient_json::orders")]
    order: Vec<u32>,
    #[serde(default, deserialize_with = "lenient_json::flags")]
    is_leader_in_dept: Vec<bool>,
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    isleader: Option<i64>,
    #[serde(default)]
    main_department: Option<DepartmentId>,
    #[serde(default, deserialize_with = "userids")]
    direct_leader: Vec<UserId>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    position: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::texts")]
    positions: Vec<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    mobile: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    email: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    biz_mail: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    telephone: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    address: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    gender: Option<i64>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    avatar: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    thumb_avatar: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    qr_code: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    open_userid: Option<String>,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    corpid: Option<String>,
    #[serde(default, deserialize_with = "decoration")]
    extattr: RawAttributes,
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    external_position: Option<String>,
    #[serde(default, deserialize_with = "decoration")]
    external_profile: RawProfile,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAttributes {
    #[serde(deserialize_with = "lenient_json::null_as_default")]
    attrs: Vec<RawAttribute>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawProfile {
    #[serde(deserialize_with = "lenient_json::optional_text")]
    external_corp_name: Option<String>,
    #[serde(deserialize_with = "lenient_json::null_as_default")]
    external_attr: Vec<RawAttribute>,
}

/// Typed by `type`, with an object of that name; in private editions `{name, value}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAttribute {
    #[serde(deserialize_with = "lenient_json::text")]
    name: String,
    #[serde(deserialize_with = "lenient_json::optional_text")]
    value: Option<String>,
    #[serde(deserialize_with = "lenient_json::null_as_default")]
    text: Option<RawText>,
    #[serde(deserialize_with = "lenient_json::null_as_default")]
    web: Option<RawLink>,
    #[serde(deserialize_with = "lenient_json::null_as_default")]
    miniprogram: Option<RawLink>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawText {
    #[serde(deserialize_with = "lenient_json::text")]
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawLink {
    #[serde(deserialize_with = "lenient_json::text")]
    url: String,
    #[serde(deserialize_with = "lenient_json::text")]
    title: String,
    #[serde(deserialize_with = "lenient_json::text")]
    appid: String,
    #[serde(deserialize_with = "lenient_json::text")]
    pagepath: String,
}

impl RawAttribute {
    /// Returns the typed attribute; `None` for a kind that is not documented yet.
    fn into_attribute(self) -> Option<MemberAttribute> {
        let value = match (self.text, self.web, self.miniprogram, self.value) {
            (Some(text), ..) => AttributeValue::Text(text.value),
            (_, Some(web), ..) => AttributeValue::Web { url: web.url, title: web.title },
            (_, _, Some(RawLink { appid, pagepath, title, .. }), _) => {
                AttributeValue::MiniProgram { appid, pagepath, title }
            }
            (.., Some(value)) => AttributeValue::Text(value),
            _ => return None,
        };
        Some(MemberAttribute { name: self.name, value })
    }
}

impl TryFrom<RawMember> for Member {
    type Error = &'static str;

    fn try_from(raw: RawMember) -> Result<Self, Self::Error> {
        // Not parsed: a userid that WeCom returns is kept, whatever it looks like.
        let userid = UserId::new(raw.userid.ok_or("a member without a userid")?);
        // Old editions have only `isleader`: a leader, but not of which department.
        let leads_all = raw.is_leader_in_dept.is_empty() && raw.isleader == Some(1);
        let memberships = raw
            .department
            .into_iter()
            .enumerate()
            .map(|(i, department)| MemberDepartment {
                department,
                order: raw.order.get(i).copied().unwrap_or(0),
                leader: leads_all || raw.is_leader_in_dept.get(i).copied().unwrap_or(false),
            })
            .collect();
        Ok(Self {
            userid,
            name: raw.name,
            alias: raw.alias.or(raw.english_name),
            status: MemberStatus::from_fields(raw.status, raw.enable),
            memberships,
            main_department: raw.main_department,
            direct_leader: raw.direct_leader,
            position: raw.position.or_else(|| raw.positions.into_iter().next()),
            mobile: raw.mobile,
            email: raw.email,
            biz_mail: raw.biz_mail,
            telephone: raw.telephone,
            address: raw.address,
            gender: match raw.gender {
                Some(1) => MemberGender::Male,
                Some(2) => MemberGender::Female,
                _ => MemberGender::Unknown,
            },
            avatar: raw.avatar,
            thumb_avatar: raw.thumb_avatar,
            qr_code: raw.qr_code,
            open_userid: raw.open_userid,
            corpid: raw.corpid,
            attributes: raw.extattr.attrs.into_iter().filter_map(RawAttribute::into_attribute).collect(),
            external_position: raw.external_position,
            external_profile: ExternalProfile {
                corp_name: raw.external_profile.external_corp_name,
                attributes: raw
                    .external_profile
                    .external_attr
                    .into_iter()
                    .filter_map(RawAttribute::into_attribute)
                    .collect(),
            },
        })
    }
}

/// Reads extension attributes of any shape: a strange one must not keep the person out.
fn decoration<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: for<'a> Deserialize<'a> + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(fields: &str) -> Member {
        serde_json::from_str(&format!(r#"{{"userid":"zhangsan"{fields}}}"#)).unwrap()
    }

    #[test]
    fn only_status_1_is_active_and_a_missing_status_is_not() {
        for (fields, status) in [
            (r#","status":1"#, MemberStatus::Active),
            (r#","status":"1""#, MemberStatus::Active),
            (r#","status":1,"enable":0"#, MemberStatus::Active),
            (r#","status":2,"enable":1"#, MemberStatus::Disabled),
            (r#","status":4"#, MemberStatus::NotActivated),
            (r#","status":5"#, MemberStatus::Left),
            (r#","status":3"#, MemberStatus::Unknown(3)),
            (r#","status":"active""#, MemberStatus::Unknown(0)),
            (r#","status":null"#, MemberStatus::Unknown(0)),
            (r#","status":1.0"#, MemberStatus::Unknown(0)),
            (r#","enable":1"#, MemberStatus::Unknown(0)),
            (r#","enable":"0""#, MemberStatus::Disabled),
            ("", MemberStatus::Unknown(0)),
        ] {
            let got = member(fields).status;
            assert_eq!(got, status, "{fields}");
            assert_eq!(got.is_active(), got == MemberStatus::Active, "{fields}");
        }
    }

    #[test]
    fn order_and_leadership_follow_the_department_they_stand_beside() {
        let all =
            member(r#","department":[2,"7","L/1"],"order":["4",5],"is_leader_in_dept":[0,"1"]"#).memberships;
        let expected = [
            (DepartmentId::Own(2), 4, false),
            (DepartmentId::Own(7), 5, true),
            (DepartmentId::Linked("L/1".to_owned()), 0, false),
        ];
        assert_eq!(all.into_iter().map(|m| (m.department, m.order, m.leader)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_old_leader_flag_counts_only_where_there_is_no_new_one() {
        assert!(member(r#","department":[1],"isleader":1"#).memberships[0].leader);
        assert!(!member(r#","department":[1],"isleader":1,"is_leader_in_dept":[0]"#).memberships[0].leader);
    }

    #[test]
    fn strange_extension_attributes_do_not_keep_the_person_out() {
        for extattr in [
            "null",
            "[]",
            "7",
            r#"{"attrs":null}"#,
            r#"{"attrs":{}}"#,
            r#"{"attrs":[{"type":9,"name":"x"}]}"#,
        ] {
            let fields = format!(r#","extattr":{extattr},"external_profile":{extattr}"#);
            assert_eq!(member(&fields).attributes, [], "{extattr}");
        }
    }

    #[test]
    fn a_member_without_a_userid_is_not_read() {
        for json in ["{}", r#"{"userid":null}"#, r#"{"userid":" "}"#, r#"{"userid":[]}"#] {
            assert!(serde_json::from_str::<Member>(json).is_err(), "{json}");
        }
    }
}
