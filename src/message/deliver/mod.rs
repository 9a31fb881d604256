//! From rows to calls, and what comes of them.
//!
//! Every step is one short transaction or one call, and finds by the rows what is to be done: whatever dies when, the
//! next one goes on where it was. The order inside a step is lane, calls, recipients, messages.
//!
//! | step | does |
//! |---|---|
//! | `expire` | ends what is no longer to be sent |
//! | `expand` | one row a recipient |
//! | `plan` | recipients become calls, or wait for their turn |
//! | `claim` | a call is ours to make |
//! | `send` | the bytes, to WeCom |
//! | `verdict`, `settle` | what the answer means, written down |
//! | `recall` | takes back what was sent |

mod backoff;
mod claim;
mod expand;
pub(super) mod expire;
mod in_flight;
mod plan;
mod rate_limits;
pub mod recall;
mod send;
mod settle;
mod verdict;
mod worker;

use std::collections::HashSet;
use std::ops::AddAssign;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::claim::{ClaimBatch, ClaimedCall, MAX_START_DELAY};
use self::in_flight::InFlightCalls;
pub(super) use self::rate_limits::is_daily_limit_reason;
use self::recall::ClaimedRecall;
use self::verdict::Verdict;
use super::store::SendWindow;
use super::{Messages, store as shared};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CallId, uuid_v7};
use crate::directory::chart::Chart;
use crate::wecom::SecretKind;

/// How many calls this process makes at the same time.
const MAX_PARALLEL_CALLS: usize = 10;

/// How many messages have their recipients written before calls are planned.
const MAX_MESSAGES_BEFORE_PLANNING: u64 = 2000;

const ANSWER_LOST_REASON: &str =
    "WeCom's answer was lost, and it is too late to ask again without sending twice.";

/// What a process that delivers has in memory: nothing that a message's fate depends on.
#[derive(Debug)]
pub(super) struct DeliveryWorker {
    /// Who this process is, in the calls that it makes.
    holder: Arc<str>,
    /// Rings when calls were planned.
    calls_planned: Notify,
    /// Rings when a call was settled: its recipients' next messages may be planned.
    call_settled: Notify,
    /// How many accounts the chart of that version has.
    accounts: Mutex<Option<(i64, i64)>>,
    /// Messages whose recipients cannot be written.
    stuck: expand::StuckMessages,
    /// Until when the lane was held when it was last looked at.
    held_until: Mutex<Option<Timestamp>>,
}

impl DeliveryWorker {
    /// The worker of this process.
    pub(super) fn new(clock: &Clock) -> Self {
        let holder = format!("{} {}", std::process::id(), uuid_v7(clock.now()));
        Self {
            holder: holder.into(),
            calls_planned: Notify::new(),
            call_settled: Notify::new(),
            accounts: Mutex::new(None),
            stuck: expand::StuckMessages::default(),
            held_until: Mutex::new(None),
        }
    }

    /// Whether the hold of the lane that was seen before would last longer: then somebody has lifted it by hand, here or
    /// in another process.
    fn sees_hold_lifted(&self, lane: &SendWindow, now: Timestamp) -> bool {
        let held_until = lane.is_held(now).then_some(lane.hold_until);
        let before = std::mem::replace(&mut *self.held_until.lock(), held_until);
        held_until.is_none() && before.is_some_and(|until| until > now)
    }

    /// There are recipients to be planned.
    fn wake_planner(&self) {
        self.call_settled.notify_one();
    }
}

/// What was got on with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Messages whose recipients were written, or that came to an end by themselves.
    pub messages: u64,
    /// Calls that were planned.
    pub planned: u64,
    /// Recipients whose turn was decided.
    pub turns: u64,
    /// Calls that were made and settled, recalls too.
    pub calls: u64,
    /// Recipients that WeCom took.
    pub sent: u64,
    /// Recipients that will not be reached.
    pub failed: u64,
    /// Recipients of whom nobody knows.
    pub unknown: u64,
    /// Recipients whose message expired.
    pub expired: u64,
    /// Recipients whose message was taken back, before or after.
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
    /// Whether it was anything.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A call that is ours, one way or the other.
