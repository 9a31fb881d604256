//! The directory's change feed: what other systems that copy the directory are told.
//!
//! Rows are written under a batch that nobody sees. A publication makes a batch visible and gives
//! its rows their numbers, as the last thing that a transaction does. So no reader misses a number.

pub(crate) mod store;

use serde::Serialize;

pub use self::store::DirectoryTransaction;
use crate::db::types::column_enum;

column_enum! {
    /// The kind of object that changed in the directory.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum DirectoryEntity {
        Unit = "unit",
        Person = "person",
        Tag = "tag",
    }
}

column_enum! {
    /// The change of an object of the directory.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum DirectoryChangeKind {
        Created = "created",
        /// The object is different; a person who left counts as updated.
        Updated = "updated",
        Removed = "removed",
    }
}
