//! Claiming: a call belongs to one process until its lease ends. Also limits how many calls are
//! made at a time and per minute.

pub(super) mod store;

use std::collections::HashSet;
use std::time::Duration;

use self::store::CallUsage;
use super::rate_limits;
use super::verdict::CallAttempt;
use crate::base::clock::Timestamp;
use crate::base::id::CallId;
use crate::directory::accounts;
use crate::directory::chart::Chart;
use crate::message::reason::SendHold;
use crate::message::store::SendWindow;
use crate::message::{Messages, store as shared};

/// How long WeCom has to answer.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(14);

/// How long a call is leased; longer than we wait for WeCom.
pub(super) const CALL_LEASE: Duration = Duration::from_secs(30);

/// A lease that ends later than this from now was given by a clock that has since been set back.
///
/// The clocks of replicas may differ by as much as one lease.
pub(super) const MAX_PLAUSIBLE_LEASE: Duration = CALL_LEASE.saturating_mul(2);

/// A process that slept this long after claiming a call does not make it: another one may hold the
/// lease by now.
pub(super) const MAX_START_DELAY: Duration = Duration::from_secs(10);

/// A call is not sent again so close to the end of WeCom's duplicate window.
///
/// The bytes have to arrive inside that window, however late the call begins and is answered.
pub(super) const RETRY_CUTOFF_MARGIN: Duration =
    MAX_START_DELAY.saturating_add(ANSWER_DEADLINE).saturating_add(Duration::from_secs(1));

/// The beginning of the body of a call to everybody.
const EVERYBODY_REQUEST_PREFIX: &str = r#"{"touser":"@all","#;

/// A call that this process has leased.
#[derive(Debug, Clone)]
pub(super) struct ClaimedCall {
    pub(super) id: CallId,
    pub(super) request: String,
    pub(super) recipients: i64,
    /// WeCom's duplicate window for these bytes.
    pub(super) window: Duration,
    /// The number of this attempt. Together with the holder it says who may settle the call.
    pub(super) number: i64,
    pub(super) began_at: Timestamp,
    /// Since when the outcome was uncertain before this attempt.
    pub(super) uncertain_at: Option<Timestamp>,
    /// How many recipients were counted for this attempt against the limit of a day.
    pub(super) counted: i64,
}

impl ClaimedCall {
    /// Returns until when the same bytes may be sent again.
    pub(super) fn retry_until(&self) -> Timestamp {
        self.uncertain_at.unwrap_or(self.began_at).plus(self.window).minus(RETRY_CUTOFF_MARGIN)
    }

    /// Returns how long the bytes may take to arrive: only inside the duplicate window, if they may
    /// have been sent before.
    pub(super) fn time_left(&self, now: Timestamp) -> Duration {
        self.uncertain_at
            .map_or(ANSWER_DEADLINE, |since| since.plus(self.window).since(now).min(ANSWER_DEADLINE))
    }

    /// Whether the same bytes could arrive twice now.
    ///
    /// The duplicate window is over, or the clock was set back, so that nobody knows.
    fn is_too_late(&self, now: Timestamp) -> bool {
        self.uncertain_at.is_some_and(|since| since > now || now >= self.retry_until())
    }

    /// Returns how many recipients count against the limit of a day.
    fn reached_recipients(&self, accounts: i64) -> i64 {
        if self.request.starts_with(EVERYBODY_REQUEST_PREFIX) { accounts } else { self.recipients }
    }

    pub(super) fn attempt(&self) -> CallAttempt<'_> {
        CallAttempt {
            call_id: self.id.as_str(),
            recipients: self.recipients,
            number: self.number,
            began_at: self.began_at,
            uncertain_at: self.uncertain_at,
            retry_until: self.retry_until(),
        }
    }
}

/// The calls that one claim took.
#[derive(Debug, Default)]
pub(super) struct ClaimBatch {
    /// To be sent.
    pub(super) calls: Vec<ClaimedCall>,
    /// Too old to be sent again: their outcome stays unknown.
    pub(super) unknown: Vec<ClaimedCall>,
}

