//! The timer of one connection.
//!
//! hyper asks for a new timeout at every request of a connection and drops it when the head of the
//! request is there. Each of them would enter and leave the runtime's timer, under a lock that all
//! connections share. So a connection has a single sleep, and a timeout is only a deadline. The
//! sleep may end early, for a timeout that is gone, and is then set again; this happens at most
//! once in the length of a timeout.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;

/// A timer for one connection only: it wakes the timeout that was polled last.
#[derive(Debug, Clone)]
pub(super) struct ConnectionTimer(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl ConnectionTimer {
    /// Builds a timer. It waits for nothing until the first timeout is polled. Needs a runtime.
    pub(super) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(timeout)))))
    }
}

impl Timer for ConnectionTimer {
    /// Returns the runtime's own time, which tests can pause.
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
        // An earlier deadline moves the sleep. For a later one it ends early and is set again
        // below.
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
        // The sleep ends too early, for the timeout that was dropped.
        alarm.sleep(3 * step).await;
        assert!(began.elapsed() >= 3 * step);
        // A deadline earlier than the last one, and then one after both.
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
