//! The state behind [`Sessions`](super::Sessions): one part for each configuration, and one that
//! outlives a reload.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use arc_swap::ArcSwap;

use super::memory::SessionMemory;
use super::{SessionSettings, keys};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::Sid;
use crate::base::seal::Sealer;
use crate::db::Db;
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::Chart;

/// One configuration's view of the sessions: a reload makes another view of the same sessions.
#[derive(Debug)]
pub(super) struct SessionsView {
    pub(super) settings: SessionSettings,
    pub(super) issuer: String,
    pub(super) shared: Arc<SessionsState>,
}

impl Deref for SessionsView {
    type Target = SessionsState;

    fn deref(&self) -> &SessionsState {
        &self.shared
    }
}

/// The state that outlives a reload of the configuration.
#[derive(Debug)]
pub(super) struct SessionsState {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) sealer: Sealer,
    pub(super) memory: SessionMemory,
    /// The published chart; replaced together with the persons that it changed.
    pub(super) chart: ArcSwap<Chart>,
    /// Which persons the userids in rules mean.
    pub(super) bindings: ArcSwap<RuleBindings>,
    pub(super) keys: ArcSwap<keys::LoadedKeys>,
    pub(super) assertions: papaya::HashMap<(Sid, String), (Timestamp, Arc<str>)>,
    /// The position in the feed; locked while a refresh runs.
    pub(super) feed_position: tokio::sync::Mutex<i64>,
    pub(super) refreshed_at: AtomicI64,
    /// Whether the last refresh failed.
    pub(super) refresh_failed: AtomicBool,
    pub(super) newest_row_at: AtomicI64,
    pub(super) keys_reloaded_at: AtomicI64,
}
