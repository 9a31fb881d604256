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

use super::pace;
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, MessageId, UserId};
use crate::directory::{Source, Status};
use crate::message::{Delivered, Member, Messages, store as shared};

/// How many recipients a call of message/send may have (document 90236).
pub(super) const MOST_RECIPIENTS: usize = 1000;

/// How many candidates one pass looks at.
const CANDIDATES: i64 = 2000;

/// How many planned calls may wait to be made: what is planned no longer profits from company.
const AHEAD: usize = 200;

/// WeCom's duplicate window where no other message can have equal bytes: its longest.
pub(super) const UNIQUE_WINDOW: Duration = Duration::from_secs(14_400);

/// And where one can: short, because an equal message to the same member waits for its end.
pub(super) const WINDOW: Duration = Duration::from_secs(120);

/// An equal message leaves so much after the window of the last one.
const MARGIN: Duration = Duration::from_secs(5);

/// A body of which a call was made lately waits so long for company, from its acceptance on.
const LINGER_AGAIN: Duration = Duration::from_secs(1);

/// What "lately" is.
const LATELY: Duration = Duration::from_secs(5);

/// Who waits so long lets what else it is about wait, too; a shorter wait is not worth writing all those rows.
const ALONG: Duration = Duration::from_secs(2);

/// How many rows of one pass wait along.
const MOST_ALONG: i64 = 5000;

/// When a body is looked at again that is on its way to everybody.
const BEHIND_EVERYBODY: Duration = Duration::from_secs(5);

const LEFT: &str = "The person has left the corporation.";
const UNADDRESSABLE: &str = "The person's userid would mean somebody else in a list of recipients.";
const NOT_WECOMS: &str = "The person has no WeCom account.";

/// A recipient whose turn it may be.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) message: MessageId,
    pub(super) member: String,
    /// As it was written at acceptance.
    pub(super) userid: String,
    /// Who it is now; `None`: nobody of the directory.
    pub(super) person: Option<Now>,
    pub(super) body: String,
    pub(super) unique: bool,
    pub(super) alone: bool,
    /// Since when it could be sent.
    pub(super) since: Timestamp,
    /// When the windows of [`pace`] have room again; `None`: now.
    pub(super) free_at: Option<Timestamp>,
    /// When the same member last got an equal body.
    pub(super) equal_at: Option<Timestamp>,
    /// When a call with that body was made last, if lately; not asked for unique ones.
    pub(super) call_at: Option<Timestamp>,
}

/// A person as the directory has it now.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) userid: String,
    pub(super) status: Status,
    pub(super) source: Source,
}

/// What is planned against.
#[derive(Debug)]
pub(super) struct Situation {
    pub(super) now: Timestamp,
    /// How many calls may be planned.
    pub(super) room: usize,
    /// Bodies on their way to everybody.
    pub(super) to_everybody: HashSet<String>,
}

/// A call to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) body: String,
    pub(super) window: Duration,
    /// Message, member, and the userid as it is now.
    pub(super) recipients: Vec<(MessageId, String, String)>,
}

/// Why a recipient waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// So that others get the same in the same call.
    Company,
    /// The member has got as much as WeCom delivers.
    Limit,
    /// The member has got an equal body lately, or it is on its way: it steps aside.
    Equal,
}

/// A recipient that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    pub(super) message: MessageId,
    pub(super) member: String,
    pub(super) body: String,
    /// When it may be its turn.
    pub(super) at: Timestamp,
    pub(super) why: Why,
}

impl Later {
    fn of(candidate: &Candidate, at: Timestamp, why: Why) -> Self {
        Self {
            message: candidate.message.clone(),
            member: candidate.member.clone(),
            body: candidate.body.clone(),
            at,
            why,
        }
    }
}

/// What becomes of the candidates.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) calls: Vec<Draft>,
    pub(super) later: Vec<Later>,
    /// Message, member, and why.
    pub(super) failed: Vec<(MessageId, String, &'static str)>,
}

