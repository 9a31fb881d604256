//! Whose turn it is: from recipients that wait to calls. [`plan`] is pure; who plans holds the lane.
//!
//! A recipient is a candidate if its time has come and no other message of the same member is on its way or before it.
//! Each candidate leaves the pass in one of three ways: into a call, later, or failed; so that a pass that finds
//! candidates always gets on.
//!
//! One that has to wait because the member just got an equal body steps aside: the member's later messages pass it. When
//! its time comes there may be two candidates of a member, and the earlier one goes.

pub(super) mod store;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::rate_limits;
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, MessageId, UserId};
use crate::directory::{EntrySource, PersonStatus};
use crate::message::{Addressee, DeliveryCounts, Messages, store as shared};

/// How many recipients a call of message/send may have (document 90236).
pub(super) const MAX_CALL_RECIPIENTS: usize = 1000;

/// How many candidates one pass looks at.
const MAX_CANDIDATES: i64 = 2000;

/// How many planned calls may wait to be made: what is planned no longer profits from company.
const MAX_WAITING_CALLS: usize = 200;

/// WeCom's duplicate window where no other message can have equal bytes: its longest.
pub(super) const UNIQUE_DUPLICATE_WINDOW: Duration = Duration::from_secs(14_400);

/// And where one can: short, because an equal message to the same member waits for its end.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// An equal message leaves so much after the window of the last one.
const DUPLICATE_MARGIN: Duration = Duration::from_secs(5);

/// A body of which a call was made lately waits so long for company, from its acceptance on.
const REPEATED_BODY_LINGER: Duration = Duration::from_secs(1);

/// What "lately" is.
const REPEAT_WINDOW: Duration = Duration::from_secs(5);

/// Who waits so long lets what else it is about wait, too; a shorter wait is not worth writing all those rows.
const MIN_SHARED_DELAY: Duration = Duration::from_secs(2);

/// How many rows of one pass wait along.
const MAX_SHARED_DELAY_ROWS: i64 = 5000;

/// When a body is looked at again that is on its way to everybody.
const EVERYBODY_RECHECK_DELAY: Duration = Duration::from_secs(5);

const PERSON_LEFT_REASON: &str = "The person has left the corporation.";
const UNADDRESSABLE_REASON: &str = "The person's userid would mean somebody else in a list of recipients.";
const NO_WECOM_ACCOUNT_REASON: &str = "The person has no WeCom account.";

/// A recipient whose turn it may be.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) message: MessageId,
    pub(super) member: String,
    /// As it was written at acceptance.
    pub(super) userid: String,
    /// Who it is now; `None`: nobody of the directory.
    pub(super) person: Option<CurrentPerson>,
    pub(super) body: String,
    pub(super) unique: bool,
    pub(super) alone: bool,
    /// Since when it could be sent.
    pub(super) since: Timestamp,
    /// When the windows of [`pace`] have room again; `None`: now.
    pub(super) free_at: Option<Timestamp>,
    /// When the same member last got an equal body.
    pub(super) duplicate_at: Option<Timestamp>,
    /// When a call with that body was made last, if lately; not asked for unique ones.
    pub(super) call_at: Option<Timestamp>,
}

/// A person as the directory has it now.
#[derive(Debug, Clone)]
pub(super) struct CurrentPerson {
    pub(super) userid: String,
    pub(super) status: PersonStatus,
    pub(super) source: EntrySource,
}

/// What is planned against.
#[derive(Debug)]
pub(super) struct PlanContext {
    pub(super) now: Timestamp,
    /// How many calls may be planned.
    pub(super) room: usize,
    /// Bodies on their way to everybody.
    pub(super) to_everybody: HashSet<String>,
}

/// A call to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedCall {
    pub(super) body: String,
    pub(super) window: Duration,
    /// Message, member, and the userid as it is now.
    pub(super) recipients: Vec<(MessageId, String, String)>,
}

/// Why a recipient waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostponeReason {
    /// So that others get the same in the same call.
    AwaitsBatch,
    /// The member has got as much as WeCom delivers.
    MemberLimit,
    /// The member has got an equal body lately, or it is on its way: it steps aside.
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

