//! Calls under way at the same time in one task, so that a slow one holds nobody up and nothing is spawned.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::base::id::CallId;

type CallFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A few futures, each about one call. They go on only inside [`UnderWay::next`]: whoever waits for anything else without
/// it may wait for a lock that one of them holds.
pub(super) struct InFlightCalls<T> {
    calls: Vec<(CallId, CallFuture<T>)>,
}

impl<T> InFlightCalls<T> {
    /// None.
    pub(super) const fn new() -> Self {
        Self { calls: Vec::new() }
    }

    /// One more.
    pub(super) fn push(&mut self, id: CallId, call: impl Future<Output = T> + Send + 'static) {
        self.calls.push((id, Box::pin(call)));
    }

    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.calls.len()
    }

    /// Which.
    pub(super) fn ids(&self) -> HashSet<CallId> {
        self.calls.iter().map(|(id, _)| id.clone()).collect()
    }

    /// The next that ends; never, if there is none: others may be pushed meanwhile. Can be dropped and asked for again.
    pub(super) async fn next(&mut self) -> T {
        poll_fn(|context| {
            for at in 0..self.calls.len() {
                let Some((_, call)) = self.calls.get_mut(at) else { break };
                if let Poll::Ready(ended) = call.as_mut().poll(context) {
                    drop(self.calls.swap_remove(at));
                    return Poll::Ready(ended);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_call_holds_nobody_up() {
        let mut under_way = InFlightCalls::new();
        for (name, seconds) in [("slow", 60), ("quick", 1), ("middling", 5)] {
            under_way.push(CallId::new(name), async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                name
            });
        }
        assert_eq!(under_way.len(), 3);
        assert_eq!((under_way.next().await, under_way.next().await), ("quick", "middling"));
        assert_eq!(under_way.ids(), HashSet::from([CallId::new("slow")]));
        assert_eq!(under_way.next().await, "slow");
        let none = tokio::time::timeout(Duration::from_secs(1), under_way.next()).await;
        assert!(none.is_err());
    }
}
