//! Tests: how departments become units.

use super::*;

fn unit_of(model: &DirectoryModel, id: u32) -> &Unit {
    &model.units[&department_unit_id(id)]
}

fn remote_with_units(units: Vec<RemoteUnit>) -> RemoteDirectory {
    RemoteDirectory { units, ..remote(Vec::new()) }
}

fn member_leading(userid: &str, units: &[u32]) -> RemotePerson {
    member_with(userid, |m| {
        m.memberships = in_units(units);
        m.memberships.iter_mut().for_each(|membership| membership.leader = true);
    })
}

#[test]
fn a_department_is_a_unit_with_an_id_that_follows_from_its_own() {
    let mut model = DirectoryModel::new();
    let mut finance = department(2, 1);
    finance.order = u32::MAX;
    finance.name_en = "Finance".to_owned();
    model.run(&remote_with_units(vec![department(1, 0), finance]));
    let found = unit_of(&model, 2);
    assert_eq!((found.wecom_id, found.source, found.order), (Some(2), EntrySource::Wecom, u32::MAX));
    assert_eq!((found.parent.clone(), found.name_en.as_str()), (Some(department_unit_id(1)), "Finance"));
}

#[test]
fn the_root_stands_on_the_top_floor_whatever_its_parent() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_units(vec![department(1, 7), department(7, 0), department(8, 7)]));
    assert_eq!(unit_of(&model, 1).parent, None);
    assert_eq!(unit_of(&model, 7).parent, None);
    assert_eq!(unit_of(&model, 8).parent, Some(department_unit_id(7)));
}

#[test]
fn a_department_whose_parent_is_not_visible_stands_on_the_top_floor() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_units(vec![department(9, 8), department(10, 9)]));
    assert_eq!(unit_of(&model, 9).parent, None);
    assert_eq!(unit_of(&model, 10).parent, Some(department_unit_id(9)));
}

#[test]
fn a_parent_that_was_not_fetched_this_time_still_stands_above() {
    let mut model = DirectoryModel::new();
    model.run(&remote(Vec::new()));
    let mut some = remote_with_units(vec![department(4, 3)]);
    some.completeness.units = false;
    assert!(is_empty(&model.run(&some)));
    assert_eq!(unit_of(&model, 4).parent, Some(department_unit_id(3)));
}

#[test]
fn a_cycle_is_cut_at_its_smallest_id_and_said() {
    let mut model = DirectoryModel::new();
    let plan = model.run(&remote_with_units(vec![
        department(1, 0),
        department(7, 5),
        department(5, 6),
        department(6, 7),
        department(8, 7),
    ]));
    assert_eq!(unit_of(&model, 5).parent, None);
    assert_eq!(unit_of(&model, 6).parent, Some(department_unit_id(7)));
    assert_eq!(unit_of(&model, 7).parent, Some(department_unit_id(5)));
    assert_eq!(unit_of(&model, 8).parent, Some(department_unit_id(7)));
    assert_eq!(note_codes(&plan), ["plan.department_cycle"]);
}

#[test]
fn a_department_above_itself_stands_on_the_top_floor() {
    let mut model = DirectoryModel::new();
    let plan = model.run(&remote_with_units(vec![
        department(1, 0),
        department(u32::MAX, u32::MAX),
        department(0, 0),
    ]));
    assert_eq!(unit_of(&model, u32::MAX).parent, None);
    assert_eq!(note_codes(&plan), ["plan.department_cycle"]);
}

#[test]
fn a_cycle_through_a_department_that_was_not_fetched_is_cut() {
    let mut model = DirectoryModel::new();
    model.run(&remote(Vec::new()));
    // Known: 4 below 3. Fetched now: only 3, below 4.
    let mut some = remote_with_units(vec![department(3, 4)]);
    some.completeness.units = false;
    model.run(&some);
    assert_eq!(unit_of(&model, 3).parent, None);
    let mut some = remote_with_units(vec![department(1, 0), department(2, 4)]);
    some.completeness.units = false;
    model.run(&some);
    let mut some = remote_with_units(vec![department(4, 2)]);
    some.completeness.units = false;
    model.run(&some);
    assert_eq!(unit_of(&model, 2).parent, None, "cut where it was not fetched");
}

#[test]
fn sixty_levels_are_sixty_levels() {
    let mut model = DirectoryModel::new();
    let plan = model.run(&remote_with_units((1..=60).rev().map(|id| department(id, id - 1)).collect()));
    assert_eq!((model.units.len(), note_codes(&plan).len()), (60, 0));
    let mut depth = 1;
    let mut here = unit_of(&model, 60);
    while let Some(parent) = &here.parent {
        (depth, here) = (depth + 1, &model.units[parent]);
    }
    assert_eq!(depth, 60);
}

