//! Converts WeCom's members to persons.

use std::collections::HashSet;

use crate::base::id::UserId;
use crate::base::text::clean_text;
use crate::base::text_map::TextMap;
use crate::directory::PersonStatus;
use crate::sync::remote::{RemoteMembership, RemotePerson};
use crate::wecom::{AttributeValue, DepartmentId, Member, MemberAttribute, MemberDepartment, MemberStatus};

/// Why a member is no person of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SkipReason {
    /// The member belongs to a linked corporation.
    Linked,
    /// The userid cannot be stored.
    Userid,
}

/// Returns whether `text` is a userid that can be stored.
pub(super) fn is_valid_userid(text: &str) -> bool {
    UserId::parse_existing(text).is_ok()
}

pub(super) fn convert_member(member: Member) -> Result<RemotePerson, SkipReason> {
    let linked = !member.memberships.is_empty()
        && member.memberships.iter().all(|m| matches!(m.department, DepartmentId::Linked(_)));
    if linked || member.userid.as_str().contains('/') {
        return Err(SkipReason::Linked);
    }
    if !is_valid_userid(member.userid.as_str()) {
        return Err(SkipReason::Userid);
    }
    Ok(RemotePerson {
        name: clean_text(member.name),
        email: first_text(&[&member.biz_mail, &member.email]),
        status: convert_status(member.status),
        memberships: convert_memberships(member.memberships),
        main_department: member.main_department.as_ref().and_then(own_department_id),
        direct_leaders: keep_valid_userids(member.direct_leader),
        position: first_text(&[&member.position]),
        mobile: first_text(&[&member.mobile]),
        alias: first_text(&[&member.alias]),
        telephone: first_text(&[&member.telephone]),
        attributes: convert_attributes(member.attributes),
        userid: member.userid,
    })
}

/// Returns the valid userids, each once.
pub(super) fn keep_valid_userids(list: Vec<UserId>) -> Vec<UserId> {
    let mut seen = HashSet::new();
    list.into_iter().filter(|id| is_valid_userid(id.as_str()) && seen.insert(id.folded())).collect()
}

/// Returns the id of a department of our own corporation; `None` for a linked one.
pub(super) fn own_department_id(id: &DepartmentId) -> Option<u32> {
    match id {
        DepartmentId::Own(id) => Some(*id),
        DepartmentId::Linked(_) => None,
    }
}

const fn convert_status(status: MemberStatus) -> PersonStatus {
    match status {
        MemberStatus::Active => PersonStatus::Active,
        MemberStatus::Disabled => PersonStatus::Disabled,
        MemberStatus::Left => PersonStatus::Left,
        MemberStatus::NotActivated | MemberStatus::Unknown(_) => PersonStatus::Inactive,
    }
}

fn convert_memberships(list: Vec<MemberDepartment>) -> Vec<RemoteMembership> {
    let mut seen = HashSet::new();
    list.into_iter()
        .filter_map(|m| {
            Some(RemoteMembership {
                unit: own_department_id(&m.department)?,
                order: m.order,
                leader: m.leader,
            })
        })
        .filter(|m| seen.insert(m.unit))
        .collect()
}

/// Maps names to texts, or to the address of a link. Of two attributes with one name the first
/// counts, as in WeCom's console.
fn convert_attributes(list: Vec<MemberAttribute>) -> TextMap {
    let mut map = TextMap::default();
    for attribute in list {
        let value = match attribute.value {
            AttributeValue::Text(text) => clean_text(text),
            AttributeValue::Web { url, .. } => clean_text(url),
            // Mini programs appear only in what outsiders see.
            AttributeValue::MiniProgram { .. } => continue,
        };
        let name = clean_text(attribute.name);
        if !name.is_empty() && !map.contains_key(&name) {
            map.insert(name, value);
        }
    }
    map
}