/// Returns how many calls may begin now.
fn count_free_places(window: &SendWindow, leased: i64, made: &CallUsage, now: Timestamp) -> i64 {
    if window.is_held(now) {
        return 0;
    }
    // After a hold one call goes first, and the others follow when it has worked.
    let at_once = if window.holds > 0 { 1 } else { window.max_concurrent_calls };
    let [minute, hour] = rate_limits::CALL_WINDOWS;
    (at_once - leased).min(minute.limit - made.calls_in_minute).min(hour.limit - made.calls_in_hour).max(0)
}

fn hold_until_tomorrow(window: &mut SendWindow, most: i64, now: Timestamp) {
    let hold = SendHold::daily_limit(most, window.hold.as_ref().map_or(now, |hold| hold.since));
    window.hold_until = rate_limits::next_day_start(now);
    tracing::warn!(until = %window.hold_until.rfc3339(), "{}", hold.describe().en);
    window.hold = Some(hold);
}

impl Messages {
    /// Claims calls that are due, at most `most`, leaving out those that are in flight here.
    pub(super) async fn claim(
        &self,
        chart: &Chart,
        most: usize,
        in_flight: &HashSet<CallId>,
    ) -> sqlx::Result<ClaimBatch> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        // Checked without the lock, because mostly there is nothing to do.
        if most == 0
            || self.check_send_window().await?.is_held(clock.now())
            || !store::has_due_calls(db.pool(), corp, clock.now()).await?
        {
            return Ok(ClaimBatch::default());
        }
        let accounts = self.accounts(chart).await?;
        let mut tx = db.write().await?;
        let mut window = shared::lock_send_window(&mut tx, corp).await?;
        let now = clock.now();
        let made = store::measure_usage(&mut tx, corp, now).await?;
        let places =
            count_free_places(&window, store::count_leased_calls(&mut tx, corp, now).await?, &made, now);
        let places = places.min(i64::try_from(most).unwrap_or(i64::MAX));
        let mut due = Vec::new();
        if places > 0 {
            let ours = i64::try_from(in_flight.len()).unwrap_or(0);
            due = store::find_due_calls(&mut tx, corp, now, places.saturating_add(ours)).await?;
        }
        let mut claims = ClaimBatch::default();
        let mut today = made.recipients_today;
        for mut call in due.into_iter().filter(|call| !in_flight.contains(&call.id)) {
            if call.is_too_late(now) {
                claims.unknown.push(call);
                continue;
            }
            // No place is left, but a later call may be too old and has to be given up.
            if i64::try_from(claims.calls.len()).unwrap_or(i64::MAX) >= places {
                continue;
            }
            let reaches = call.reached_recipients(accounts.unwrap_or(0));
            if let Some(most) = accounts.map(rate_limits::daily_recipient_limit)
                && today.saturating_add(reaches) > most
            {
                hold_until_tomorrow(&mut window, most, now);
                shared::update_send_window(&mut tx, corp, &window).await?;
                break;
            }
            today += reaches;
            call.counted = reaches;
            claims.calls.push(call);
        }
        // Counted before the call is made: if the process dies, this was an attempt.
        for call in claims.calls.iter_mut().chain(&mut claims.unknown) {
            call.number += 1;
            call.began_at = now;
        }
        let holder = &self.0.delivery_memory.holder;
        for call in claims.calls.iter().chain(&claims.unknown) {
            store::lease_call(&mut tx, call, holder, now.plus(CALL_LEASE)).await?;
        }
        if !claims.calls.is_empty() {
            let reached = today - made.recipients_today;
            store::add_usage(&mut tx, corp, now, claims.calls.len(), reached).await?;
        }
        tx.commit().await?;
        Ok(claims)
    }

    /// Returns how many accounts the directory knows; `None` until it was read completely.
    async fn accounts(&self, chart: &Chart) -> sqlx::Result<Option<i64>> {
        if chart.complete_at().is_none() {
            return Ok(None);
        }
        // Counted once for each version of the chart.
        let known = *self.0.delivery_memory.accounts.lock();
        if let Some((version, accounts)) = known
            && version == chart.version()
        {
            return Ok(Some(accounts));
        }
        let accounts = accounts::store::count_accounts(&self.0.db, &self.0.settings.corp).await?;
        *self.0.delivery_memory.accounts.lock() = Some((chart.version(), accounts));
        Ok(Some(accounts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(calls_in_minute: i64, calls_in_hour: i64) -> CallUsage {
        CallUsage { calls_in_minute, calls_in_hour, recipients_today: 0 }
    }

    #[test]
    fn no_more_calls_begin_than_the_lane_the_minute_and_the_hour_have_places_for() {
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(count_free_places(&SendWindow::UNUSED, 0, &made(0, 0), now), 10);
        assert_eq!(count_free_places(&SendWindow::UNUSED, 7, &made(0, 0), now), 3);
        assert_eq!(count_free_places(&SendWindow::UNUSED, 12, &made(0, 0), now), 0);
        assert_eq!(count_free_places(&SendWindow::UNUSED, 0, &made(8_998, 0), now), 2);
        assert_eq!(count_free_places(&SendWindow::UNUSED, 0, &made(0, 140_000), now), 0);
        assert_eq!(
            count_free_places(
                &SendWindow { max_concurrent_calls: 1, ..SendWindow::UNUSED },
                0,
                &made(0, 0),
                now
            ),
            1
        );
    }

    fn claimed_call(uncertain_at: Option<Timestamp>) -> ClaimedCall {
        ClaimedCall {
            id: CallId::new("c"),
            request: String::new(),
            recipients: 1,
            window: Duration::from_secs(120),
            number: 1,
            began_at: Timestamp::from_millis(1_000_000),
            uncertain_at,
            counted: 1,
        }
    }

    #[test]
    fn bytes_that_may_have_been_sent_before_arrive_inside_the_window_or_not_at_all() {
        let first = Timestamp::from_millis(1_000_000);
        let (once, again) = (claimed_call(None), claimed_call(Some(first)));
        let at = |seconds| first.plus(Duration::from_secs(seconds));
        assert!(!once.is_too_late(at(500)));
        assert!(!again.is_too_late(at(94)) && again.is_too_late(at(95)));
        // The last claim, begun and answered as late as possible.
        let last = at(94).plus(MAX_START_DELAY).plus(again.time_left(at(94).plus(MAX_START_DELAY)));
        assert!(last < first.plus(again.window), "{last:?}");
        for (seconds, left) in [(0, 14), (106, 14), (110, 10), (120, 0), (500, 0)] {
            assert_eq!(again.time_left(at(seconds)), Duration::from_secs(left), "{seconds}");
            assert_eq!(once.time_left(at(seconds)), ANSWER_DEADLINE);
        }
    }

    #[test]
    fn a_clock_that_was_put_back_makes_a_call_unknown_rather_than_sent_twice() {
        let first = Timestamp::from_millis(1_000_000);
        assert!(claimed_call(Some(first)).is_too_late(first.minus(Duration::from_millis(1))));
    }

    #[test]
    fn while_the_lane_is_held_nothing_begins_and_afterwards_one_call_goes_first() {
        let now = Timestamp::from_millis(1_000_000);
        let held =
            SendWindow { hold_until: now.plus(Duration::from_millis(1)), holds: 1, ..SendWindow::UNUSED };
        assert_eq!(count_free_places(&held, 0, &made(0, 0), now), 0);
        let later = held.hold_until;
        assert_eq!(count_free_places(&held, 0, &made(0, 0), later), 1);
        assert_eq!(count_free_places(&held, 1, &made(0, 0), later), 0);
    }
}
