//! Asks WeCom again, while a session lasts, whether its person is still active (`gate.recheck`).
//!
//! Only an answer about the person counts: errcodes 60111 and 60011, and every status except 1. Any
//! other answer, and none at all, keeps the session: signed-in people notice nothing while WeCom is
//! down.

mod store;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::error::{SignInRefusal, SsoError};
use super::{Sso, member_lookup};
use crate::audit;
use crate::base::clock::Timestamp;
use crate::config::Readiness;
use crate::directory::changes::DirectoryTransaction;
use crate::directory::{self, DuePerson};
use crate::session::SessionEndReason;
use crate::session::store::{self as session_store, SessionsToEnd};
use crate::wecom::{Deadline, MAX_PARALLEL_RECHECKS};

/// How many persons are claimed at once. The query reads all living sessions, so it must not run
/// for a few persons only; and everybody claimed must be asked about before the lease ends, however
/// slow WeCom is.
const CLAIM_BATCH: usize = 100;

/// How long one replica has the persons of a claim to itself. Also how soon a person without an
/// answer is asked about again.
const CLAIM_LEASE: Duration = Duration::from_secs(90);

const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// The bounds of the pause while nobody is due. The query reads all living sessions, so it must not
/// run too often; sessions and clocks change, so it must not wait too long.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A larger delay is logged: whoever left stays signed in that much longer than `gate.recheck`
/// says.
const TOLERATED_DELAY: Duration = Duration::from_secs(60);

/// The shortest time between two such log entries.
const WARNING_INTERVAL: Duration = Duration::from_secs(600);

/// The result of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecheckPass {
    /// How many persons WeCom was asked about.
    pub asked: usize,
    /// Whether so many calls in a row had no answer that the others were not made.
    pub gave_up: bool,
}

/// When the delay was last logged, in milliseconds; 0 if never.
#[derive(Debug, Default)]
pub(super) struct LastDelayWarning(AtomicI64);

impl LastDelayWarning {
    /// Returns whether it is time to log it again, and remembers `now` if so.
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
    /// Asks WeCom about every person with a living session who was last checked more than `every`
    /// ago, until nobody is due. Runs as many calls at once as WeCom's client allows for rechecks.
    ///
    /// # Errors
    /// If the database fails. Whoever was not asked about is due again when the lease ends.
    pub async fn recheck_due(&self, every: Duration) -> Result<RecheckPass, SsoError> {
        let mut pass = RecheckPass::default();
        if !self.can_recheck() {
            return Ok(pass);
        }
        let (mut waiting, mut is_more) = (VecDeque::new(), true);
        let mut under_way = FuturesUnordered::new();
        let mut unanswered_in_a_row = 0;
        loop {
            // No call is polled during the claim, and one of them may hold the lock that the claim
            // waits for.
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
            // So many calls without an answer mean that WeCom is down. More calls would not help.
            unanswered_in_a_row = if answered? { 0 } else { unanswered_in_a_row + 1 };
            if unanswered_in_a_row >= MAX_PARALLEL_RECHECKS {
                pass.gave_up = true;
                waiting.clear();
            }
        }
    }

    /// Returns how long nobody will be due after `pass`.
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
            // Somebody became due just now, or there was no answer about a person who is not asked
            // about again before the lease ends.
            false if pass.asked > 0 => MIN_PAUSE,
            false => MAX_PAUSE,
        }))
    }

    /// Measures the delay of rechecks for `/metrics`, and logs it now and then.
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

    /// Returns whether WeCom can be asked at all.
    fn can_recheck(&self) -> bool {
        self.0.settings.readiness == Readiness::Ready
    }

    async fn oldest_check(&self, now: Timestamp) -> Result<Option<Timestamp>, SsoError> {
        Ok(store::find_oldest_check(&self.0.db, &self.0.settings.corp, now).await?)
    }

    async fn claim_due(&self, every: Duration) -> Result<Vec<DuePerson>, SsoError> {
        let now = self.0.clock.now();
        let limit = i64::try_from(CLAIM_BATCH).unwrap_or(i64::MAX);
        let (db, corp) = (&self.0.db, &self.0.settings.corp);
        let due = store::find_due_persons(db, corp, now, now.minus(every), limit).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        Ok(directory::store::claim_checks(db, due, now, now.plus(CLAIM_LEASE)).await?)
    }

    /// Asks about one person. Returns whether WeCom answered about that person.
    async fn recheck(&self, DuePerson { id, userid }: DuePerson) -> Result<bool, SsoError> {
        let answer = self.0.client.recheck_member(&userid, Deadline::after(CALL_TIMEOUT)).await;
        let refused = match answer.map_err(SignInRefusal::WeCom).and_then(member_lookup::accept_member) {
            Ok(found) => {
                let mut change =
                    DirectoryTransaction::begin(&self.0.db, &self.0.settings.corp, self.0.clock.now())
                        .await?;
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
        let mut change = DirectoryTransaction::begin(&self.0.db, &self.0.settings.corp, now).await?;
        directory::store::set_status(&mut change, &userid, status).await?;
        let ended = match SessionEndReason::from_status(status) {
            Some(reason) => {
                session_store::end_sessions(&mut change, &SessionsToEnd::Person(&id), reason).await?
            }
            None => 0,
        };
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::Recheck,
            actor: audit::Actor::System,
            person: Some(id),
            userid: userid.as_str().to_owned(),
            address: None,
            host: String::new(),
            decision: audit::AuditDecision::Done,
            detail: format!("{}: {ended} sessions", status.as_str()),
            request_id: String::new(),
        };
        audit::store::insert_entry(change.tx(), &self.0.settings.corp, &entry, now).await?;
        change.commit().await?;
        tracing::info!(user.id = %userid, status = status.as_str(), sessions = ended, "Ended the sessions of {userid}: {}", status.as_str());
        Ok(true)
    }
}
