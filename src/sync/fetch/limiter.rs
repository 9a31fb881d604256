//! Limits the calls of a fetch: how many run in parallel, and the pauses that WeCom asks for.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pace::FetchPace;
use crate::wecom::WecomError;

/// The limiter of one fetch, shared by its calls.
#[derive(Debug)]
pub(super) struct CallLimiter {
    pace: FetchPace,
    state: Mutex<LimiterState>,
    permit_released: Notify,
}

#[derive(Debug)]
struct LimiterState {
    /// How many calls may run in parallel now.
    limit: usize,
    calls_in_flight: usize,
    /// Answers since the limit was last changed.
    answers_since_change: usize,
    /// No call begins before this instant.
    closed_until: Option<Instant>,
    /// When a 45033 last lowered the limit.
    last_crowded_at: Option<Instant>,
    /// What 45009 said about each API.
    limits: HashMap<&'static str, ApiLimit>,
}

#[derive(Debug, Default)]
struct ApiLimit {
    /// Pauses made since the API last answered.
    pauses_in_a_row: usize,
    /// Why the API is no longer called in this fetch.
    given_up: Option<WecomError>,
}

/// What follows a 45009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterLimit {
    /// Call again; the limiter opens when the pause is over.
    Retry,
    /// Do not call this API again in this fetch.
    GiveUp,
}

/// The right to make one call, given back when it is dropped.
#[derive(Debug)]
pub(super) struct CallPermit<'a>(&'a CallLimiter);

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        self.0.state.lock().calls_in_flight -= 1;
        self.0.permit_released.notify_waiters();
    }
}

impl CallLimiter {
    pub(super) fn new(pace: FetchPace) -> Self {
        let state = LimiterState {
            limit: pace.max_parallel_calls.max(1),
            calls_in_flight: 0,
            answers_since_change: 0,
            closed_until: None,
            last_crowded_at: None,
            limits: HashMap::new(),
        };
        Self { pace, state: Mutex::new(state), permit_released: Notify::new() }
    }

    /// Waits until `api` may be called.
    ///
    /// # Errors
    /// The 45009 after which `api` is no longer called.
    pub(super) async fn acquire(&self, api: &'static str) -> Result<CallPermit<'_>, WecomError> {
        loop {
            let released = self.permit_released.notified();
            tokio::pin!(released);
            // Registers before the state is read, so that no permit released in between is missed.
            released.as_mut().enable();
            let closed_until = {
                let mut state = self.state.lock();
                if let Some(error) = state.limits.get(api).and_then(|limit| limit.given_up.clone()) {
                    return Err(error);
                }
                let closed_until = state.closed_until.filter(|until| *until > Instant::now());
                if closed_until.is_none() && state.calls_in_flight < state.limit {
                    state.calls_in_flight += 1;
                    return Ok(CallPermit(self));
                }
                closed_until
            };
            match closed_until {
                // After the wait the state is read anew: it may have been closed again.
                Some(until) => sleep_until(until).await,
                None => released.await,
            }
        }
    }

    /// Pauses all calls after `api` answered 45009. Calls already under way when the pause began
    /// share it.
    pub(super) fn record_rate_limit(&self, api: &'static str, error: &WecomError) -> AfterLimit {
        let now = Instant::now();
        let mut state = self.state.lock();
        // A call that began before the pause was refused for the same reason.
        if state.closed_until.is_some_and(|until| until > now) {
            return AfterLimit::Retry;
        }
        let limit = state.limits.entry(api).or_default();
        limit.pauses_in_a_row += 1;
        if limit.pauses_in_a_row > self.pace.max_rate_limit_pauses {
            limit.given_up = Some(error.clone());
            return AfterLimit::GiveUp;
        }
        state.closed_until = Some(now + self.pace.rate_limit_pause);
        tracing::info!(api, pause = ?self.pace.rate_limit_pause, "WeCom's rate limit is reached (45009); the fetch pauses");
        AfterLimit::Retry
    }

    /// Halves the parallel calls after a 45033. Answers of one crowd lower the limit only once.
    pub(super) fn record_crowd(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        // Answers within one pause belong to the same crowd of calls.
        if state.last_crowded_at.is_none_or(|at| now >= at + self.pace.crowd_pause) {
            state.last_crowded_at = Some(now);
            state.limit = (state.limit / 2).max(1);
        }
        state.answers_since_change = 0;
    }

    /// Resets what limited `api` after it answered, and after enough answers raises the limit by
    /// one.
    pub(super) fn record_answer(&self, api: &'static str) {
        let mut state = self.state.lock();
        if let Some(limit) = state.limits.get_mut(api) {
            // Only an answer proves that the limit is over; the end of a pause does not.
            limit.pauses_in_a_row = 0;
        }
        state.answers_since_change += 1;
        if state.answers_since_change >= self.pace.answers_before_raise
            && state.limit < self.pace.max_parallel_calls
        {
            state.limit += 1;
            state.answers_since_change = 0;
            drop(state);
            self.permit_released.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wecom::SecretKind;

    const API: &str = "user/list";

    fn test_limiter() -> CallLimiter {
        CallLimiter::new(FetchPace { answers_before_raise: 3, ..FetchPace::PRODUCTION })
    }

    fn current_limit(limiter: &CallLimiter) -> usize {
        limiter.state.lock().limit
    }

    fn test_error() -> WecomError {
        WecomError::NoSecret(SecretKind::App)
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_lowers_the_limit_once_and_calm_raises_it_slowly() {
        let limiter = test_limiter();
        limiter.record_crowd();
        limiter.record_crowd();
        assert_eq!(current_limit(&limiter), 5);
        for _ in 0..9 {
            tokio::time::advance(Duration::from_secs(1)).await;
            limiter.record_crowd();
        }
        assert_eq!(current_limit(&limiter), 1);
        for _ in 0..3 {
            limiter.record_answer(API);
        }
        assert_eq!(current_limit(&limiter), 2);
        for _ in 0..300 {
            limiter.record_answer(API);
        }
        assert_eq!(current_limit(&limiter), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_shared_and_after_three_without_an_answer_the_api_is_given_up() {
        let limiter = test_limiter();
        for _ in 0..3 {
            assert_eq!(limiter.record_rate_limit(API, &test_error()), AfterLimit::Retry);
            assert_eq!(
                limiter.record_rate_limit("tag/get", &test_error()),
                AfterLimit::Retry,
                "the same window"
            );
            let began = Instant::now();
            drop(limiter.acquire(API).await.unwrap());
            assert_eq!(began.elapsed(), Duration::from_secs(60));
        }
        assert_eq!(limiter.record_rate_limit(API, &test_error()), AfterLimit::GiveUp);
        assert_eq!(limiter.acquire(API).await.err(), Some(test_error()));
        assert!(limiter.acquire("tag/get").await.is_ok(), "each API has its own limit");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_between_two_windows_begins_the_count_anew() {
        let limiter = test_limiter();
        for _ in 0..10 {
            assert_eq!(limiter.record_rate_limit(API, &test_error()), AfterLimit::Retry);
            drop(limiter.acquire(API).await.unwrap());
            limiter.record_answer(API);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_enters_when_somebody_leaves() {
        let limiter = CallLimiter::new(FetchPace { max_parallel_calls: 1, ..FetchPace::PRODUCTION });
        let first = limiter.acquire(API).await.unwrap();
        let second = limiter.acquire(API);
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_secs(9), &mut second).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(9), second).await.unwrap().is_ok());
    }
}
