//! Makes the calls of a fetch: politely, in passes, and never more in parallel than the limiter
//! allows.
//!
//! Every call only reads, so it can be repeated after a failure that leaves open whether WeCom
//! acted.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::limiter::{AfterLimit, CallLimiter};
use super::pace::FetchPace;
use crate::wecom::{Deadline, ErrorFamily, WecomClient, WecomError};

#[derive(Debug)]
pub(super) struct ApiCaller {
    client: WecomClient,
    pace: FetchPace,
    limiter: CallLimiter,
}

/// Whether and when a failed call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryClass {
    /// Repeating does not help.
    Final,
    /// Calling for anything else does not help either: the secret, the address or the corporation
    /// is refused.
    FinalForAll,
    /// WeCom was busy; repeat in one later pass.
    Busy,
    /// There was no readable answer; repeat in every pass.
    NoAnswer,
}

impl RetryClass {
    fn from_error(error: &WecomError) -> Self {
        match (error, error.code()) {
            (WecomError::NoSecret(_) | WecomError::BackingOff { .. }, _) => return Self::FinalForAll,
            // No right to one tag says nothing about the next one.
            (_, Some(81011)) => return Self::Final,
            // 45009 was already waited for by the limiter.
            (_, Some(45033)) => return Self::Busy,
            // This edition has no such call: private editions lack some.
            (WecomError::Unreadable { status: 404, .. }, _) => return Self::Final,
            _ => {}
        }
        match error.family() {
            ErrorFamily::Setup | ErrorFamily::Token => Self::FinalForAll,
            ErrorFamily::Retry => Self::Busy,
            ErrorFamily::Upstream => Self::NoAnswer,
            ErrorFamily::SignInAgain
            | ErrorFamily::Busy
            | ErrorFamily::NotVisible
            | ErrorFamily::Caller
            | ErrorFamily::Unknown => Self::Final,
        }
    }

    /// Returns in how many passes the call is made in all.
    const fn max_passes(self) -> usize {
        match self {
            Self::Final | Self::FinalForAll => 1,
            Self::Busy => 2,
            Self::NoAnswer => 3,
        }
    }
}

/// Returns whether `error` concerns the secret, the address or the corporation, not what was asked
/// for.
pub(super) fn concerns_everything(error: &WecomError) -> bool {
    RetryClass::from_error(error) == RetryClass::FinalForAll
}

impl ApiCaller {
    pub(super) fn new(client: WecomClient, pace: FetchPace) -> Self {
        Self { client, pace, limiter: CallLimiter::new(pace) }
    }

    pub(super) fn client(&self) -> &WecomClient {
        &self.client
    }

