//! Planning: decides whose turn it is, and groups waiting recipients into calls.
//!
//! [`plan_calls`] is pure; its caller has locked the send window.
//!
//! A recipient is a candidate if it is due and no other message of the same member is in a call or
//! before it. Every candidate leaves the pass in one of three ways: into a call, postponed, or
//! failed. So a pass that finds candidates always makes progress.
//!
//! A candidate that has to wait because its member just got an equal body steps aside, and later
//! messages of the member pass it. When it becomes due, the member may have two candidates, and the
//! earlier one goes.

pub(super) mod store;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::rate_limits;
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, MessageId, UserId};
use crate::directory::{EntrySource, PersonStatus};
use crate::message::state::FailureReason;
use crate::message::{Addressee, DeliveryCounts, Messages, store as shared};

/// The most recipients of one call of message/send (document 90236).
pub(super) const MAX_CALL_RECIPIENTS: usize = 1000;

/// How many candidates one pass reads.
const MAX_CANDIDATES: i64 = 2000;

/// How many planned calls may wait to be made. A recipient that is in a call can no longer share a
/// larger one.
const MAX_WAITING_CALLS: usize = 200;

/// WeCom's longest duplicate window, for bodies that no other message can have.
pub(super) const UNIQUE_DUPLICATE_WINDOW: Duration = Duration::from_secs(14_400);

/// The duplicate window for other bodies. It is short, because an equal message to the same member
/// waits for its end.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How long after the end of the duplicate window an equal message goes out.
const DUPLICATE_MARGIN: Duration = Duration::from_secs(5);

/// How long after acceptance a message waits for others to share its call, if its body had a call
/// recently.
const REPEATED_BODY_LINGER: Duration = Duration::from_secs(1);

/// How recent such a call is.
const REPEAT_WINDOW: Duration = Duration::from_secs(5);

/// A delay at least this long is applied to related rows too; for a shorter one it is not worth
/// writing them.
const MIN_SHARED_DELAY: Duration = Duration::from_secs(2);

/// The most related rows that one pass postpones.
const MAX_SHARED_DELAY_ROWS: i64 = 5000;

/// When a candidate is looked at again whose body is on its way to everybody.
const EVERYBODY_RECHECK_DELAY: Duration = Duration::from_secs(5);

/// A recipient whose turn it may be.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) message: MessageId,
    pub(super) member: String,
    /// As it was written at acceptance.
    pub(super) userid: String,
    /// The person in the current directory, if there is one.
    pub(super) person: Option<CurrentPerson>,
    pub(super) body: String,
    pub(super) unique: bool,
    pub(super) alone: bool,
    /// Since when it could be sent.
    pub(super) since: Timestamp,
    /// When the [`rate_limits`] of the member allow another message; `None` if they do now.
    pub(super) free_at: Option<Timestamp>,
    /// When the same member last got an equal body.
    pub(super) duplicate_at: Option<Timestamp>,
    /// When a recent call with that body was made; not read for unique bodies.
    pub(super) call_at: Option<Timestamp>,
}

/// A person in the current directory.
#[derive(Debug, Clone)]
pub(super) struct CurrentPerson {
    pub(super) userid: String,
    pub(super) status: PersonStatus,
    pub(super) source: EntrySource,
}

/// The state against which calls are planned.
#[derive(Debug)]
pub(super) struct PlanContext {
    pub(super) now: Timestamp,
    /// How many calls may be planned.
    pub(super) free_calls: usize,
    /// The bodies that are on their way to everybody.
    pub(super) to_everybody: HashSet<String>,
}

/// A call to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedCall {
    pub(super) body: String,
    /// WeCom's duplicate window for this body.
    pub(super) window: Duration,
    /// Message, member, and current userid of each.
    pub(super) recipients: Vec<(MessageId, String, String)>,
}

/// Why a recipient is postponed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostponeReason {
    /// It waits for others that can share its call.
    AwaitsBatch,
    /// The member has got as many messages as WeCom delivers.
    MemberLimit,
    /// The member got an equal body recently, or it is on its way. The recipient steps aside.
    DuplicateWindow,
}

/// A recipient that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postponed {
    pub(super) message: MessageId,
    pub(super) member: String,
    pub(super) body: String,
    /// When it may be its turn.
    pub(super) at: Timestamp,
    pub(super) reason: PostponeReason,
}

impl Postponed {
    fn new(candidate: &Candidate, at: Timestamp, why: PostponeReason) -> Self {
        Self {
            message: candidate.message.clone(),
            member: candidate.member.clone(),
            body: candidate.body.clone(),
            at,
            reason: why,
        }
    }
}

