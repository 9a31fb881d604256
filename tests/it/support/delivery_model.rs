//! A pure model of delivery: what becomes of messages, recipients, calls and recalls, whatever WeCom
//! answers, whoever dies, and however much time passes. It is written from the promises of the
//! design and shares nothing with the gateway.
//!
//! Where the gateway may choose (which recipients share a call, which call is the probe, how long a
//! pause is within its bounds), the model takes the choice from the rows and checks that it was
//! allowed. Everything else it foresees.

use std::collections::BTreeSet;

use super::messages::AttemptRecord;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;

const BATCH_LINGER: i64 = 150;
const REPEATED_BODY_LINGER: i64 = SECOND;
const REPEAT_WINDOW: i64 = 5 * SECOND;
const TEXT_WINDOW: i64 = 120 * SECOND;
const CARD_WINDOW: i64 = 4 * HOUR;
/// An equal text to the same member goes out so long after the one before.
const EQUAL_TEXT_DISTANCE: i64 = 125 * SECOND;
/// A shorter delay is not applied to other messages of the member.
const MIN_SHARED_DELAY: i64 = 2 * SECOND;
/// A call is not made again so close to the end of its window.
const RETRY_CUTOFF: i64 = 25 * SECOND;
const LEASE: i64 = 30 * SECOND;
const RETRY_PERIOD: i64 = 24 * HOUR;
const RECALL_PERIOD: i64 = 24 * HOUR;
const SWEEP_INTERVAL: i64 = SECOND;
const MAX_CONCURRENT_CALLS: usize = 10;
const RETRY_PAUSES: [i64; 9] = [1, 2, 5, 10, 30, 60, 120, 300, 600];
const UNCERTAIN_PAUSES: [i64; 8] = [2, 5, 12, 30, 60, 120, 300, 600];
const LIMIT_HOLDS: [i64; 3] = [60, 600, 3600];

/// What the gateway did that the promises do not allow.
pub(crate) type ModelResult<T = ()> = Result<T, String>;

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelBody {
    /// One of a few texts; equal ones are equal to WeCom, too.
    Text(usize),
    /// A card, which equals no other.
    Card,
}

/// What WeCom does with every call of a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Takes,
    /// It acts, and its answer is lost.
    ActsSilently,
    /// It does not act, and its answer is lost.
    Vanishes,
    Refuses(ModelRefusal),
}

impl Weather {
    const fn acts(self) -> bool {
        matches!(self, Self::Takes | Self::ActsSilently)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelRefusal {
    /// −1: try again.
    Busy,
    /// 45009: the limit of calls.
    CallLimit,
    /// 60020: an administrator has to mend something.
    Administrator,
    /// 40003: one of the recipients is wrong.
    WrongRecipient,
    /// 40058: the message is wrong.
    WrongMessage,
}

/// The words of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelView {
    pub(crate) status: &'static str,
    /// Member and status of each recipient.
    pub(crate) recipients: Vec<(usize, &'static str)>,
}

/// What a command by hand came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandResult {
    Done,
    NothingToDo,
    TooLate,
    Shared,
}

#[derive(Debug, Clone)]
struct ModelMessage {
    body: ModelBody,
    users: Vec<usize>,
    created: i64,
    updated: i64,
    expires: Option<i64>,
    is_expanded: bool,
    is_recalled: bool,
    /// The final status.
    end: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecipientState {
    Pending,
    Calling,
    Sent,
    Failed,
    Expired,
    Unknown,
}

#[derive(Debug, Clone)]
struct ModelRecipient {
    message: usize,
    member: usize,
    state: RecipientState,
    due: i64,
    counted: Option<i64>,
    is_alone: bool,
    is_aside: bool,
    call: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptState {
    Due,
    Calling,
    /// Of a recall: WeCom took the call back.
    Sent,
    Failed,
    Unknown,
}

/// What a call and its recall have in common.
#[derive(Debug, Clone)]
struct ModelAttempts {
    state: AttemptState,
    attempts: i64,
    next: i64,
    /// The process that makes it.
    holder: Option<u64>,
    lease_until: i64,
}

impl ModelAttempts {
    const fn new(now: i64) -> Self {
        Self { state: AttemptState::Due, attempts: 0, next: now, holder: None, lease_until: 0 }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, AttemptState::Due | AttemptState::Calling)
    }

    fn is_due(&self, now: i64) -> bool {
        self.is_open() && self.next <= now && self.lease_until <= now
    }

    fn lease(&mut self, holder: u64, now: i64) {
        self.state = AttemptState::Calling;
        self.attempts += 1;
        self.holder = Some(holder);
        self.lease_until = now + LEASE;
    }

    fn end(&mut self, state: AttemptState) {
        self.state = state;
        self.holder = None;
        self.lease_until = 0;
    }

    fn retry(&mut self, at: i64) {
        self.end(AttemptState::Due);
        self.next = at;
    }

