//! Tests: how local persons are recognised among WeCom's members.

use super::*;

/// The name of everybody here who has a mobile number.
const MOBILE_OWNER_NAME: &str = "张三";

fn member_with_mobile(userid: &str, mobile: &str) -> RemotePerson {
    member_with(userid, |m| (m.name, m.mobile) = (MOBILE_OWNER_NAME.to_owned(), mobile.to_owned()))
}

fn add_local_person_with_mobile(model: &mut DirectoryModel, userid: &str, mobile: &str) -> PersonId {
    model.add_local_person(userid, |p| {
        (p.name, p.details.mobile) = (MOBILE_OWNER_NAME.to_owned(), mobile.to_owned());
    })
}

fn member_with_number(userid: &str, number: &str) -> RemotePerson {
    member_with(userid, |m| drop(m.attributes.insert("工号".to_owned(), number.to_owned())))
}

#[test]
fn a_local_person_with_the_members_userid_is_the_member_whatever_link_by_says() {
    let mut model = DirectoryModel::new();
    model.policy.link_by.clear();
    let id = model.add_local_person("Anna", |_| ());
    assert_eq!(count_person_changes(&model.run(&remote(vec![member("anna")]))), (0, 1, 0));
    let anna = model.person("anna");
    assert_eq!((&anna.id, anna.source, anna.name.as_str()), (&id, EntrySource::Wecom, "anna's name"));
}

#[test]
fn a_local_person_is_recognised_by_each_key() {
    for (stored, told) in [("138 0000-0000", "+8613800000000"), ("008613800000000", "13800000000")] {
        let mut model = DirectoryModel::new();
        let id = add_local_person_with_mobile(&mut model, "anna1", stored);
        assert_eq!(
            count_person_changes(&model.run(&remote(vec![member_with_mobile("anna", told)]))),
            (0, 1, 0),
            "{stored} {told}"
        );
        assert_eq!(model.id("anna"), id);
    }
    let mut model = DirectoryModel::new();
    let id = model.add_local_person("anna1", |p| {
        (p.name, p.email) = ("Anna Li".to_owned(), " Anna@Example.com".to_owned());
    });
    let told = |m: &mut RemotePerson| {
        (m.name, m.email) = ("ＡＮＮＡ li ".to_owned(), "anna@example.COM ".to_owned());
    };
    model.run(&remote(vec![member_with("anna", told)]));
    assert_eq!(model.id("anna"), id);
    let mut model = DirectoryModel::new();
    let number = TextMap::from([("员工编号".to_owned(), "a-7".to_owned())]);
    let id = model.add_local_person("anna1", |p| p.details.attributes = number);
    model.run(&remote(vec![member_with_number("anna", "A-7")]));
    assert_eq!(model.id("anna"), id);
}

#[test]
fn case_49_a_mail_or_mobile_with_another_name_takes_nobody_over_and_is_asked_about() {
    for name in ["李四", ""] {
        for by in [LinkField::Mobile, LinkField::Email] {
            let mut model = DirectoryModel::new();
            let mine = model.add_local_unit("mine", None);
            let boss = model.add_local_person("boss", |p| {
                p.name = MOBILE_OWNER_NAME.to_owned();
                (p.email, p.details.mobile) = ("boss@example.com".to_owned(), "13800138000".to_owned());
                p.memberships = vec![Membership { unit: mine, order: 0, leader: true }];
            });
            let before = model.persons[&boss].clone();
            let plan = model.run(&remote(vec![member_with("mallory", |m| {
                name.clone_into(&mut m.name);
                match by {
                    LinkField::Mobile => m.mobile = "+86 138 0013 8000".to_owned(),
                    _ => m.email = "Boss@example.com".to_owned(),
                }
            })]));
            assert_eq!(count_person_changes(&plan), (1, 0, 0), "{name} {by:?}");
            let mallory = model.person("mallory");
            assert_ne!(mallory.id, boss);
            assert!(
                mallory.memberships.iter().all(|m| m.unit == department_unit_id(2)),
                "no right of the local person's"
            );
            assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Ambiguous, &mallory.id, &[&boss])]);
            assert_eq!(model.persons[&boss], before);
        }
    }
}

#[test]
fn case_49_an_employee_number_that_differs_outweighs_a_mobile_and_a_name() {
    let mut model = DirectoryModel::new();
    let local = model.add_local_person("x", |p| {
        (p.name, p.details.mobile) = (MOBILE_OWNER_NAME.to_owned(), "138".to_owned());
        p.details.attributes.insert("工号".to_owned(), "7".to_owned());
    });
    let other = RemotePerson {
        attributes: member_with_number("", "8").attributes,
        ..member_with_mobile("anna", "138")
    };
    let plan = model.run(&remote(vec![other]));
    assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Ambiguous, &model.id("anna"), &[&local])]);
    let same = RemotePerson { attributes: member_with_number("", "7").attributes, ..member("bob") };
    let mut model = DirectoryModel::new();
    let local =
        model.add_local_person("x", |p| drop(p.details.attributes.insert("工号".to_owned(), "7".to_owned())));
    model.run(&remote(vec![same]));
    assert_eq!(model.id("bob"), local, "an employee number needs no name");
}

