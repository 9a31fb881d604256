//! Departments become units.

use super::*;

fn unit_of(model: &Model, id: u32) -> &Unit {
    &model.units[&unit(id)]
}

fn with_units(units: Vec<RemoteUnit>) -> Remote {
    Remote { units, ..remote(Vec::new()) }
}

fn led(userid: &str, units: &[u32]) -> RemotePerson {
    member_with(userid, |m| {
        m.memberships = in_units(units);
        m.memberships.iter_mut().for_each(|membership| membership.leader = true);
    })
}

#[test]
fn a_department_is_a_unit_with_an_id_that_follows_from_its_own() {
    let mut model = Model::new();
    let mut department = dept(2, 1);
    department.order = u32::MAX;
    department.name_en = "Finance".to_owned();
    model.run(&with_units(vec![dept(1, 0), department]));
    let found = unit_of(&model, 2);
    assert_eq!((found.wecom_id, found.source, found.order), (Some(2), Source::Wecom, u32::MAX));
    assert_eq!((found.parent.clone(), found.name_en.as_str()), (Some(unit(1)), "Finance"));
}

#[test]
fn the_root_stands_on_the_top_floor_whatever_its_parent() {
    let mut model = Model::new();
    model.run(&with_units(vec![dept(1, 7), dept(7, 0), dept(8, 7)]));
    assert_eq!(unit_of(&model, 1).parent, None);
    assert_eq!(unit_of(&model, 7).parent, None);
    assert_eq!(unit_of(&model, 8).parent, Some(unit(7)));
}

#[test]
fn a_department_whose_parent_is_not_visible_stands_on_the_top_floor() {
    let mut model = Model::new();
    model.run(&with_units(vec![dept(9, 8), dept(10, 9)]));
    assert_eq!(unit_of(&model, 9).parent, None);
    assert_eq!(unit_of(&model, 10).parent, Some(unit(9)));
}

#[test]
fn a_parent_that_was_not_fetched_this_time_still_stands_above() {
    let mut model = Model::new();
    model.run(&remote(Vec::new()));
    let mut some = with_units(vec![dept(4, 3)]);
    some.complete.units = false;
    assert!(is_empty(&model.run(&some)));
    assert_eq!(unit_of(&model, 4).parent, Some(unit(3)));
}

#[test]
fn a_cycle_is_cut_at_its_smallest_id_and_said() {
    let mut model = Model::new();
    let plan = model.run(&with_units(vec![dept(1, 0), dept(7, 5), dept(5, 6), dept(6, 7), dept(8, 7)]));
    assert_eq!(unit_of(&model, 5).parent, None);
    assert_eq!(unit_of(&model, 6).parent, Some(unit(7)));
    assert_eq!(unit_of(&model, 7).parent, Some(unit(5)));
    assert_eq!(unit_of(&model, 8).parent, Some(unit(7)));
    assert_eq!(codes(&plan), ["plan.department_cycle"]);
}

#[test]
fn a_department_above_itself_stands_on_the_top_floor() {
    let mut model = Model::new();
    let plan = model.run(&with_units(vec![dept(1, 0), dept(u32::MAX, u32::MAX), dept(0, 0)]));
    assert_eq!(unit_of(&model, u32::MAX).parent, None);
    assert_eq!(codes(&plan), ["plan.department_cycle"]);
}

#[test]
fn a_cycle_through_a_department_that_was_not_fetched_is_cut() {
    let mut model = Model::new();
    model.run(&remote(Vec::new()));
    // Known: 4 below 3. Fetched now: 3 below 4, and nothing else.
    let mut some = with_units(vec![dept(3, 4)]);
    some.complete.units = false;
    model.run(&some);
    assert_eq!(unit_of(&model, 3).parent, None);
    let mut some = with_units(vec![dept(1, 0), dept(2, 4)]);
    some.complete.units = false;
    model.run(&some);
    let mut some = with_units(vec![dept(4, 2)]);
    some.complete.units = false;
    model.run(&some);
    assert_eq!(unit_of(&model, 2).parent, None, "cut where it was not fetched");
}

#[test]
fn sixty_levels_are_sixty_levels() {
    let mut model = Model::new();
    let plan = model.run(&with_units((1..=60).rev().map(|id| dept(id, id - 1)).collect()));
    assert_eq!((model.units.len(), codes(&plan).len()), (60, 0));
    let mut depth = 1;
    let mut here = unit_of(&model, 60);
    while let Some(parent) = &here.parent {
        (depth, here) = (depth + 1, &model.units[parent]);
    }
    assert_eq!(depth, 60);
}

