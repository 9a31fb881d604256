//! What two persons become who are one.

use super::*;
use crate::base::id::{UnitId, UserId};
use crate::directory::{Membership, Unit};

fn somebody(id: &str, source: Source, units: &[&str]) -> Person {
    let place = |unit: &&str| Membership { unit: UnitId::new(*unit), order: 0, leader: id == "kept" };
    Person {
        id: PersonId::new(id),
        userid: UserId::new(format!("{id}-userid")),
        name: format!("{id} name"),
        email: String::new(),
        source,
        status: Status::Active,
        left_at: None,
        main_unit: units.first().map(|unit| UnitId::new(*unit)),
        memberships: units.iter().map(place).collect(),
        detail: Detail::default(),
        said: "as read".into(),
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
    let units = vec![unit("wecom", Source::Wecom), unit("club", Source::Local), unit("choir", Source::Local)];
    Chart::new(1, None, units, vec![])
}

#[test]
fn wecom_says_who_it_is_and_only_local_places_are_brought_along() {
    let kept = somebody("kept", Source::Local, &["wecom", "club", "choir", "gone"]);
    let flagged = somebody("flagged", Source::Wecom, &["hidden", "club"]);
    let one = one_of_two(&kept, &flagged, &chart());
    assert_eq!(
        (one.id.as_str(), one.userid.as_str(), &*one.name),
        ("kept", "flagged-userid", "flagged name")
    );
    let places: Vec<_> = one.memberships.iter().map(|m| (m.unit.as_str(), m.leader)).collect();
    assert_eq!(places, [("hidden", false), ("club", false), ("choir", true)]);
    assert_eq!((one.source, &*one.said), (Source::Wecom, ""));
}

#[test]
fn private_fields_that_wecom_does_not_say_stay() {
    let mut kept = somebody("kept", Source::Local, &["club"]);
    let mut flagged = somebody("flagged", Source::Wecom, &[]);
    kept.email = "kept@x.example".into();
    (kept.detail.mobile, flagged.detail.mobile) = ("1".into(), "2".into());
    kept.detail.alias = "小".into();
    kept.detail.direct_leaders = vec![UserId::new("boss")];
    kept.detail.attributes = [("a".into(), "1".into()), ("b".into(), "1".into())].into();
    flagged.detail.attributes = [("a".into(), String::new()), ("b".into(), "2".into())].into();
    flagged.status = Status::Disabled;
    let one = one_of_two(&kept, &flagged, &chart());
    assert_eq!((&*one.email, &*one.detail.mobile, &*one.detail.alias), ("kept@x.example", "2", "小"));
    assert_eq!(one.detail.direct_leaders, [UserId::new("boss")]);
    assert_eq!(one.detail.attributes, [("a".into(), "1".into()), ("b".into(), "2".into())].into());
    assert_eq!((one.status, one.main_unit), (Status::Disabled, Some(UnitId::new("club"))));
}

#[test]
fn whoever_is_wecoms_and_has_not_left_is_nobody_else() {
    let mut person = somebody("kept", Source::Wecom, &[]);
    for (status, member) in
        [(Status::Active, true), (Status::Disabled, true), (Status::Inactive, true), (Status::Left, false)]
    {
        person.status = status;
        assert_eq!(is_member(&person), member);
    }
    person.source = Source::Local;
    person.status = Status::Active;
    assert!(!is_member(&person));
}
