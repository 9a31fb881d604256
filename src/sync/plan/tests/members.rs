//! Tests: how members become persons.

use super::super::fingerprint::compute_fingerprint;
use super::*;

#[test]
fn an_unknown_member_is_created_with_everything_wecom_says() {
    let mut model = DirectoryModel::new();
    let attributes = TextMap::from([("工号".to_owned(), "A1".to_owned())]);
    let record = member_with("ZhangSan", |m| {
        m.email = "z@example.com".to_owned();
        m.mobile = "13800000000".to_owned();
        m.position = "会计".to_owned();
        m.alias = "jack".to_owned();
        m.telephone = "020-1".to_owned();
        m.direct_leaders = vec![UserId::new("lisi")];
        m.attributes = attributes.clone();
        m.memberships = in_units(&[3, 2]);
    });
    let fingerprint = compute_fingerprint(&record);
    model.run(&remote(vec![record]));
    let person = model.person("ZhangSan");
    assert_eq!((person.name.as_str(), person.email.as_str()), ("ZhangSan's name", "z@example.com"));
    assert_eq!(
        (person.source, person.status, person.left_at),
        (EntrySource::Wecom, PersonStatus::Active, None)
    );
    assert_eq!(person.main_unit, Some(department_unit_id(2)));
    assert_eq!(
        person.memberships.iter().map(|m| &m.unit).collect::<Vec<_>>(),
        [&department_unit_id(3), &department_unit_id(2)]
    );
    let detail = PersonDetails {
        position: "会计".to_owned(),
        mobile: "13800000000".to_owned(),
        alias: "jack".to_owned(),
        telephone: "020-1".to_owned(),
        direct_leaders: vec![UserId::new("lisi")],
        attributes,
    };
    assert_eq!((&person.details, &person.fingerprint), (&detail, &fingerprint));
}

#[test]
fn a_member_of_two_departments_is_one_person() {
    let mut model = DirectoryModel::new();
    let twice = member_with("anna", |m| m.memberships = in_units(&[2, 3, 2]));
    let plan = model.run(&remote(vec![twice, member("ANNA")]));
    assert_eq!(count_person_changes(&plan), (1, 0, 0));
    assert_eq!(model.person("anna").memberships.len(), 2);
    assert_eq!(note_codes(&plan), ["plan.member_twice"]);
}

#[test]
fn an_unchanged_member_costs_nothing() {
    let mut model = DirectoryModel::new();
    let remote = remote(vec![member("anna"), member("bob")]);
    assert_eq!(count_person_changes(&model.run(&remote)), (2, 0, 0));
    assert!(is_empty(&model.plan(&remote)));
}

#[test]
fn another_case_of_a_userid_is_the_same_person() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("ZhangSan")]));
    let id = model.id("ZhangSan");
    assert_eq!(count_person_changes(&model.run(&remote(vec![member("zhangsan")]))), (0, 1, 0));
    assert_eq!(model.id("zhangsan"), id);
}

#[test]
fn disabled_and_inactive_members_are_updated_and_stay() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    for status in [PersonStatus::Disabled, PersonStatus::Inactive, PersonStatus::Active] {
        let plan = model.run(&remote(vec![member_with("anna", |m| m.status = status)]));
        assert_eq!(count_person_changes(&plan), (0, 1, 0));
        assert_eq!(model.person("anna").status, status);
    }
}

#[test]
fn a_status_that_was_changed_between_runs_is_put_right_although_wecom_says_the_same() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    let id = model.id("anna");
    model.persons.get_mut(&id).unwrap().status = PersonStatus::Disabled;
    assert_eq!(count_person_changes(&model.run(&remote(vec![member("anna")]))), (0, 1, 0));
    assert_eq!(model.person("anna").status, PersonStatus::Active);
}

#[test]
fn a_member_who_is_missing_leaves_only_if_all_were_read() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna"), member("bob")]));
    let mut some = remote(vec![member("anna")]);
    some.completeness.persons = false;
    model.policy.force = true;
    assert!(is_empty(&model.run(&some)));
    some.completeness.persons = true;
    assert_eq!(count_person_changes(&model.run(&some)), (0, 0, 1));
    let bob = model.person("bob");
    assert_eq!((bob.status, bob.left_at), (PersonStatus::Left, Some(model.now)));
    assert!(bob.memberships.is_empty());
}

#[test]
fn a_member_who_is_present_but_unread_stays() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("Anna")]));
    let mut cheap = remote(Vec::new());
    cheap.present.insert("anna".to_owned());
    assert!(is_empty(&model.run(&cheap)));
    assert_eq!(model.person("Anna").status, PersonStatus::Active);
}

