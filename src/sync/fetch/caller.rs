//! Calls of a fetch: politely, in passes, and never more at once than the gate lets in.
//!
//! Every call here only reads, so it may be made again after a failure of which nobody knows whether WeCom acted.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::time::sleep;

use super::gate::{After, Gate};
use super::pace::Pace;
use crate::wecom::{Client, Deadline, Error, Family};

/// Makes the calls of one fetch.
#[derive(Debug)]
pub(super) struct Caller {
    client: Client,
    pace: Pace,
    gate: Gate,
}

/// What an error means for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Asking again does not help.
    Final,
    /// Nor does asking for anything else: the secret, the address or the corporation is refused.
    FinalForAll,
    /// WeCom was busy; one later pass.
    Busy,
    /// There was no answer that can be read; every pass.
    NoAnswer,
}

impl Verdict {
    fn of(error: &Error) -> Self {
        match (error, error.code()) {
            (Error::NoSecret(_) | Error::BackingOff { .. }, _) => return Self::FinalForAll,
            // No right on one tag says nothing about the next one.
            (_, Some(81011)) => return Self::Final,
            // 45009 was waited for already.
            (_, Some(45033)) => return Self::Busy,
            // The call does not exist here: private editions lack some.
            (Error::Unreadable { status: 404, .. }, _) => return Self::Final,
            _ => {}
        }
        match error.family() {
            Family::Setup | Family::Token => Self::FinalForAll,
            Family::Retry => Self::Busy,
            Family::Upstream => Self::NoAnswer,
            Family::SignInAgain | Family::Busy | Family::NotVisible | Family::Caller | Family::Unknown => {
                Self::Final
            }
        }
    }

    /// Passes in all.
    const fn passes(self) -> usize {
        match self {
            Self::Final | Self::FinalForAll => 1,
            Self::Busy => 2,
            Self::NoAnswer => 3,
        }
    }
}

/// Whether `error` concerns the secret, the address or the corporation and not what was asked for.
pub(super) fn concerns_everything(error: &Error) -> bool {
    Verdict::of(error) == Verdict::FinalForAll
}

impl Caller {
    pub(super) fn new(client: Client, pace: Pace) -> Self {
        Self { client, pace, gate: Gate::new(pace) }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// One call, in up to three passes.
    pub(super) async fn one<T, Fut>(
        &self,
        api: &'static str,
        ask: impl Fn(Client, Deadline) -> Fut,
    ) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut pauses = self.pace.passes.iter();
        let mut pass = 1;
        loop {
            match self.politely(api, || ask(self.client.clone(), self.deadline())).await {
                Err(error) if pass < Verdict::of(&error).passes() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    sleep(*pause).await;
                    pass += 1;
                }
                result => return result,
            }
        }
    }

    /// Asks for each of `keys` and hands every outcome to `take`, once and in any order. What failed in a way that
    /// passes is asked again after everything else. After a failure that concerns everything nothing more is asked,
    /// and the rest gets that failure.
    pub(super) async fn sweep<K, T, Fut>(
        &self,
        api: &'static str,
        keys: Vec<K>,
        ask: impl Fn(Client, K, Deadline) -> Fut,
        mut take: impl FnMut(K, Result<T, Error>),
    ) where
        K: Clone,
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut left = keys;
        let mut pauses = self.pace.passes.iter();
        let mut pass = 1;
        let mut stopped: Option<Error> = None;
        while !left.is_empty() {
            let mut again = Vec::new();
            let mut queue = std::mem::take(&mut left).into_iter();
            let mut running = Abreast::default();
            // Failures to get an answer in a row, and the last of them.
            let (mut silent, mut silence) = (0, None);
            loop {
                while running.len() < self.pace.at_once
                    && let Some(key) = queue.next()
                {
                    match (&stopped, &silence) {
                        (Some(error), _) => take(key, Err(error.clone())),
                        (None, Some(error)) if silent >= self.pace.hopeless => {
                            self.put_off(pass, key, Error::clone(error), &mut again, &mut take);
                        }
                        _ => {
                            let ask = &ask;
                            running.push(async move {
                                let call = || ask(self.client.clone(), key.clone(), self.deadline());
                                let result = self.politely(api, call).await;
                                (key, result)
                            });
                        }
                    }
                }
                let Some((key, result)) = running.next().await else { break };
                match result {
                    Err(error) => match Verdict::of(&error) {
                        Verdict::Final => take(key, Err(error)),
                        Verdict::FinalForAll => {
                            stopped.get_or_insert_with(|| error.clone());
                            take(key, Err(error));
                        }
                        Verdict::Busy => self.put_off(pass, key, error, &mut again, &mut take),
                        Verdict::NoAnswer => {
                            silent += 1;
                            silence = Some(error.clone());
                            self.put_off(pass, key, error, &mut again, &mut take);
                        }
                    },
                    Ok(answer) => {
                        silent = 0;
                        take(key, Ok(answer));
                    }
                }
            }
            left = again;
            if !left.is_empty() {
                // `put_off` keeps nothing after the last pass.
                if let Some(pause) = pauses.next() {
                    sleep(*pause).await;
                }
                pass += 1;
            }
        }
    }

    /// Keeps `key` for the next pass if there is one for this error.
    fn put_off<K, T>(
        &self,
        pass: usize,
        key: K,
        error: Error,
        again: &mut Vec<K>,
        take: &mut impl FnMut(K, Result<T, Error>),
    ) {
        if pass < Verdict::of(&error).passes() && pass <= self.pace.passes.len() {
            again.push(key);
        } else {
            take(key, Err(error));
        }
    }

    /// One call in one pass: a place at the gate, 45009 waited for, 45033 answered with less at once.
    async fn politely<T, Fut>(&self, api: &'static str, ask: impl Fn() -> Fut) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut crowds = 0;
        loop {
            let place = self.gate.enter(api).await?;
            let result = ask().await;
            match &result {
                Err(error) if limited(error) => {
                    if self.gate.limited(api, error) == After::GiveUp {
                        return result;
                    }
                }
                Err(error) if error.code() == Some(45033) && crowds < self.pace.crowds => {
                    crowds += 1;
                    self.gate.crowded();
                    drop(place);
                    sleep(self.pace.crowd).await;
                }
                Ok(_) => {
                    self.gate.answered(api);
                    return result;
                }
                Err(_) => return result,
            }
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.pace.call)
    }
}

/// 45009 to the call itself. For a token it bans our address for an hour, and waiting a minute only makes it longer.
fn limited(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.code == 45009 && refusal.api != "gettoken")
}

/// A few futures that go on together, in one task: tasks are the supervisor's.
#[derive(Debug)]
struct Abreast<F>(Vec<Pin<Box<F>>>);

impl<F> Default for Abreast<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Future> Abreast<F> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, future: F) {
        self.0.push(Box::pin(future));
    }

    /// The result of whichever is ready first; `None` if there is none left.
    async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|context| {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            let ready =
                self.0.iter_mut().enumerate().find_map(|(i, future)| match future.as_mut().poll(context) {
                    Poll::Ready(output) => Some((i, output)),
                    Poll::Pending => None,
                });
            match ready {
                Some((i, output)) => {
                    drop(self.0.swap_remove(i));
                    Poll::Ready(Some(output))
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}
