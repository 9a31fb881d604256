//! Who may call now: the calls in flight, and the pauses that WeCom asks for.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pace::Pace;
use crate::wecom::Error;

/// The gate of one fetch.
#[derive(Debug)]
pub(super) struct Gate {
    pace: Pace,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Debug)]
struct State {
    /// How many may be inside now.
    limit: usize,
    inside: usize,
    /// Answers since the limit was changed.
    calm: usize,
    /// Nobody enters before.
    closed_until: Option<Instant>,
    /// When 45033 lowered the limit last.
    crowded_at: Option<Instant>,
    /// What 45009 said about each API.
    limits: HashMap<&'static str, Limit>,
}

#[derive(Debug, Default)]
struct Limit {
    /// Windows that were waited for since the API answered last.
    windows: usize,
    /// It is not asked any more, for this reason.
    given_up: Option<Error>,
}

/// What comes after a 45009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Enter again; the gate opens when the window is over.
    Again,
    /// The API is not asked any more in this fetch.
    GiveUp,
}

/// A place inside; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().inside -= 1;
        self.0.left.notify_waiters();
    }
}

impl Gate {
    pub(super) fn new(pace: Pace) -> Self {
        let state = State {
            limit: pace.at_once.max(1),
            inside: 0,
            calm: 0,
            closed_until: None,
            crowded_at: None,
            limits: HashMap::new(),
        };
        Self { pace, state: Mutex::new(state), left: Notify::new() }
    }

    /// Waits for a place to call `api`.
    ///
    /// # Errors
    /// The 45009 after which `api` is not asked any more.
    pub(super) async fn enter(&self, api: &'static str) -> Result<Place<'_>, Error> {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // From here on no place that becomes free is missed.
            left.as_mut().enable();
            let closed_until = {
                let mut state = self.state.lock();
                if let Some(error) = state.limits.get(api).and_then(|limit| limit.given_up.clone()) {
                    return Err(error);
                }
                let closed_until = state.closed_until.filter(|until| *until > Instant::now());
                if closed_until.is_none() && state.inside < state.limit {
                    state.inside += 1;
                    return Ok(Place(self));
                }
                closed_until
            };
            match closed_until {
                Some(until) => sleep_until(until).await,
                None => left.await,
            }
        }
    }

    /// `api` answered 45009: everybody pauses. Calls that were under way when the window began share it.
    pub(super) fn limited(&self, api: &'static str, error: &Error) -> After {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.closed_until.is_some_and(|until| until > now) {
            return After::Again;
        }
        let limit = state.limits.entry(api).or_default();
        limit.windows += 1;
        if limit.windows > self.pace.windows {
            limit.given_up = Some(error.clone());
            return After::GiveUp;
        }
        state.closed_until = Some(now + self.pace.window);
        tracing::info!(api, pause = ?self.pace.window, "WeCom's rate limit is reached (45009); the fetch pauses");
        After::Again
    }

    /// An answer of 45033: half as much at once. Calls of one crowd lower it once.
    pub(super) fn crowded(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.crowded_at.is_none_or(|at| now >= at + self.pace.crowd) {
            state.crowded_at = Some(now);
            state.limit = (state.limit / 2).max(1);
        }
        state.calm = 0;
    }

    /// `api` answered: the limits are no longer reached, and after a while one more is let in.
    pub(super) fn answered(&self, api: &'static str) {
        let mut state = self.state.lock();
        if let Some(limit) = state.limits.get_mut(api) {
            limit.windows = 0;
        }
        state.calm += 1;
        if state.calm >= self.pace.calm && state.limit < self.pace.at_once {
            state.limit += 1;
            state.calm = 0;
            drop(state);
            self.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wecom::SecretKind;

    const API: &str = "user/list";

    fn gate() -> Gate {
        Gate::new(Pace { calm: 3, ..Pace::PRODUCTION })
    }

    fn limit(gate: &Gate) -> usize {
        gate.state.lock().limit
    }

    fn error() -> Error {
        Error::NoSecret(SecretKind::App)
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_lowers_the_limit_once_and_calm_raises_it_slowly() {
        let gate = gate();
        gate.crowded();
        gate.crowded();
        assert_eq!(limit(&gate), 5);
        for _ in 0..9 {
            tokio::time::advance(Duration::from_secs(1)).await;
            gate.crowded();
        }
        assert_eq!(limit(&gate), 1);
        for _ in 0..3 {
            gate.answered(API);
        }
        assert_eq!(limit(&gate), 2);
        for _ in 0..300 {
            gate.answered(API);
        }
        assert_eq!(limit(&gate), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_shared_and_after_three_without_an_answer_the_api_is_given_up() {
        let gate = gate();
        for _ in 0..3 {
            assert_eq!(gate.limited(API, &error()), After::Again);
            assert_eq!(gate.limited("tag/get", &error()), After::Again, "the same window");
            let began = Instant::now();
            drop(gate.enter(API).await.unwrap());
            assert_eq!(began.elapsed(), Duration::from_secs(60));
        }
        assert_eq!(gate.limited(API, &error()), After::GiveUp);
        assert_eq!(gate.enter(API).await.err(), Some(error()));
        assert!(gate.enter("tag/get").await.is_ok(), "each API has its own limit");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_between_two_windows_begins_the_count_anew() {
        let gate = gate();
        for _ in 0..10 {
            assert_eq!(gate.limited(API, &error()), After::Again);
            drop(gate.enter(API).await.unwrap());
            gate.answered(API);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_enters_when_somebody_leaves() {
        let gate = Gate::new(Pace { at_once: 1, ..Pace::PRODUCTION });
        let first = gate.enter(API).await.unwrap();
        let second = gate.enter(API);
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_secs(9), &mut second).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(9), second).await.unwrap().is_ok());
    }
}