/// Returns the first text that is not empty.
fn first_text(list: &[&Option<String>]) -> String {
    list.iter()
        .filter_map(|text| text.as_deref())
        .map(|text| clean_text(text.to_owned()))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(fields: &str) -> Member {
        serde_json::from_str(&format!("{{{fields}}}")).unwrap()
    }

    #[test]
    fn a_member_becomes_a_person_field_by_field() {
        let person = convert_member(member(
            r#""userid":"ZhangSan","name":" 张\u0000三\u0007 ","status":1,"department":[2,"L/1",7,2],
               "order":[3,9,4,8],"is_leader_in_dept":[1,1,0,0],"main_department":7,
               "direct_leader":["lisi","LiSi","no/one"],"position":"工程师","mobile":"13800000000",
               "email":"private@x.cn","biz_mail":"zs@x.cn","alias":"jack","telephone":"020-1",
               "extattr":{"attrs":[{"type":0,"name":"工号","text":{"value":" 17 "}},
                 {"type":1,"name":"主页","web":{"url":"https://x.cn","title":"X"}},
                 {"type":0,"name":"工号","text":{"value":"18"}},{"type":0,"name":" ","text":{"value":"x"}}]}"#,
        ))
        .unwrap();
        let expected = RemotePerson {
            userid: UserId::new("ZhangSan"),
            name: "张三".to_owned(),
            email: "zs@x.cn".to_owned(),
            status: PersonStatus::Active,
            memberships: vec![
                RemoteMembership { unit: 2, order: 3, leader: true },
                RemoteMembership { unit: 7, order: 4, leader: false },
            ],
            main_department: Some(7),
            direct_leaders: vec![UserId::new("lisi")],
            position: "工程师".to_owned(),
            mobile: "13800000000".to_owned(),
            alias: "jack".to_owned(),
            telephone: "020-1".to_owned(),
            attributes: TextMap::from([
                ("主页".to_owned(), "https://x.cn".to_owned()),
                ("工号".to_owned(), "17".to_owned()),
            ]),
        };
        assert_eq!(person, expected);
    }

    #[test]
    fn the_private_address_stands_in_where_there_is_no_company_one() {
        let person = convert_member(member(r#""userid":"a","email":"private@x.cn","biz_mail":"""#)).unwrap();
        assert_eq!((person.email.as_str(), person.name.as_str()), ("private@x.cn", ""));
    }

    #[test]
    fn only_one_two_and_five_are_more_than_inactive() {
        for (number, expected) in [
            (0, PersonStatus::Inactive),
            (1, PersonStatus::Active),
            (2, PersonStatus::Disabled),
            (3, PersonStatus::Inactive),
            (4, PersonStatus::Inactive),
            (5, PersonStatus::Left),
        ] {
            let got = convert_member(member(&format!(r#""userid":"a","status":{number}"#))).unwrap().status;
            assert_eq!(got, expected, "{number}");
        }
    }

    #[test]
    fn members_of_linked_corporations_and_what_is_no_userid_are_skipped() {
        for (fields, expected) in [
            (r#""userid":"zhangsan","department":["L/1","L/2"]"#, SkipReason::Linked),
            (r#""userid":"wwcorp/zhangsan","department":[1]"#, SkipReason::Linked),
            (r#""userid":"zhang san""#, SkipReason::Userid),
            (r#""userid":"@all""#, SkipReason::Userid),
            (r#""userid":"a|b""#, SkipReason::Userid),
        ] {
            assert_eq!(convert_member(member(fields)).unwrap_err(), expected, "{fields}");
        }
        for kept in ["张三", "a+b", "w#1", "_lead"] {
            let person =
                convert_member(member(&format!(r#""userid":"{kept}","direct_leader":["{kept}","a b"]"#)))
                    .unwrap();
            assert_eq!(
                (person.userid.as_str(), person.direct_leaders.as_slice()),
                (kept, &[UserId::new(kept)][..])
            );
        }
    }
}
