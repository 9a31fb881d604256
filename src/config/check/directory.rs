//! `[directory]`.

use super::{Reader, listed};
use crate::config::model::{Directory, LinkBy};
use crate::config::units;

pub(super) fn directory(r: &mut Reader<'_>) -> Option<Directory> {
    let link_by = link_by(r);
    let max_removals = r.parsed("directory.max_removals", units::share);
    let purge_left_after = r.parsed("directory.purge_left_after", units::positive_duration);
    Some(Directory { link_by: link_by?, max_removals: max_removals?, purge_left_after: purge_left_after? })
}

/// In the order in which they are written; a second mention says nothing new.
fn link_by(r: &mut Reader<'_>) -> Option<Vec<LinkBy>> {
    const KEY: &str = "directory.link_by";
    let mut fields = Vec::new();
    for name in r.list(KEY) {
        match LinkBy::parse(name) {
            Some(field) if fields.contains(&field) => {}
            Some(field) => fields.push(field),
            None => {
                let known = listed(LinkBy::ALL.iter().map(|field| field.as_str()));
                r.error(KEY, format_args!("must be a list of some of {known}"));
                return None;
            }
        }
    }
    Some(fields)
}
