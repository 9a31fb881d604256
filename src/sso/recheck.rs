//! While a session lasts, WeCom is asked again whether its person is still active (`gate.recheck`).
//!
//! Only an answer about the person counts: 60111, 60011, a status other than 1. Whatever else WeCom says or does not
//! say keeps the session: people already in notice nothing while WeCom is down.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::error::{SignInRefusal, SsoError};
use super::{Sso, member_lookup};
use crate::audit;
use crate::base::clock::Timestamp;
use crate::db::feed::FeedTransaction;
use crate::directory::{self, DuePerson};
use crate::session::store::{self as session_store, SessionsToEnd};
use crate::wecom::{Deadline, MAX_PARALLEL_RECHECKS};

/// How many persons are claimed at once. One look reads the living sessions, so it is not made for every ten; and all
/// of them are asked about before their lease is over, however slow WeCom is.
const CLAIM_BATCH: usize = 100;

/// How long a replica has the persons of one claim to itself; also how soon an unanswered one is asked about again.
const CLAIM_LEASE: Duration = Duration::from_secs(90);

const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// How long nothing is done when nobody is due: whoever is next, within these bounds, because a look reads the living
/// sessions, and because sessions and clocks change.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// So much behind is told in the log: somebody who left is in for longer than `gate.recheck` says.
const TOLERATED_DELAY: Duration = Duration::from_secs(60);

/// How often that is told at most.
const WARNING_INTERVAL: Duration = Duration::from_secs(600);

/// What one pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecheckPass {
    /// How many persons WeCom was asked about.
    pub asked: usize,
    /// Whether WeCom left so many of them unanswered in a row that the rest was not asked about.
    pub gave_up: bool,
}

/// When it was last said that the checks are behind, in milliseconds; 0: never.
#[derive(Debug, Default)]
pub(super) struct LastDelayWarning(AtomicI64);

impl LastDelayWarning {
    /// Whether it is time to say it again.
    fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Timestamp::from_millis(last)) >= WARNING_INTERVAL;
        if due {
            self.0.store(now.millis(), Ordering::Relaxed);
        }
        due
    }
}

impl Sso {
    /// Asks about everybody with a living session who was last checked more than `every` ago, as many at once as that
    /// class of calls allows, until nobody is due.
    ///
    /// # Errors
    /// If the database fails; whoever was not asked about is due again when its lease is over.
    pub async fn recheck_due(&self, every: Duration) -> Result<RecheckPass, SsoError> {
        let mut pass = RecheckPass::default();
        if !self.can_recheck() {
            return Ok(pass);
        }
        let (mut waiting, mut is_more) = (VecDeque::new(), true);
        let mut under_way = FuturesUnordered::new();
        let mut unanswered_in_a_row = 0;
        loop {
            // Nothing under way is polled during the claim, and one of them may hold the lock that the claim waits for.
            if waiting.is_empty() && under_way.is_empty() && is_more && !pass.gave_up {
                let claimed = self.claim_due(every).await?;
                is_more = claimed.len() == CLAIM_BATCH;
                waiting.extend(claimed);
            }
            while under_way.len() < MAX_PARALLEL_RECHECKS
                && let Some(person) = waiting.pop_front()
            {
                pass.asked += 1;
                under_way.push(self.recheck(person));
            }
            let Some(answered) = under_way.next().await else { return Ok(pass) };
            unanswered_in_a_row = if answered? { 0 } else { unanswered_in_a_row + 1 };
            if unanswered_in_a_row >= MAX_PARALLEL_RECHECKS {
                pass.gave_up = true;
                waiting.clear();
            }
        }
    }