#[test]
fn a_key_that_link_by_does_not_name_recognises_nobody() {
    let mut model = DirectoryModel::new();
    model.policy.link_by = vec![LinkField::Userid, LinkField::Email];
    add_local_person_with_mobile(&mut model, "anna1", "138");
    let plan = model.run(&remote(vec![member_with_mobile("anna", "138")]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((1, 0, 0), 0));
}

#[test]
fn empty_keys_recognise_nobody() {
    let mut model = DirectoryModel::new();
    add_local_person_with_mobile(&mut model, "x", " - ");
    let plan = model.run(&remote(vec![member_with_mobile("a", "+86"), member_with_mobile("b", "-")]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((2, 0, 0), 0));
}

#[test]
fn a_member_that_could_be_several_local_persons_is_let_in_as_itself_and_asked_about() {
    let mut model = DirectoryModel::new();
    let second = add_local_person_with_mobile(&mut model, "y", "138");
    let first = model.add_local_person("x", |p| p.email = "a@b".to_owned());
    let both = member_with("anna", |m| (m.mobile, m.email) = ("138".to_owned(), "a@b".to_owned()));
    let plan = model.run(&remote(vec![both]));
    assert_eq!(count_person_changes(&plan), (1, 0, 0));
    assert_eq!(
        plan.conflicts,
        [expected_conflict(ConflictKind::Ambiguous, &model.id("anna"), &[&first, &second])]
    );
    assert_eq!(model.person("x").source, EntrySource::Local);
}

#[test]
fn two_members_that_match_one_local_person_are_both_asked_about() {
    let mut model = DirectoryModel::new();
    let id = add_local_person_with_mobile(&mut model, "x", "138");
    let plan = model.run(&remote(vec![member_with_mobile("anna", "138"), member_with_mobile("bob", "138")]));
    assert_eq!(count_person_changes(&plan), (2, 0, 0));
    let about = |userid| expected_conflict(ConflictKind::Ambiguous, &model.id(userid), &[&id]);
    assert_eq!(plan.conflicts, [about("anna"), about("bob")]);
}

#[test]
fn a_known_member_with_the_same_key_is_reason_enough_to_ask() {
    for unread in [false, true] {
        let mut model = DirectoryModel::new();
        model.run(&remote(vec![member_with_mobile("bob", "138")]));
        let id = add_local_person_with_mobile(&mut model, "x", "138");
        let mut remote = remote(vec![member_with_mobile("anna", "138")]);
        if unread {
            remote.present.insert("bob".to_owned());
        } else {
            // WeCom hides the number now; 138 is kept.
            remote.persons.push(member_with_mobile("bob", ""));
        }
        let plan = model.run(&remote);
        assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Ambiguous, &model.id("anna"), &[&id])]);
        assert_eq!(model.person("x").source, EntrySource::Local);
    }
}

#[test]
fn a_known_member_is_never_recognised_again() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_with_mobile("anna", "138")]));
    let before = model.id("anna");
    add_local_person_with_mobile(&mut model, "x", "138");
    let changed = member_with("anna", |m| (m.mobile, m.position) = ("138".to_owned(), "x".to_owned()));
    let plan = model.run(&remote(vec![changed]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((0, 1, 0), 0));
    assert_eq!(model.id("anna"), before);
}

#[test]
fn who_is_recognised_by_userid_and_shares_a_key_with_others_is_linked_and_asked_about() {
    let mut model = DirectoryModel::new();
    let anna = model.add_local_person("anna", |_| ());
    let other = add_local_person_with_mobile(&mut model, "x", "138");
    // A second member with that mobile number is not linked to the other one either.
    let plan = model.run(&remote(vec![member_with_mobile("anna", "138"), member_with_mobile("bob", "138")]));
    assert_eq!(count_person_changes(&plan), (1, 1, 0));
    assert_eq!(model.id("anna"), anna);
    let expected = [
        expected_conflict(ConflictKind::Ambiguous, &anna, &[&other]),
        expected_conflict(ConflictKind::Ambiguous, &model.id("bob"), &[&other]),
    ];
    assert_eq!(plan.conflicts, expected);
}

#[test]
fn a_local_person_whose_userid_a_member_has_is_not_linked_to_another_member() {
    for unread in [false, true] {
        let mut model = DirectoryModel::new();
        let anna = add_local_person_with_mobile(&mut model, "anna", "138");
        let mut remote = remote(vec![member_with_mobile("bob", "138")]);
        if unread {
            remote.present.insert("anna".to_owned());
        } else {
            remote.persons.push(member("anna"));
        }
        let plan = model.run(&remote);
        assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Ambiguous, &model.id("bob"), &[&anna])]);
        assert_eq!(model.id("anna"), anna);
    }
}

