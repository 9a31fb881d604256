//! The sent messages and the inboxes, with limits that drop copies silently and duplicates that are
//! not delivered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::call::SimulatedRefusal;
use super::content::CheckedContent;
use super::limit::SimulatedLimits;
use super::people::SimulatedMember;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// How long a message can be recalled.
const RECALL_PERIOD: Duration = Duration::from_hours(24);
/// The longest `duplicate_check_interval`; older messages are not compared.
pub(super) const MAX_DUPLICATE_INTERVAL: Duration = Duration::from_hours(4);
/// China's offset from UTC.
const CHINA_OFFSET: Duration = Duration::from_hours(8);

/// SHA-256 of a JSON value with sorted keys.
type Fingerprint = [u8; 32];

/// A message in a member's inbox.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxMessage {
    /// As `message/send` answered.
    pub msgid: String,
    /// The application that sent it.
    pub agent_id: i64,
    /// The `msgtype`: `text`, `markdown`, `textcard`, …
    pub kind: String,
    /// The object below the msgtype, truncated where WeCom truncates.
    pub content: Value,
    /// `safe` was 1: the message cannot be forwarded.
    pub confidential: bool,
    /// In milliseconds since 1970, by the simulator's clock.
    pub at_ms: u64,
}

/// A call of `message/send` that was answered with errcode 0.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedSend {
    pub msgid: String,
    /// The application that sent it.
    pub agent_id: i64,
    /// The whole request.
    pub request: Value,
    /// In milliseconds since 1970, by the simulator's clock.
    pub at_ms: u64,
    /// The request repeats an earlier one within its `duplicate_check_interval`; nobody got it.
    pub suppressed: bool,
    /// Userids that got a copy, even if the message was recalled later.
    pub delivered: Vec<String>,
    /// Userids whose limit per minute or hour was reached. They got no copy, and nobody was told.
    pub dropped: Vec<String>,
    /// Userids that got an equal body within the interval, and so no second one
    /// ([`SimulatedLimits::equal_bodies_swallowed`]).
    pub swallowed: Vec<String>,
    pub recalled: bool,
}

/// A copy that a member did not get although the call was answered with errcode 0.
#[derive(Debug, Clone, PartialEq)]
pub struct UndeliveredCopy {
    pub msgid: String,
    pub userid: String,
    /// The whole request.
    pub request: Value,
    /// In milliseconds since 1970, by the simulator's clock.
    pub at_ms: u64,
}

/// How a request asks to be compared with earlier ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct DuplicateCheck {
    /// `enable_duplicate_check`
    pub(super) checked: bool,
    /// `duplicate_check_interval`
    pub(super) interval: Duration,
}

/// A request that passed every check.
pub(super) struct ValidSend<'c> {
    pub(super) agent_id: i64,
    pub(super) request: &'c Value,
    pub(super) content: CheckedContent,
    pub(super) members: Vec<&'c SimulatedMember>,
    pub(super) repeats: DuplicateCheck,
}

#[derive(Debug)]
struct SendRecord {
    msgid: String,
    agent_id: i64,
    at: Duration,
    kind: &'static str,
    /// JSON as text takes a third of the memory.
    request: Box<str>,
    content: Box<str>,
    confidential: bool,
    suppressed: bool,
    delivered: Vec<Arc<str>>,
    dropped: Vec<Arc<str>>,
    swallowed: Vec<Arc<str>>,
    recalled: Option<Duration>,
}

#[derive(Debug)]
struct Mailbox {
    userid: Arc<str>,
    /// Positions in the list of sends.
    positions: Vec<usize>,
    /// The number of messages that were seen.
    seen: usize,
    /// Grows with every change of what the inbox shows.
    version: u64,
    /// The arrivals of the last hour, for each application.
    arrivals: HashMap<i64, VecDeque<Duration>>,
    /// The last arrival of each body.
    bodies: HashMap<Fingerprint, Duration>,
}

