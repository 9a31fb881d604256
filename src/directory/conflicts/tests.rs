//! How two persons are merged.

use super::*;
use crate::base::id::{UnitId, UserId};
use crate::directory::{Membership, Unit};

pub(super) fn somebody(id: &str, source: EntrySource, units: &[&str]) -> Person {
    let place = |unit: &&str| Membership { unit: UnitId::new(*unit), order: 0, leader: id == "kept" };
    Person {
        id: PersonId::new(id),
        userid: UserId::new(format!("{id}-userid")),
        name: format!("{id} name"),
        email: String::new(),
        source,
        status: PersonStatus::Active,
        left_at: None,
        main_unit: units.first().map(|unit| UnitId::new(*unit)),
        memberships: units.iter().map(place).collect(),
        details: PersonDetails::default(),
        fingerprint: "as read".into(),
    }
}

fn chart() -> Chart {
    let unit = |id: &str, source| Unit {
        id: UnitId::new(id),
        wecom_id: None,
        source,
        parent: None,
        name: id.into(),
        name_en: String::new(),
        order: 0,
        leaders: vec![],
    };
    let units = vec![
        unit("wecom", EntrySource::Wecom),
        unit("club", EntrySource::Local),
        unit("choir", EntrySource::Local),
    ];
    Chart::new(1, None, units, vec![])
}

#[test]
fn wecom_says_who_it_is_and_only_local_places_are_brought_along() {
    let kept = somebody("kept", EntrySource::Local, &["wecom", "club", "choir", "gone"]);
    let flagged = somebody("flagged", EntrySource::Wecom, &["hidden", "club"]);
    let one = merge_persons(&kept, &flagged, &chart());
    assert_eq!(
        (one.id.as_str(), one.userid.as_str(), &*one.name),
        ("kept", "flagged-userid", "flagged name")
    );
    let places: Vec<_> = one.memberships.iter().map(|m| (m.unit.as_str(), m.leader)).collect();
    assert_eq!(places, [("hidden", false), ("club", false), ("choir", true)]);
    assert_eq!((one.source, &*one.fingerprint), (EntrySource::Wecom, ""));
}

#[test]
fn private_fields_that_wecom_does_not_say_stay() {
    let mut kept = somebody("kept", EntrySource::Local, &["club"]);
    let mut flagged = somebody("flagged", EntrySource::Wecom, &[]);
    kept.email = "kept@x.example".into();
    (kept.details.mobile, flagged.details.mobile) = ("1".into(), "2".into());
    kept.details.alias = "小".into();
    kept.details.direct_leaders = vec![UserId::new("boss")];
    kept.details.attributes = [("a".into(), "1".into()), ("b".into(), "1".into())].into();
    flagged.details.attributes = [("a".into(), String::new()), ("b".into(), "2".into())].into();
    flagged.status = PersonStatus::Disabled;
    let one = merge_persons(&kept, &flagged, &chart());
    assert_eq!((&*one.email, &*one.details.mobile, &*one.details.alias), ("kept@x.example", "2", "小"));
    assert_eq!(one.details.direct_leaders, [UserId::new("boss")]);
    assert_eq!(one.details.attributes, [("a".into(), "1".into()), ("b".into(), "2".into())].into());
    assert_eq!((one.status, one.main_unit), (PersonStatus::Disabled, Some(UnitId::new("club"))));
}

#[test]
fn whoever_is_wecoms_and_has_not_left_is_nobody_else() {
    let mut person = somebody("kept", EntrySource::Wecom, &[]);
    for (status, member) in [
        (PersonStatus::Active, true),
        (PersonStatus::Disabled, true),
        (PersonStatus::Inactive, true),
        (PersonStatus::Left, false),
    ] {
        person.status = status;
        assert_eq!(is_current_member(&person), member);
    }
    person.source = EntrySource::Local;
    person.status = PersonStatus::Active;
    assert!(!is_current_member(&person));
}
