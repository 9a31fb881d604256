//! Tests: userids that change, and userids that come back.

use super::*;

fn member_with_key(userid: &str, key: LinkField, value: &str) -> RemotePerson {
    member_with(userid, |m| match key {
        LinkField::Mobile => value.clone_into(&mut m.mobile),
        LinkField::Email => value.clone_into(&mut m.email),
        LinkField::EmployeeNumber | LinkField::Userid => {
            m.attributes.insert("工号".to_owned(), value.to_owned());
        }
    })
}

fn member_named(userid: &str, name: &str) -> RemotePerson {
    member_with(userid, |m| name.clone_into(&mut m.name))
}

const PROOF_KEYS: [LinkField; 3] = [LinkField::Mobile, LinkField::Email, LinkField::EmployeeNumber];

fn member_with_keys(userid: &str, name: &str, keys: [&str; 3]) -> RemotePerson {
    member_with(userid, |m| {
        let [mobile, email, number] = keys.map(str::to_owned);
        (m.name, m.mobile, m.email) = (name.to_owned(), mobile, email);
        m.attributes.insert("工号".to_owned(), number);
        // Different units, so that no name raises a conflict.
        m.memberships = in_units(if userid.len().is_multiple_of(2) { &[3] } else { &[4] });
    })
}

#[test]
fn a_key_proves_that_a_userid_was_changed() {
    for key in PROOF_KEYS {
        for (link_by, proof) in [(vec![key], true), (vec![LinkField::Userid], false)] {
            let mut model = DirectoryModel::new();
            model.policy.link_by = link_by;
            let anna = |userid, value| {
                let mut member = member_with_key(userid, key, value);
                member.name = "Anna".to_owned();
                member
            };
            model.run(&remote(vec![anna("anna", "k1"), member("bob")]));
            let id = model.id("anna");
            let plan = model.run(&remote(vec![anna("anna.li", "K1"), member("bob")]));
            assert_eq!(model.id("anna.li") == id, proof, "{key:?}");
            let expected = if proof { ((0, 1, 0), 0) } else { ((1, 0, 1), 1) };
            assert_eq!((count_person_changes(&plan), plan.conflicts.len()), expected, "{key:?}");
        }
    }
}

#[test]
fn what_is_handed_on_proves_a_changed_userid_only_with_the_name_or_the_employee_number() {
    let cases = [
        // The same employee number, whatever else changed.
        (("李娜", ["138", "a@x", "7"]), ("李薇", ["139", "b@x", "7"]), true),
        // Another employee number, whatever else is the same.
        (("李娜", ["138", "a@x", "7"]), ("李娜", ["138", "a@x", "8"]), false),
        (("李娜", ["138", "", ""]), ("李娜", ["138", "", ""]), true),
        (("李娜", ["138", "a@x", ""]), ("李娜", ["138", "b@x", "7"]), true),
        (("李娜", ["138", "", ""]), ("王芳", ["138", "", ""]), false),
        (("李娜", ["138", "a@x", ""]), ("王芳", ["138", "a@x", ""]), false),
        (("李娜", ["", "a@x", ""]), ("李娜", ["", "a@x", ""]), true),
        (("李娜", ["", "a@x", ""]), ("王芳", ["", "a@x", ""]), false),
        (("李娜", ["138", "a@x", ""]), ("李娜", ["139", "a@x", ""]), false),
        // A name that is not shown is not the same name.
        (("李娜", ["138", "", ""]), ("", ["138", "", ""]), false),
    ];
    for (before, now, proof) in cases {
        let mut model = DirectoryModel::new();
        model.run(&remote(vec![member_with_keys("anna", before.0, before.1), member("b")]));
        let id = model.id("anna");
        let plan = model.run(&remote(vec![member_with_keys("otto1", now.0, now.1), member("b")]));
        assert_eq!(model.id("otto1") == id, proof, "{before:?} {now:?}");
        let asked = if proof {
            vec![]
        } else {
            vec![expected_conflict(ConflictKind::Renamed, &model.id("otto1"), &[&id])]
        };
        assert_eq!(plan.conflicts, asked, "{before:?} {now:?}");
    }
}