#[test]
fn a_record_that_says_left_is_as_good_as_none() {
    let mut model = DirectoryModel::new();
    let quit = |userid: &str| member_with(userid, |m| m.status = PersonStatus::Left);
    model.run(&remote(vec![member("anna"), quit("never")]));
    assert_eq!(model.persons.len(), 1);
    let mut gone = remote(vec![quit("anna")]);
    gone.present.insert("anna".to_owned());
    gone.completeness.persons = false;
    assert!(is_empty(&model.run(&gone)), "nobody leaves on half a fetch");
    gone.completeness.persons = true;
    assert_eq!(count_person_changes(&model.run(&gone)), (0, 0, 1));
    model.run(&remote(vec![quit("anna"), member("anna")]));
    assert_eq!(model.person("anna").status, PersonStatus::Active, "told twice, once alive");
}

#[test]
fn memberships_are_only_in_units_of_the_chart() {
    let mut model = DirectoryModel::new();
    let record = member_with("anna", |m| {
        m.memberships = in_units(&[77, 2]);
        m.main_department = Some(77);
    });
    let mut remote = remote(vec![record]);
    model.run(&remote);
    assert_eq!(model.person("anna").memberships.len(), 1);
    assert_eq!(model.person("anna").main_unit, None);
    // The department becomes visible, while WeCom says the same about the member as before.
    remote.units.push(department(77, 1));
    assert_eq!(count_person_changes(&model.run(&remote)), (0, 1, 0));
    assert_eq!(model.person("anna").memberships.len(), 2);
    assert_eq!(model.person("anna").main_unit, Some(department_unit_id(77)));
    remote.units.pop();
    model.run(&remote);
    assert_eq!(model.person("anna").memberships.len(), 1);
}

#[test]
fn a_department_that_was_not_fetched_this_time_keeps_its_members() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    let mut some = remote(vec![member_with("anna", |m| m.position = "会计".to_owned())]);
    some.units.clear();
    some.completeness.units = false;
    model.run(&some);
    assert_eq!(model.person("anna").memberships.len(), 1);
}

#[test]
fn a_hidden_name_is_the_known_one_or_else_the_userid_and_said_once() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member("anna")]));
    let nameless = |userid: &str| member_with(userid, |m| m.name = " \u{0}".to_owned());
    let plan = model.run(&remote(vec![nameless("anna"), nameless("bob")]));
    assert_eq!(model.person("anna").name, "anna's name");
    assert_eq!(model.person("bob").name, "bob");
    assert_eq!(note_codes(&plan), ["plan.name_missing"]);
    assert!(plan.notes[0].text.contains(" 2 members"), "{}", plan.notes[0].text);
}

#[test]
fn what_cannot_be_stored_is_taken_out_of_texts_and_a_userid_like_that_is_skipped() {
    let mut model = DirectoryModel::new();
    let odd = member_with("anna", |m| {
        m.position = "a\u{0}b ".to_owned();
        m.attributes = TextMap::from([("x\u{0}".to_owned(), "y\n".to_owned())]);
    });
    let plan = model.run(&remote(vec![odd, member(""), member("a\u{0}")]));
    assert_eq!(model.person("anna").details.position, "ab");
    assert_eq!(&model.person("anna").details.attributes["x"], "y");
    assert_eq!((model.persons.len(), note_codes(&plan)), (1, vec!["plan.userid_unusable"]));
}

#[test]
fn a_fingerprint_tells_every_field_and_the_order_of_memberships() {
    let base = member_with("anna", |m| m.memberships = in_units(&[2, 3]));
    type Edit = fn(&mut RemotePerson);
    let edits: [Edit; 17] = [
        |m| m.userid = UserId::new("Anna"),
        |m| m.name.push('x'),
        |m| m.email.push('x'),
        |m| m.status = PersonStatus::Inactive,
        |m| m.memberships.reverse(),
        |m| m.memberships[0].unit = 4,
        |m| m.memberships[0].order = 1,
        |m| m.memberships[1].leader = true,
        |m| m.main_department = None,
        |m| m.main_department = Some(3),
        |m| m.direct_leaders.push(UserId::new("x")),
        |m| m.position.push('x'),
        |m| m.mobile.push('x'),
        |m| m.alias.push('x'),
        |m| m.telephone.push('x'),
        |m| drop(m.attributes.insert("x".to_owned(), String::new())),
        |m| drop(m.attributes.insert(String::new(), "x".to_owned())),
    ];
    let mut seen = HashSet::from([compute_fingerprint(&base)]);
    for (at, edit) in edits.into_iter().enumerate() {
        let mut other = base.clone();
        edit(&mut other);
        assert!(seen.insert(compute_fingerprint(&other)), "edit {at} is not seen");
    }
    assert!(seen.iter().all(|text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[test]
fn a_fingerprint_is_the_same_in_every_process() {
    let record = member_with("anna", |m| m.attributes = TextMap::from([("工号".to_owned(), "1".to_owned())]));
    assert_eq!(compute_fingerprint(&record), "544cb10590e38bea4a492d5a840d4ede");
}
