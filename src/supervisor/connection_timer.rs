//! The timer of one connection.
//!
//! hyper asks for a new timeout at every request of a connection and drops it when the request's head is there. Each
//! would be put into the runtime's timer and taken out again, under a lock that all connections share. So a
//! connection keeps a single sleep, and a timeout only says until when: the sleep may end too early, for a timeout
//! that is gone, and is then set anew; that happens once in the length of a timeout.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;

/// For one connection only: of all its timeouts the one that is polled last is woken.
#[derive(Debug, Clone)]
pub(super) struct ConnectionTimer(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl ConnectionTimer {
    /// Nothing is waited for until the first timeout is polled. Needs a runtime.
    pub(super) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(timeout)))))
    }
}

impl Timer for ConnectionTimer {
    /// The runtime's own time, which tests can pause.
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(ConnectionTimeout { deadline: deadline.into(), alarm: Arc::clone(&self.0) })
    }
}

struct ConnectionTimeout {
    deadline: tokio::time::Instant,
    alarm: Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>,
}

impl Sleep for ConnectionTimeout {}

impl Future for ConnectionTimeout {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.alarm.lock();
        if sleep.deadline() > self.deadline {
            sleep.as_mut().reset(self.deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_timeout_ends_at_its_own_deadline_whatever_was_asked_for_before() {
        let step = Duration::from_millis(40);
        let (began, alarm) = (Instant::now(), ConnectionTimer::new(step));
        let mut dropped = alarm.sleep(step);
        assert!(std::future::poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx))).await.is_pending());
        drop(dropped);
        // The sleep below ends for the one that was dropped first.
        alarm.sleep(3 * step).await;
        assert!(began.elapsed() >= 3 * step);
        // Earlier than the last one was, and once more after both.
        alarm.sleep(Duration::ZERO).await;
        alarm.sleep(step).await;
        assert!(began.elapsed() >= 4 * step);
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_not_missed_for_a_later_one() {
        let alarm = ConnectionTimer::new(Duration::from_secs(3600));
        tokio::time::timeout(Duration::from_secs(60), alarm.sleep(Duration::from_millis(1))).await.unwrap();
    }
}
