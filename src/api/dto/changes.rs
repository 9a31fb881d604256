//! The change feed.

use serde::Serialize;
use utoipa::ToSchema;

use super::words::{ChangeWord, EntityWord};
use crate::base::clock::Timestamp;
use crate::directory::listing::DirectoryChange;

/// A part of the change feed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Changes)]
pub(crate) struct ChangesDto {
    items: Vec<ChangeDto>,
    /// `since` of the next call. It is never null: where nothing is new, it is the place to ask again from.
    next_cursor: String,
}

/// A change: what it is now is to be asked of the unit, person or tag itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
struct ChangeDto {
    /// Its number; later changes have larger ones.
    seq: i64,
    #[schema(inline)]
    kind: EntityWord,
    /// Our id of the unit, person or tag.
    id: String,
    #[schema(inline)]
    change: ChangeWord,
    /// When it became visible.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl ChangesDto {
    /// Makes a part of the feed that goes on after the number `last`.
    pub(crate) fn new(items: Vec<DirectoryChange>, last: i64) -> Self {
        let items = items.into_iter().map(ChangeDto::from).collect();
        Self { items, next_cursor: last.to_string() }
    }
}

impl From<DirectoryChange> for ChangeDto {
    fn from(entry: DirectoryChange) -> Self {
        let DirectoryChange { seq, kind, id, change, at } = entry;
        Self { seq, kind: kind.into(), id, change: change.into(), at }
    }
}
