//! The directory for applications that copy it: persons page by page, and what changed since they last asked.
//!
//! Units and tags need no list here: a [`Chart`](super::chart::Chart) has them all.

pub mod store;

use serde::Serialize;

use super::PersonStatus;
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UnitId};

/// Which persons a page is of.
#[derive(Debug, Clone, Default)]
pub struct PersonFilter {
    /// Those after this one; the first page without it.
    pub after: Option<PersonId>,
    /// Of this status only.
    pub status: Option<PersonStatus>,
    /// Members of this unit itself only, whatever lies below it.
    pub unit: Option<UnitId>,
}

/// One entry of the change feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirectoryChange {
    /// Its number: the feed's numbers rise in the order in which changes became visible.
    pub seq: i64,
    /// `unit`, `person` or `tag`.
    pub kind: String,
    /// Our id of it.
    pub id: String,
    /// `created`, `updated` or `removed`; a person who left is `updated`.
    pub change: String,
    /// When it was published.
    pub at: Timestamp,
}

/// A part of the change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// What follows the asked number, in order; empty where nothing is new.
    Part {
        /// At most as many as were asked for.
        items: Vec<DirectoryChange>,
        /// The number to go on from.
        last: i64,
    },
    /// Numbers after the asked one are no longer kept, or it was never given: the follower has to read everything again.
    Gone,
}