/// The decisions about all candidates.
#[derive(Debug, Default)]
pub(super) struct SendPlan {
    pub(super) calls: Vec<PlannedCall>,
    pub(super) postponed: Vec<Postponed>,
    /// Message, member, and reason of each.
    pub(super) failed: Vec<(MessageId, String, FailureReason)>,
}

/// Decides about every candidate, in their order, until `free_calls` calls are planned.
pub(super) fn plan_calls(candidates: &[Candidate], context: &PlanContext) -> SendPlan {
    let now = context.now;
    let mut plan = SendPlan::default();
    let mut ready: Vec<(&Candidate, &str)> = Vec::new();
    let mut candidates_per_body: HashMap<&str, usize> = HashMap::new();
    // First pass: who fails, who waits, and how many of the others share each body.
    for candidate in candidates {
        match current_userid(candidate) {
            Err(why) => plan.failed.push((candidate.message.clone(), candidate.member.clone(), why)),
            Ok(userid) => match earliest_send_time(candidate, context).filter(|(at, _)| *at > now) {
                Some((at, why)) => plan.postponed.push(Postponed::new(candidate, at, why)),
                None => {
                    *candidates_per_body.entry(&candidate.body).or_default() += 1;
                    ready.push((candidate, userid));
                }
            },
        }
    }
    // Second pass: calls for the others, in their order.
    let mut open: HashMap<&str, OpenCall> = HashMap::new();
    // For each planned body, whether it goes to everybody.
    let mut planned: HashMap<&str, bool> = HashMap::new();
    let mut members: HashSet<&str> = HashSet::new();
    for (candidate, userid) in ready {
        if members.contains(candidate.member.as_str()) {
            // The earlier message goes. This one is a candidate again when that is over.
            continue;
        }
        let sharing = candidates_per_body.get(candidate.body.as_str()).copied().unwrap_or(0);
        if let Some(at) = linger_until(candidate, sharing, now) {
            plan.postponed.push(Postponed::new(candidate, at, PostponeReason::AwaitsBatch));
            continue;
        }
        let everybody = candidate.member == Addressee::ALL;
        // If equal bodies go to a member and to everybody, the first one goes and the other waits.
        let rival = planned.get(candidate.body.as_str()).is_some_and(|first| *first != everybody);
        if rival && !candidate.unique {
            let at = now.plus(EVERYBODY_RECHECK_DELAY);
            plan.postponed.push(Postponed::new(candidate, at, PostponeReason::DuplicateWindow));
            continue;
        }
        let recipient = (candidate.message.clone(), candidate.member.clone(), userid.to_owned());
        // After a call was refused for one of its recipients, each of them gets its own.
        let own = candidate.alone || everybody;
        if !own
            && let Some(open) = open.get_mut(candidate.body.as_str())
            && let Some(call) = plan.calls.get_mut(open.call)
            && call.recipients.len() < MAX_CALL_RECIPIENTS
        {
            if open.userids.insert(userid.to_lowercase()) {
                call.recipients.push(recipient);
                members.insert(&candidate.member);
            } else {
                // Two members with one userid: the directory has learnt of a person in between.
                let at = now.plus(duplicate_window(candidate)).plus(DUPLICATE_MARGIN);
                plan.postponed.push(Postponed::new(candidate, at, PostponeReason::DuplicateWindow));
            }
            continue;
        }
        // It is a candidate again in the next pass.
        if plan.calls.len() >= context.free_calls {
            continue;
        }
        if !own {
            let userids = HashSet::from([userid.to_lowercase()]);
            open.insert(&candidate.body, OpenCall { call: plan.calls.len(), userids });
        }
        planned.insert(&candidate.body, everybody);
        members.insert(&candidate.member);
        plan.calls.push(PlannedCall {
            body: candidate.body.clone(),
            window: duplicate_window(candidate),
            recipients: vec![recipient],
        });
    }
    plan
}

/// A planned call that takes more recipients.
struct OpenCall {
    call: usize,
    userids: HashSet<String>,
}

const fn duplicate_window(candidate: &Candidate) -> Duration {
    if candidate.unique { UNIQUE_DUPLICATE_WINDOW } else { DUPLICATE_WINDOW }
}

fn current_userid(candidate: &Candidate) -> Result<&str, FailureReason> {
    match &candidate.person {
        None => Ok(&candidate.userid),
        Some(person) if person.source != EntrySource::Wecom => Err(FailureReason::NoAccount),
        Some(person) if person.status == PersonStatus::Left => Err(FailureReason::PersonLeft),
        // Written by a sign-in of an older version. In a call `|` separates recipients, and @all is
        // everybody.
        Some(person) if UserId::parse_existing(&person.userid).is_err() => Err(FailureReason::Unaddressable),
        Some(person) => Ok(&person.userid),
    }
}

