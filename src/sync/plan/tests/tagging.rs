//! Tests: how tags are planned.

use super::*;

fn remote_tag(id: u32, users: &[&str], units: &[u32]) -> RemoteTag {
    let users = users.iter().map(|userid| UserId::new(*userid)).collect();
    RemoteTag { id, name: format!("tag {id}"), users, units: units.to_vec() }
}

fn remote_with_tags(tags: Vec<RemoteTag>) -> RemoteDirectory {
    RemoteDirectory { tags: Some(tags), ..remote(Vec::new()) }
}

fn tag_of(model: &DirectoryModel, id: u32) -> &Tag {
    &model.tags[&TagId::from_tag(&corp(), id)]
}

#[test]
fn a_tag_has_an_id_that_follows_from_its_own_and_units_of_the_chart_only() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_tags(vec![remote_tag(7, &["Anna", "anna", "bob", ""], &[3, 99, 2, 3])]));
    let found = tag_of(&model, 7);
    assert_eq!((found.wecom_id, found.name.as_str()), (Some(7), "tag 7"));
    assert_eq!(userids(&found.users), ["Anna", "bob"]);
    assert_eq!(found.units, [department_unit_id(3), department_unit_id(2)]);
}

#[test]
fn another_order_of_holders_is_no_change_but_another_holder_is() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_tags(vec![remote_tag(7, &["anna", "bob"], &[2, 3])]));
    assert!(is_empty(&model.run(&remote_with_tags(vec![remote_tag(7, &["BOB", "anna"], &[3, 2])]))));
    assert_eq!(model.run(&remote_with_tags(vec![remote_tag(7, &["bob"], &[3, 2])])).tags.len(), 1);
    assert_eq!(model.run(&remote_with_tags(vec![remote_tag(7, &["bob"], &[3])])).tags.len(), 1);
    let renamed = RemoteTag { name: " 财务\u{0} ".to_owned(), ..remote_tag(7, &["bob"], &[3]) };
    model.run(&remote_with_tags(vec![renamed]));
    assert_eq!(tag_of(&model, 7).name, "财务");
    model.run(&remote_with_tags(vec![RemoteTag { name: String::new(), ..remote_tag(7, &[], &[]) }]));
    assert_eq!(tag_of(&model, 7).name, "财务", "a name that is hidden stays");
}

#[test]
fn tags_go_only_if_they_were_read() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_tags(vec![
        remote_tag(7, &[], &[]),
        remote_tag(8, &[], &[]),
        remote_tag(8, &["x"], &[]),
    ]));
    assert!(is_empty(&model.run(&remote(Vec::new()))));
    let plan = model.run(&remote_with_tags(vec![remote_tag(8, &[], &[])]));
    assert_eq!(plan.tags, [PlannedTagChange::Remove(TagId::from_tag(&corp(), 7))]);
}

#[test]
fn a_tag_loses_a_unit_that_is_gone() {
    let mut model = DirectoryModel::new();
    let mut remote = remote_with_tags(vec![remote_tag(7, &[], &[4])]);
    model.run(&remote);
    remote.units.pop();
    model.run(&remote);
    assert!(tag_of(&model, 7).units.is_empty());
}

#[test]
fn a_tag_that_is_not_wecoms_stays() {
    let mut model = DirectoryModel::new();
    for id in [TagId::new("mine"), TagId::from_tag(&corp(), 7)] {
        let own = Tag { id: id.clone(), wecom_id: None, name: "x".to_owned(), users: vec![], units: vec![] };
        model.tags.insert(id, own);
    }
    assert!(is_empty(
        &model.run(&RemoteDirectory {
            units: Vec::new(),
            ..remote_with_tags(vec![remote_tag(7, &["a"], &[])])
        })
    ));
}
