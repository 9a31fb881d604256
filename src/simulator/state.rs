//! The mutable state of the simulator, behind one lock that is never held across an await.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Simulator;
use super::call::SimulatedRefusal;
use super::clock::SimulatedClock;
use super::fault::FaultQueue;
use super::grant::Grants;
use super::index::{WorldIndex, WorldView};
use super::limit::CallCounter;
use super::mailbox::Mailboxes;
use super::media::MediaStore;
use super::scan::QrScans;
use super::world::World;

/// How many calls [`Simulator::requests`] remembers.
const MAX_REMEMBERED_CALLS: usize = 10_000;

/// A call of the server API as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedCall {
    /// The path below `/cgi-bin/`, such as `user/get`.
    pub api: String,
    pub method: String,
    /// The decoded query, secrets and tokens included.
    pub query: Vec<(String, String)>,
    /// The body as text; of `media/upload` only the first kilobyte.
    pub body: String,
    pub from: IpAddr,
}

#[derive(Debug)]
pub(super) struct SharedState {
    pub(super) clock: SimulatedClock,
    pub(super) state: Mutex<SimulatorState>,
    /// The APIs whose answers are held back.
    pub(super) held_apis: watch::Sender<HashSet<String>>,
}

#[derive(Debug)]
pub(super) struct SimulatorState {
    /// Only [`Simulator::change`] changes it, and drops the index.
    pub(super) world: World,
    pub(super) index: Option<WorldIndex>,
    pub(super) grants: Grants,
    pub(super) scans: QrScans,
    pub(super) faults: FaultQueue,
    pub(super) call_counter: CallCounter,
    pub(super) mailboxes: Mailboxes,
    pub(super) medias: MediaStore,
    pub(super) received: VecDeque<ReceivedCall>,
    pub(super) counts: HashMap<String, u64>,
    /// How many answers of each API were held back.
    pub(super) held_counts: HashMap<String, u64>,
}

/// What a call works on: the world, and what was issued and sent.
pub(super) struct SimulatorContext<'s> {
    pub(super) world: &'s World,
    pub(super) view: WorldView<'s>,
    pub(super) grants: &'s mut Grants,
    pub(super) scans: &'s mut QrScans,
    pub(super) mailboxes: &'s mut Mailboxes,
    pub(super) medias: &'s mut MediaStore,
    pub(super) now: Duration,
    /// The start of the clock, since 1970.
    pub(super) began: Duration,
}

/// A call in progress. Dropping it ends the call.
pub(super) struct CallInFlight {
    inner: Arc<SharedState>,
    api: String,
    /// Why a limit refuses the call.
    pub(super) refusal: Option<SimulatedRefusal>,
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        self.inner.state.lock().call_counter.leave(&self.api);
    }
}

impl SharedState {
    pub(super) fn new(world: World) -> Self {
        Self {
            clock: SimulatedClock::start(),
            state: Mutex::new(SimulatorState {
                world,
                index: None,
                grants: Grants::default(),
                scans: QrScans::default(),
                faults: FaultQueue::default(),
                call_counter: CallCounter::default(),
                mailboxes: Mailboxes::default(),
                medias: MediaStore::default(),
                received: VecDeque::new(),
                counts: HashMap::new(),
                held_counts: HashMap::new(),
            }),
            held_apis: watch::Sender::default(),
        }
    }
}

impl Simulator {
    /// Runs `act` on the world with its index.
    pub(super) fn with_world<T>(&self, act: impl FnOnce(&mut SimulatorContext) -> T) -> T {
        let (now, began) = (self.inner.clock.now(), self.inner.clock.began());
        let mut state = self.inner.state.lock();
        let SimulatorState { world, index, grants, scans, mailboxes, medias, .. } = &mut *state;
        // Built by the first call after a change, not by the change: a test makes many in a row.
        let index = &*index.get_or_insert_with(|| WorldIndex::from_world(world));
        act(&mut SimulatorContext {
            world,
            view: WorldView { world, index },
            grants,
            scans,
            mailboxes,
            medias,
            now,
            began,
        })
    }

    /// Waits until the answers of an API are no longer held back.
    pub(super) async fn wait_while_held(&self, api: &str) {
        let mut held = self.inner.held_apis.subscribe();
        if held.borrow().contains(api) {
            *self.inner.state.lock().held_counts.entry(api.to_owned()).or_default() += 1;
            // The sender lives as long as the simulator.
            let _ = held.wait_for(|apis| !apis.contains(api)).await;
        }
    }

    /// Records a call. It counts as running until the returned value is dropped.
    pub(super) fn record_call(&self, call: ReceivedCall) -> CallInFlight {
        let now = self.inner.clock.now();
        let mut state = self.inner.state.lock();
        let SimulatorState { world, call_counter, .. } = &mut *state;
        let refusal = call_counter.enter(&world.limits, &call.api, now);
        let api = call.api.clone();
        *state.counts.entry(api.clone()).or_default() += 1;
        if state.received.len() >= MAX_REMEMBERED_CALLS {
            state.received.pop_front();
        }
        state.received.push_back(call);
        drop(state);
        CallInFlight { inner: Arc::clone(&self.inner), api, refusal }
    }
}