    /// How long nobody is due after `pass`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pause_after(&self, pass: RecheckPass, every: Duration) -> Result<Duration, SsoError> {
        if pass.gave_up || !self.can_recheck() {
            return Ok(MAX_PAUSE);
        }
        let now = self.0.clock.now();
        let next = self.oldest_check(now).await?.map(|at| at.plus(every));
        Ok(next.map_or(MAX_PAUSE, |next| match next > now {
            true => next.since(now).clamp(MIN_PAUSE, MAX_PAUSE),
            // Somebody became due just now; or was asked about without an answer and is not asked again before the
            // lease is over.
            false if pass.asked > 0 => MIN_PAUSE,
            false => MAX_PAUSE,
        }))
    }

    /// Finds out for `/metrics` how far the checks are behind, and says so in the log now and then.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn measure_delay(&self, every: Duration) -> Result<(), SsoError> {
        let now = self.0.clock.now();
        let oldest = if self.can_recheck() { self.oldest_check(now).await? } else { None };
        let due = oldest.map(|at| at.plus(every)).filter(|due| *due < now);
        let overdue = due.map_or(Duration::ZERO, |due| now.since(due));
        self.0.metrics.recheck_overdue(overdue);
        if overdue > TOLERATED_DELAY && self.0.last_delay_warning.is_due(now) {
            tracing::warn!(
                overdue_seconds = overdue.as_secs(),
                "WeCom is asked again about people with sessions {} s later than gate.recheck says: who left may stay \
                 signed in that much longer. WeCom is slow or out of reach, or there are more active people than can \
                 be asked about in that time; then make gate.recheck longer",
                overdue.as_secs()
            );
        }
        Ok(())
    }

    /// Whether anybody can be asked about at all.
    fn can_recheck(&self) -> bool {
        self.0.settings.enabled && self.0.settings.missing.is_none()
    }

    async fn oldest_check(&self, now: Timestamp) -> Result<Option<Timestamp>, SsoError> {
        Ok(directory::store::find_oldest_check(&self.0.db, &self.0.settings.corp, now).await?)
    }

    async fn claim_due(&self, every: Duration) -> Result<Vec<DuePerson>, SsoError> {
        let now = self.0.clock.now();
        let limit = i64::try_from(CLAIM_BATCH).unwrap_or(i64::MAX);
        let (db, corp) = (&self.0.db, &self.0.settings.corp);
        Ok(directory::store::claim_due_persons(db, corp, now, now.minus(every), now.plus(CLAIM_LEASE), limit)
            .await?)
    }

    /// Asks about one; whether WeCom said anything about the person.
    async fn recheck(&self, DuePerson { id, userid }: DuePerson) -> Result<bool, SsoError> {
        let answer = self.0.client.recheck_member(&userid, Deadline::after(CALL_TIMEOUT)).await;
        let refused = match answer.map_err(SignInRefusal::WeCom).and_then(member_lookup::accept_member) {
            Ok(found) => {
                let mut change =
                    FeedTransaction::begin(&self.0.db, &self.0.settings.corp, self.0.clock.now()).await?;
                directory::store::record_active_member(&mut change, &found).await?;
                change.commit().await?;
                return Ok(true);
            }
            Err(refused) => refused,
        };
        let Some(status) = member_lookup::status_from_refusal(&refused) else {
            tracing::debug!(user.id = %userid, error = %refused, "A recheck had no answer; the session stays");
            return Ok(false);
        };
        let now = self.0.clock.now();
        let mut change = FeedTransaction::begin(&self.0.db, &self.0.settings.corp, now).await?;
        directory::store::set_status(&mut change, &userid, status).await?;
        let ended =
            session_store::end_sessions(&mut change, &SessionsToEnd::Person(&id), status.as_str()).await?;
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::Recheck,
            person: Some(id),
            userid: userid.as_str().to_owned(),
            address: None,
            host: String::new(),
            decision: "done",
            detail: format!("{}: {ended} sessions", status.as_str()),
            request_id: String::new(),
        };
        audit::store::insert_entry(change.tx(), &self.0.settings.corp, &entry, now).await?;
        change.commit().await?;
        tracing::info!(user.id = %userid, status = status.as_str(), sessions = ended, "Ended the sessions of {userid}: {}", status.as_str());
        Ok(true)
    }
}