#[test]
fn the_employee_number_vouches_for_a_telephone_also_where_it_links_nobody() {
    let mut model = DirectoryModel::new();
    model.policy.link_by = vec![LinkField::Mobile];
    model.run(&remote(vec![member_with_keys("anna", "李娜", ["138", "", "7"])]));
    let id = model.id("anna");
    model.run(&remote(vec![member_with_keys("anna1", "李薇", ["138", "", "7"])]));
    assert_eq!(model.id("anna1"), id);
}

#[test]
fn a_key_that_somebody_who_stays_has_proves_nothing() {
    let intern = |userid: &str| member_with_key(userid, LinkField::EmployeeNumber, "无");
    // A person who stays unchanged, one who changed, and one who gives up the key just now.
    for carl in
        [intern("carl"), RemotePerson { position: "会计".to_owned(), ..intern("carl") }, member("carl")]
    {
        let mut model = DirectoryModel::new();
        model.run(&remote(vec![intern("anna"), intern("carl")]));
        let anna = model.id("anna");
        let plan = model.run(&remote(vec![intern("bob"), carl]));
        assert_eq!((count_person_changes(&plan).0, count_person_changes(&plan).2), (1, 1));
        let question = expected_conflict(ConflictKind::Renamed, &model.id("bob"), &[&anna]);
        assert!(plan.conflicts.contains(&question), "{:#?}", plan.conflicts);
    }
    let mut model = DirectoryModel::new();
    let intern = |userid: &str, name: &str| member_with_keys(userid, name, ["", "", "无"]);
    let handed_on = |userid: &str, name: &str| member_with_keys(userid, name, ["138", "", "无"]);
    model.run(&remote(vec![handed_on("anna", "李娜"), intern("carl", "张伟")]));
    let anna = model.id("anna");
    model.run(&remote(vec![handed_on("bob", "王芳"), intern("carl", "张伟")]));
    assert_ne!(model.id("bob"), anna, "nor does it vouch for a telephone");
}

#[test]
fn a_key_of_several_proves_nothing_and_a_human_is_asked() {
    let mut model = DirectoryModel::new();
    let mobile = |userid: &str| member_with_key(userid, LinkField::Mobile, "138");
    model.run(&remote(vec![mobile("anna"), mobile("bob")]));
    let plan = model.run(&remote(vec![mobile("carl")]));
    assert_eq!(count_person_changes(&plan), (1, 0, 2));
    let mut left = [model.id("anna"), model.id("bob")];
    left.sort();
    assert_eq!(
        plan.conflicts,
        [expected_conflict(ConflictKind::Renamed, &model.id("carl"), &[&left[0], &left[1]])]
    );
    let plan = model.run(&remote(vec![mobile("dora"), mobile("emil")]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((2, 0, 1), 2), "one left, two joined");
}

#[test]
fn keys_that_point_to_different_persons_prove_nothing() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![
        member_with_key("anna", LinkField::Mobile, "138"),
        member_with_key("bob", LinkField::Email, "b@x"),
    ]));
    let both = member_with("carl", |m| (m.mobile, m.email) = ("138".to_owned(), "b@x".to_owned()));
    let plan = model.run(&remote(vec![both]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((1, 0, 2), 1));
}

#[test]
fn the_same_name_in_the_same_unit_is_a_question() {
    let mut model = DirectoryModel::new();
    let elsewhere =
        |userid: &str| member_with(userid, |m| (m.name, m.memberships) = ("张伟".to_owned(), in_units(&[3])));
    model.run(&remote(vec![member_named("anna", "张伟"), member_named("bob", "王芳"), elsewhere("carl")]));
    let plan = model.run(&remote(vec![member_named("anna2", "张伟"), member_named("dora", "李娜")]));
    assert_eq!(count_person_changes(&plan), (2, 0, 3));
    let candidates = [&model.id("anna")];
    assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Renamed, &model.id("anna2"), &candidates)]);
}

