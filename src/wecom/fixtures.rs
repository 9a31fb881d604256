//! Every recorded answer is read into the type it belongs to.
//!
//! `tests/data/wecom/SOURCES.md` says where each was seen and what is odd about it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::answer::{Answer, Unreadable};
use super::error::{Family, Refusal};
use super::lists::DepartmentList;
use super::oauth::{Identity, IdentityAnswer};
use super::wire::{
    Addresses, ConvertedOpenid, CreatedDepartment, Export, Job, JobProgress, JsapiTicket, LoginInfo,
    MemberIds, MemberList, MemberNames, SentMessage, Sifted, Tag,
};
use super::{AttributeValue, DepartmentId, Gender, Member, MemberStatus};
use crate::base::id::UserId;
use crate::base::secret::ExposeSecret as _;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wecom")
}

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn success<T: DeserializeOwned>(file: &str) -> T {
    match Answer::read(bytes(file)) {
        Ok(Answer::Success(body)) => body.decode().unwrap_or_else(|e| panic!("{file}: {e}")),
        other => panic!("{file}: {other:?}"),
    }
}

fn refusal(file: &str) -> Refusal {
    match Answer::read(bytes(file)) {
        Ok(Answer::Refusal(code, errmsg)) => Refusal::new("user/get", code, &errmsg, &[]),
        other => panic!("{file}: {other:?}"),
    }
}

fn family(file: &str, code: i64, family: Family) {
    let refusal = refusal(file);
    assert_eq!((refusal.code, Family::of(refusal.code)), (code, family), "{file}");
}

fn identity(file: &str) -> Identity {
    success::<IdentityAnswer>(file).identity()
}

/// The records of a list of which none is broken.
fn whole<T>(list: Sifted<T>) -> Vec<T> {
    assert_eq!(list.broken, [], "every recorded record is read");
    list.items
}

fn member(file: &str) -> Member {
    success(file)
}

type Check = fn(&str);