    /// Makes one call, in up to three passes.
    pub(super) async fn call<T, Fut>(
        &self,
        api: &'static str,
        ask: impl Fn(WecomClient, Deadline) -> Fut,
    ) -> Result<T, WecomError>
    where
        Fut: Future<Output = Result<T, WecomError>>,
    {
        let mut pauses = self.pace.pass_pauses.iter();
        let mut pass = 1;
        loop {
            match self.call_politely(api, || ask(self.client.clone(), self.deadline())).await {
                Err(error) if pass < RetryClass::from_error(&error).max_passes() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    sleep(*pause).await;
                    pass += 1;
                }
                result => return result,
            }
        }
    }

    /// Calls once for each of `keys` and passes every result to `take`, in any order.
    ///
    /// Temporary failures are repeated after everything else. After a failure that concerns
    /// everything no further calls are made, and the remaining keys get that failure.
    pub(super) async fn call_each<K, T, Fut>(
        &self,
        api: &'static str,
        keys: Vec<K>,
        ask: impl Fn(WecomClient, K, Deadline) -> Fut,
        mut take: impl FnMut(K, Result<T, WecomError>),
    ) where
        K: Clone,
        Fut: Future<Output = Result<T, WecomError>>,
    {
        let mut remaining = keys;
        let mut pauses = self.pace.pass_pauses.iter();
        let mut pass = 1;
        let mut stopped: Option<WecomError> = None;
        while !remaining.is_empty() {
            let mut again = Vec::new();
            let mut queue = std::mem::take(&mut remaining).into_iter();
            let mut calls = FuturesUnordered::new();
            // Calls without an answer in a row, and the last such error.
            let (mut unanswered, mut last_unanswered) = (0, None);
            loop {
                while calls.len() < self.pace.max_parallel_calls
                    && let Some(key) = queue.next()
                {
                    match (&stopped, &last_unanswered) {
                        (Some(error), _) => take(key, Err(error.clone())),
                        (None, Some(error)) if unanswered >= self.pace.max_silent_failures => {
                            self.postpone(pass, key, WecomError::clone(error), &mut again, &mut take);
                        }
                        _ => {
                            let ask = &ask;
                            calls.push(async move {
                                let call = || ask(self.client.clone(), key.clone(), self.deadline());
                                let result = self.call_politely(api, call).await;
                                (key, result)
                            });
                        }
                    }
                }
                // The only await while calls are in flight: a call that nothing polls would keep its
                // permit, and the others would wait for it.
                let Some((key, result)) = calls.next().await else { break };
                match result {
                    Err(error) => match RetryClass::from_error(&error) {
                        RetryClass::Final => take(key, Err(error)),
                        RetryClass::FinalForAll => {
                            stopped.get_or_insert_with(|| error.clone());
                            take(key, Err(error));
                        }
                        RetryClass::Busy => self.postpone(pass, key, error, &mut again, &mut take),
                        RetryClass::NoAnswer => {
                            unanswered += 1;
                            last_unanswered = Some(error.clone());
                            self.postpone(pass, key, error, &mut again, &mut take);
                        }
                    },
                    Ok(answer) => {
                        unanswered = 0;
                        take(key, Ok(answer));
                    }
                }
            }
            remaining = again;
            if !remaining.is_empty() {
                // `postpone` keeps nothing after the last pass.
                if let Some(pause) = pauses.next() {
                    sleep(*pause).await;
                }
                pass += 1;
            }
        }
    }

    /// Keeps `key` for the next pass, if there is one for this error; otherwise passes it to
    /// `take`.
    fn postpone<K, T>(
        &self,
        pass: usize,
        key: K,
        error: WecomError,
        again: &mut Vec<K>,
        take: &mut impl FnMut(K, Result<T, WecomError>),
    ) {
        if pass < RetryClass::from_error(&error).max_passes() && pass <= self.pace.pass_pauses.len() {
            again.push(key);
        } else {
            take(key, Err(error));
        }
    }

    /// Makes one call in one pass: waits for a permit, pauses after 45009, and calls less in
    /// parallel after 45033.
    async fn call_politely<T, Fut>(&self, api: &'static str, ask: impl Fn() -> Fut) -> Result<T, WecomError>
    where
        Fut: Future<Output = Result<T, WecomError>>,
    {
        let mut crowds = 0;
        loop {
            let permit = self.limiter.acquire(api).await?;
            let result = ask().await;
            match &result {
                Err(error) if is_rate_limited(error) => {
                    if self.limiter.record_rate_limit(api, error) == AfterLimit::GiveUp {
                        return result;
                    }
                }
                Err(error) if error.code() == Some(45033) && crowds < self.pace.max_crowd_retries => {
                    crowds += 1;
                    self.limiter.record_crowd();
                    drop(permit);
                    sleep(self.pace.crowd_pause).await;
                }
                Ok(_) => {
                    self.limiter.record_answer(api);
                    return result;
                }
                Err(_) => return result,
            }
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.pace.call_timeout)
    }
}

/// Returns whether the call itself got 45009. For a token that errcode bans our address for an
/// hour, and a pause of a minute would not help.
fn is_rate_limited(error: &WecomError) -> bool {
    matches!(error, WecomError::Refused(refusal) if refusal.code == 45009 && refusal.api != "gettoken")
}