#[test]
fn hidden_names_are_not_the_same_name() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_named("anna", "")]));
    let id = model.id("anna");
    model.persons.get_mut(&id).unwrap().name.clear();
    assert!(model.run(&remote(vec![member_named("bob", "")])).conflicts.is_empty());
}

#[test]
fn nobody_is_renamed_on_half_a_fetch() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_with_key("anna", LinkField::Mobile, "138")]));
    let mut some = remote(vec![member_with_key("bob", LinkField::Mobile, "138")]);
    some.completeness.persons = false;
    assert_eq!(count_person_changes(&model.run(&some)), (1, 0, 0));
    assert_eq!(model.person("anna").status, PersonStatus::Active);
    // The next complete fetch shows who was gone, and raises a conflict.
    some.completeness.persons = true;
    let plan = model.run(&some);
    assert_eq!(count_person_changes(&plan), (0, 0, 1));
    assert_eq!(
        plan.conflicts,
        [expected_conflict(ConflictKind::Renamed, &model.id("bob"), &[&model.id("anna")])]
    );
}

#[test]
fn who_signed_in_under_a_changed_userid_before_the_run_is_asked_about() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_with_key("anna", LinkField::Mobile, "138")]));
    let id = model.add_local_person("anna2", |p| p.source = EntrySource::Wecom);
    let plan = model.run(&remote(vec![member_with_key("anna2", LinkField::Mobile, "138")]));
    assert_eq!(count_person_changes(&plan), (0, 1, 1));
    assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Renamed, &id, &[&model.id("anna")])]);
}

#[test]
fn a_telephone_that_is_handed_on_when_somebody_leaves_raises_no_question() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![
        member_with_key("anna", LinkField::Mobile, "138"),
        member_with_key("bob", LinkField::Mobile, "139"),
    ]));
    let plan = model.run(&remote(vec![member_with_key("bob", LinkField::Mobile, "138")]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((0, 1, 1), 0));
}

#[test]
fn a_changed_userid_goes_before_a_local_person_with_the_same_key() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_with_key("anna", LinkField::Mobile, "138")]));
    let id = model.id("anna");
    model.add_local_person("x", |p| p.details.mobile = "138".to_owned());
    let before = model.person("x").clone();
    let renamed =
        RemotePerson { name: "anna's name".to_owned(), ..member_with_key("anna2", LinkField::Mobile, "138") };
    model.run(&remote(vec![renamed]));
    assert_eq!((model.id("anna2"), model.person("x")), (id, &before));
}

#[test]
fn thousands_of_one_name_in_one_unit_are_not_compared_each_with_each() {
    let mut model = DirectoryModel::new();
    let all =
        |prefix: &str| remote((0..3000).map(|at| member_named(&format!("{prefix}{at}"), "张伟")).collect());
    model.run(&all("a"));
    let plan = model.plan(&all("b"));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((3000, 0, 3000), 3000));
    assert!(plan.conflicts.iter().all(|conflict| conflict.candidates.len() == 20));
}

#[test]
fn a_userid_that_comes_back_with_a_key_is_the_same_person() {
    for (key, name, same) in [
        (LinkField::EmployeeNumber, "married", true),
        (LinkField::Mobile, "anna's name", true),
        (LinkField::Mobile, "married", false),
        (LinkField::Email, "anna's name", false),
    ] {
        let mut model = DirectoryModel::new();
        model.run(&remote(vec![member_with_key("anna", key, "k1")]));
        let id = model.id("anna");
        model.run(&remote(Vec::new()));
        model.advance_hours(24 * 1000);
        let back = RemotePerson { name: name.to_owned(), ..member_with_key("Anna", key, "K1") };
        let plan = model.run(&remote(vec![back]));
        let anna = model.person("Anna");
        assert_eq!(anna.id == id, same, "{key:?} {name}");
        assert_eq!((anna.status, anna.left_at), (PersonStatus::Active, None));
        assert_eq!(count_person_changes(&plan), if same { (0, 1, 0) } else { (1, 0, 0) });
    }
}

