//! Delivery: from rows to calls, and what happens to them ([design: delivery](crate::design#delivery)).
//!
//! Every step works in short transactions or makes one call, and finds by the rows what has to be
//! done. So if a process dies, the next one goes on from there. Inside a step the order of locks is send window,
//! calls, their recalls, recipients, messages.
//!
//! | step | does |
//! |---|---|
//! | `expand` | writes one row for each recipient |
//! | `plan` | groups recipients into calls, or postpones them |
//! | `expire` | ends messages that are no longer to be sent |
//! | `claim` | leases a call or a recall to this process |
//! | `send` | sends its bytes to WeCom |
//! | `verdict`, `settle` | decides what the answer means, and writes it |
//! | `recall` | takes back what was sent |
//!
//! | file | what it has |
//! |---|---|
//! | `worker` | takes these steps, one round after the other |
//! | `in_flight` | the calls that are being made at the same time |
//! | `rate_limits` | WeCom's limits, and what we keep below them |
//! | `backoff` | how long a call that failed waits for its next attempt |

mod backoff;
mod claim;
mod expand;
pub(super) mod expire;
mod in_flight;
mod plan;
mod rate_limits;
pub(crate) mod recall;
mod send;
mod settle;
mod verdict;
pub(crate) mod worker;

use std::collections::HashSet;
use std::ops::AddAssign;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::claim::{ClaimBatch, ClaimedCall, MAX_START_DELAY};
use self::in_flight::InFlightCalls;
use self::recall::ClaimedRecall;
use self::verdict::Verdict;
use super::state::FailureReason;
use super::store::SendWindow;
use super::{Messages, store as shared};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CallId, uuid_v7};
use crate::db::hot_statement::HotStatement;
use crate::directory::chart::Chart;
use crate::wecom::SecretKind;

/// The most calls that this process makes at the same time.
const MAX_PARALLEL_CALLS: usize = 10;

/// How many messages are expanded before calls are planned.
const MAX_MESSAGES_BEFORE_PLANNING: u64 = 2000;

pub(super) const HOT_STATEMENTS: [&[HotStatement]; 7] = [
    claim::store::HOT_STATEMENTS,
    expand::store::HOT_STATEMENTS,
    expire::store::HOT_STATEMENTS,
    plan::store::HOT_STATEMENTS,
    recall::store::HOT_STATEMENTS,
    settle::store::HOT_STATEMENTS,
    worker::store::HOT_STATEMENTS,
];

/// What a delivering process has in memory. No message's outcome depends on it.
#[derive(Debug)]
pub(super) struct DeliveryMemory {
    /// The name of this process in the calls that it leases.
    holder: Arc<str>,
    /// A version of the chart, and the number of its accounts.
    accounts: Mutex<Option<(i64, i64)>>,
    /// Messages whose recipients cannot be written.
    stuck: expand::StuckMessages,
    /// The hold of the send window when it was last read.
    held_until: Mutex<Option<Timestamp>>,
}

impl DeliveryMemory {
    pub(super) fn new(clock: &Clock) -> Self {
        let holder = format!("{} {}", std::process::id(), uuid_v7(clock.now()));
        Self {
            holder: holder.into(),
            accounts: Mutex::new(None),
            stuck: expand::StuckMessages::default(),
            held_until: Mutex::new(None),
        }
    }

    /// Whether a hold ended before its time. Then somebody lifted it by hand, here or in another
    /// process.
    fn sees_hold_lifted(&self, window: &SendWindow, now: Timestamp) -> bool {
        let held_until = window.is_held(now).then_some(window.hold_until);
        let before = std::mem::replace(&mut *self.held_until.lock(), held_until);
        held_until.is_none() && before.is_some_and(|until| until > now)
    }
}

/// How much a delivery has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Messages whose recipients were written, or that ended by themselves.
    pub messages: u64,
    pub planned: u64,
    /// Recipients that the planner decided about.
    pub turns: u64,
    /// Calls that were made and settled, including recalls.
    pub calls: u64,
    pub sent: u64,
    /// Recipients that will not be reached.
    pub failed: u64,
    /// Recipients whose outcome is not known.
    pub unknown: u64,
    /// Recipients whose message expired.
    pub expired: u64,
    /// Recipients whose message was recalled, before or after it was sent.
    pub recalled: u64,
}

impl AddAssign for DeliveryCounts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.planned += other.planned;
        self.turns += other.turns;
        self.calls += other.calls;
        self.sent += other.sent;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.expired += other.expired;
        self.recalled += other.recalled;
    }
}

impl DeliveryCounts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One thing to do for a call that this process has leased.
#[derive(Debug)]
enum CallTask {
    Send(ClaimedCall),
    /// The call is too old to be sent again.
    GiveUp(ClaimedCall),
    Recall(ClaimedRecall),
}

impl CallTask {
    fn id(&self) -> CallId {
        match self {
            Self::Send(call) | Self::GiveUp(call) => call.id.clone(),
            Self::Recall(recall) => recall.id.clone(),
        }
    }
}