/// Decides about every candidate, in their order, while there is room for calls.
pub(super) fn plan(candidates: &[Candidate], situation: &Situation) -> Plan {
    let now = situation.now;
    let mut plan = Plan::default();
    let mut ready: Vec<(&Candidate, &str)> = Vec::new();
    let mut together: HashMap<&str, usize> = HashMap::new();
    for candidate in candidates {
        match userid_now(candidate) {
            Err(why) => plan.failed.push((candidate.message.clone(), candidate.member.clone(), why)),
            Ok(userid) => match not_before(candidate, situation).filter(|(at, _)| *at > now) {
                Some((at, why)) => plan.later.push(Later::of(candidate, at, why)),
                None => {
                    *together.entry(&candidate.body).or_default() += 1;
                    ready.push((candidate, userid));
                }
            },
        }
    }
    let mut open: HashMap<&str, Open> = HashMap::new();
    // Whether the body goes to everybody.
    let mut planned: HashMap<&str, bool> = HashMap::new();
    let mut members: HashSet<&str> = HashSet::new();
    for (candidate, userid) in ready {
        if members.contains(candidate.member.as_str()) {
            // The earlier one goes; this one is a candidate again when that is over.
            continue;
        }
        let company = together.get(candidate.body.as_str()).copied().unwrap_or(0);
        if let Some(at) = lingers_until(candidate, company, now) {
            plan.later.push(Later::of(candidate, at, Why::Company));
            continue;
        }
        let everybody = candidate.member == Member::ALL;
        // Of equal bodies to somebody and to everybody the first one goes.
        let rival = planned.get(candidate.body.as_str()).is_some_and(|first| *first != everybody);
        if rival && !candidate.unique {
            let at = now.plus(BEHIND_EVERYBODY);
            plan.later.push(Later::of(candidate, at, Why::Equal));
            continue;
        }
        let recipient = (candidate.message.clone(), candidate.member.clone(), userid.to_owned());
        let own = candidate.alone || everybody;
        if !own
            && let Some(open) = open.get_mut(candidate.body.as_str())
            && let Some(draft) = plan.calls.get_mut(open.call)
            && draft.recipients.len() < MOST_RECIPIENTS
        {
            if open.userids.insert(userid.to_lowercase()) {
                draft.recipients.push(recipient);
                members.insert(&candidate.member);
            } else {
                // Two members of one userid: the directory has come to know somebody in between.
                let at = now.plus(window(candidate)).plus(MARGIN);
                plan.later.push(Later::of(candidate, at, Why::Equal));
            }
            continue;
        }
        if plan.calls.len() >= situation.room {
            continue;
        }
        if !own {
            let userids = HashSet::from([userid.to_lowercase()]);
            open.insert(&candidate.body, Open { call: plan.calls.len(), userids });
        }
        planned.insert(&candidate.body, everybody);
        members.insert(&candidate.member);
        plan.calls.push(Draft {
            body: candidate.body.clone(),
            window: window(candidate),
            recipients: vec![recipient],
        });
    }
    plan
}

/// A call that takes more recipients.
struct Open {
    call: usize,
    userids: HashSet<String>,
}

const fn window(candidate: &Candidate) -> Duration {
    if candidate.unique { UNIQUE_WINDOW } else { WINDOW }
}

fn userid_now(candidate: &Candidate) -> Result<&str, &'static str> {
    match &candidate.person {
        None => Ok(&candidate.userid),
        Some(person) if person.source != Source::Wecom => Err(NOT_WECOMS),
        Some(person) if person.status == Status::Left => Err(LEFT),
        // Of a sign-in by an older version: `|` joins recipients, and @all is everybody.
        Some(person) if UserId::parse_existing(&person.userid).is_err() => Err(UNADDRESSABLE),
        Some(person) => Ok(&person.userid),
    }
}

