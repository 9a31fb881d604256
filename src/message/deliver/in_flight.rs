//! Concurrent calls in one task: a slow one does not hold up the others, and nothing is spawned.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::base::id::CallId;

type CallFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A few futures, one for each call.
///
/// They make progress only inside [`InFlightCalls::next`]. Code that waits for something else
/// without calling it may wait for a lock that one of them holds.
pub(super) struct InFlightCalls<T> {
    calls: Vec<(CallId, CallFuture<T>)>,
}

impl<T> InFlightCalls<T> {
    pub(super) const fn new() -> Self {
        Self { calls: Vec::new() }
    }

    pub(super) fn push(&mut self, id: CallId, call: impl Future<Output = T> + Send + 'static) {
        self.calls.push((id, Box::pin(call)));
    }

    pub(super) const fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn ids(&self) -> HashSet<CallId> {
        self.calls.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Waits for the next call that ends, and forever if there is none.
    ///
    /// It may be dropped and called again.
    pub(super) async fn next(&mut self) -> T {
        poll_fn(|context| {
            for at in 0..self.calls.len() {
                let Some((_, call)) = self.calls.get_mut(at) else { break };
                if let Poll::Ready(ended) = call.as_mut().poll(context) {
                    drop(self.calls.swap_remove(at));
                    return Poll::Ready(ended);
                }
            }
            // Without any call nothing wakes this future; the caller then waits for something else.
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
        let mut in_flight = InFlightCalls::new();
        for (name, seconds) in [("slow", 60), ("quick", 1), ("middling", 5)] {
            in_flight.push(CallId::new(name), async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                name
            });
        }
        assert_eq!(in_flight.len(), 3);
        assert_eq!((in_flight.next().await, in_flight.next().await), ("quick", "middling"));
        assert_eq!(in_flight.ids(), HashSet::from([CallId::new("slow")]));
        assert_eq!(in_flight.next().await, "slow");
        let none = tokio::time::timeout(Duration::from_secs(1), in_flight.next()).await;
        assert!(none.is_err());
    }
}
