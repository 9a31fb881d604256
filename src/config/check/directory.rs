//! Checks `[directory]`.

use super::{LayerReader, quote_list};
use crate::config::model::{DirectoryConfig, LinkField};
use crate::config::units;

pub(super) fn check_directory(r: &mut LayerReader<'_>) -> Option<DirectoryConfig> {
    let link_by = check_link_by(r);
    let max_removals = r.parsed("directory.max_removals", units::parse_share);
    let purge_left_after = r.parsed("directory.purge_left_after", units::parse_positive_duration);
    Some(DirectoryConfig {
        link_by: link_by?,
        max_removals: max_removals?,
        purge_left_after: purge_left_after?,
    })
}

/// Keeps the order; a name that is repeated counts once.
fn check_link_by(r: &mut LayerReader<'_>) -> Option<Vec<LinkField>> {
    const KEY: &str = "directory.link_by";
    let mut fields = Vec::new();
    for name in r.list(KEY) {
        match LinkField::parse(name) {
            Some(field) if fields.contains(&field) => {}
            Some(field) => fields.push(field),
            None => {
                let known = quote_list(LinkField::ALL.iter().map(|field| field.as_str()));
                r.error(KEY, format_args!("must be a list of some of {known}"));
                return None;
            }
        }
    }
    Some(fields)
}