    fn is_ours(&self, flight: &Flight) -> bool {
        self.state == AttemptState::Calling
            && self.holder == Some(flight.holder)
            && self.attempts == flight.number
    }
}

#[derive(Debug, Clone)]
struct ModelCall {
    id: String,
    body: (ModelBody, usize),
    created: i64,
    ended: i64,
    send: ModelAttempts,
    recall: Option<ModelAttempts>,
    /// Since when nobody knows whether WeCom acted.
    uncertain: Option<i64>,
    /// The attempt that reached the phones.
    arrived_by: Option<i64>,
    /// The attempt whose answer was yes, and when it began.
    taken_by: Option<(i64, i64)>,
}

impl ModelCall {
    const fn new(id: String, body: (ModelBody, usize), now: i64) -> Self {
        Self {
            id,
            body,
            created: now,
            ended: now,
            send: ModelAttempts::new(now),
            recall: None,
            uncertain: None,
            arrived_by: None,
            taken_by: None,
        }
    }
}

/// A call or a recall that waits for WeCom's answer.
#[derive(Debug, Clone)]
struct Flight {
    call: usize,
    is_recall: bool,
    holder: u64,
    number: i64,
    began: i64,
    /// Whether, and since when, the outcome was uncertain before.
    uncertain: Option<i64>,
    weather: Weather,
}

#[derive(Debug, Clone, Default)]
struct ModelWorker {
    holder: u64,
    swept: Option<i64>,
    flights: Vec<Flight>,
}

/// What stands in the way of all calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModelHold {
    pub(crate) until: i64,
    /// Its word in the table, and since when.
    pub(crate) cause: Option<(&'static str, i64)>,
    pub(crate) holds: i64,
}

/// Everything about deliveries, from accepted messages to the phones.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryModel {
    now: i64,
    messages: Vec<ModelMessage>,
    /// In the order of acceptance.
    recipients: Vec<ModelRecipient>,
    calls: Vec<ModelCall>,
    workers: [ModelWorker; 2],
    processes: u64,
    pub(crate) hold: ModelHold,
    /// Member, message and call of everything on the phones, in the order of arrival.
    phones: Vec<(usize, usize, usize)>,
}

impl DeliveryModel {
    pub(crate) fn new(now: i64) -> Self {
        let mut model = Self { now, ..Self::default() };
        model.crash(0);
        model.crash(1);
        model
    }

    pub(crate) fn pass(&mut self, time: i64) {
        self.now += time;
    }

    pub(crate) fn accept(&mut self, body: ModelBody, users: Vec<usize>, expires_in: Option<i64>) {
        self.messages.push(ModelMessage {
            body,
            users,
            created: self.now,
            updated: self.now,
            expires: expires_in.map(|after| self.now + after),
            is_expanded: false,
            is_recalled: false,
            end: None,
        });
    }

    /// The process of a worker dies and is started again.
    pub(crate) fn crash(&mut self, worker: usize) {
        self.processes += 1;
        self.workers[worker] = ModelWorker { holder: self.processes, ..ModelWorker::default() };
    }

    pub(crate) fn in_flight(&self, worker: usize) -> usize {
        self.workers[worker].flights.len()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.messages.iter().all(|message| message.end.is_some())
            && self.calls.iter().all(|call| call.recall.as_ref().is_none_or(|recall| !recall.is_open()))
    }

    /// Returns what the phone of a member shows: the numbers of the messages.
    pub(crate) fn phone(&self, member: usize) -> Vec<usize> {
        self.phones.iter().filter(|(of, _, _)| *of == member).map(|(_, message, _)| *message).collect()
    }

    pub(crate) fn view(&self, message: usize) -> ModelView {
        let known = &self.messages[message];
        let mut recipients: Vec<_> = self.of_message(message).map(|r| (r.member, r.state)).collect();
        if !known.is_expanded {
            recipients = known.users.iter().map(|user| (*user, RecipientState::Pending)).collect();
        }
        recipients.sort_by_key(|(member, _)| *member);
        let begun = self.of_message(message).any(|r| match r.state {
            RecipientState::Pending => false,
            RecipientState::Calling => r.call.is_some_and(|call| self.calls[call].send.attempts > 0),
            _ => true,
        });
        let word = |state| match state {
            RecipientState::Pending | RecipientState::Calling => "pending",
            RecipientState::Sent => "sent",
            _ => "failed",
        };
        ModelView {
            status: known.end.unwrap_or(if begun { "sending" } else { "accepted" }),
            recipients: recipients.into_iter().map(|(member, state)| (member, word(state))).collect(),
        }
    }

    fn of_message(&self, message: usize) -> impl Iterator<Item = &ModelRecipient> {
        self.recipients.iter().filter(move |r| r.message == message)
    }

    fn is_held(&self) -> bool {
        self.hold.until > self.now
    }

    fn body(&self, message: usize) -> (ModelBody, usize) {
        match self.messages[message].body {
            ModelBody::Card => (ModelBody::Card, message),
            text @ ModelBody::Text(_) => (text, 0),
        }
    }

