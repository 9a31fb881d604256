//! Tests: the new row of a changed person.

use super::*;

fn person_row(edit: impl FnOnce(&mut Person)) -> Person {
    let mut person = Person {
        id: PersonId::new("p1"),
        userid: UserId::new("anna"),
        name: "Anna".to_owned(),
        email: "anna@example.com".to_owned(),
        source: EntrySource::Wecom,
        status: PersonStatus::Active,
        left_at: None,
        main_unit: Some(department_unit_id(1)),
        memberships: memberships_in(&["1", "2"]),
        details: PersonDetails {
            position: "会计".to_owned(),
            mobile: "138".to_owned(),
            alias: "an".to_owned(),
            telephone: "020".to_owned(),
            direct_leaders: vec![UserId::new("boss")],
            attributes: TextMap::from([("工号".to_owned(), "1".to_owned())]),
        },
        fingerprint: "old".to_owned(),
    };
    edit(&mut person);
    person
}

/// A number names a department; anything else is a local unit.
fn memberships_in(units: &[&str]) -> Vec<Membership> {
    let id = |name: &str| name.parse().map_or_else(|_| UnitId::new(name), department_unit_id);
    units.iter().map(|name| Membership { unit: id(name), order: 0, leader: false }).collect()
}

#[test]
fn what_wecom_hides_of_mail_and_mobile_is_kept() {
    let reported = person_row(|p| {
        p.email.clear();
        p.details.mobile.clear();
        p.name.clear();
        p.fingerprint = "new".to_owned();
    });
    let merged = merge_person(reported, &person_row(|_| ()));
    assert!(!merged.changed);
    assert_eq!(merged.person, person_row(|p| p.fingerprint = "new".to_owned()));
    assert_eq!(merged.memberships, (0, 0, 0));
}

#[test]
fn everything_else_follows_wecom_also_to_nothing() {
    let reported = person_row(|p| {
        p.details = PersonDetails { mobile: "139".to_owned(), ..PersonDetails::default() };
        p.main_unit = None;
        p.status = PersonStatus::Disabled;
    });
    let merged = merge_person(reported.clone(), &person_row(|_| ()));
    assert!(merged.changed);
    assert_eq!(merged.person, reported);
}

#[test]
fn a_fingerprint_alone_is_no_change() {
    let merged = merge_person(
        person_row(|p| p.fingerprint = "new".to_owned()),
        &person_row(|p| p.fingerprint = String::new()),
    );
    assert!(!merged.changed);
    assert_eq!(merged.person.fingerprint, "new");
    assert!(merge_person(person_row(|p| p.name.push('x')), &person_row(|_| ())).changed);
}

#[test]
fn memberships_in_local_units_stay_behind_wecoms_whenever_the_unit_was_made() {
    let old = person_row(|p| p.memberships = memberships_in(&["mine", "1", "2", "3"]));
    let reported = person_row(|p| {
        p.memberships = memberships_in(&["4", "1"]);
        p.memberships[1].leader = true;
    });
    let merged = merge_person(reported, &old);
    let units: Vec<UnitId> = merged.person.memberships.iter().map(|m| m.unit.clone()).collect();
    assert_eq!(units, [department_unit_id(4), department_unit_id(1), UnitId::new("mine")]);
    assert_eq!(merged.memberships, (1, 1, 2));
}

#[test]
fn another_order_of_memberships_is_a_change_but_of_no_membership() {
    let merged = merge_person(person_row(|p| p.memberships.reverse()), &person_row(|_| ()));
    assert_eq!((merged.changed, merged.memberships), (true, (0, 0, 0)));
}

#[test]
fn a_recognised_local_person_keeps_its_id_and_the_attributes_wecom_does_not_have() {
    let old = person_row(|p| {
        p.id = PersonId::new("mine");
        p.source = EntrySource::Local;
        p.main_unit = Some(UnitId::new("hand"));
        p.memberships = memberships_in(&["hand"]);
        p.details.attributes =
            TextMap::from([("工号".to_owned(), "0".to_owned()), ("楼".to_owned(), "B".to_owned())]);
    });
    let reported = person_row(|p| p.main_unit = None);
    let merged = merge_person(reported, &old);
    let attributes = &merged.person.details.attributes;
    assert_eq!((&attributes["工号"], &attributes["楼"]), ("1", "B"));
    assert_eq!((merged.person.id.as_str(), merged.person.source), ("mine", EntrySource::Wecom));
    assert_eq!(merged.person.main_unit, Some(UnitId::new("hand")));
    let wecoms = Person { source: EntrySource::Wecom, ..old };
    let merged = merge_person(person_row(|_| ()), &wecoms);
    assert_eq!(merged.person.details.attributes.len(), 1, "of WeCom's persons they follow WeCom");
}

#[test]
fn who_comes_back_is_no_longer_left() {
    let old = person_row(|p| (p.status, p.left_at) = (PersonStatus::Left, Some(Timestamp::from_millis(5))));
    let merged = merge_person(person_row(|_| ()), &old);
    assert_eq!((merged.person.status, merged.person.left_at), (PersonStatus::Active, None));
}

#[test]
fn who_leaves_stays_in_local_units_only() {
    let now = Timestamp::from_millis(9);
    let old = person_row(|p| p.memberships = memberships_in(&["1", "mine"]));
    let left = mark_left(&old, now);
    let expected = person_row(|p| {
        (p.status, p.left_at, p.main_unit) = (PersonStatus::Left, Some(now), None);
        p.memberships = memberships_in(&["mine"]);
        p.fingerprint.clear();
    });
    assert_eq!((left.person.clone(), left.changed, left.memberships), (expected, true, (0, 0, 1)));
    let again = mark_left(&left.person, Timestamp::from_millis(99));
    assert_eq!((again.person, again.changed), (left.person, false), "the first time counts");
    let headed = person_row(|p| p.main_unit = Some(UnitId::new("mine")));
    assert_eq!(mark_left(&headed, now).person.main_unit, Some(UnitId::new("mine")));
}
