//! The directory for applications that copy it: persons page by page, and the changes since a
//! sequence number.
//!
//! Units and tags need no list here, because a [`Chart`](super::chart::Chart) holds all of them.

pub(crate) mod store;

use super::PersonStatus;
use super::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UnitId};

/// Selects the persons of a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct PersonFilter {
    /// Starts after this person; the first page without it.
    pub after: Option<PersonId>,
    pub status: Option<PersonStatus>,
    /// Only members of this unit itself, not of units below it.
    pub unit: Option<UnitId>,
}

/// An entry of the directory's change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryChange {
    /// The sequence number: numbers rise in the order in which changes became visible.
    pub seq: i64,
    pub kind: DirectoryEntity,
    /// Our id of the entry.
    pub id: String,
    pub change: DirectoryChangeKind,
    /// When it was published.
    pub at: Timestamp,
}

/// A page of the directory's change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The entries after the requested number, in order; empty if nothing is new.
    Part {
        items: Vec<DirectoryChange>,
        /// The number to continue from.
        last: i64,
    },
    /// The requested number is no longer kept or was never given out: the client must read
    /// everything again.
    Gone,
}