/// Collects everything that was claimed.
///
/// Claimed recalls are made even if the calls could not be claimed, because their leases run.
fn collect_tasks(
    recalls: Vec<ClaimedRecall>,
    claims: sqlx::Result<ClaimBatch>,
) -> sqlx::Result<Vec<CallTask>> {
    let claims = match claims {
        Ok(claims) => claims,
        Err(error) if recalls.is_empty() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "No calls can be taken up, only recalls");
            ClaimBatch::default()
        }
    };
    let recalls = recalls.into_iter().map(CallTask::Recall);
    let given_up = claims.unknown.into_iter().map(CallTask::GiveUp);
    Ok(recalls.chain(given_up).chain(claims.calls.into_iter().map(CallTask::Send)).collect())
}

impl Messages {
    /// Reads the send window.
    ///
    /// If a hold was lifted by hand, this also ends the back-off of the token, because otherwise we
    /// would refuse the first call ourselves.
    async fn check_send_window(&self) -> sqlx::Result<SendWindow> {
        let window = shared::find_send_window(self.0.db.pool(), &self.0.settings.corp).await?;
        if self.0.delivery_memory.sees_hold_lifted(&window, self.0.clock.now()) {
            tracing::info!("Somebody says that what held messages back is mended; they are sent now");
            self.0.client.end_back_off(SecretKind::App);
        }
        Ok(window)
    }

    /// Expands messages and plans calls, once.
    async fn prepare(&self, chart: &Chart) -> sqlx::Result<DeliveryCounts> {
        let mut messages = 0;
        // Messages that came together are planned together.
        while messages < MAX_MESSAGES_BEFORE_PLANNING {
            match self.expand(chart).await? {
                0 => break,
                more => messages += more,
            }
        }
        let (planned, turns) = self.plan().await?;
        Ok(DeliveryCounts { messages, planned, turns, ..DeliveryCounts::default() })
    }

    /// Claims calls and recalls. Recalls come first, so that they do not wait behind many messages.
    async fn take_calls(
        &self,
        chart: &Chart,
        free: usize,
        in_flight: HashSet<CallId>,
    ) -> sqlx::Result<Vec<CallTask>> {
        // Half of the places stay free for messages, so that these do not wait behind many recalls.
        let recalls = self.claim_recalls(free.div_ceil(2), &in_flight).await?;
        let left = free.saturating_sub(recalls.len());
        collect_tasks(recalls, self.claim(chart, left, &in_flight).await)
    }

    fn start_task(
        &self,
        task: CallTask,
        in_flight: &mut InFlightCalls<DeliveryCounts>,
        stop: &CancellationToken,
    ) {
        let (messages, stop) = (self.clone(), stop.clone());
        in_flight.push(task.id(), async move {
            match task {
                CallTask::Send(call) => messages.execute_call(&call, &stop).await,
                CallTask::GiveUp(call) => {
                    let verdict = Verdict::Unknown { reason: FailureReason::AnswerLost.into() };
                    messages.settle(&call, verdict, &stop).await
                }
                CallTask::Recall(recall) => messages.recall_call(&recall, &stop).await,
            }
        });
    }

    /// Makes a call and settles it.
    async fn execute_call(&self, call: &ClaimedCall, stop: &CancellationToken) -> DeliveryCounts {
        if self.0.clock.now().since(call.began_at) >= MAX_START_DELAY {
            // The machine slept: another process may have the call by now, or gets it when the
            // lease ends.
            return DeliveryCounts::default();
        }
        let answer = self.send(call).await;
        let verdict = verdict::decide_verdict(answer, &call.attempt(), self.0.clock.now());
        self.settle(call, verdict, stop).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_hold_that_is_over_before_its_time_was_lifted_by_hand() {
        let now = Timestamp::from_millis(1_000_000);
        let until = |hold_until| SendWindow { hold_until, holds: 1, ..SendWindow::UNUSED };
        let (open, later) = (until(Timestamp::from_millis(0)), now.plus(Duration::from_secs(50)));
        let memory = DeliveryMemory::new(&Clock::System);
        assert!(!memory.sees_hold_lifted(&open, now));
        assert!(!memory.sees_hold_lifted(&until(later), now));
        assert!(memory.sees_hold_lifted(&open, now));
        assert!(!memory.sees_hold_lifted(&open, now), "once");
        assert!(!memory.sees_hold_lifted(&until(later), now));
        assert!(!memory.sees_hold_lifted(&until(later), later), "its time is over");
    }

    #[test]
    fn what_was_claimed_is_made_even_if_the_rest_cannot_be_claimed() {
        let recall = || ClaimedRecall {
            id: CallId::new("c"),
            msgid: "m".to_owned(),
            number: 1,
            sent_at: Timestamp::from_millis(0),
            uncertain: false,
        };
        let away = || Err(sqlx::Error::PoolTimedOut);
        assert!(matches!(collect_tasks(vec![recall()], away()).as_deref(), Ok([CallTask::Recall(_)])));
        assert!(collect_tasks(Vec::new(), away()).is_err());
        assert_eq!(
            collect_tasks(vec![recall()], Ok(ClaimBatch::default())).map(|all| all.len()).ok(),
            Some(1)
        );
    }
}
