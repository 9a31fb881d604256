//! What sessions are made of: one part for each configuration, one that outlives a reload of it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use arc_swap::ArcSwap;

use super::live::Memory;
use super::{Settings, keys};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::Sid;
use crate::base::seal::Sealer;
use crate::db::Db;
use crate::directory::bindings::Bindings;
use crate::directory::chart::Chart;

/// One configuration's view of the sessions: a reload makes another view of the same sessions.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) issuer: String,
    pub(super) shared: Arc<Shared>,
}

impl Deref for Inner {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// What outlives a reload of the configuration.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) sealer: Sealer,
    pub(super) memory: Memory,
    /// The published chart; replaced together with the persons that it changed.
    pub(super) chart: ArcSwap<Chart>,
    /// Whose the userids in rules are.
    pub(super) bindings: ArcSwap<Bindings>,
    pub(super) keys: ArcSwap<keys::Loaded>,
    pub(super) assertions: papaya::HashMap<(Sid, String), (Timestamp, Arc<str>)>,
    /// Where in the feed we are; locked while one refresh runs.
    pub(super) position: tokio::sync::Mutex<i64>,
    pub(super) refreshed_at: AtomicI64,
    /// The last refresh failed.
    pub(super) failing: AtomicBool,
    pub(super) newest_row: AtomicI64,
    pub(super) keys_reloaded_at: AtomicI64,
}
