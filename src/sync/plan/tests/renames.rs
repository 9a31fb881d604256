//! Userids that change, and userids that come back.

use super::*;

fn keyed(userid: &str, key: LinkBy, value: &str) -> RemotePerson {
    member_with(userid, |m| match key {
        LinkBy::Mobile => value.clone_into(&mut m.mobile),
        LinkBy::Email => value.clone_into(&mut m.email),
        LinkBy::EmployeeNumber | LinkBy::Userid => {
            m.attributes.insert("工号".to_owned(), value.to_owned());
        }
    })
}

fn named(userid: &str, name: &str) -> RemotePerson {
    member_with(userid, |m| name.clone_into(&mut m.name))
}

const KEYS: [LinkBy; 3] = [LinkBy::Mobile, LinkBy::Email, LinkBy::EmployeeNumber];

#[test]
fn a_key_proves_that_a_userid_was_changed() {
    for key in KEYS {
        let mut model = Model::new();
        model.policy.link_by.clear();
        model.run(&remote(vec![keyed("anna", key, "k1"), member("bob")]));
        let id = model.id("anna");
        let plan = model.run(&remote(vec![keyed("anna.li", key, "K1"), member("bob")]));
        assert_eq!((counts(&plan), plan.conflicts.len()), ((0, 1, 0), 0), "{key:?}");
        assert_eq!(model.id("anna.li"), id);
    }
}

#[test]
fn a_key_of_several_proves_nothing_and_a_human_is_asked() {
    let mut model = Model::new();
    let mobile = |userid: &str| keyed(userid, LinkBy::Mobile, "138");
    model.run(&remote(vec![mobile("anna"), mobile("bob")]));
    let plan = model.run(&remote(vec![mobile("carl")]));
    assert_eq!(counts(&plan), (1, 0, 2));
    let mut left = [model.id("anna"), model.id("bob")];
    left.sort();
    assert_eq!(plan.conflicts, [asks(ConflictKind::Renamed, &model.id("carl"), &[&left[0], &left[1]])]);
    let plan = model.run(&remote(vec![mobile("dora"), mobile("emil")]));
    assert_eq!((counts(&plan), plan.conflicts.len()), ((2, 0, 1), 2), "one left, two joined");
}

#[test]
fn keys_that_point_to_different_persons_prove_nothing() {
    let mut model = Model::new();
    model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138"), keyed("bob", LinkBy::Email, "b@x")]));
    let both = member_with("carl", |m| (m.mobile, m.email) = ("138".to_owned(), "b@x".to_owned()));
    let plan = model.run(&remote(vec![both]));
    assert_eq!((counts(&plan), plan.conflicts.len()), ((1, 0, 2), 1));
}

#[test]
fn the_same_name_in_the_same_unit_is_a_question() {
    let mut model = Model::new();
    let elsewhere =
        |userid: &str| member_with(userid, |m| (m.name, m.memberships) = ("张伟".to_owned(), in_units(&[3])));
    model.run(&remote(vec![named("anna", "张伟"), named("bob", "王芳"), elsewhere("carl")]));
    let plan = model.run(&remote(vec![named("anna2", "张伟"), named("dora", "李娜")]));
    assert_eq!(counts(&plan), (2, 0, 3));
    let candidates = [&model.id("anna")];
    assert_eq!(plan.conflicts, [asks(ConflictKind::Renamed, &model.id("anna2"), &candidates)]);
}

#[test]
fn hidden_names_are_not_the_same_name() {
    let mut model = Model::new();
    model.run(&remote(vec![named("anna", "")]));
    let id = model.id("anna");
    model.persons.get_mut(&id).unwrap().name.clear();
    assert!(model.run(&remote(vec![named("bob", "")])).conflicts.is_empty());
}

#[test]
fn nobody_is_renamed_on_half_a_fetch() {
    let mut model = Model::new();
    model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138")]));
    let mut some = remote(vec![keyed("bob", LinkBy::Mobile, "138")]);
    some.complete.persons = false;
    assert_eq!(counts(&model.run(&some)), (1, 0, 0));
    assert_eq!(model.person("anna").status, Status::Active);
    // The next whole fetch shows who was gone, and a human is asked.
    some.complete.persons = true;
    let plan = model.run(&some);
    assert_eq!(counts(&plan), (0, 0, 1));
    assert_eq!(plan.conflicts, [asks(ConflictKind::Renamed, &model.id("bob"), &[&model.id("anna")])]);
}

#[test]
fn who_signed_in_under_a_changed_userid_before_the_run_is_asked_about() {
    let mut model = Model::new();
    model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138")]));
    let id = model.by_hand("anna2", |p| p.source = Source::Wecom);
    let plan = model.run(&remote(vec![keyed("anna2", LinkBy::Mobile, "138")]));
    assert_eq!(counts(&plan), (0, 1, 1));
    assert_eq!(plan.conflicts, [asks(ConflictKind::Renamed, &id, &[&model.id("anna")])]);
}

#[test]
fn a_telephone_that_is_handed_on_when_somebody_leaves_raises_no_question() {
    let mut model = Model::new();
    model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138"), keyed("bob", LinkBy::Mobile, "139")]));
    let plan = model.run(&remote(vec![keyed("bob", LinkBy::Mobile, "138")]));
    assert_eq!((counts(&plan), plan.conflicts.len()), ((0, 1, 1), 0));
}

#[test]
fn a_changed_userid_goes_before_a_local_person_with_the_same_key() {
    let mut model = Model::new();
    model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138")]));
    let id = model.id("anna");
    model.by_hand("x", |p| p.detail.mobile = "138".to_owned());
    let before = model.person("x").clone();
    model.run(&remote(vec![keyed("anna2", LinkBy::Mobile, "138")]));
    assert_eq!((model.id("anna2"), model.person("x")), (id, &before));
}