/// What becomes of the candidates.
#[derive(Debug, Default)]
pub(super) struct SendPlan {
    pub(super) calls: Vec<PlannedCall>,
    pub(super) postponed: Vec<Postponed>,
    /// Message, member, and why.
    pub(super) failed: Vec<(MessageId, String, &'static str)>,
}

/// Decides about every candidate, in their order, while there is room for calls.
pub(super) fn plan_calls(candidates: &[Candidate], situation: &PlanContext) -> SendPlan {
    let now = situation.now;
    let mut plan = SendPlan::default();
    let mut ready: Vec<(&Candidate, &str)> = Vec::new();
    let mut together: HashMap<&str, usize> = HashMap::new();
    for candidate in candidates {
        match current_userid(candidate) {
            Err(why) => plan.failed.push((candidate.message.clone(), candidate.member.clone(), why)),
            Ok(userid) => match earliest_send_time(candidate, situation).filter(|(at, _)| *at > now) {
                Some((at, why)) => plan.postponed.push(Postponed::new(candidate, at, why)),
                None => {
                    *together.entry(&candidate.body).or_default() += 1;
                    ready.push((candidate, userid));
                }
            },
        }
    }
    let mut open: HashMap<&str, OpenCall> = HashMap::new();
    // Whether the body goes to everybody.
    let mut planned: HashMap<&str, bool> = HashMap::new();
    let mut members: HashSet<&str> = HashSet::new();
    for (candidate, userid) in ready {
        if members.contains(candidate.member.as_str()) {
            // The earlier one goes; this one is a candidate again when that is over.
            continue;
        }
        let company = together.get(candidate.body.as_str()).copied().unwrap_or(0);
        if let Some(at) = linger_until(candidate, company, now) {
            plan.postponed.push(Postponed::new(candidate, at, PostponeReason::AwaitsBatch));
            continue;
        }
        let everybody = candidate.member == Addressee::ALL;
        // Of equal bodies to somebody and to everybody the first one goes.
        let rival = planned.get(candidate.body.as_str()).is_some_and(|first| *first != everybody);
        if rival && !candidate.unique {
            let at = now.plus(EVERYBODY_RECHECK_DELAY);
            plan.postponed.push(Postponed::new(candidate, at, PostponeReason::DuplicateWindow));
            continue;
        }
        let recipient = (candidate.message.clone(), candidate.member.clone(), userid.to_owned());
        let own = candidate.alone || everybody;
        if !own
            && let Some(open) = open.get_mut(candidate.body.as_str())
            && let Some(draft) = plan.calls.get_mut(open.call)
            && draft.recipients.len() < MAX_CALL_RECIPIENTS
        {
            if open.userids.insert(userid.to_lowercase()) {
                draft.recipients.push(recipient);
                members.insert(&candidate.member);
            } else {
                // Two members of one userid: the directory has come to know somebody in between.
                let at = now.plus(duplicate_window(candidate)).plus(DUPLICATE_MARGIN);
                plan.postponed.push(Postponed::new(candidate, at, PostponeReason::DuplicateWindow));
            }
            continue;
        }
        if plan.calls.len() >= situation.room {
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

/// A call that takes more recipients.
struct OpenCall {
    call: usize,
    userids: HashSet<String>,
}

const fn duplicate_window(candidate: &Candidate) -> Duration {
    if candidate.unique { UNIQUE_DUPLICATE_WINDOW } else { DUPLICATE_WINDOW }
}

fn current_userid(candidate: &Candidate) -> Result<&str, &'static str> {
    match &candidate.person {
        None => Ok(&candidate.userid),
        Some(person) if person.source != EntrySource::Wecom => Err(NO_WECOM_ACCOUNT_REASON),
        Some(person) if person.status == PersonStatus::Left => Err(PERSON_LEFT_REASON),
        // Of a sign-in by an older version: `|` joins recipients, and @all is everybody.
        Some(person) if UserId::parse_existing(&person.userid).is_err() => Err(UNADDRESSABLE_REASON),
        Some(person) => Ok(&person.userid),
    }
}

/// The first instant at which neither a limit nor WeCom's duplicate check would swallow it, and which of them it is. Who
/// waits for both waits aside: those behind it may have to wait for the limit only.
fn earliest_send_time(candidate: &Candidate, situation: &PlanContext) -> Option<(Timestamp, PostponeReason)> {
    let equal = (!candidate.unique).then_some(candidate.duplicate_at).flatten();
    let behind = (!candidate.unique && situation.to_everybody.contains(&candidate.body))
        .then(|| situation.now.plus(EVERYBODY_RECHECK_DELAY));
    let equal = equal.map(|at| at.plus(DUPLICATE_WINDOW).plus(DUPLICATE_MARGIN)).max(behind);
    if equal.is_some_and(|at| at > situation.now) {
        equal.max(candidate.free_at).map(|at| (at, PostponeReason::DuplicateWindow))
    } else {
        candidate.free_at.map(|at| (at, PostponeReason::MemberLimit))
    }
}

/// Until when it waits for others with the same body; `None`: it does not.
fn linger_until(candidate: &Candidate, company: usize, now: Timestamp) -> Option<Timestamp> {
    if candidate.unique || candidate.alone || company >= MAX_CALL_RECIPIENTS {
        return None;
    }
    candidate.call_at.filter(|at| now.since(*at) < REPEAT_WINDOW)?;
    Some(candidate.since.plus(REPEATED_BODY_LINGER)).filter(|at| *at > now)
}

impl Messages {
    /// Plans once; answers how many calls it made and how many recipients it got on with.
    pub(super) async fn plan(&self) -> sqlx::Result<(u64, u64)> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        // Looked at before the lane is taken: mostly there is nothing to do.
        if self.check_send_window().await?.is_held(clock.now())
            || !store::has_due_recipients(db.pool(), corp, clock.now()).await?
        {
            return Ok((0, 0));
        }
        let mut tx = db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        let now = clock.now();
        let ahead = usize::try_from(store::count_waiting_calls(&mut tx, corp).await?).unwrap_or(usize::MAX);
        let room = MAX_WAITING_CALLS.saturating_sub(ahead);
        if room == 0 {
            tx.rollback().await?;
            return Ok((0, 0));
        }
        let mut candidates = store::find_candidates(&mut tx, corp, now, MAX_CANDIDATES).await?;
        candidates.extend(store::find_candidates_to_everybody(&mut tx, corp, now).await?);
        let to_everybody = store::find_bodies_to_everybody(&mut tx, corp).await?;
        let plan = plan_calls(&candidates, &PlanContext { now, room, to_everybody });
        let made: Vec<(CallId, PlannedCall)> =
            plan.calls.into_iter().map(|draft| (CallId::generate(now), draft)).collect();
        store::insert_calls(&mut tx, corp, self.0.settings.agent, &made, now).await?;
        store::postpone(&mut tx, &plan.postponed).await?;
        store::postpone_related(&mut tx, corp, &plan.postponed, now, MAX_SHARED_DELAY_ROWS).await?;
        if !plan.failed.is_empty() {
            store::fail_recipients(&mut tx, &plan.failed).await?;
            let mut messages: Vec<_> = plan.failed.iter().map(|(message, _, _)| message.clone()).collect();
            messages.dedup();
            shared::finish_messages(&mut tx, &messages, now).await?;
        }
        tx.commit().await?;
        let taken: usize = made.iter().map(|(_, draft)| draft.recipients.len()).sum();
        let failed = u64::try_from(plan.failed.len()).unwrap_or(u64::MAX);
        self.0.metrics.add_failures("left", failed);
        self.0.metrics.add_recipients(&DeliveryCounts { failed, ..DeliveryCounts::default() });
        let moved = taken + plan.postponed.len() + plan.failed.len();
        Ok((made.len() as u64, u64::try_from(moved).unwrap_or(u64::MAX)))
    }
}

/// When the windows of a member have room again, from the instants that the query found.
pub(super) fn earliest_room(everybody: bool, nth: [Option<Timestamp>; 2]) -> Option<Timestamp> {
    rate_limits::earliest_free_time(
        if everybody { rate_limits::EVERYBODY_WINDOWS } else { rate_limits::MEMBER_WINDOWS },
        nth,
    )
}