impl Mailbox {
    fn new(userid: &str) -> Self {
        Self {
            userid: userid.into(),
            positions: Vec::new(),
            seen: 0,
            version: 0,
            arrivals: HashMap::new(),
            bodies: HashMap::new(),
        }
    }

    /// Counts a copy. Returns `false` if the member has reached a limit.
    fn accepts_copy(&mut self, agent_id: i64, limits: &SimulatedLimits, now: Duration) -> bool {
        let arrivals = self.arrivals.entry(agent_id).or_default();
        while arrivals.front().is_some_and(|at| now.saturating_sub(*at) >= HOUR) {
            arrivals.pop_front();
        }
        let in_minute = arrivals.iter().rev().take_while(|at| now.saturating_sub(**at) < MINUTE).count();
        let full = |most: Option<usize>, count: usize| most.is_some_and(|most| count >= most);
        if full(limits.messages_per_minute, in_minute) || full(limits.messages_per_hour, arrivals.len()) {
            return false;
        }
        arrivals.push_back(now);
        true
    }

    /// Tells whether an equal body arrived within the interval.
    fn has_body(&self, body: &Fingerprint, interval: Duration, now: Duration) -> bool {
        self.bodies.get(body).is_some_and(|at| now.saturating_sub(*at) < interval)
    }

    fn note_body(&mut self, body: Fingerprint, now: Duration) {
        self.bodies.insert(body, now);
        forget_old(&mut self.bodies, now);
    }
}

/// An inbox message with its state, for a page.
pub(super) struct InboxItem {
    pub(super) message: InboxMessage,
    pub(super) recalled: bool,
}

/// Everything that was sent, and every inbox.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    sent: Vec<SendRecord>,
    by_msgid: HashMap<String, usize>,
    /// By userid in lower case.
    boxes: HashMap<String, Mailbox>,
    /// The last arrival of each request that asked for a duplicate check.
    requests: HashMap<Fingerprint, Duration>,
    /// The day, and the recipients of each application on it.
    recipients: HashMap<i64, (u64, u64)>,
    task_ids: HashSet<(i64, String)>,
}

impl Mailboxes {
    /// Delivers a valid request.
    ///
    /// `day_most` is the largest number of recipients a day; `began` is the start of the
    /// simulator's clock, since 1970.
    ///
    /// # Errors
    /// 45009 if the day's recipients are used up, 42014 for a `task_id` that the application has
    /// used before.
    pub(super) fn send(
        &mut self,
        msgid: String,
        send: ValidSend,
        limits: &SimulatedLimits,
        day_most: Option<u64>,
        (began, now): (Duration, Duration),
    ) -> Result<(), SimulatedRefusal> {
        let ValidSend { agent_id, request, content, members, repeats } = send;
        let whole = compute_fingerprint(agent_id, "", request);
        let suppressed = repeats.checked
            && self.requests.get(&whole).is_some_and(|at| now.saturating_sub(*at) < repeats.interval);
        let mut record = SendRecord {
            msgid,
            agent_id,
            at: now,
            kind: content.kind,
            request: request.to_string().into(),
            content: content.fields.to_string().into(),
            confidential: content.confidential,
            suppressed,
            delivered: Vec::new(),
            dropped: Vec::new(),
            swallowed: Vec::new(),
            recalled: None,
        };
        if suppressed {
            // An identical request is answered like any other, and nobody gets it.
            record.swallowed = members.iter().map(|m| Arc::clone(&self.mailbox(&m.userid).userid)).collect();
            self.store(record);
            return Ok(());
        }
        if let Some(task) = &content.task_id
            && limits.task_ids_used_once
            && self.task_ids.contains(&(agent_id, task.clone()))
        {
            return Err(SimulatedRefusal(42014, "invalid task_id, it was used before"));
        }
        // WeCom's day begins at midnight in China.
        let day = (began + now + CHINA_OFFSET).as_secs() / (24 * HOUR.as_secs());
        let used = self.recipients.get(&agent_id).filter(|(of, _)| *of == day).map_or(0, |(_, used)| *used);
        let used = used.saturating_add(u64::try_from(members.len()).unwrap_or(u64::MAX));
        if day_most.is_some_and(|most| used > most) {
            return Err(SimulatedRefusal(45009, "api freq out of limit"));
        }
        // From here on nothing is refused, so that a refused request changes nothing.
        self.recipients.insert(agent_id, (day, used));
        self.task_ids.extend(content.task_id.map(|task| (agent_id, task)));
        if repeats.checked {
            self.requests.insert(whole, now);
            forget_old(&mut self.requests, now);
        }
        let body = compute_fingerprint(agent_id, content.kind, &content.fields);
        let position = self.sent.len();
        for member in members {
            let mailbox = self.mailbox(&member.userid);
            let userid = Arc::clone(&mailbox.userid);
            if repeats.checked
                && limits.equal_bodies_swallowed
                && mailbox.has_body(&body, repeats.interval, now)
            {
                record.swallowed.push(userid);
            } else if mailbox.accepts_copy(agent_id, limits, now) {
                mailbox.positions.push(position);
                mailbox.version += 1;
                mailbox.note_body(body, now);
                record.delivered.push(userid);
            } else {
                record.dropped.push(userid);
            }
        }
        self.store(record);
        Ok(())
    }