#[test]
fn thousands_of_one_name_in_one_unit_are_not_compared_each_with_each() {
    let mut model = Model::new();
    let all = |prefix: &str| remote((0..3000).map(|at| named(&format!("{prefix}{at}"), "张伟")).collect());
    model.run(&all("a"));
    let plan = model.plan(&all("b"));
    assert_eq!((counts(&plan), plan.conflicts.len()), ((3000, 0, 3000), 3000));
    assert!(plan.conflicts.iter().all(|conflict| conflict.candidates.len() == 20));
}

#[test]
fn a_userid_that_comes_back_with_a_key_is_the_same_person() {
    for key in KEYS {
        let mut model = Model::new();
        model.run(&remote(vec![keyed("anna", key, "k1")]));
        let id = model.id("anna");
        model.run(&remote(Vec::new()));
        model.later(24 * 1000);
        let back = member_with("Anna", |m| {
            *m = RemotePerson {
                name: "married".to_owned(),
                userid: m.userid.clone(),
                ..keyed("anna", key, "K1")
            };
        });
        assert_eq!(counts(&model.run(&remote(vec![back]))), (0, 1, 0), "{key:?}");
        let anna = model.person("Anna");
        assert_eq!((&anna.id, anna.status, anna.left_at), (&id, Status::Active, None));
    }
}

#[test]
fn a_userid_that_comes_back_within_a_day_with_the_same_name_is_the_same_person() {
    for (hours, key, same) in [(23, "", true), (24, "", false), (1, "139", false), (1, "138", true)] {
        let mut model = Model::new();
        model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138")]));
        let id = model.id("anna");
        model.run(&remote(Vec::new()));
        model.later(hours);
        let plan = model.run(&remote(vec![keyed("anna", LinkBy::Mobile, key)]));
        assert_eq!(model.id("anna") == id, same, "{hours} {key}");
        assert_eq!(plan.conflicts.is_empty(), same);
    }
}

#[test]
fn a_userid_that_is_somebody_elses_now_never_inherits() {
    let mut model = Model::new();
    model.run(&remote(vec![member("anna")]));
    let old = model.id("anna");
    model.run(&remote(Vec::new()));
    let before = model.persons[&old].clone();
    let plan = model.run(&remote(vec![named("anna", "another")]));
    let new = model.id("anna");
    assert!(
        matches!(plan.persons.as_slice(), [PersonChange::Create { takes_over: Some(id), .. }] if *id == old),
        "{plan:#?}"
    );
    assert_eq!(plan.conflicts, [asks(ConflictKind::Reused, &new, &[&old])]);
    assert_eq!(model.persons[&old], before);
}

#[test]
fn a_hidden_name_does_not_hand_on_the_name_of_who_had_the_userid() {
    let mut model = Model::new();
    model.run(&remote(vec![member("anna")]));
    model.run(&remote(Vec::new()));
    model.run(&remote(vec![named("anna", "")]));
    assert_eq!(model.person("anna").name, "anna");
}

#[test]
fn a_local_person_that_left_does_not_hand_on_its_userid_either() {
    let mut model = Model::new();
    let id = model.by_hand("anna", |p| (p.status, p.detail.mobile) = (Status::Left, "138".to_owned()));
    let before = model.persons[&id].clone();
    let mut stranger = model.clone();
    let plan = stranger.run(&remote(vec![member("anna")]));
    assert_eq!(plan.conflicts, [asks(ConflictKind::Reused, &stranger.id("anna"), &[&id])]);
    assert_eq!(stranger.persons[&id], before);
    model.run(&remote(vec![keyed("anna", LinkBy::Mobile, "138")]));
    assert_eq!((model.id("anna"), model.person("anna").source), (id, Source::Wecom));
}

#[test]
fn who_takes_over_a_userid_is_neither_recognised_nor_renamed_but_asked_about() {
    let mut model = Model::new();
    model.run(&remote(vec![member("anna"), keyed("bob", LinkBy::Email, "b@x")]));
    let (anna, bob) = (model.id("anna"), model.id("bob"));
    model.run(&remote(vec![keyed("bob", LinkBy::Email, "b@x")]));
    let hand = model.by_hand("x", |p| p.detail.mobile = "138".to_owned());
    model.later(48);
    let new = member_with("anna", |m| (m.mobile, m.email) = ("138".to_owned(), "b@x".to_owned()));
    let plan = model.run(&remote(vec![new]));
    let id = model.id("anna");
    assert_eq!(counts(&plan), (1, 0, 1));
    let expected = [
        asks(ConflictKind::Ambiguous, &id, &[&hand]),
        asks(ConflictKind::Renamed, &id, &[&bob]),
        asks(ConflictKind::Reused, &id, &[&anna]),
    ];
    assert_eq!(plan.conflicts, expected);
}

#[test]
fn a_telephone_handed_to_another_employee_proves_nothing() {
    let with = |userid: &str, number: &str| {
        member_with(userid, |m| {
            m.mobile = "138".to_owned();
            m.attributes.insert("工号".to_owned(), number.to_owned());
        })
    };
    let mut model = Model::new();
    model.run(&remote(vec![with("anna", "7"), member("b")]));
    let anna = model.id("anna");
    let plan = model.run(&remote(vec![with("otto", "8"), member("b")]));
    assert_eq!(counts(&plan), (1, 0, 1));
    assert_ne!(model.id("otto"), anna);
    assert_eq!(plan.conflicts.len(), 1, "and a human is asked");
}