#[derive(Debug)]
enum CallTask {
    Send(ClaimedCall),
    /// Too old to be sent again.
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

/// All that was claimed. What was is made, even if the rest could not be: its leases run.
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
    /// Does everything that is due now, until nothing is: it waits for WeCom's answers, but never for a time to come.
    ///
    /// # Errors
    /// If the database fails; what was done stays done, and the next one goes on.
    pub async fn deliver_due(&self, chart: &Chart) -> sqlx::Result<DeliveryCounts> {
        let mut all = DeliveryCounts::default();
        if self.0.settings.unavailable.is_some() {
            return Ok(all);
        }
        let stop = CancellationToken::new();
        loop {
            let mut now = self.prepare(chart).await?;
            now += self.expire().await?;
            let mut under_way = InFlightCalls::new();
            loop {
                let (taken, ended) = self.take_calls_while_running(chart, &mut under_way).await;
                now += ended;
                for ours in taken? {
                    self.start_task(ours, &mut under_way, &stop);
                }
                if under_way.len() == 0 {
                    break;
                }
                now += under_way.next().await;
            }
            if now.is_empty() {
                return Ok(all);
            }
            all += now;
        }
    }

    /// The lane as it is. If a hold was lifted by hand, a token is asked for although WeCom refused one lately: else the
    /// first call would be refused by ourselves.
    async fn check_send_window(&self) -> sqlx::Result<SendWindow> {
        let lane = shared::find_send_window(self.0.db.pool(), &self.0.settings.corp).await?;
        if self.0.worker.sees_hold_lifted(&lane, self.0.clock.now()) {
            tracing::info!("Somebody says that what held messages back is mended; they are sent now");
            self.0.client.end_back_off(SecretKind::App);
        }
        Ok(lane)
    }

    /// Recipients and calls, once.
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

    /// Calls and recalls that are ours to make now, and what became of those under way meanwhile: they go on while the
    /// database is asked, because one of them may be holding what the question waits for.
    async fn take_calls_while_running(
        &self,
        chart: &Chart,
        under_way: &mut InFlightCalls<DeliveryCounts>,
    ) -> (sqlx::Result<Vec<CallTask>>, DeliveryCounts) {
        let ids = under_way.ids();
        let mut ended = DeliveryCounts::default();
        let taking = self.take_calls(chart, MAX_PARALLEL_CALLS.saturating_sub(ids.len()), &ids);
        tokio::pin!(taking);
        loop {
            tokio::select! {
                taken = &mut taking => return (taken, ended),
                one = under_way.next() => ended += one,
            }
        }
    }

    /// Calls and recalls that are ours to make now. Recalls first: however many messages wait, they are not behind them.
    async fn take_calls(
        &self,
        chart: &Chart,
        free: usize,
        under_way: &HashSet<CallId>,
    ) -> sqlx::Result<Vec<CallTask>> {
        // Nor are messages behind recalls.
        let recalls = self.claim_recalls(free.div_ceil(2), under_way).await?;
        let left = free.saturating_sub(recalls.len());
        collect_tasks(recalls, self.claim(chart, left, under_way).await)
    }

    /// Begins a call, beside the others.
    fn start_task(
        &self,
        ours: CallTask,
        under_way: &mut InFlightCalls<DeliveryCounts>,
        stop: &CancellationToken,
    ) {
        let (messages, stop) = (self.clone(), stop.clone());
        under_way.push(ours.id(), async move {
            match ours {
                CallTask::Send(call) => messages.execute_call(&call, &stop).await,
                CallTask::GiveUp(call) => {
                    let verdict = Verdict::Unknown { reason: ANSWER_LOST_REASON.to_owned() };
                    messages.settle(&call, verdict, &stop).await
                }
                CallTask::Recall(recall) => messages.recall_call(&recall, &stop).await,
            }
        });
    }

    /// Makes a call and writes what came of it.
    async fn execute_call(&self, call: &ClaimedCall, stop: &CancellationToken) -> DeliveryCounts {
        if self.0.clock.now().since(call.began_at) >= MAX_START_DELAY {
            // The machine slept: somebody else may have the call by now, or gets it when the lease is over.
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
    use crate::message::store::MAX_CONCURRENT_CALLS as LANE_AT_ONCE;

    #[test]
    fn a_hold_that_is_over_before_its_time_was_lifted_by_hand() {
        let now = Timestamp::from_millis(1_000_000);
        let until = |hold_until| SendWindow {
            turn: 1,
            hold_until,
            hold_reason: String::new(),
            hold_since: None,
            holds: 1,
            max_concurrent_calls: LANE_AT_ONCE,
        };
        let (open, later) = (until(Timestamp::from_millis(0)), now.plus(Duration::from_secs(50)));
        let worker = DeliveryWorker::new(&Clock::System);
        assert!(!worker.sees_hold_lifted(&open, now));
        assert!(!worker.sees_hold_lifted(&until(later), now));
        assert!(worker.sees_hold_lifted(&open, now));
        assert!(!worker.sees_hold_lifted(&open, now), "once");
        assert!(!worker.sees_hold_lifted(&until(later), now));
        assert!(!worker.sees_hold_lifted(&until(later), later), "its time is over");
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
