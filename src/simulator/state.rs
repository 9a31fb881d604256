//! Everything that changes while the simulator runs, behind one lock that is never held across an await.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Simulator;
use super::clock::Clock;
use super::fault::Faults;
use super::grant::Grants;
use super::scan::Scans;
use super::world::World;

/// How many calls [`Simulator::requests`] remembers.
const REMEMBERED: usize = 10_000;

/// A call of the server API as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The path below `/cgi-bin/`, `user/get`.
    pub api: String,
    /// GET or POST.
    pub method: String,
    /// The query, decoded, secrets and tokens included.
    pub query: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
    /// The caller's address.
    pub from: IpAddr,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) state: Mutex<State>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) grants: Grants,
    pub(super) scans: Scans,
    pub(super) faults: Faults,
    pub(super) received: VecDeque<Received>,
    pub(super) counts: HashMap<String, u64>,
}

/// What the API works on: the world as it is, and what was given out.
pub(super) struct Inside<'s> {
    pub(super) world: &'s World,
    pub(super) grants: &'s mut Grants,
    pub(super) now: Duration,
}

/// A call that is being answered; dropping it ends it.
pub(super) struct InFlight(Arc<Inner>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Inner {
    pub(super) fn new(world: World) -> Self {
        Self {
            clock: Clock::start(),
            state: Mutex::new(State {
                world,
                grants: Grants::default(),
                scans: Scans::default(),
                faults: Faults::default(),
                received: VecDeque::new(),
                counts: HashMap::new(),
            }),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        }
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::SeqCst)
    }
}

impl Simulator {
    /// Runs `act` on the world and what was given out.
    pub(super) fn inside<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        let now = self.inner.clock.now();
        let mut state = self.inner.state.lock();
        let State { world, grants, .. } = &mut *state;
        act(&mut Inside { world, grants, now })
    }

    /// Notes a call that came in; it counts as in flight until the answer is dropped.
    pub(super) fn received(&self, call: Received) -> InFlight {
        let running = self.inner.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.inner.most_in_flight.fetch_max(running, Ordering::SeqCst);
        let mut state = self.inner.state.lock();
        *state.counts.entry(call.api.clone()).or_default() += 1;
        if state.received.len() >= REMEMBERED {
            state.received.pop_front();
        }
        state.received.push_back(call);
        drop(state);
        InFlight(Arc::clone(&self.inner))
    }
}
