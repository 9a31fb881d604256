//! Every recorded answer is read into the type it belongs to.
//!
//! `tests/data/wecom/SOURCES.md` says where each was seen and what is odd about it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::answer::{UnreadableReason, WecomAnswer};
use super::errcode::ErrorFamily;
use super::error::WecomRefusal;
use super::lists::DepartmentList;
use super::member::MemberGender;
use super::oauth::{CodeOwner, IdentityAnswer};
use super::wire::{LenientList, MemberIdPage, MemberList, MemberNameList, SentMessage, TagHolders};
use super::{AttributeValue, DepartmentId, Member, MemberStatus};
use crate::base::id::UserId;

fn fixture_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wecom")
}

fn read_fixture(file: &str) -> Vec<u8> {
    std::fs::read(fixture_folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn read_success<T: DeserializeOwned>(file: &str) -> T {
    match WecomAnswer::parse(read_fixture(file)) {
        Ok(WecomAnswer::Success(body)) => body.decode().unwrap_or_else(|e| panic!("{file}: {e}")),
        other => panic!("{file}: {other:?}"),
    }
}

fn read_refusal(file: &str) -> WecomRefusal {
    match WecomAnswer::parse(read_fixture(file)) {
        Ok(WecomAnswer::Refusal(code, errmsg)) => WecomRefusal::new("user/get", code, &errmsg, &[]),
        other => panic!("{file}: {other:?}"),
    }
}

fn assert_family(file: &str, code: i64, family: ErrorFamily) {
    let refusal = read_refusal(file);
    assert_eq!((refusal.code, ErrorFamily::from_errcode(refusal.code)), (code, family), "{file}");
}

fn read_identity(file: &str) -> CodeOwner {
    read_success::<IdentityAnswer>(file).identity()
}

/// An answer of a call that the gateway does not make: it must pass for a success all the same.
fn assert_success(file: &str) {
    read_success::<IgnoredAny>(file);
}

/// The records of a list of which none is broken.
fn unbroken_items<T>(list: LenientList<T>) -> Vec<T> {
    assert_eq!(list.broken, [], "every recorded record is read");
    list.items
}

fn read_member(file: &str) -> Member {
    read_success(file)
}

type FixtureCheck = fn(&str);

const FIXTURES: &[(&str, FixtureCheck)] = &[
    ("batch_getresult.json", assert_success),
    ("batch_syncuser.json", assert_success),
    ("department_create.json", assert_success),
    ("department_list.json", |f| {
        let list = unbroken_items(read_success::<DepartmentList>(f).department);
        assert_eq!((list[1].name.as_str(), list[1].parentid, list[1].order), ("邮箱产品部", 2, 0));
    }),
    ("department_list_2021_12.json", |f| {
        let list = unbroken_items(read_success::<DepartmentList>(f).department);
        assert_eq!(list[0].leaders, [UserId::new("zhangsan"), UserId::new("lisi")]);
        assert_eq!((list[0].name_en.as_deref(), list[0].order), (Some("RDGZ"), 10));
    }),
    ("err_1.json", |f| assert_family(f, -1, ErrorFamily::Retry)),
    ("err_40001.json", |f| assert_family(f, 40001, ErrorFamily::Setup)),
    ("err_40013.json", |f| assert_family(f, 40013, ErrorFamily::Setup)),
    ("err_40014.json", |f| assert_family(f, 40014, ErrorFamily::Token)),
    ("err_40029.json", |f| assert_family(f, 40029, ErrorFamily::SignInAgain)),
    ("err_42001.json", |f| assert_family(f, 42001, ErrorFamily::Token)),
    ("err_45009.json", |f| assert_family(f, 45009, ErrorFamily::Busy)),
    ("err_60011.json", |f| assert_family(f, 60011, ErrorFamily::NotVisible)),
    ("err_60020_ip.json", |f| {
        assert_family(f, 60020, ErrorFamily::Setup);
        assert_eq!(read_refusal(f).from_ip, "203.0.113.7".parse().ok());
    }),
    ("err_60111.json", |f| assert_family(f, 60111, ErrorFamily::NotVisible)),
    ("err_81013_message_send.json", |f| assert_family(f, 81013, ErrorFamily::Caller)),
    ("export_get_result.json", assert_success),
    ("get_jsapi_ticket.json", assert_success),
    ("getcallbackip.json", assert_success),
    ("gettoken.json", |f| {
        assert_eq!(super::token::read_token_answer(&read_fixture(f)), Some(("1234567890".len(), Some(7200))));
    }),
    ("getuserinfo_external.json", |f| assert_eq!(read_identity(f), CodeOwner::Outsider)),
    ("getuserinfo_linked_corp.json", |f| assert_eq!(read_identity(f), CodeOwner::LinkedCorp)),
    ("getuserinfo_member.json", |f| assert_eq!(read_identity(f), CodeOwner::Member(UserId::new("USERID")))),
    ("getuserinfo_member_no_ticket.json", |f| {
        assert_eq!(read_identity(f), CodeOwner::Member(UserId::new("USERID")));
    }),
    ("getuserinfo_old_external.json", |f| assert_eq!(read_identity(f), CodeOwner::Outsider)),
    ("getuserinfo_old_member.json", |f| {
        assert_eq!(read_identity(f), CodeOwner::Member(UserId::new("USERID")));
    }),
    ("getuserinfo_openid_only.json", |f| assert_eq!(read_identity(f), CodeOwner::Outsider)),
    ("message_send_partial.json", |f| {
        let sent = read_success::<SentMessage>(f);
        assert_eq!(
            (sent.invaliduser.as_slice(), sent.response_code.as_deref()),
            (&["userid1".to_owned(), "userid2".to_owned()][..], Some("xyzxyz"))
        );
    }),
    ("moco_gettoken.json", |f| {
        assert_eq!(super::token::read_token_answer(&read_fixture(f)), Some((214, Some(7200))));
    }),
    ("moco_linkedcorp_message_send.json", |f| assert_eq!(read_success::<SentMessage>(f).msgid, None)),
    ("moco_message_send.json", |f| assert!(read_success::<SentMessage>(f).invaliduser.is_empty())),
    ("odd_control_char.json", |f| assert_eq!(read_member(f).name, "张 三")),
    ("odd_errcode_string.json", |f| {
        assert_eq!(read_member(f).memberships[0].department, DepartmentId::Own(2));
    }),
    ("odd_html_502.txt", |f| {
        assert_eq!(WecomAnswer::parse(read_fixture(f)).unwrap_err(), UnreadableReason::Html);
    }),
    ("odd_null_fields.json", |f| {
        assert!(read_member(f).memberships.is_empty() && read_member(f).mobile.is_none());
    }),
    ("odd_utf8_bom.json", |f| assert_eq!(read_member(f).userid.as_str(), "zhangsan")),
    ("service_get_login_info.json", assert_success),
    ("tag_get.json", |f| assert_eq!(read_success::<TagHolders>(f).partylist, [DepartmentId::Own(2)])),
    ("user_convert_to_openid.json", assert_success),
    ("user_get_full_doc.json", |f| {
        let member = read_member(f);
        assert_eq!(member.direct_leader, [UserId::new("lisi"), UserId::new("wangwu")]);
        assert_eq!(member.biz_mail.as_deref(), Some("zhangsan@qyycs2.wecom.work"));
        assert_eq!(member.status, MemberStatus::Unknown(0), "a sample without a status lets nobody in");
    }),
    ("user_get_private_deploy.json", |f| {
        let member = read_member(f);
        assert_eq!((member.status, member.alias.as_deref()), (MemberStatus::Active, Some("jackzhang")));
        assert_eq!(member.attributes[1].value, AttributeValue::Text("1234567234".to_owned()));
        assert_eq!(member.attributes[1].name, "卡号");
    }),
    ("user_get_since_2022_06_20.json", |f| {
        let member = read_member(f);
        assert_eq!((member.mobile.as_deref(), member.gender), (None, MemberGender::Unknown));
        assert_eq!(member.main_department, Some(DepartmentId::Own(1)));
    }),
    ("user_get_wxjava.json", |f| {
        let member = read_member(f);
        assert_eq!(member.external_profile.corp_name.as_deref(), Some("企业简称"));
        assert!(member.memberships.iter().all(|m| m.leader), "isleader stands for is_leader_in_dept");
        let last = member.external_profile.attributes.last().map(|a| &a.value);
        assert!(matches!(last, Some(AttributeValue::MiniProgram { pagepath, .. }) if pagepath == "/index"));
    }),
    ("user_list.json", |f| {
        let list = unbroken_items(read_success::<MemberList>(f).userlist);
        assert_eq!(list[0].memberships[0].department, DepartmentId::Own(345_678));
        assert_eq!((list[0].gender, list[0].alias.as_deref()), (MemberGender::Male, None));
    }),
    ("user_list_id.json", |f| {
        let page = read_success::<MemberIdPage>(f);
        assert_eq!(page.next_cursor.as_deref(), Some("aaaaaaaaa"));
        assert_eq!(page.dept_user.items[2].open_userid.as_deref(), Some("woBBBBBBBB"));
    }),
    ("user_list_id_corp_app.json", |f| {
        let page = read_success::<MemberIdPage>(f);
        assert_eq!((page.next_cursor, page.dept_user.items[0].userid.as_deref()), (None, Some("zhangsan")));
    }),
    ("user_list_linked_corp.json", |f| {
        let list = unbroken_items(read_success::<MemberList>(f).userlist);
        assert_eq!(list[0].memberships[1].department, DepartmentId::Linked("LINKEDID/2".to_owned()));
    }),
    ("user_simplelist.json", |f| {
        assert_eq!(unbroken_items(read_success::<MemberNameList>(f).userlist)[0].name, "李四");
    }),
];

#[test]
fn every_recorded_answer_is_read_into_its_type() {
    for (file, check) in FIXTURES {
        check(file);
    }
}

#[test]
fn no_recorded_answer_is_left_out() {
    let here: BTreeSet<String> = std::fs::read_dir(fixture_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "SOURCES.md")
        .collect();
    let covered: BTreeSet<String> = FIXTURES.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(here, covered);
}
