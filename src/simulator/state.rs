//! Everything that changes while the simulator runs, behind one lock that is never held across an await.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Simulator;
use super::api::Refusal;
use super::clock::Clock;
use super::fault::Faults;
use super::grant::Grants;
use super::index::{Index, View};
use super::limit::Gate;
use super::media::Medias;
use super::post::Post;
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
    /// The body, as text; of `media/upload` the first kilobyte.
    pub body: String,
    /// The caller's address.
    pub from: IpAddr,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Changed by [`Simulator::change`] only, which throws the index away.
    pub(super) world: World,
    pub(super) index: Option<Index>,
    pub(super) grants: Grants,
    pub(super) scans: Scans,
    pub(super) faults: Faults,
    pub(super) gate: Gate,
    pub(super) post: Post,
    pub(super) medias: Medias,
    pub(super) received: VecDeque<Received>,
    pub(super) counts: HashMap<String, u64>,
}

/// What the API works on: the world as it is, and what was given out.
pub(super) struct Inside<'s> {
    pub(super) world: &'s World,
    pub(super) view: View<'s>,
    pub(super) grants: &'s mut Grants,
    pub(super) scans: &'s mut Scans,
    pub(super) post: &'s mut Post,
    pub(super) medias: &'s mut Medias,
    pub(super) now: Duration,
    /// When the clock stood at zero, since 1970.
    pub(super) began: Duration,
}

/// A call that is being answered; dropping it ends it.
pub(super) struct InFlight {
    inner: Arc<Inner>,
    api: String,
    /// Why WeCom does not take it on.
    pub(super) refusal: Option<Refusal>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inner.state.lock().gate.leave(&self.api);
    }
}

impl Inner {
    pub(super) fn new(world: World) -> Self {
        Self {
            clock: Clock::start(),
            state: Mutex::new(State {
                world,
                index: None,
                grants: Grants::default(),
                scans: Scans::default(),
                faults: Faults::default(),
                gate: Gate::default(),
                post: Post::default(),
                medias: Medias::default(),
                received: VecDeque::new(),
                counts: HashMap::new(),
            }),
        }
    }
}

impl Simulator {
    /// Runs `act` on the world and what was given out.
    pub(super) fn inside<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        let (now, began) = (self.inner.clock.now(), self.inner.clock.began());
        let mut state = self.inner.state.lock();
        let State { world, index, grants, scans, post, medias, .. } = &mut *state;
        let index = &*index.get_or_insert_with(|| Index::of(world));
        act(&mut Inside { world, view: View { world, index }, grants, scans, post, medias, now, began })
    }

    /// Notes a call that came in; it counts as in flight until the answer is dropped.
    pub(super) fn received(&self, call: Received) -> InFlight {
        let now = self.inner.clock.now();
        let mut state = self.inner.state.lock();
        let State { world, gate, .. } = &mut *state;
        let refusal = gate.enter(&world.limits, &call.api, now);
        let api = call.api.clone();
        *state.counts.entry(api.clone()).or_default() += 1;
        if state.received.len() >= REMEMBERED {
            state.received.pop_front();
        }
        state.received.push_back(call);
        drop(state);
        InFlight { inner: Arc::clone(&self.inner), api, refusal }
    }
}
