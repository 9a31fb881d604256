//! Which edits are valid.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::base::id::{CorpId, PersonId};
use crate::directory::PersonDetails;

fn department(id: u32, name: &str, parent: Option<u32>) -> Unit {
    let of = |id| UnitId::from_department(&CorpId::new("ww1"), id);
    Unit {
        id: of(id),
        wecom_id: Some(id),
        source: EntrySource::Wecom,
        parent: parent.map(of),
        name: name.into(),
        name_en: String::new(),
        order: 0,
        leaders: vec![],
    }
}

fn local(id: &str, name: &str, parent: Option<&str>) -> Unit {
    let parent = parent.map(UnitId::new);
    Unit {
        id: UnitId::new(id),
        wecom_id: None,
        source: EntrySource::Local,
        parent,
        ..department(0, name, None)
    }
}

fn chart(units: Vec<Unit>) -> Chart {
    Chart::new(1, None, units, vec![])
}

fn input(name: &str, parent: Option<&str>) -> UnitInput {
    UnitInput { name: name.into(), parent_id: parent.map(Into::into), order: 0, leaders: vec![] }
}

fn somebody(source: EntrySource, units: &[&str]) -> Person {
    let memberships = units.iter().map(|u| Membership { unit: UnitId::new(*u), order: 1, leader: true });
    Person {
        id: PersonId::new("p"),
        userid: UserId::new("p"),
        name: "某人".into(),
        email: String::new(),
        source,
        status: PersonStatus::Active,
        left_at: None,
        main_unit: units.first().map(|u| UnitId::new(*u)),
        memberships: memberships.collect(),
        details: PersonDetails { telephone: "010".into(), ..PersonDetails::default() },
        fingerprint: "x".into(),
    }
}

#[test]
fn merging_is_as_in_the_examples_of_rfc_7396() {
    for (current, change, want) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        assert_eq!(merge_patch(current.clone(), change.clone()), want, "{current} {change}");
    }
}

#[test]
fn a_unit_that_stands_where_its_parent_is_gone_can_be_renamed() {
    let chart = chart(vec![local("a", "甲", Some("gone"))]);
    let unit = input("乙", Some("gone")).validate(UnitId::new("a"), &chart).unwrap();
    assert_eq!(unit.parent, Some(UnitId::new("gone")));
    assert!(matches!(
        input("丙", Some("gone")).validate(UnitId::new("b"), &chart),
        Err(EditError::Invalid(_))
    ));
}

#[test]
fn a_slash_in_a_name_takes_the_path_of_the_name_that_looks_like_it() {
    let chart = chart(vec![department(2, "A/B", None)]);
    let made = input("A∕B", None).validate(UnitId::new("b"), &chart);
    assert!(matches!(made, Err(EditError::PathTaken(path)) if path == "A∕B"));
    assert!(input("A/C", None).validate(UnitId::new("b"), &chart).is_ok());
}

#[test]
fn a_unit_may_keep_its_own_path() {
    let chart = chart(vec![local("a", "甲", None)]);
    assert!(input("甲", None).validate(UnitId::new("a"), &chart).is_ok());
}

#[test]
fn a_person_whose_unit_is_gone_can_be_changed_and_loses_only_that_place() {
    let chart = chart(vec![local("a", "甲", None)]);
    let person = somebody(EntrySource::Local, &["gone", "a"]);
    let after = PersonInput::from_person(&person, &chart).validate(&person, &chart).unwrap();
    assert_eq!(after.memberships, person.memberships[1..]);
    assert_eq!(after.main_unit, None);
    assert_eq!(after.details.telephone, "010", "what nobody can write stays");
}

#[test]
fn a_main_unit_is_one_of_the_memberships_and_a_unit_is_there_once() {
    let chart = chart(vec![local("a", "甲", None), department(2, "乙", None)]);
    let person = somebody(EntrySource::Local, &["a"]);
    let with = |change: &dyn Fn(&mut PersonInput)| {
        let mut input = PersonInput::from_person(&person, &chart);
        change(&mut input);
        input.validate(&person, &chart)
    };
    assert!(with(&|_| ()).is_ok());
    assert!(with(&|i| i.memberships.clear()).is_err());
    assert!(with(&|i| i.main_unit = Some("wecom:2".into())).is_err());
    let twice = |i: &mut PersonInput| i.memberships.push(i.memberships[0].clone());
    assert!(with(&twice).is_err());
    let by_number = |i: &mut PersonInput| {
        i.memberships.push(MembershipInput { unit_id: "wecom:2".into(), order: 0, leader: false });
        i.main_unit = Some("wecom:2".into());
    };
    let after = with(&by_number).unwrap();
    assert_eq!(after.main_unit, Some(department(2, "", None).id));
}

#[test]
fn a_members_places_at_wecom_stay_also_where_they_are_not_visible() {
    let chart = chart(vec![local("a", "甲", None), local("b", "乙", None), department(2, "丙", None)]);
    let theirs = department(2, "", None).id;
    let person = somebody(EntrySource::Wecom, &["hidden", theirs.as_str(), "a"]);
    let places = vec![MembershipInput { unit_id: "b".into(), order: 7, leader: false }];
    let after = MemberInput { local_memberships: places }.validate(&person, &chart).unwrap();
    let units: Vec<_> = after.memberships.iter().map(|m| m.unit.as_str()).collect();
    assert_eq!(units, ["hidden", theirs.as_str(), "b"]);
    assert_eq!((after.fingerprint, after.main_unit), (person.fingerprint, person.main_unit));
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_read_back_as_the_same(
        name in "\\PC{0,140}", userid in "[a-zA-Z0-9_.@-]{0,70}", email in "[a-z@ ]{0,5}",
        attributes in prop::collection::btree_map("\\PC{0,5}", ".{0,5}", 0..4),
    ) {
        let chart = chart(vec![]);
        let person = somebody(EntrySource::Local, &[]);
        let input = PersonInput {
            userid: UserId::new(userid), name, email, attributes, ..PersonInput::from_person(&person, &chart)
        };
        if let Ok(after) = input.clone().validate(&person, &chart) {
            prop_assert_eq!(PersonInput::from_person(&after, &chart), input);
            prop_assert!(!after.name.chars().any(char::is_control) && !after.name.is_empty());
            prop_assert!(after.details.attributes.values().all(|v| !v.contains('\0')));
            prop_assert!(after.userid.as_str().len() <= 64);
        }
    }
}
