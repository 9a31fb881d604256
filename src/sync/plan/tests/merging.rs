//! What a changed row becomes.

use super::*;

fn row(edit: impl FnOnce(&mut Person)) -> Person {
    let mut person = Person {
        id: PersonId::new("p1"),
        userid: UserId::new("anna"),
        name: "Anna".to_owned(),
        email: "anna@example.com".to_owned(),
        source: Source::Wecom,
        status: Status::Active,
        left_at: None,
        main_unit: Some(unit(1)),
        memberships: places(&["1", "2"]),
        detail: Detail {
            position: "会计".to_owned(),
            mobile: "138".to_owned(),
            alias: "an".to_owned(),
            telephone: "020".to_owned(),
            direct_leaders: vec![UserId::new("boss")],
            attributes: BTreeMap::from([("工号".to_owned(), "1".to_owned())]),
        },
        said: "old".to_owned(),
    };
    edit(&mut person);
    person
}

/// Numbers are departments, anything else was made by hand.
fn places(units: &[&str]) -> Vec<Membership> {
    let id = |name: &str| name.parse().map_or_else(|_| UnitId::new(name), unit);
    units.iter().map(|name| Membership { unit: id(name), order: 0, leader: false }).collect()
}

#[test]
fn what_wecom_hides_of_mail_and_mobile_is_kept() {
    let said = row(|p| {
        p.email.clear();
        p.detail.mobile.clear();
        p.name.clear();
        p.said = "new".to_owned();
    });
    let merged = merge(said, &row(|_| ()));
    assert!(!merged.changed);
    assert_eq!(merged.person, row(|p| p.said = "new".to_owned()));
    assert_eq!(merged.memberships, (0, 0, 0));
}

#[test]
fn everything_else_follows_wecom_also_to_nothing() {
    let said = row(|p| {
        p.detail = Detail { mobile: "139".to_owned(), ..Detail::default() };
        p.main_unit = None;
        p.status = Status::Disabled;
    });
    let merged = merge(said.clone(), &row(|_| ()));
    assert!(merged.changed);
    assert_eq!(merged.person, said);
}

#[test]
fn a_fingerprint_alone_is_no_change() {
    let merged = merge(row(|p| p.said = "new".to_owned()), &row(|p| p.said = String::new()));
    assert!(!merged.changed);
    assert_eq!(merged.person.said, "new");
    assert!(merge(row(|p| p.name.push('x')), &row(|_| ())).changed);
}

#[test]
fn memberships_in_local_units_stay_behind_wecoms_whenever_the_unit_was_made() {
    let old = row(|p| p.memberships = places(&["mine", "1", "2", "3"]));
    let said = row(|p| {
        p.memberships = places(&["4", "1"]);
        p.memberships[1].leader = true;
    });
    let merged = merge(said, &old);
    let units: Vec<UnitId> = merged.person.memberships.iter().map(|m| m.unit.clone()).collect();
    assert_eq!(units, [unit(4), unit(1), UnitId::new("mine")]);
    assert_eq!(merged.memberships, (1, 1, 2));
}

#[test]
fn another_order_of_memberships_is_a_change_but_of_no_membership() {
    let merged = merge(row(|p| p.memberships.reverse()), &row(|_| ()));
    assert_eq!((merged.changed, merged.memberships), (true, (0, 0, 0)));
}

#[test]
fn a_recognised_local_person_keeps_its_id_and_the_attributes_wecom_does_not_have() {
    let old = row(|p| {
        p.id = PersonId::new("mine");
        p.source = Source::Local;
        p.main_unit = Some(UnitId::new("hand"));
        p.memberships = places(&["hand"]);
        p.detail.attributes =
            BTreeMap::from([("工号".to_owned(), "0".to_owned()), ("楼".to_owned(), "B".to_owned())]);
    });
    let said = row(|p| p.main_unit = None);
    let merged = merge(said, &old);
    let attributes = &merged.person.detail.attributes;
    assert_eq!((attributes["工号"].as_str(), attributes["楼"].as_str()), ("1", "B"));
    assert_eq!((merged.person.id.as_str(), merged.person.source), ("mine", Source::Wecom));
    assert_eq!(merged.person.main_unit, Some(UnitId::new("hand")));
    let wecoms = Person { source: Source::Wecom, ..old };
    let merged = merge(row(|_| ()), &wecoms);
    assert_eq!(merged.person.detail.attributes.len(), 1, "of WeCom's persons they follow WeCom");
}

#[test]
fn who_comes_back_is_no_longer_left() {
    let old = row(|p| (p.status, p.left_at) = (Status::Left, Some(Timestamp::from_millis(5))));
    let merged = merge(row(|_| ()), &old);
    assert_eq!((merged.person.status, merged.person.left_at), (Status::Active, None));
}

#[test]
fn who_leaves_stays_in_local_units_only() {
    let now = Timestamp::from_millis(9);
    let old = row(|p| p.memberships = places(&["1", "mine"]));
    let left = leave(&old, now);
    let expected = row(|p| {
        (p.status, p.left_at, p.main_unit) = (Status::Left, Some(now), None);
        p.memberships = places(&["mine"]);
        p.said.clear();
    });
    assert_eq!((left.person.clone(), left.changed, left.memberships), (expected, true, (0, 0, 1)));
    let again = leave(&left.person, Timestamp::from_millis(99));
    assert_eq!((again.person, again.changed), (left.person, false), "the first time counts");
    let headed = row(|p| p.main_unit = Some(UnitId::new("mine")));
    assert_eq!(leave(&headed, now).person.main_unit, Some(UnitId::new("mine")));
}