#[test]
fn a_name_loses_control_characters_and_blanks_around_it_but_no_slash() {
    let mut model = DirectoryModel::new();
    let mut odd = department(2, 1);
    odd.name = " 研发/测试\u{0}\n🎉\t ".to_owned();
    let mut nameless = department(3, 1);
    nameless.name = "\u{7}".to_owned();
    model.run(&remote_with_units(vec![department(1, 0), odd, nameless.clone()]));
    assert_eq!(unit_of(&model, 2).name, "研发/测试🎉");
    assert_eq!(unit_of(&model, 3).name, "3");
    model.run(&remote_with_units(vec![department(1, 0), department(2, 1), department(3, 1)]));
    model.run(&remote_with_units(vec![department(1, 0), department(2, 1), nameless]));
    assert_eq!(unit_of(&model, 3).name, "dept 3", "a name that is hidden stays");
}

#[test]
fn a_move_and_a_new_name_keep_the_unit() {
    let mut model = DirectoryModel::new();
    model.run(&remote(Vec::new()));
    let mut moved = remote(Vec::new());
    moved.units[3] = RemoteUnit { name: "renamed".to_owned(), ..department(4, 2) };
    let plan = model.run(&moved);
    assert!(
        matches!(plan.units.as_slice(), [PlannedUnitChange::Update(u)] if u.id == department_unit_id(4)),
        "{plan:#?}"
    );
    assert_eq!(unit_of(&model, 4).parent, Some(department_unit_id(2)));
    assert_eq!(unit_of(&model, 4).name, "renamed");
}

#[test]
fn leaders_are_those_of_the_department_then_members_with_the_flag_each_once() {
    let mut model = DirectoryModel::new();
    let mut remote = remote(vec![
        member_leading("bob", &[2]),
        member_leading("Zoe", &[2, 3]),
        member_leading("anna", &[2]),
        member_leading("carl", &[99]),
    ]);
    remote.units[1].leaders =
        vec![UserId::new("zoe"), UserId::new("Hidden"), UserId::new("ZOE"), UserId::new("")];
    model.run(&remote);
    assert_eq!(userids(&unit_of(&model, 2).leaders), ["zoe", "Hidden", "anna", "bob"]);
    assert_eq!(userids(&unit_of(&model, 3).leaders), ["Zoe"]);
    assert!(unit_of(&model, 4).leaders.is_empty());
}

#[test]
fn a_leader_whose_record_was_not_read_still_leads() {
    let mut model = DirectoryModel::new();
    model.run(&remote(vec![member_leading("anna", &[2]), member_leading("bob", &[2])]));
    let mut cheap = remote(vec![member("bob")]);
    cheap.present.insert("anna".to_owned());
    model.run(&cheap);
    assert_eq!(userids(&unit_of(&model, 2).leaders), ["anna"]);
    let mut broken = remote(Vec::new());
    broken.completeness.persons = false;
    assert!(is_empty(&model.run(&broken)));
    model.run(&remote(vec![member("bob")]));
    assert!(unit_of(&model, 2).leaders.is_empty(), "who left leads nothing");
}

#[test]
fn a_department_that_is_gone_is_removed_only_if_all_were_read() {
    let mut model = DirectoryModel::new();
    model.run(&remote(Vec::new()));
    let mut fewer = remote_with_units(vec![department(1, 0)]);
    fewer.completeness.units = false;
    model.policy.force = true;
    assert!(is_empty(&model.run(&fewer)));
    fewer.completeness.units = true;
    assert_eq!(model.run(&fewer).units.len(), 3);
    assert_eq!(model.units.len(), 1);
}

#[test]
fn local_units_stay_also_where_the_department_above_is_gone() {
    let mut model = DirectoryModel::new();
    model.run(&remote(Vec::new()));
    model.add_local_unit("项目组", Some(department_unit_id(4)));
    model.add_local_unit("top", None);
    let by_hand: Vec<Unit> =
        model.units.values().filter(|unit| unit.source == EntrySource::Local).cloned().collect();
    let plan = model.run(&remote_with_units(vec![department(1, 0)]));
    assert_eq!(note_codes(&plan), ["plan.local_unit_bereft"]);
    assert!(plan.notes[0].text.contains("项目组") && !plan.notes[0].text.contains("top"));
    for unit in by_hand {
        assert_eq!(model.units[&unit.id], unit);
    }
    assert!(model.run(&remote_with_units(vec![department(1, 0)])).notes.is_empty(), "said once");
}

#[test]
fn a_local_unit_with_a_departments_id_is_not_touched() {
    let mut model = DirectoryModel::new();
    let id = department_unit_id(2);
    model.add_local_unit(id.as_str(), None);
    model.run(&remote(vec![member("anna")]));
    assert_eq!(model.units[&id].source, EntrySource::Local);
    assert!(model.person("anna").memberships.is_empty());
}

#[test]
fn a_department_told_twice_is_one_unit() {
    let mut model = DirectoryModel::new();
    let plan = model.run(&remote_with_units(vec![department(1, 0), department(2, 1), department(2, 0)]));
    assert_eq!(unit_of(&model, 2).parent, Some(department_unit_id(1)));
    assert_eq!(note_codes(&plan), ["plan.department_twice"]);
}
