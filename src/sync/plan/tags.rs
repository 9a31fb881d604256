//! Plans the changes of tags: names, holders and units, compared as sets.

use std::collections::{HashMap, HashSet};

use super::tree::{PlannedChart, dedup_userids};
use super::{LocalDirectory, PlannedTagChange};
use crate::base::id::{TagId, UnitId};
use crate::base::text::clean_text;
use crate::directory::Tag;
use crate::sync::remote::RemoteTag;

/// Returns the changes of tags, with the units of `chart`. A tag without WeCom's id is local and
/// stays.
pub(super) fn plan_tag_changes(
    tags: Vec<RemoteTag>,
    local: &LocalDirectory,
    chart: &PlannedChart<'_>,
) -> Vec<PlannedTagChange> {
    let old: HashMap<&TagId, &Tag> = local.tags.iter().map(|tag| (&tag.id, tag)).collect();
    let mut changes = Vec::new();
    let mut seen = HashSet::new();
    for tag in tags {
        let id = TagId::from_tag(&local.corp, tag.id);
        let before = old.get(&id).copied();
        if before.is_some_and(|before| before.wecom_id.is_none()) || !seen.insert(id.clone()) {
            continue;
        }
        let mut name = clean_text(tag.name);
        if name.is_empty() {
            name = before.map_or_else(|| tag.id.to_string(), |before| before.name.clone());
        }
        let mut units: Vec<UnitId> = Vec::with_capacity(tag.units.len());
        let mut listed = HashSet::new();
        units.extend(
            tag.units.iter().filter(|id| listed.insert(**id)).filter_map(|id| chart.unit(*id)).cloned(),
        );
        let users = dedup_userids(tag.users, Vec::new());
        let tag = Tag { id, wecom_id: Some(tag.id), name, users, units };
        match before {
            None => changes.push(PlannedTagChange::Create(tag)),
            Some(before) if !are_tags_equal(before, &tag) => changes.push(PlannedTagChange::Update(tag)),
            Some(_) => {}
        }
    }
    let mut gone: Vec<&TagId> =
        local.tags.iter().filter(|t| t.wecom_id.is_some() && !seen.contains(&t.id)).map(|t| &t.id).collect();
    gone.sort();
    changes.extend(gone.into_iter().cloned().map(PlannedTagChange::Remove));
    changes
}

fn are_tags_equal(a: &Tag, b: &Tag) -> bool {
    let users = |tag: &Tag| tag.users.iter().map(crate::base::id::UserId::folded).collect::<HashSet<_>>();
    a.name == b.name
        && a.wecom_id == b.wecom_id
        && a.units.iter().collect::<HashSet<_>>() == b.units.iter().collect::<HashSet<_>>()
        && users(a) == users(b)
}
