//! Tags.

use super::*;

fn tag(id: u32, users: &[&str], units: &[u32]) -> RemoteTag {
    let users = users.iter().map(|userid| UserId::new(*userid)).collect();
    RemoteTag { id, name: format!("tag {id}"), users, units: units.to_vec() }
}

fn with_tags(tags: Vec<RemoteTag>) -> Remote {
    Remote { tags: Some(tags), ..remote(Vec::new()) }
}

fn tag_of(model: &Model, id: u32) -> &Tag {
    &model.tags[&TagId::of_tag(&corp(), id)]
}

#[test]
fn a_tag_has_an_id_that_follows_from_its_own_and_units_of_the_chart_only() {
    let mut model = Model::new();
    model.run(&with_tags(vec![tag(7, &["Anna", "anna", "bob", ""], &[3, 99, 2, 3])]));
    let found = tag_of(&model, 7);
    assert_eq!((found.wecom_id, found.name.as_str()), (Some(7), "tag 7"));
    assert_eq!(userids(&found.users), ["Anna", "bob"]);
    assert_eq!(found.units, [unit(3), unit(2)]);
}

#[test]
fn another_order_of_holders_is_no_change_but_another_holder_is() {
    let mut model = Model::new();
    model.run(&with_tags(vec![tag(7, &["anna", "bob"], &[2, 3])]));
    assert!(is_empty(&model.run(&with_tags(vec![tag(7, &["BOB", "anna"], &[3, 2])]))));
    assert_eq!(model.run(&with_tags(vec![tag(7, &["bob"], &[3, 2])])).tags.len(), 1);
    assert_eq!(model.run(&with_tags(vec![tag(7, &["bob"], &[3])])).tags.len(), 1);
    let renamed = RemoteTag { name: " 财务\u{0} ".to_owned(), ..tag(7, &["bob"], &[3]) };
    model.run(&with_tags(vec![renamed]));
    assert_eq!(tag_of(&model, 7).name, "财务");
    model.run(&with_tags(vec![RemoteTag { name: String::new(), ..tag(7, &[], &[]) }]));
    assert_eq!(tag_of(&model, 7).name, "财务", "a name that is hidden stays");
}

#[test]
fn tags_go_only_if_they_were_read() {
    let mut model = Model::new();
    model.run(&with_tags(vec![tag(7, &[], &[]), tag(8, &[], &[]), tag(8, &["x"], &[])]));
    assert!(is_empty(&model.run(&remote(Vec::new()))));
    let plan = model.run(&with_tags(vec![tag(8, &[], &[])]));
    assert_eq!(plan.tags, [TagChange::Remove(TagId::of_tag(&corp(), 7))]);
}

#[test]
fn a_tag_loses_a_unit_that_is_gone() {
    let mut model = Model::new();
    let mut remote = with_tags(vec![tag(7, &[], &[4])]);
    model.run(&remote);
    remote.units.pop();
    model.run(&remote);
    assert!(tag_of(&model, 7).units.is_empty());
}

#[test]
fn a_tag_that_is_not_wecoms_stays() {
    let mut model = Model::new();
    for id in [TagId::new("mine"), TagId::of_tag(&corp(), 7)] {
        let own = Tag { id: id.clone(), wecom_id: None, name: "x".to_owned(), users: vec![], units: vec![] };
        model.tags.insert(id, own);
    }
    assert!(is_empty(&model.run(&Remote { units: Vec::new(), ..with_tags(vec![tag(7, &["a"], &[])]) })));
}