    fn is_unique(&self, message: usize) -> bool {
        self.messages[message].body == ModelBody::Card
    }

    // A worker's step.

    /// A worker sweeps, expands, plans and claims until nothing more is due. `calls` and `recalls`
    /// are the rows afterwards; `recipient` gives the numbers of a message and a member.
    pub(crate) fn begin(
        &mut self,
        worker: usize,
        weather: Weather,
        calls: &[AttemptRecord],
        recalls: &[AttemptRecord],
        recipient: impl Fn(&(String, String)) -> (usize, usize),
    ) -> ModelResult {
        // In this order, so that what expired before it was expanded names its recipients.
        self.expand();
        self.sweep(worker);
        let known: BTreeSet<String> = self.calls.iter().map(|call| call.id.clone()).collect();
        let before = self.calls.len();
        for row in calls.iter().filter(|row| row.recipients.is_empty() && !known.contains(&row.call)) {
            self.note_dissolved(row, &recipient)?;
        }
        let mut planned: Vec<(String, Vec<(usize, usize)>)> = calls
            .iter()
            .filter(|row| !row.recipients.is_empty() && !known.contains(&row.call))
            .map(|call| (call.call.clone(), call.recipients.iter().map(&recipient).collect()))
            .collect();
        loop {
            let left = planned.len();
            planned.retain(|(id, recipients)| !self.plan(id, recipients, before));
            let mut progress = planned.len() < left;
            progress |= self.claim_recalls(worker, weather, recalls)?;
            progress |= self.claim(worker, weather, calls)?;
            if !progress && !self.postpone(before)? {
                break;
            }
        }
        match planned.first() {
            Some((_, recipients)) => Err(format!("a call was planned before its time: {recipients:?}")),
            None => Ok(()),
        }
    }

    fn sweep(&mut self, worker: usize) {
        let swept = &mut self.workers[worker].swept;
        if swept.is_some_and(|at| self.now - at < SWEEP_INTERVAL) {
            return;
        }
        *swept = Some(self.now);
        for message in 0..self.messages.len() {
            let known = &self.messages[message];
            if known.end.is_some() {
                continue;
            }
            if known.is_recalled {
                self.end_unsent(message, "recalled");
            } else if known.expires.is_some_and(|at| at <= self.now) {
                self.end_unsent(message, "expired");
            } else if self.now - known.created.max(known.updated) >= RETRY_PERIOD {
                self.end_unsent(message, "failed");
            }
        }
    }

    /// Ends what a message has certainly not brought, and the message if nothing is open.
    fn end_unsent(&mut self, message: usize, status: &'static str) {
        self.stop_expansion(message, status);
        for call in self.untried_calls(message) {
            self.calls[call].send.end(AttemptState::Failed);
            for r in self.recipients.iter_mut().filter(|r| r.call == Some(call)) {
                (r.state, r.call) = (RecipientState::Pending, None);
            }
        }
        let ended = if status == "expired" { RecipientState::Expired } else { RecipientState::Failed };
        for r in self.recipients.iter_mut().filter(|r| r.message == message) {
            if r.state == RecipientState::Pending {
                r.state = ended;
            }
        }
        self.finish(message);
    }

    fn stop_expansion(&mut self, message: usize, status: &'static str) {
        self.messages[message].is_expanded = true;
        if self.of_message(message).next().is_none() && self.messages[message].end.is_none() {
            self.messages[message].end = Some(status);
            self.messages[message].updated = self.now;
        }
    }

    /// The calls of a message that surely did nothing and are not being made.
    fn untried_calls(&self, message: usize) -> BTreeSet<usize> {
        let open = self.of_message(message).filter(|r| r.state == RecipientState::Calling);
        let is_untried = |call: &usize| {
            let call = &self.calls[*call];
            call.send.state == AttemptState::Due && call.uncertain.is_none()
        };
        open.filter_map(|r| r.call).filter(is_untried).collect()
    }

    /// Gives a message its final status if none of its recipients is open.
    fn finish(&mut self, message: usize) {
        let count = |state| self.of_message(message).filter(|r| r.state == state).count();
        let open = count(RecipientState::Pending) + count(RecipientState::Calling);
        let known = &self.messages[message];
        if known.end.is_some() || !known.is_expanded || open > 0 {
            return;
        }
        let (sent, unknown) = (count(RecipientState::Sent), count(RecipientState::Unknown));
        let failed = count(RecipientState::Failed) + count(RecipientState::Expired);
        let end = if known.is_recalled && !self.has_kept_copy(message) {
            "recalled"
        } else if unknown > 0 {
            "unknown"
        } else if failed == 0 {
            "sent"
        } else if sent > 0 {
            "partly_failed"
        } else if count(RecipientState::Expired) > 0 {
            "expired"
        } else {
            "failed"
        };
        self.messages[message].end = Some(end);
        self.messages[message].updated = self.now;
    }