    /// Recalls every copy. A repeated recall changes nothing.
    ///
    /// # Errors
    /// 40058 if the application did not send the message, 42052 after a day.
    pub(super) fn recall(
        &mut self,
        agent_id: i64,
        msgid: &str,
        now: Duration,
    ) -> Result<(), SimulatedRefusal> {
        let unknown = || SimulatedRefusal(40058, "invalid Request Parameter, msgid");
        let position = self.by_msgid.get(msgid).copied().ok_or_else(unknown)?;
        let record = self.sent.get_mut(position).filter(|r| r.agent_id == agent_id).ok_or_else(unknown)?;
        if now.saturating_sub(record.at) >= RECALL_PERIOD {
            return Err(SimulatedRefusal(42052, "msgid expired"));
        }
        if record.recalled.is_none() {
            record.recalled = Some(now);
            let holders: Vec<String> = record.delivered.iter().map(|u| u.to_ascii_lowercase()).collect();
            for holder in holders {
                if let Some(mailbox) = self.boxes.get_mut(&holder) {
                    mailbox.version += 1;
                }
            }
        }
        Ok(())
    }

    fn mailbox(&mut self, userid: &str) -> &mut Mailbox {
        self.boxes.entry(userid.to_ascii_lowercase()).or_insert_with(|| Mailbox::new(userid))
    }

    fn store(&mut self, record: SendRecord) {
        self.by_msgid.insert(record.msgid.clone(), self.sent.len());
        self.sent.push(record);
    }

    /// Returns the messages of an inbox from position `first` on, oldest first, recalled ones
    /// included.
    pub(super) fn messages(&self, userid: &str, first: usize, began: Duration) -> Vec<InboxItem> {
        let Some(mailbox) = self.boxes.get(&userid.to_ascii_lowercase()) else { return Vec::new() };
        let positions = mailbox.positions.iter().skip(first);
        let records = positions.filter_map(|position| self.sent.get(*position));
        records.map(|r| InboxItem { message: r.message(began), recalled: r.recalled.is_some() }).collect()
    }

    /// Returns how many messages have arrived in an inbox.
    pub(super) fn count(&self, userid: &str) -> usize {
        self.boxes.get(&userid.to_ascii_lowercase()).map_or(0, |m| m.positions.len())
    }

    /// Returns the number of unseen messages, and a number that grows when the inbox changes.
    pub(super) fn unread(&self, userid: &str) -> (usize, u64) {
        self.boxes.get(&userid.to_ascii_lowercase()).map_or((0, 0), |mailbox| {
            let new =
                mailbox.positions.iter().skip(mailbox.seen).filter_map(|position| self.sent.get(*position));
            (new.filter(|r| r.recalled.is_none()).count(), mailbox.version)
        })
    }