#[test]
fn a_userid_that_comes_back_within_a_day_with_the_same_name_is_the_same_person() {
    for (hours, key, same) in [(23, "", true), (24, "", false), (1, "139", false), (1, "138", true)] {
        let mut model = DirectoryModel::new();
        model.run(&remote(vec![member_with_key("anna", LinkField::Mobile, "138")]));
        let id = model.id("anna");
        model.run(&remote(Vec::new()));
        model.advance_hours(hours);
        let plan = model.run(&remote(vec![member_with_key("anna", LinkField::Mobile, key)]));
        assert_eq!(model.id("anna") == id, same, "{hours} {key}");
        assert_eq!(plan.conflicts.is_empty(), same);
    }
}

#[test]
fn a_userid_that_is_somebody_elses_now_never_inherits() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    let old = model.id("anna");
    model.run(&remote(Vec::new()));
    let before = model.persons[&old].clone();
    let plan = model.run(&remote(vec![member_named("anna", "another")]));
    let new = model.id("anna");
    assert!(
        matches!(plan.persons.as_slice(), [PlannedPersonChange::Create { takes_over: Some(id), .. }] if *id == old),
        "{plan:#?}"
    );
    assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Reused, &new, &[&old])]);
    assert_eq!(model.persons[&old], before);
}

#[test]
fn a_hidden_name_does_not_hand_on_the_name_of_who_had_the_userid() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    model.run(&remote(Vec::new()));
    model.run(&remote(vec![member_named("anna", "")]));
    assert_eq!(model.person("anna").name, "anna");
}

#[test]
fn a_local_person_that_left_does_not_hand_on_its_userid_either() {
    let mut model = DirectoryModel::new();
    let id = model
        .add_local_person("anna", |p| (p.status, p.details.mobile) = (PersonStatus::Left, "138".to_owned()));
    let before = model.persons[&id].clone();
    let mut stranger = model.clone();
    let plan = stranger.run(&remote(vec![member("anna")]));
    assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Reused, &stranger.id("anna"), &[&id])]);
    assert_eq!(stranger.persons[&id], before);
    let back =
        RemotePerson { name: "anna by hand".to_owned(), ..member_with_key("anna", LinkField::Mobile, "138") };
    model.run(&remote(vec![back]));
    assert_eq!((model.id("anna"), model.person("anna").source), (id, EntrySource::Wecom));
}

#[test]
fn who_takes_over_a_userid_is_neither_recognised_nor_renamed_but_asked_about() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna"), member_with_key("bob", LinkField::Email, "b@x")]));
    let (anna, bob) = (model.id("anna"), model.id("bob"));
    model.run(&remote(vec![member_with_key("bob", LinkField::Email, "b@x")]));
    let hand = model.add_local_person("x", |p| p.details.mobile = "138".to_owned());
    model.advance_hours(48);
    let new = member_with("anna", |m| (m.mobile, m.email) = ("138".to_owned(), "b@x".to_owned()));
    let plan = model.run(&remote(vec![new]));
    let id = model.id("anna");
    assert_eq!(count_person_changes(&plan), (1, 0, 1));
    let expected = [
        expected_conflict(ConflictKind::Ambiguous, &id, &[&hand]),
        expected_conflict(ConflictKind::Renamed, &id, &[&bob]),
        expected_conflict(ConflictKind::Reused, &id, &[&anna]),
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
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![with("anna", "7"), member("b")]));
    let anna = model.id("anna");
    let plan = model.run(&remote(vec![with("otto", "8"), member("b")]));
    assert_eq!(count_person_changes(&plan), (1, 0, 1));
    assert_ne!(model.id("otto"), anna);
    assert_eq!(plan.conflicts.len(), 1, "and a human is asked");
}