/// The first instant at which neither a limit nor WeCom's duplicate check would swallow it, and which of them it is. Who
/// waits for both waits aside: those behind it may have to wait for the limit only.
fn not_before(candidate: &Candidate, situation: &Situation) -> Option<(Timestamp, Why)> {
    let equal = (!candidate.unique).then_some(candidate.equal_at).flatten();
    let behind = (!candidate.unique && situation.to_everybody.contains(&candidate.body))
        .then(|| situation.now.plus(BEHIND_EVERYBODY));
    let equal = equal.map(|at| at.plus(WINDOW).plus(MARGIN)).max(behind);
    if equal.is_some_and(|at| at > situation.now) {
        equal.max(candidate.free_at).map(|at| (at, Why::Equal))
    } else {
        candidate.free_at.map(|at| (at, Why::Limit))
    }
}

/// Until when it waits for others with the same body; `None`: it does not.
fn lingers_until(candidate: &Candidate, company: usize, now: Timestamp) -> Option<Timestamp> {
    if candidate.unique || candidate.alone || company >= MOST_RECIPIENTS {
        return None;
    }
    candidate.call_at.filter(|at| now.since(*at) < LATELY)?;
    Some(candidate.since.plus(LINGER_AGAIN)).filter(|at| *at > now)
}

impl Messages {
    /// Plans once; answers how many calls it made and how many recipients it got on with.
    pub(super) async fn plan(&self) -> sqlx::Result<(u64, u64)> {
        let (db, corp, clock) = (&self.0.db, &self.0.settings.corp, &self.0.clock);
        // Looked at before the lane is taken: mostly there is nothing to do.
        if self.look_at_lane().await?.is_held(clock.now())
            || !store::is_work(db.pool(), corp, clock.now()).await?
        {
            return Ok((0, 0));
        }
        let mut tx = db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        let now = clock.now();
        let ahead = usize::try_from(store::ahead(&mut tx, corp).await?).unwrap_or(usize::MAX);
        let room = AHEAD.saturating_sub(ahead);
        if room == 0 {
            tx.rollback().await?;
            return Ok((0, 0));
        }
        let mut candidates = store::candidates(&mut tx, corp, now, CANDIDATES).await?;
        candidates.extend(store::candidates_to_everybody(&mut tx, corp, now).await?);
        let to_everybody = store::bodies_to_everybody(&mut tx, corp).await?;
        let plan = plan(&candidates, &Situation { now, room, to_everybody });
        let made: Vec<(CallId, Draft)> =
            plan.calls.into_iter().map(|draft| (CallId::generate(now), draft)).collect();
        store::insert_calls(&mut tx, corp, self.0.settings.agent, &made, now).await?;
        store::delay(&mut tx, &plan.later).await?;
        store::delay_along(&mut tx, corp, &plan.later, now, MOST_ALONG).await?;
        if !plan.failed.is_empty() {
            store::fail(&mut tx, &plan.failed).await?;
            let mut messages: Vec<_> = plan.failed.iter().map(|(message, _, _)| message.clone()).collect();
            messages.dedup();
            shared::finish(&mut tx, &messages, now).await?;
        }
        tx.commit().await?;
        let taken: usize = made.iter().map(|(_, draft)| draft.recipients.len()).sum();
        let failed = u64::try_from(plan.failed.len()).unwrap_or(u64::MAX);
        self.0.metrics.failed("left", failed);
        self.0.metrics.recipients(&Delivered { failed, ..Delivered::default() });
        let moved = taken + plan.later.len() + plan.failed.len();
        Ok((made.len() as u64, u64::try_from(moved).unwrap_or(u64::MAX)))
    }
}

/// When the windows of a member have room again, from the instants that the query found.
pub(super) fn room_at(everybody: bool, nth: [Option<Timestamp>; 2]) -> Option<Timestamp> {
    pace::free_at(if everybody { pace::EVERYBODY } else { pace::OWN }, nth)
}