    /// Whether a phone shows the message, or nobody knows.
    fn has_kept_copy(&self, message: usize) -> bool {
        self.of_message(message).any(|r| {
            matches!(r.state, RecipientState::Sent | RecipientState::Unknown)
                && r.call.is_some_and(|call| {
                    let call = &self.calls[call];
                    call.uncertain.is_some()
                        || call.recall.as_ref().is_none_or(|recall| recall.state != AttemptState::Sent)
                })
        })
    }

    fn expand(&mut self) {
        for message in 0..self.messages.len() {
            let known = &mut self.messages[message];
            if known.is_expanded || known.is_recalled {
                continue;
            }
            known.is_expanded = true;
            let linger = if known.body == ModelBody::Card { 0 } else { BATCH_LINGER };
            let due = known.created + linger;
            for member in known.users.clone() {
                self.recipients.push(ModelRecipient {
                    message,
                    member,
                    state: RecipientState::Pending,
                    due,
                    counted: None,
                    is_alone: false,
                    is_aside: false,
                    call: None,
                });
            }
        }
        self.recipients.sort_by_key(|r| r.message);
    }

    /// Whether it is the turn of a recipient, whatever the limits say.
    fn has_turn(&self, r: &ModelRecipient) -> bool {
        let message = &self.messages[r.message];
        let of_member = || self.recipients.iter().filter(|other| other.member == r.member);
        let pending = || of_member().filter(|other| other.state == RecipientState::Pending);
        let is_first = |mut others: Box<dyn Iterator<Item = &ModelRecipient> + '_>| {
            others.next().is_none_or(|first| first.message >= r.message)
        };
        r.state == RecipientState::Pending
            && r.due <= self.now
            && !message.is_recalled
            && message.expires.is_none_or(|at| at > self.now)
            && is_first(Box::new(pending().filter(|other| !other.is_aside)))
            && (!r.is_aside
                || is_first(Box::new(pending().filter(|other| other.is_aside && other.due <= self.now))))
            && !of_member().any(|other| other.state == RecipientState::Calling)
    }

    /// Until when a recipient waits because the member just got an equal text.
    fn equal_text_until(&self, r: &ModelRecipient) -> Option<i64> {
        if self.is_unique(r.message) {
            return None;
        }
        let body = self.body(r.message);
        let equal = |other: &&ModelRecipient| other.member == r.member && self.body(other.message) == body;
        let last = self.recipients.iter().filter(equal).filter_map(|other| other.counted).max()?;
        Some(last + EQUAL_TEXT_DISTANCE).filter(|at| *at > self.now)
    }

    /// Until when a recipient waits for others with the same text, because one of the first `before`
    /// calls had it just now.
    fn linger_until(&self, r: &ModelRecipient, before: usize) -> Option<i64> {
        if self.is_unique(r.message) || r.is_alone {
            return None;
        }
        let body = self.body(r.message);
        let is_recent = |call: &&ModelCall| call.body == body && call.created > self.now - REPEAT_WINDOW;
        self.calls.iter().take(before).find(is_recent)?;
        Some(self.messages[r.message].created + REPEATED_BODY_LINGER).filter(|at| *at > self.now)
    }

    /// Plans a call that the gateway planned, if that is allowed now.
    fn plan(&mut self, id: &str, recipients: &[(usize, usize)], before: usize) -> bool {
        let Some((first, _)) = recipients.first() else { return false };
        let body = self.body(*first);
        let members: BTreeSet<usize> = recipients.iter().map(|(_, member)| *member).collect();
        let is_allowed = |(message, member): &(usize, usize)| {
            let found = self.of_message(*message).find(|r| r.member == *member);
            found.is_some_and(|r| {
                self.body(*message) == body
                    && self.has_turn(r)
                    && self.equal_text_until(r).is_none()
                    && self.linger_until(r, before).is_none()
                    && (!r.is_alone || recipients.len() == 1)
            })
        };
        if self.is_held() || members.len() < recipients.len() || !recipients.iter().all(is_allowed) {
            return false;
        }
        let call = self.calls.len();
        self.calls.push(ModelCall::new(id.to_owned(), body, self.now));
        for r in &mut self.recipients {
            if recipients.contains(&(r.message, r.member)) {
                (r.state, r.call) = (RecipientState::Calling, Some(call));
            }
        }
        true
    }

    /// Notes a call that was planned for a message that then ended: it was never made.
    fn note_dissolved(
        &mut self,
        row: &AttemptRecord,
        recipient: impl Fn(&(String, String)) -> (usize, usize),
    ) -> ModelResult {
        if row.attempts > 0 {
            return Err(format!("a call without recipients was made {} times", row.attempts));
        }
        let (message, _) = recipient(&(row.first_with_body.clone(), String::new()));
        let mut call = ModelCall::new(row.call.clone(), self.body(message), self.now);
        call.send.end(AttemptState::Failed);
        self.calls.push(call);
        Ok(())
    }