/// Returns when neither a limit nor WeCom's duplicate check would swallow the message, and which of
/// them it waits for.
///
/// A message that waits for both steps aside, because those behind it may wait for the limit only.
fn earliest_send_time(candidate: &Candidate, context: &PlanContext) -> Option<(Timestamp, PostponeReason)> {
    let equal = (!candidate.unique).then_some(candidate.duplicate_at).flatten();
    let behind = (!candidate.unique && context.to_everybody.contains(&candidate.body))
        .then(|| context.now.plus(EVERYBODY_RECHECK_DELAY));
    let equal = equal.map(|at| at.plus(DUPLICATE_WINDOW).plus(DUPLICATE_MARGIN)).max(behind);
    if equal.is_some_and(|at| at > context.now) {
        equal.max(candidate.free_at).map(|at| (at, PostponeReason::DuplicateWindow))
    } else {
        candidate.free_at.map(|at| (at, PostponeReason::MemberLimit))
    }
}

/// Returns until when it waits for others with the same body, if it does.
fn linger_until(candidate: &Candidate, sharing: usize, now: Timestamp) -> Option<Timestamp> {
    if candidate.unique || candidate.alone || sharing >= MAX_CALL_RECIPIENTS {
        return None;
    }
    candidate.call_at.filter(|at| now.since(*at) < REPEAT_WINDOW)?;
    Some(candidate.since.plus(REPEATED_BODY_LINGER)).filter(|at| *at > now)
}

impl Messages {
    /// Plans once. Returns how many calls were planned and how many recipients were decided about.
    pub(super) async fn plan(&self) -> sqlx::Result<(u64, u64)> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        // Checked before the send window is locked, because mostly there is nothing to do.
        if self.check_send_window().await?.is_held(clock.now())
            || !store::has_due_recipients(db.pool(), corp, clock.now()).await?
        {
            return Ok((0, 0));
        }
        let mut tx = db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        let now = clock.now();
        let ahead = usize::try_from(store::count_waiting_calls(&mut tx, corp).await?).unwrap_or(usize::MAX);
        let free_calls = MAX_WAITING_CALLS.saturating_sub(ahead);
        if free_calls == 0 {
            tx.rollback().await?;
            return Ok((0, 0));
        }
        let mut candidates = store::find_candidates(&mut tx, corp, now, MAX_CANDIDATES).await?;
        candidates.extend(store::find_candidates_to_everybody(&mut tx, corp, now).await?);
        let to_everybody = store::find_bodies_to_everybody(&mut tx, corp).await?;
        let plan = plan_calls(&candidates, &PlanContext { now, free_calls, to_everybody });
        let made: Vec<(CallId, PlannedCall)> =
            plan.calls.into_iter().map(|call| (CallId::generate(now), call)).collect();
        store::insert_calls(&mut tx, corp, self.0.settings.agent, &made, now).await?;
        store::postpone(&mut tx, &plan.postponed).await?;
        store::postpone_related(&mut tx, corp, &plan.postponed, now, MAX_SHARED_DELAY_ROWS).await?;
        if !plan.failed.is_empty() {
            shared::fail_recipients(&mut tx, &plan.failed).await?;
            let mut messages: Vec<_> = plan.failed.iter().map(|(message, _, _)| message.clone()).collect();
            messages.dedup();
            shared::finish_messages(&mut tx, &messages, now).await?;
        }
        tx.commit().await?;
        let taken: usize = made.iter().map(|(_, call)| call.recipients.len()).sum();
        let failed = u64::try_from(plan.failed.len()).unwrap_or(u64::MAX);
        // One reason for all of them: who left, who has no WeCom account, who cannot be addressed.
        self.0.metrics.add_failures("left", failed);
        self.0.metrics.add_recipients(&DeliveryCounts { failed, ..DeliveryCounts::default() });
        let moved = taken + plan.postponed.len() + plan.failed.len();
        Ok((made.len() as u64, u64::try_from(moved).unwrap_or(u64::MAX)))
    }
}

/// Returns when the rate limits of a member allow another message, from the instants that the query
/// found.
pub(super) fn earliest_time_within_limits(everybody: bool, nth: [Option<Timestamp>; 2]) -> Option<Timestamp> {
    rate_limits::earliest_free_time(
        if everybody { rate_limits::EVERYBODY_WINDOWS } else { rate_limits::MEMBER_WINDOWS },
        nth,
    )
}