const TABLE: &[(&str, Check)] = &[
    ("batch_getresult.json", |f| assert_eq!(success::<JobProgress>(f).percentage, 33)),
    ("batch_syncuser.json", |f| assert!(success::<Job>(f).jobid.starts_with("IoZW03y44"))),
    ("department_create.json", |f| assert_eq!(success::<CreatedDepartment>(f).id, 2)),
    ("department_list.json", |f| {
        let list = whole(success::<DepartmentList>(f).department);
        assert_eq!((list[1].name.as_str(), list[1].parentid, list[1].order), ("邮箱产品部", 2, 0));
    }),
    ("department_list_2021_12.json", |f| {
        let list = whole(success::<DepartmentList>(f).department);
        assert_eq!(list[0].leaders, [UserId::new("zhangsan"), UserId::new("lisi")]);
        assert_eq!((list[0].name_en.as_deref(), list[0].order), (Some("RDGZ"), 10));
    }),
    ("err_1.json", |f| family(f, -1, Family::Retry)),
    ("err_40001.json", |f| family(f, 40001, Family::Setup)),
    ("err_40013.json", |f| family(f, 40013, Family::Setup)),
    ("err_40014.json", |f| family(f, 40014, Family::Token)),
    ("err_40029.json", |f| family(f, 40029, Family::SignInAgain)),
    ("err_42001.json", |f| family(f, 42001, Family::Token)),
    ("err_45009.json", |f| family(f, 45009, Family::Busy)),
    ("err_60011.json", |f| family(f, 60011, Family::NotVisible)),
    ("err_60020_ip.json", |f| {
        family(f, 60020, Family::Setup);
        assert_eq!(refusal(f).from_ip, "203.0.113.7".parse().ok());
    }),
    ("err_60111.json", |f| family(f, 60111, Family::NotVisible)),
    ("err_81013_message_send.json", |f| family(f, 81013, Family::Caller)),
    ("export_get_result.json", |f| assert_eq!(success::<Export>(f).data_list[1].size, 1024)),
    ("get_jsapi_ticket.json", |f| {
        assert!(success::<JsapiTicket>(f).ticket.expose_secret().starts_with("bxLdikRXVbTPdHSM05e5u5s"));
    }),
    ("getcallbackip.json", |f| assert_eq!(success::<Addresses>(f).ip_list, ["127.0.0.1"])),
    ("gettoken.json", |f| assert_eq!(super::token::read(&bytes(f)), Some(("1234567890".len(), Some(7200))))),
    ("getuserinfo_external.json", |f| assert_eq!(identity(f), Identity::Outsider)),
    ("getuserinfo_linked_corp.json", |f| assert_eq!(identity(f), Identity::LinkedCorp)),
    ("getuserinfo_member.json", |f| assert_eq!(identity(f), Identity::Member(UserId::new("USERID")))),
    ("getuserinfo_member_no_ticket.json", |f| {
        assert_eq!(identity(f), Identity::Member(UserId::new("USERID")));
    }),
    ("getuserinfo_old_external.json", |f| assert_eq!(identity(f), Identity::Outsider)),
    ("getuserinfo_old_member.json", |f| assert_eq!(identity(f), Identity::Member(UserId::new("USERID")))),
    ("getuserinfo_openid_only.json", |f| assert_eq!(identity(f), Identity::Outsider)),
    ("message_send_partial.json", |f| {
        let sent = success::<SentMessage>(f);
        assert_eq!(
            (sent.invaliduser.as_slice(), sent.response_code.as_deref()),
            (&["userid1".to_owned(), "userid2".to_owned()][..], Some("xyzxyz"))
        );
    }),
    ("moco_gettoken.json", |f| assert_eq!(super::token::read(&bytes(f)), Some((214, Some(7200))))),
    ("moco_linkedcorp_message_send.json", |f| assert_eq!(success::<SentMessage>(f).msgid, None)),
    ("moco_message_send.json", |f| assert!(success::<SentMessage>(f).invaliduser.is_empty())),
    ("odd_control_char.json", |f| assert_eq!(member(f).name, "张 三")),
    ("odd_errcode_string.json", |f| assert_eq!(member(f).memberships[0].department, DepartmentId::Own(2))),
    ("odd_html_502.txt", |f| assert_eq!(Answer::read(bytes(f)).unwrap_err(), Unreadable::Html)),
    ("odd_null_fields.json", |f| assert!(member(f).memberships.is_empty() && member(f).mobile.is_none())),
    ("odd_utf8_bom.json", |f| assert_eq!(member(f).userid.as_str(), "zhangsan")),
    ("service_get_login_info.json", |f| {
        assert_eq!(success::<LoginInfo>(f).corp_info.corpid, "wx6c698d13f7a409a4");
    }),
    ("tag_get.json", |f| assert_eq!(success::<Tag>(f).partylist, [DepartmentId::Own(2)])),
    ("user_convert_to_openid.json", |f| {
        assert_eq!(success::<ConvertedOpenid>(f).openid, "oDOGms-6yCnGrRovBj2yHij5JL6E");
    }),
    ("user_get_full_doc.json", |f| {
        let member = member(f);
        assert_eq!(member.direct_leader, [UserId::new("lisi"), UserId::new("wangwu")]);
        assert_eq!(member.biz_mail.as_deref(), Some("zhangsan@qyycs2.wecom.work"));
        assert_eq!(member.status, MemberStatus::Unknown(0), "a sample without a status lets nobody in");
    }),
    ("user_get_private_deploy.json", |f| {
        let member = member(f);
        assert_eq!((member.status, member.alias.as_deref()), (MemberStatus::Active, Some("jackzhang")));
        assert_eq!(member.attributes[1].value, AttributeValue::Text("1234567234".to_owned()));
        assert_eq!(member.attributes[1].name, "卡号");
    }),
    ("user_get_since_2022_06_20.json", |f| {
        let member = member(f);
        assert_eq!((member.mobile.as_deref(), member.gender), (None, Gender::Unknown));
        assert_eq!(member.main_department, Some(DepartmentId::Own(1)));
    }),
    ("user_get_wxjava.json", |f| {
        let member = member(f);
        assert_eq!(member.external_profile.corp_name.as_deref(), Some("企业简称"));
        assert!(member.memberships.iter().all(|m| m.leader), "isleader stands for is_leader_in_dept");
        let last = member.external_profile.attributes.last().map(|a| &a.value);
        assert!(matches!(last, Some(AttributeValue::MiniProgram { pagepath, .. }) if pagepath == "/index"));
    }),
    ("user_list.json", |f| {
        let list = whole(success::<MemberList>(f).userlist);
        assert_eq!(list[0].memberships[0].department, DepartmentId::Own(345_678));
        assert_eq!((list[0].gender, list[0].alias.as_deref()), (Gender::Male, None));
    }),
    ("user_list_id.json", |f| {
        let page = success::<MemberIds>(f);
        assert_eq!(page.next_cursor.as_deref(), Some("aaaaaaaaa"));
        assert_eq!(page.dept_user.items[2].open_userid.as_deref(), Some("woBBBBBBBB"));
    }),
    ("user_list_id_corp_app.json", |f| {
        let page = success::<MemberIds>(f);
        assert_eq!((page.next_cursor, page.dept_user.items[0].userid.as_deref()), (None, Some("zhangsan")));
    }),
    ("user_list_linked_corp.json", |f| {
        let list = whole(success::<MemberList>(f).userlist);
        assert_eq!(list[0].memberships[1].department, DepartmentId::Linked("LINKEDID/2".to_owned()));
    }),
    ("user_simplelist.json", |f| assert_eq!(whole(success::<MemberNames>(f).userlist)[0].name, "李四")),
];

#[test]
fn every_recorded_answer_is_read_into_its_type() {
    for (file, check) in TABLE {
        check(file);
    }
}

#[test]
fn no_recorded_answer_is_left_out() {
    let here: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "SOURCES.md")
        .collect();
    let covered: BTreeSet<String> = TABLE.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(here, covered);
}