    /// Postpones the recipients that have their turn and wait all the same. Returns whether there
    /// was one.
    fn postpone(&mut self, before: usize) -> ModelResult<bool> {
        if self.is_held() {
            return Ok(false);
        }
        let now = self.now;
        let due: Vec<ModelRecipient> = self.recipients.iter().filter(|r| self.has_turn(r)).cloned().collect();
        for one in &due {
            let body = self.body(one.message);
            if let Some(at) = self.equal_text_until(one) {
                let equal: Vec<bool> = (self.recipients.iter())
                    .map(|r| r.member == one.member && self.body(r.message) == body)
                    .collect();
                for (r, equal) in self.recipients.iter_mut().zip(equal) {
                    let is_same = r.message == one.message && r.member == one.member;
                    let is_related = equal && at - now >= MIN_SHARED_DELAY && r.due < at;
                    if r.state == RecipientState::Pending && (is_same || is_related) {
                        (r.due, r.is_aside) = (at, true);
                    }
                }
            } else if let Some(at) =
                self.linger_until(one, before).or_else(|| self.linger_until(one, self.calls.len()))
            {
                for r in &mut self.recipients {
                    if r.message == one.message && r.member == one.member {
                        r.due = at;
                    }
                }
            } else {
                return Err(format!(
                    "message {} is not planned for member {}, whose turn it is",
                    one.message, one.member
                ));
            }
        }
        Ok(!due.is_empty())
    }

    fn is_in_flight(&self, worker: usize, call: usize) -> bool {
        self.workers[worker].flights.iter().any(|flight| flight.call == call)
    }

    fn claim_recalls(
        &mut self,
        worker: usize,
        weather: Weather,
        rows: &[AttemptRecord],
    ) -> ModelResult<bool> {
        let (now, holder) = (self.now, self.workers[worker].holder);
        let mut claimed = false;
        for call in 0..self.calls.len() {
            let is_due = self.calls[call].recall.as_ref().is_some_and(|recall| recall.is_due(now));
            if self.is_held() || !is_due || self.is_in_flight(worker, call) {
                continue;
            }
            let known = &mut self.calls[call];
            let Some(recall) = &mut known.recall else { continue };
            recall.lease(holder, now);
            let number = recall.attempts;
            if rows.iter().find(|row| row.call == known.id).is_none_or(|row| row.attempts != number) {
                return Err(format!("the recall of call {call} is due and was not made once"));
            }
            // WeCom forgets what it sent a day ago.
            let (taken_by, began) = known.taken_by.unwrap_or((0, 0));
            let weather = match weather {
                Weather::Takes | Weather::ActsSilently if now - began >= RECALL_PERIOD => {
                    if weather == Weather::Takes {
                        Weather::Refuses(ModelRefusal::WrongMessage)
                    } else {
                        Weather::Vanishes
                    }
                }
                weather => weather,
            };
            if weather.acts() && known.arrived_by == Some(taken_by) {
                self.phones.retain(|(_, _, by)| *by != call);
            }
            let uncertain = self.calls[call].uncertain;
            let flight = Flight { call, is_recall: true, holder, number, began: now, uncertain, weather };
            self.workers[worker].flights.push(flight);
            claimed = true;
        }
        Ok(claimed)
    }