    /// Marks the whole inbox as seen.
    pub(super) fn mark_seen(&mut self, userid: &str) {
        if let Some(mailbox) = self.boxes.get_mut(&userid.to_ascii_lowercase()) {
            mailbox.seen = mailbox.positions.len();
        }
    }

    pub(super) fn sent(&self, began: Duration) -> Vec<AcceptedSend> {
        self.sent.iter().map(|r| r.public(began)).collect()
    }

    pub(super) fn sent_count(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn recalled(&self, began: Duration) -> Vec<AcceptedSend> {
        self.sent.iter().filter(|r| r.recalled.is_some()).map(|r| r.public(began)).collect()
    }

    pub(super) fn dropped(&self, began: Duration) -> Vec<UndeliveredCopy> {
        self.undelivered(|r| &r.dropped, began)
    }

    pub(super) fn suppressed(&self, began: Duration) -> Vec<UndeliveredCopy> {
        self.undelivered(|r| &r.swallowed, began)
    }

    fn undelivered(
        &self,
        who: impl Fn(&SendRecord) -> &Vec<Arc<str>>,
        began: Duration,
    ) -> Vec<UndeliveredCopy> {
        let one = |r: &SendRecord, userid: &Arc<str>| UndeliveredCopy {
            msgid: r.msgid.clone(),
            userid: userid.to_string(),
            request: parse_json(&r.request),
            at_ms: millis(began + r.at),
        };
        self.sent.iter().flat_map(|r| who(r).iter().map(move |u| one(r, u))).collect()
    }
}

impl SendRecord {
    fn message(&self, began: Duration) -> InboxMessage {
        InboxMessage {
            msgid: self.msgid.clone(),
            agent_id: self.agent_id,
            kind: self.kind.to_owned(),
            content: parse_json(&self.content),
            confidential: self.confidential,
            at_ms: millis(began + self.at),
        }
    }

    fn public(&self, began: Duration) -> AcceptedSend {
        let names = |list: &[Arc<str>]| list.iter().map(ToString::to_string).collect();
        AcceptedSend {
            msgid: self.msgid.clone(),
            agent_id: self.agent_id,
            request: parse_json(&self.request),
            at_ms: millis(began + self.at),
            suppressed: self.suppressed,
            delivered: names(&self.delivered),
            dropped: names(&self.dropped),
            swallowed: names(&self.swallowed),
            recalled: self.recalled.is_some(),
        }
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

/// Parses a text that was written from a [`Value`].
fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// Removes entries that are too old to matter, now and then, to bound the memory of a long run.
fn forget_old(times: &mut HashMap<Fingerprint, Duration>, now: Duration) {
    if times.len().is_multiple_of(256) {
        times.retain(|_, at| now.saturating_sub(*at) < MAX_DUPLICATE_INTERVAL);
    }
}

/// Returns the same fingerprint for equal values, whatever the order of their keys.
fn compute_fingerprint(agent_id: i64, kind: &str, value: &Value) -> Fingerprint {
    let mut text = format!("{agent_id} {kind} ");
    // serde_json keeps the sender's order of keys here (`preserve_order`).
    write_in_key_order(value, &mut text);
    let mut print = [0; 32];
    print.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()).for_each(|(into, from)| *into = *from);
    print
}

fn write_in_key_order(value: &Value, into: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            into.push('{');
            for (name, value) in fields {
                into.push_str(&Value::from(name.as_str()).to_string());
                into.push(':');
                write_in_key_order(value, into);
                into.push(',');
            }
            into.push('}');
        }
        Value::Array(list) => {
            into.push('[');
            for value in list {
                write_in_key_order(value, into);
                into.push(',');
            }
            into.push(']');
        }
        plain => into.push_str(&plain.to_string()),
    }
}
