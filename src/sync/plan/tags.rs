//! Tags: who has them and which units, compared as sets.

use std::collections::{HashMap, HashSet};

use super::clean::clean;
use super::tree::{Chart, each_once};
use super::{Local, TagChange};
use crate::base::id::{TagId, UnitId};
use crate::directory::Tag;
use crate::sync::remote::RemoteTag;

/// What changes, with the units of `chart`. A tag without WeCom's id is not WeCom's and stays.
pub(super) fn changes(tags: Vec<RemoteTag>, local: &Local, chart: &Chart<'_>) -> Vec<TagChange> {
    let old: HashMap<&TagId, &Tag> = local.tags.iter().map(|tag| (&tag.id, tag)).collect();
    let mut changes = Vec::new();
    let mut seen = HashSet::new();
    for tag in tags {
        let id = TagId::of_tag(&local.corp, tag.id);
        let before = old.get(&id).copied();
        if before.is_some_and(|before| before.wecom_id.is_none()) || !seen.insert(id.clone()) {
            continue;
        }
        let mut name = clean(tag.name);
        if name.is_empty() {
            name = before.map_or_else(|| tag.id.to_string(), |before| before.name.clone());
        }
        let mut units: Vec<UnitId> = Vec::with_capacity(tag.units.len());
        let mut listed = HashSet::new();
        units.extend(
            tag.units.iter().filter(|id| listed.insert(**id)).filter_map(|id| chart.unit(*id)).cloned(),
        );
        let users = each_once(tag.users, Vec::new());
        let tag = Tag { id, wecom_id: Some(tag.id), name, users, units };
        match before {
            None => changes.push(TagChange::Create(tag)),
            Some(before) if !same(before, &tag) => changes.push(TagChange::Update(tag)),
            Some(_) => {}
        }
    }
    let mut gone: Vec<&TagId> =
        local.tags.iter().filter(|t| t.wecom_id.is_some() && !seen.contains(&t.id)).map(|t| &t.id).collect();
    gone.sort();
    changes.extend(gone.into_iter().cloned().map(TagChange::Remove));
    changes
}

fn same(a: &Tag, b: &Tag) -> bool {
    let users = |tag: &Tag| tag.users.iter().map(crate::base::id::UserId::folded).collect::<HashSet<_>>();
    a.name == b.name
        && a.wecom_id == b.wecom_id
        && a.units.iter().collect::<HashSet<_>>() == b.units.iter().collect::<HashSet<_>>()
        && users(a) == users(b)
}