#[test]
fn a_userid_that_is_plainly_somebody_elses_between_two_runs_does_not_inherit() {
    let cases = [
        (("李娜", ["138", "a@x", "7"]), ("王芳", ["139", "a@x", "8"]), true),
        (("李娜", ["138", "", ""]), ("王芳", ["139", "", ""]), true),
        (("李娜", ["138", "", "7"]), ("王芳", ["", "", "8"]), true),
        // A new name and nothing else in common.
        (("李娜", ["138", "a@x", "7"]), ("李薇", ["138", "b@x", "8"]), false),
        (("李娜", ["138", "a@x", "7"]), ("李薇", ["139", "b@x", "7"]), false),
        (("李娜", ["138", "", ""]), ("李薇", ["", "", "8"]), false),
        (("李娜", ["", "a@x", ""]), ("李薇", ["", "b@x", ""]), false),
        // The same name, or none.
        (("李娜", ["138", "", "7"]), ("李娜", ["139", "", "8"]), false),
        (("李娜", ["138", "", "7"]), ("", ["139", "", "8"]), false),
        (("", ["138", "", "7"]), ("李娜", ["139", "", "8"]), false),
    ];
    for (before, now, another) in cases {
        for complete in [true, false] {
            let mut model = DirectoryModel::new();
            model.run(&remote(vec![member_with_keys("lisi", before.0, before.1)]));
            let old = model.id("lisi");
            let mut told = remote(vec![member_with_keys("LiSi", now.0, now.1)]);
            told.completeness.persons = complete;
            let plan = model.run(&told);
            let new = model.id("LiSi");
            assert_eq!(new != old, another, "{before:?} {now:?}");
            if !another {
                assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((0, 1, 0), 0));
                continue;
            }
            assert_eq!((count_person_changes(&plan), plan.removals.persons), ((1, 0, 1), 1));
            let taken_over = |c: &PlannedPersonChange| matches!(c, PlannedPersonChange::Create { takes_over: Some(id), .. } if *id == old);
            assert!(plan.persons.iter().any(taken_over), "{plan:#?}");
            assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Reused, &new, &[&old])]);
            assert_eq!(
                (model.persons[&old].status, model.persons[&old].name.as_str()),
                (PersonStatus::Left, before.0)
            );
        }
    }
}

#[test]
fn userids_that_are_somebody_elses_count_as_removals() {
    let mut model = DirectoryModel::new();
    let all = |name: &str, mobile: &str| {
        let told = |at| member_with_keys(&format!("u{at}"), name, [&format!("{mobile}{at}"), "", ""]);
        remote((0..20).map(told).collect())
    };
    model.run(&all("李娜", "138"));
    model.policy.max_removals = 1_000;
    let plan = model.plan(&all("王芳", "139"));
    assert_eq!(plan.removals.persons, 20);
    assert!(plan.refused.is_some(), "more than a tenth");
}

#[test]
fn whose_userid_went_to_somebody_else_may_go_on_under_another_one() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_with_keys("lisi", "李四", ["138", "", "7"])]));
    let old = model.id("lisi");
    let now = vec![
        member_with_keys("lisi", "李思", ["139", "", "8"]),
        member_with_keys("lisi.old", "李四", ["138", "", "7"]),
    ];
    let plan = model.run(&remote(now));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len(), plan.removals.persons), ((1, 1, 0), 0, 0));
    assert_eq!(model.id("lisi.old"), old);
    assert_ne!(model.id("lisi"), old);
    let gives_up =
        |c: &PlannedPersonChange| matches!(c, PlannedPersonChange::Create { takes_over: None, .. });
    assert!(plan.persons.iter().any(gives_up), "nobody left");
}