#[test]
fn a_local_person_that_left_is_no_candidate_but_a_disabled_one_is() {
    let mut model = DirectoryModel::new();
    let left = add_local_person_with_mobile(&mut model, "x", "138");
    model.persons.get_mut(&left).unwrap().status = PersonStatus::Left;
    let before = model.persons[&left].clone();
    let disabled = add_local_person_with_mobile(&mut model, "y", "139");
    model.persons.get_mut(&disabled).unwrap().status = PersonStatus::Disabled;
    let plan = model.run(&remote(vec![member_with_mobile("anna", "138"), member_with_mobile("bob", "139")]));
    assert_eq!((count_person_changes(&plan), plan.conflicts.len()), ((1, 1, 0), 0));
    assert_eq!((model.id("bob"), &model.persons[&left]), (disabled, &before));
}

#[test]
fn local_persons_nobody_recognises_are_left_alone() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    let mine = model.add_local_unit("mine", None);
    let id = model.add_local_person("x", |p| {
        p.memberships = vec![
            Membership { unit: mine, order: 1, leader: true },
            Membership { unit: department_unit_id(4), order: 1, leader: true },
        ];
    });
    let before = model.persons[&id].clone();
    let mut fewer = remote(Vec::new());
    fewer.units.pop();
    model.run(&fewer);
    assert_eq!(model.persons[&id], before);
}

#[test]
fn a_question_that_was_asked_is_not_asked_again() {
    let mut model = DirectoryModel::new();
    let anna = model.add_local_person("anna", |_| ());
    let other = add_local_person_with_mobile(&mut model, "x", "138");
    model.known_conflicts.insert((ConflictKind::Ambiguous, anna.clone(), vec![other]));
    assert!(model.plan(&remote(vec![member_with_mobile("anna", "138")])).conflicts.is_empty());
    let third = add_local_person_with_mobile(&mut model, "z", "138");
    let plan = model.plan(&remote(vec![member_with_mobile("anna", "138")]));
    assert_eq!(plan.conflicts.len(), 1, "another question");
    assert!(plan.conflicts[0].candidates.contains(&third));
}

#[test]
fn the_order_of_link_by_does_not_matter() {
    let run = |link_by: Vec<LinkField>| {
        let mut model = DirectoryModel::new();
        model.policy.link_by = link_by;
        add_local_person_with_mobile(&mut model, "x", "138");
        model.add_local_person("y", |p| p.email = "a@b".to_owned());
        model.add_local_person("z", |p| p.email = "c@d".to_owned());
        let both = member_with("anna", |m| (m.mobile, m.email) = ("138".to_owned(), "a@b".to_owned()));
        let bob = |m: &mut RemotePerson| (m.name, m.email) = ("z by hand".to_owned(), "c@d".to_owned());
        let plan = model.run(&remote(vec![both, member_with("bob", bob)]));
        (count_person_changes(&plan), plan.conflicts, model.persons)
    };
    assert_eq!(
        run(vec![LinkField::Mobile, LinkField::Email]),
        run(vec![LinkField::Email, LinkField::Mobile])
    );
}

#[test]
fn who_signed_in_before_any_run_and_could_be_a_local_person_is_asked_about() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_with_mobile("anna", "138")]));
    let anna = model.id("anna");
    // A sign-in writes no fingerprint: no run has read this person.
    model.persons.get_mut(&anna).unwrap().fingerprint.clear();
    let by_hand = add_local_person_with_mobile(&mut model, "anna.old", "138");
    let plan = model.run(&remote(vec![member_with_mobile("anna", "138")]));
    assert_eq!(plan.conflicts, [expected_conflict(ConflictKind::Ambiguous, &anna, &[&by_hand])]);
}

#[test]
fn a_key_of_more_than_twenty_local_persons_is_none_and_a_question_names_twenty() {
    for (many, asked) in [(20, 20), (21, 0)] {
        let mut model = DirectoryModel::new();
        (0..many)
            .for_each(|at| drop(add_local_person_with_mobile(&mut model, &format!("x{at:02}"), "0086138")));
        let plan = model.run(&remote(vec![member_with_mobile("anna", "138")]));
        assert_eq!(count_person_changes(&plan), (1, 0, 0));
        let candidates: Vec<usize> = plan.conflicts.iter().map(|asked| asked.candidates.len()).collect();
        assert_eq!(candidates, if asked > 0 { vec![asked] } else { vec![] }, "{many}");
    }
    let mut model = DirectoryModel::new();
    (0..20).for_each(|at| drop(add_local_person_with_mobile(&mut model, &format!("x{at:02}"), "138")));
    (0..20).for_each(|at| drop(model.add_local_person(&format!("y{at:02}"), |p| p.email = "a@b".to_owned())));
    let both = member_with("anna", |m| (m.mobile, m.email) = ("138".to_owned(), "a@b".to_owned()));
    let plan = model.run(&remote(vec![both]));
    let candidates = &plan.conflicts[0].candidates;
    assert_eq!((candidates.len(), candidates[19].as_str()), (20, "local-x19"), "the first twenty by id");
}