#[test]
fn a_name_loses_control_characters_and_blanks_around_it_but_no_slash() {
    let mut model = Model::new();
    let mut odd = dept(2, 1);
    odd.name = " 研发/测试\u{0}\n🎉\t ".to_owned();
    let mut nameless = dept(3, 1);
    nameless.name = "\u{7}".to_owned();
    model.run(&with_units(vec![dept(1, 0), odd, nameless.clone()]));
    assert_eq!(unit_of(&model, 2).name, "研发/测试🎉");
    assert_eq!(unit_of(&model, 3).name, "3");
    model.run(&with_units(vec![dept(1, 0), dept(2, 1), dept(3, 1)]));
    model.run(&with_units(vec![dept(1, 0), dept(2, 1), nameless]));
    assert_eq!(unit_of(&model, 3).name, "dept 3", "a name that is hidden stays");
}

#[test]
fn a_move_and_a_new_name_keep_the_unit() {
    let mut model = Model::new();
    model.run(&remote(Vec::new()));
    let mut moved = remote(Vec::new());
    moved.units[3] = RemoteUnit { name: "renamed".to_owned(), ..dept(4, 2) };
    let plan = model.run(&moved);
    assert!(matches!(plan.units.as_slice(), [UnitChange::Update(u)] if u.id == unit(4)), "{plan:#?}");
    assert_eq!(unit_of(&model, 4).parent, Some(unit(2)));
    assert_eq!(unit_of(&model, 4).name, "renamed");
}

#[test]
fn leaders_are_those_of_the_department_then_members_with_the_flag_each_once() {
    let mut model = Model::new();
    let mut remote =
        remote(vec![led("bob", &[2]), led("Zoe", &[2, 3]), led("anna", &[2]), led("carl", &[99])]);
    remote.units[1].leaders =
        vec![UserId::new("zoe"), UserId::new("Hidden"), UserId::new("ZOE"), UserId::new("")];
    model.run(&remote);
    assert_eq!(userids(&unit_of(&model, 2).leaders), ["zoe", "Hidden", "anna", "bob"]);
    assert_eq!(userids(&unit_of(&model, 3).leaders), ["Zoe"]);
    assert!(unit_of(&model, 4).leaders.is_empty());
}

#[test]
fn a_leader_whose_record_was_not_read_still_leads() {
    let mut model = Model::new();
    model.run(&remote(vec![led("anna", &[2]), led("bob", &[2])]));
    let mut cheap = remote(vec![member("bob")]);
    cheap.present.insert("anna".to_owned());
    model.run(&cheap);
    assert_eq!(userids(&unit_of(&model, 2).leaders), ["anna"]);
    let mut broken = remote(Vec::new());
    broken.complete.persons = false;
    assert!(is_empty(&model.run(&broken)));
    model.run(&remote(vec![member("bob")]));
    assert!(unit_of(&model, 2).leaders.is_empty(), "who left leads nothing");
}

#[test]
fn a_department_that_is_gone_is_removed_only_if_all_were_read() {
    let mut model = Model::new();
    model.run(&remote(Vec::new()));
    let mut fewer = with_units(vec![dept(1, 0)]);
    fewer.complete.units = false;
    model.policy.force = true;
    assert!(is_empty(&model.run(&fewer)));
    fewer.complete.units = true;
    assert_eq!(model.run(&fewer).units.len(), 3);
    assert_eq!(model.units.len(), 1);
}

#[test]
fn local_units_stay_also_where_the_department_above_is_gone() {
    let mut model = Model::new();
    model.run(&remote(Vec::new()));
    model.unit_by_hand("项目组", Some(unit(4)));
    model.unit_by_hand("top", None);
    let by_hand: Vec<Unit> =
        model.units.values().filter(|unit| unit.source == Source::Local).cloned().collect();
    let plan = model.run(&with_units(vec![dept(1, 0)]));
    assert_eq!(codes(&plan), ["plan.local_unit_bereft"]);
    assert!(plan.notes[0].text.contains("项目组") && !plan.notes[0].text.contains("top"));
    for unit in by_hand {
        assert_eq!(model.units[&unit.id], unit);
    }
    assert!(model.run(&with_units(vec![dept(1, 0)])).notes.is_empty(), "said once");
}

#[test]
fn a_local_unit_with_a_departments_id_is_not_touched() {
    let mut model = Model::new();
    let id = unit(2);
    model.unit_by_hand(id.as_str(), None);
    model.run(&remote(vec![member("anna")]));
    assert_eq!(model.units[&id].source, Source::Local);
    assert!(model.person("anna").memberships.is_empty());
}

#[test]
fn a_department_told_twice_is_one_unit() {
    let mut model = Model::new();
    let plan = model.run(&with_units(vec![dept(1, 0), dept(2, 1), dept(2, 0)]));
    assert_eq!(unit_of(&model, 2).parent, Some(unit(1)));
    assert_eq!(codes(&plan), ["plan.department_twice"]);
}
