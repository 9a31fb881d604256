//! The state behind [`Sessions`](super::Sessions): one part for each configuration, and one that
//! outlives a reload.

use std::ops::Deref;
use std::sync::Arc;

use super::SessionSettings;
use super::memory::SessionMemory;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::Sid;
use crate::db::Db;
use crate::keys::SigningKeys;
use crate::replica::Replica;

/// One configuration's view of the sessions: a reload makes another view of the same sessions.
#[derive(Debug)]
pub(super) struct SessionsView {
    pub(super) settings: SessionSettings,
    pub(super) issuer: String,
    pub(super) replica: Replica,
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
    pub(super) memory: SessionMemory,
    pub(super) keys: SigningKeys,
    pub(super) assertions: papaya::HashMap<(Sid, String), (Timestamp, Arc<str>)>,
}
