//! Concurrent calls in one task: a slow one does not hold up the others, and nothing is spawned.

use std::collections::HashSet;
use std::future::pending;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::base::id::CallId;

/// A few futures, one for each call.
///
/// They make progress only inside [`InFlightCalls::next`]. Code that waits for something else
/// without calling it may wait for a lock that one of them holds.
pub(super) struct InFlightCalls<T> {
    ids: HashSet<CallId>,
    calls: FuturesUnordered<BoxFuture<'static, (CallId, T)>>,
}

impl<T> InFlightCalls<T> {
    pub(super) fn new() -> Self {
        Self { ids: HashSet::new(), calls: FuturesUnordered::new() }
    }

    pub(super) fn push(&mut self, id: CallId, call: impl Future<Output = T> + Send + 'static) {
        self.ids.insert(id.clone());
        self.calls.push(Box::pin(async move { (id, call.await) }));
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn ids(&self) -> HashSet<CallId> {
        self.ids.clone()
    }

    /// Waits for the next call that ends, and forever if there is none.
    ///
    /// It may be dropped and called again.
    pub(super) async fn next(&mut self) -> T {
        let Some((id, ended)) = self.calls.next().await else {
            // The caller then waits for something else.
            return pending().await;
        };
        self.ids.remove(&id);
        ended
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