    fn claim(&mut self, worker: usize, weather: Weather, rows: &[AttemptRecord]) -> ModelResult<bool> {
        if self.is_held() {
            return Ok(false);
        }
        let (now, holder) = (self.now, self.workers[worker].holder);
        let leased = self.calls.iter().filter(|call| call.send.is_open() && call.send.lease_until > now);
        let at_once = if self.hold.holds > 0 { 1 } else { MAX_CONCURRENT_CALLS };
        let places = at_once.saturating_sub(leased.count());
        if places == 0 {
            return Ok(false);
        }
        let mut due: Vec<usize> = (0..self.calls.len())
            .filter(|call| self.calls[*call].send.is_due(now) && !self.is_in_flight(worker, *call))
            .collect();
        due.sort_by_key(|call| self.calls[*call].send.next);
        let (mut taken, mut given_up, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for call in due {
            let known = &self.calls[call];
            let row = rows.iter().find(|row| row.call == known.id).ok_or("a call has lost its row")?;
            match (row.attempts - known.send.attempts, self.is_too_late(call)) {
                (0, _) => left.push(call),
                (1, true) => given_up.push(call),
                (1, false) => taken.push(call),
                (more, _) => return Err(format!("call {call} was made {more} times at once")),
            }
        }
        let next = |call: &usize| self.calls[*call].send.next;
        if taken.len() > places {
            return Err(format!("{} calls at once, and {places} places", taken.len()));
        }
        if !left.is_empty() && taken.len() < places {
            return Err(format!("calls {left:?} are due, and nobody makes them"));
        }
        if let (Some(last), Some(first)) = (taken.iter().map(next).max(), left.iter().map(next).min())
            && last > first
        {
            return Err("a call was made before one that had waited for longer".to_owned());
        }
        for call in &given_up {
            let known = &mut self.calls[*call];
            known.send.lease(holder, now);
            self.end_call(*call, AttemptState::Unknown, RecipientState::Unknown);
        }
        for call in &taken {
            let known = &mut self.calls[*call];
            let uncertain = known.uncertain;
            known.uncertain = uncertain.or(Some(now));
            known.send.lease(holder, now);
            let number = known.send.attempts;
            if weather.acts() && known.arrived_by.is_none() {
                known.arrived_by = Some(number);
                for r in self.recipients.iter().filter(|r| r.call == Some(*call)) {
                    self.phones.push((r.member, r.message, *call));
                }
            }
            let flight =
                Flight { call: *call, is_recall: false, holder, number, began: now, uncertain, weather };
            self.workers[worker].flights.push(flight);
        }
        Ok(!taken.is_empty() || !given_up.is_empty())
    }

    fn window_end(&self, call: usize, since: i64) -> i64 {
        let window = if self.calls[call].body.0 == ModelBody::Card { CARD_WINDOW } else { TEXT_WINDOW };
        since + window - RETRY_CUTOFF
    }

    fn is_too_late(&self, call: usize) -> bool {
        self.calls[call].uncertain.is_some_and(|since| self.now >= self.window_end(call, since))
    }

    // WeCom's answers.

    /// A worker learns the answers to all its calls. `calls` and `recalls` are the rows afterwards.
    pub(crate) fn collect(
        &mut self,
        worker: usize,
        calls: &[AttemptRecord],
        recalls: &[AttemptRecord],
    ) -> ModelResult {
        for flight in std::mem::take(&mut self.workers[worker].flights) {
            let id = self.calls[flight.call].id.clone();
            let rows = if flight.is_recall { recalls } else { calls };
            let row = rows.iter().find(|row| row.call == id).ok_or("a call has lost its row")?;
            if flight.is_recall {
                self.settle_recall(&flight, row.next_at)?;
            } else {
                self.settle(&flight, row.next_at)?;
            }
        }
        Ok(())
    }

    fn settle(&mut self, flight: &Flight, chosen: i64) -> ModelResult {
        let call = flight.call;
        match flight.weather {
            // The bytes of every attempt are the same, so a yes counts whoever gets it.
            Weather::Takes => self.take(flight),
            _ if !self.calls[call].send.is_ours(flight) => {}
            Weather::ActsSilently | Weather::Vanishes => {
                let since = flight.uncertain.unwrap_or(flight.began);
                let end = self.window_end(call, since);
                if self.now >= end {
                    self.end_call(call, AttemptState::Unknown, RecipientState::Unknown);
                } else {
                    let at = self.check_pause(&UNCERTAIN_PAUSES, flight.number, Some(end), chosen)?;
                    self.calls[call].send.retry(at);
                    self.calls[call].uncertain = Some(since);
                }
            }
            Weather::Refuses(refusal) => match refusal {
                ModelRefusal::Busy | ModelRefusal::CallLimit | ModelRefusal::Administrator => {
                    let holds = self.meet(refusal);
                    let end = flight.uncertain.map(|since| self.window_end(call, since));
                    let at = match end {
                        None if holds => self.hold.until.max(self.now),
                        end => self.check_pause(&RETRY_PAUSES, flight.number, end, chosen)?,
                    };
                    self.calls[call].send.retry(at);
                    self.calls[call].uncertain = flight.uncertain;
                }
                // An earlier attempt may have reached somebody.
                _ if flight.uncertain.is_some() => {
                    self.end_call(call, AttemptState::Unknown, RecipientState::Unknown);
                }
                refusal => {
                    self.work();
                    let several = self.recipients.iter().filter(|r| r.call == Some(call)).count() > 1;
                    if several && refusal == ModelRefusal::WrongRecipient {
                        self.calls[call].send.end(AttemptState::Failed);
                        for r in self.recipients.iter_mut().filter(|r| r.call == Some(call)) {
                            (r.state, r.call, r.is_alone) = (RecipientState::Pending, None, true);
                        }
                    } else {
                        self.end_call(call, AttemptState::Failed, RecipientState::Failed);
                    }
                }
            },
        }
        Ok(())
    }

    fn take(&mut self, flight: &Flight) {
        let call = flight.call;
        let known = &mut self.calls[call];
        if !known.send.is_open() && known.send.state != AttemptState::Unknown {
            return;
        }
        let was_given_up = known.send.state == AttemptState::Unknown;
        if known.send.attempts == flight.number {
            known.uncertain = flight.uncertain;
        }
        known.taken_by = Some((flight.number, flight.began));
        let messages: BTreeSet<usize> =
            self.recipients.iter().filter(|r| r.call == Some(call)).map(|r| r.message).collect();
        for message in messages.iter().filter(|_| was_given_up) {
            let known = &mut self.messages[*message];
            if known.end == Some("unknown") {
                (known.end, known.updated) = (None, self.now);
            }
        }
        self.work();
        // If its recipients wait for another call by now, nobody asked to take this one back.
        if !messages.is_empty() && messages.iter().all(|message| self.messages[*message].is_recalled) {
            self.calls[call].recall = Some(ModelAttempts::new(self.now));
        }
        self.end_call(call, AttemptState::Sent, RecipientState::Sent);
    }

    fn end_call(&mut self, call: usize, state: AttemptState, of_recipients: RecipientState) {
        let now = self.now;
        self.calls[call].send.end(state);
        self.calls[call].ended = now;
        let mut messages = BTreeSet::new();
        for r in self.recipients.iter_mut().filter(|r| r.call == Some(call)) {
            messages.insert(r.message);
            if matches!(r.state, RecipientState::Calling | RecipientState::Unknown) {
                r.state = of_recipients;
                if of_recipients != RecipientState::Failed {
                    r.counted = Some(now);
                }
            }
        }
        for message in messages {
            self.finish(message);
        }
    }

    fn settle_recall(&mut self, flight: &Flight, chosen: i64) -> ModelResult {
        let call = flight.call;
        if self.calls[call].recall.as_ref().is_none_or(|recall| !recall.is_ours(flight)) {
            return Ok(());
        }
        let is_over = self.now - self.calls[call].ended >= RECALL_PERIOD;
        let next = match flight.weather {
            Weather::Takes => {
                self.work();
                self.end_recall(call, AttemptState::Sent);
                if flight.uncertain.is_none() {
                    self.finish_recalled(call);
                }
                return Ok(());
            }
            Weather::Refuses(ModelRefusal::WrongRecipient | ModelRefusal::WrongMessage) => None,
            _ if is_over => None,
            Weather::Refuses(refusal) if self.meet(refusal) => Some(self.hold.until.max(self.now)),
            _ => Some(self.check_pause(&RETRY_PAUSES, flight.number, None, chosen)?),
        };
        match (next, &mut self.calls[call].recall) {
            (Some(at), Some(recall)) => recall.retry(at),
            _ => self.end_recall(call, AttemptState::Failed),
        }
        Ok(())
    }

    fn end_recall(&mut self, call: usize, state: AttemptState) {
        if let Some(recall) = &mut self.calls[call].recall {
            recall.end(state);
        }
        // Its messages say why they are not recalled, or are.
        for message in self.messages_of(call) {
            if self.messages[message].is_recalled {
                self.messages[message].updated = self.now;
            }
        }
    }

    fn messages_of(&self, call: usize) -> BTreeSet<usize> {
        self.recipients.iter().filter(|r| r.call == Some(call)).map(|r| r.message).collect()
    }

    fn finish_recalled(&mut self, call: usize) {
        for message in self.messages_of(call) {
            let is_open =
                |r: &ModelRecipient| matches!(r.state, RecipientState::Pending | RecipientState::Calling);
            if self.messages[message].is_recalled
                && !self.of_message(message).any(is_open)
                && !self.has_kept_copy(message)
            {
                self.messages[message].end = Some("recalled");
            }
        }
    }

    /// Checks a pause that the gateway chose, within a fifth of the promised one.
    fn check_pause(&self, pauses: &[i64], attempt: i64, end: Option<i64>, chosen: i64) -> ModelResult<i64> {
        let at = usize::try_from(attempt - 1).unwrap_or(0).min(pauses.len() - 1);
        let bound = |share: i64| {
            let at = self.now + pauses[at] * share;
            end.map_or(at, |end| at.min(end))
        };
        if (bound(800)..=bound(1200)).contains(&chosen) {
            Ok(chosen)
        } else {
            Err(format!("attempt {attempt} is followed by a pause of {} ms", chosen - self.now))
        }
    }

    /// WeCom deals with calls.
    fn work(&mut self) {
        if !self.is_held() {
            self.hold.holds = 0;
            self.hold.cause = None;
        }
    }

    /// WeCom refuses all calls. Returns whether that holds them.
    fn meet(&mut self, refusal: ModelRefusal) -> bool {
        let now = self.now;
        let cause = self.hold.cause;
        match refusal {
            _ if self.is_held() => {}
            ModelRefusal::CallLimit => {
                let in_a_row = cause.is_none_or(|(code, _)| code == "call_limit");
                let before = if in_a_row { self.hold.holds } else { 0 };
                let at = usize::try_from(before).unwrap_or(0).min(LIMIT_HOLDS.len() - 1);
                let since = cause.map_or(now, |(_, since)| since);
                self.hold = ModelHold {
                    until: now + LIMIT_HOLDS[at] * SECOND,
                    cause: Some(("call_limit", since)),
                    holds: before + 1,
                };
            }
            ModelRefusal::Administrator => {
                let since =
                    cause.filter(|(code, _)| *code == "needs_administrator").map_or(now, |(_, at)| at);
                let pause = if now - since < 600 * SECOND { 50 } else { 600 };
                self.hold.until = now + pause * SECOND;
                self.hold.cause = Some(("needs_administrator", since));
                self.hold.holds += 1;
            }
            _ => {}
        }
        matches!(refusal, ModelRefusal::CallLimit | ModelRefusal::Administrator)
    }

    // Commands.

    pub(crate) fn recall(&mut self, message: usize) -> CommandResult {
        let before = self.clone();
        let result = self.try_recall(message);
        if result != CommandResult::Done {
            *self = before;
        }
        result
    }

    fn try_recall(&mut self, message: usize) -> CommandResult {
        let now = self.now;
        let known = &mut self.messages[message];
        if known.is_recalled {
            return CommandResult::NothingToDo;
        }
        (known.is_recalled, known.updated) = (true, now);
        let waits = self.unsent(message) > 0;
        self.stop_expansion(message, "recalled");
        let untried = self.untried_calls(message);
        let carrying: BTreeSet<usize> = (self.of_message(message))
            .filter(|r| matches!(r.state, RecipientState::Calling | RecipientState::Sent))
            .filter_map(|r| r.call)
            .filter(|call| !untried.contains(call))
            .collect();
        let is_shared = |r: &ModelRecipient| {
            !self.messages[r.message].is_recalled
                && matches!(r.state, RecipientState::Calling | RecipientState::Sent)
                && r.call.is_some_and(|call| carrying.contains(&call))
        };
        if self.recipients.iter().any(is_shared) {
            return CommandResult::Shared;
        }
        for call in &carrying {
            let known = &mut self.calls[*call];
            if known.send.state == AttemptState::Sent {
                if now - known.ended >= RECALL_PERIOD {
                    return CommandResult::TooLate;
                }
                if known.recall.as_ref().is_none_or(|recall| recall.state == AttemptState::Failed) {
                    known.recall = Some(ModelAttempts::new(now));
                }
            }
        }
        if !waits && carrying.is_empty() && self.messages[message].end != Some("recalled") {
            return CommandResult::NothingToDo;
        }
        if self.messages[message].end.is_none() {
            self.end_unsent(message, "recalled");
        }
        CommandResult::Done
    }

    fn unsent(&self, message: usize) -> usize {
        let untried = self.untried_calls(message);
        let is_unsent = |r: &&ModelRecipient| {
            r.state == RecipientState::Pending
                || r.state == RecipientState::Calling && r.call.is_some_and(|call| untried.contains(&call))
        };
        self.of_message(message).filter(is_unsent).count()
    }

    pub(crate) fn bury(&mut self, message: usize) -> CommandResult {
        let known = &self.messages[message];
        if known.end.is_some() || self.unsent(message) == 0 && known.is_expanded {
            return CommandResult::NothingToDo;
        }
        self.end_unsent(message, "failed");
        CommandResult::Done
    }

    pub(crate) fn retry(&mut self, message: usize) -> CommandResult {
        let (now, is_held) = (self.now, self.is_held());
        let known = &self.messages[message];
        let not_reached = |r: &ModelRecipient| {
            matches!(r.state, RecipientState::Failed | RecipientState::Expired | RecipientState::Unknown)
        };
        let missed = self.of_message(message).filter(|r| not_reached(r)).count();
        let is_held_back = |r: &&ModelRecipient| match r.state {
            RecipientState::Pending => is_held,
            RecipientState::Calling => r.call.is_some_and(|call| {
                let send = &self.calls[call].send;
                send.state == AttemptState::Due && (send.next > now || is_held)
            }),
            _ => false,
        };
        let held_back = self.of_message(message).filter(is_held_back).count();
        let anew = missed == 0 && known.end.is_some() && self.of_message(message).next().is_none();
        if known.is_recalled || missed == 0 && !anew && held_back == 0 && (!is_held || known.is_expanded) {
            return CommandResult::NothingToDo;
        }
        if missed > 0 || anew {
            let known = &mut self.messages[message];
            (known.end, known.updated) = (None, now);
            known.expires = known.expires.filter(|at| *at > now);
            known.is_expanded &= !anew;
        }
        if is_held {
            self.resume();
        }
        let own: BTreeSet<usize> = (self.of_message(message))
            .filter(|r| r.state == RecipientState::Calling)
            .filter_map(|r| r.call)
            .collect();
        for call in own {
            let send = &mut self.calls[call].send;
            if send.state == AttemptState::Due {
                send.next = 0;
            }
        }
        for r in self.recipients.iter_mut().filter(|r| r.message == message && not_reached(r)) {
            (r.state, r.call, r.due, r.is_aside) = (RecipientState::Pending, None, now, false);
        }
        CommandResult::Done
    }

    pub(crate) fn resume(&mut self) {
        let now = self.now;
        if self.is_held() || self.hold.cause.is_some() {
            self.hold = ModelHold { until: now, cause: None, holds: self.hold.holds.min(1) };
        }
        for call in 0..self.calls.len() {
            // What is to be recalled is not sent sooner.
            let is_recalled =
                self.messages_of(call).iter().any(|message| self.messages[*message].is_recalled);
            let known = &mut self.calls[call];
            if known.send.state == AttemptState::Due && !is_recalled {
                known.send.next = known.send.next.min(now);
            }
            if let Some(recall) = known.recall.as_mut().filter(|recall| recall.state == AttemptState::Due) {
                recall.next = recall.next.min(now);
            }
        }
    }
}
