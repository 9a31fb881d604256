//! Limits how many rows refusals write, so that repeated refusals fill neither the table nor the
//! reader's screen.
//!
//! The same refusal is one row a minute. One person or address has few rows a minute, and all
//! unknown persons together have few: otherwise anybody could write as many rows as they make
//! requests, with worthless codes or while WeCom is away. What is left out is counted: the next row
//! of that refusal states the count, or a row of its own does if none follows. Each process counts
//! for itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Actor, AuditDecision, AuditEntry, AuditEvent};
use crate::base::clock::Timestamp;

const REFUSAL_WINDOW: Duration = Duration::from_secs(60);

/// How many different refusals of one person, or of one address, are written within
/// [`REFUSAL_WINDOW`].
const MAX_ROWS_OF_ONE: usize = 30;

/// How many refusals of unknown persons are written within [`REFUSAL_WINDOW`], all together.
const MAX_ROWS_OF_STRANGERS: usize = 60;

/// How long a count waits for a later row before it gets its own.
const COUNT_DELAY: Duration = Duration::from_secs(600);

/// How many refusals are remembered; each new one is compared with all of them.
const MAX_REMEMBERED_ROWS: usize = 2_000;

/// The attributes by which two refusals are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RefusalKey {
    event: AuditEvent,
    who: String,
    host: String,
    reason: String,
}

/// A refusal that was written.
#[derive(Debug)]
struct WrittenRefusal {
    at: Timestamp,
    entry: AuditEntry,
    /// How many equal ones have been left out since.
    left_out: u64,
}

impl WrittenRefusal {
    /// Whether it is in the window that ends now. A clock that was set back begins a new window.
    fn is_recent(&self, now: Timestamp) -> bool {
        self.at <= now && now.since(self.at) < REFUSAL_WINDOW
    }
}

/// The refusals of one event that were left out because there were too many.
#[derive(Debug, Clone, Copy)]
struct RefusalSurplus {
    since: Timestamp,
    left_out: u64,
}

#[derive(Debug, Default)]
struct RefusalTally {
    rows: HashMap<RefusalKey, WrittenRefusal>,
    surplus: HashMap<AuditEvent, RefusalSurplus>,
    /// Counts that no later row will carry.
    ended: Vec<AuditEntry>,
}

/// Decides which refusals are written into the audit trail. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct RefusalLimiter(Arc<Mutex<RefusalTally>>);

impl RefusalLimiter {
    /// Returns the entry to write for a refusal, with the number of those left out before it;
    /// `None` if this one is left out.
    ///
    /// Refusals of one event are the same if person, host and `reason` (a code, a rule) are.
    pub fn limit(&self, entry: AuditEntry, reason: &str, now: Timestamp) -> Option<AuditEntry> {
        let same = RefusalKey {
            event: entry.event,
            who: identify_subject(&entry),
            host: entry.host.clone(),
            reason: reason.to_owned(),
        };
        let mut tally = self.0.lock();
        if let Some(row) = tally.rows.get_mut(&same).filter(|row| row.is_recent(now)) {
            row.left_out = row.left_out.saturating_add(1);
            return None;
        }
        // After the common case, because this walks all remembered rows.
        tally.end_windows(now);
        if tally.is_full(&same, &entry, now) {
            let surplus =
                tally.surplus.entry(same.event).or_insert(RefusalSurplus { since: now, left_out: 0 });
            surplus.left_out = surplus.left_out.saturating_add(1);
            return None;
        }
        let before = tally.rows.remove(&same);
        // The count will stand for many requests, so it carries the id of none.
        let plain = AuditEntry { detail: reason.to_owned(), request_id: String::new(), ..entry.clone() };
        tally.rows.insert(same, WrittenRefusal { at: now, entry: plain, left_out: 0 });
        let left_out = before.map_or(0, |row| row.left_out);
        let detail = if left_out == 0 { entry.detail } else { append_count(&entry.detail, left_out) };
        Some(AuditEntry { detail, ..entry })
    }

    /// Returns entries with the counts that no later row will carry.
    pub fn take_counts(&self, now: Timestamp) -> Vec<AuditEntry> {
        let mut tally = self.0.lock();
        tally.end_windows(now);
        std::mem::take(&mut tally.ended)
    }

    /// Returns all counts without waiting for a later row, because the process ends.
    pub fn take_all_counts(&self) -> Vec<AuditEntry> {
        let mut tally = self.0.lock();
        let RefusalTally { rows, surplus, ended } = std::mem::take(&mut *tally);
        let rows = rows.into_values().filter(|row| row.left_out > 0).map(count_row_refusals);
        let surplus = surplus.into_iter().map(|(event, surplus)| count_surplus_refusals(event, surplus));
        ended.into_iter().chain(rows).chain(surplus).collect()
    }
}

impl RefusalTally {
    /// Forgets what is over; a count that waited long enough gets its own entry.
    fn end_windows(&mut self, now: Timestamp) {
        // When memory is full, a count gives up its place sooner.
        let waits = if self.rows.len() < MAX_REMEMBERED_ROWS { COUNT_DELAY } else { REFUSAL_WINDOW };
        let over = |row: &WrittenRefusal| {
            !row.is_recent(now) && (row.left_out == 0 || row.at > now || now.since(row.at) >= waits)
        };
        let ended = self.rows.extract_if(|_, row| over(row)).map(|(_, row)| row);
        self.ended.extend(ended.filter(|row| row.left_out > 0).map(count_row_refusals));
        let ended = self
            .surplus
            .extract_if(|_, surplus| surplus.since > now || now.since(surplus.since) >= REFUSAL_WINDOW);
        self.ended.extend(ended.map(|(event, surplus)| count_surplus_refusals(event, surplus)));
    }

    /// Whether there is no room for one more row like this.
    fn is_full(&self, same: &RefusalKey, entry: &AuditEntry, now: Timestamp) -> bool {
        // Memory is full: what cannot be remembered is only counted.
        if self.rows.len() >= MAX_REMEMBERED_ROWS && !self.rows.contains_key(same) {
            return true;
        }
        let (mut of_one, mut of_strangers) = (0, 0);
        for (other, row) in self.rows.iter().filter(|(_, row)| row.is_recent(now)) {
            of_one += usize::from(other.event == same.event && other.who == same.who);
            of_strangers += usize::from(row.entry.person.is_none());
        }
        of_one >= MAX_ROWS_OF_ONE || (entry.person.is_none() && of_strangers >= MAX_ROWS_OF_STRANGERS)
    }
}

/// Identifies whom a refusal concerns, as well as it is known.
fn identify_subject(entry: &AuditEntry) -> String {
    match (&entry.person, entry.userid.as_str(), entry.address) {
        (Some(person), _, _) => person.as_str().to_owned(),
        (None, "", address) => address.map(|address| address.to_string()).unwrap_or_default(),
        // WeCom compares userids without regard to case.
        (None, userid, _) => userid.to_lowercase(),
    }
}

fn append_count(detail: &str, left_out: u64) -> String {
    format!("{detail}; {left_out} more like it before were not written")
}

fn count_row_refusals(row: WrittenRefusal) -> AuditEntry {
    let detail = append_count(&row.entry.detail, row.left_out);
    AuditEntry { detail, ..row.entry }
}

fn count_surplus_refusals(event: AuditEvent, surplus: RefusalSurplus) -> AuditEntry {
    AuditEntry {
        event,
        actor: Actor::System,
        person: None,
        userid: String::new(),
        address: None,
        host: String::new(),
        decision: AuditDecision::Refused,
        detail: format!("too many within a minute: {} more were not written", surplus.left_out),
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::base::id::PersonId;

    const NOW: Timestamp = Timestamp::from_millis(1_795_334_400_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    /// Makes a refused sign-in of an unknown person from the `n`th address.
    fn stranger_entry(n: u32) -> AuditEntry {
        AuditEntry {
            event: AuditEvent::SignIn,
            actor: Actor::System,
            person: None,
            userid: String::new(),
            address: Some(Ipv4Addr::from(0x0a00_0000 + n).into()),
            host: "oa.example.com".to_owned(),
            decision: AuditDecision::Refused,
            detail: "signin.wecom_down".to_owned(),
            request_id: format!("r{n}"),
        }
    }

    fn member_entry(n: u32) -> AuditEntry {
        AuditEntry {
            person: Some(PersonId::new(format!("p{n}"))),
            userid: format!("u{n}"),
            ..stranger_entry(n)
        }
    }

    fn limit_entry(limiter: &RefusalLimiter, entry: AuditEntry, seconds: u64) -> Option<String> {
        let reason = entry.detail.clone();
        limiter.limit(entry, &reason, at(seconds)).map(|entry| entry.detail)
    }

    #[test]
    fn the_same_refusal_is_one_row_a_minute_and_the_next_one_says_how_many_there_were() {
        let limiter = RefusalLimiter::default();
        assert_eq!(limit_entry(&limiter, stranger_entry(1), 0).as_deref(), Some("signin.wecom_down"));
        for seconds in 1..60 {
            assert_eq!(limit_entry(&limiter, stranger_entry(1), seconds), None);
        }
        let next = limit_entry(&limiter, stranger_entry(1), 60);
        assert_eq!(next.as_deref(), Some("signin.wecom_down; 59 more like it before were not written"));
        assert_eq!(limit_entry(&limiter, stranger_entry(1), 120).as_deref(), Some("signin.wecom_down"));
        assert_eq!(limiter.take_counts(at(10_000)).len(), 0, "nothing is told twice");
    }

    #[test]
    fn another_person_host_reason_or_event_is_another_refusal() {
        let limiter = RefusalLimiter::default();
        let one = stranger_entry(1);
        let entries = [
            one.clone(),
            stranger_entry(2),
            member_entry(1),
            AuditEntry { host: "app.example.com".to_owned(), ..one.clone() },
            AuditEntry { detail: "signin.code_used".to_owned(), ..one.clone() },
            AuditEntry { event: AuditEvent::Gate, ..one },
        ];
        for entry in entries {
            assert!(limit_entry(&limiter, entry.clone(), 0).is_some(), "{entry:?}");
            assert!(limit_entry(&limiter, entry, 1).is_none());
        }
    }

    #[test]
    fn what_no_later_row_tells_of_gets_a_row_of_its_own() {
        let limiter = RefusalLimiter::default();
        for _ in 0..4 {
            limit_entry(&limiter, member_entry(1), 0);
        }
        assert_eq!(limiter.take_counts(at(599)).len(), 0, "a later one may come");
        let [count] = &limiter.take_counts(at(600))[..] else { panic!("one row") };
        assert_eq!(count.detail, "signin.wecom_down; 3 more like it before were not written");
        assert_eq!(
            (count.userid.as_str(), count.person.is_some(), count.request_id.as_str()),
            ("u1", true, "")
        );
        assert_eq!(limiter.take_counts(at(2000)).len(), 0);
        limit_entry(&limiter, stranger_entry(7), 2000);
        limit_entry(&limiter, stranger_entry(7), 2000);
        assert_eq!(limiter.take_all_counts().len(), 1, "the process ends");
        assert_eq!(limiter.take_all_counts().len(), 0);
    }

    #[test]
    fn strangers_from_any_number_of_addresses_write_few_rows_and_none_is_lost_from_the_count() {
        let limiter = RefusalLimiter::default();
        let (mut rows, mut told) = (0, 0);
        for second in 0..300 {
            for n in 0..20 {
                rows += u64::from(
                    limit_entry(&limiter, stranger_entry(second * 20 + n), u64::from(second)).is_some(),
                );
            }
            for count in limiter.take_counts(at(u64::from(second))) {
                assert_eq!((count.event, count.address), (AuditEvent::SignIn, None));
                let number = count.detail.split(' ').find_map(|word| word.parse::<u64>().ok());
                told += number.expect("a number");
                rows += 1;
            }
            // Refusals of known members are written all the same.
            assert!(limit_entry(&limiter, member_entry(second), u64::from(second)).is_some());
        }
        assert!(rows <= 5 * 62, "{rows} in five minutes");
        for count in limiter.take_all_counts() {
            told += count.detail.split(' ').find_map(|word| word.parse::<u64>().ok()).expect("a number");
            rows += 1;
        }
        let counts = 5;
        assert_eq!(told + rows - counts, 300 * 20);
    }

    #[test]
    fn one_person_writes_few_rows_whatever_is_tried() {
        let limiter = RefusalLimiter::default();
        let tried = |n: u32| AuditEntry { detail: format!("message {n}"), ..member_entry(1) };
        let rows = (0..500).filter(|n| limit_entry(&limiter, tried(*n), 0).is_some()).count();
        assert_eq!(rows, MAX_ROWS_OF_ONE);
        assert!(limit_entry(&limiter, member_entry(2), 0).is_some(), "others are not concerned");
        let [count] = &limiter.take_counts(at(60))[..] else { panic!("one row") };
        assert_eq!(count.detail, "too many within a minute: 470 more were not written");
    }

    #[test]
    fn memory_is_bounded_and_a_clock_that_was_put_back_stops_nothing() {
        let limiter = RefusalLimiter::default();
        for n in 0..2_500 {
            limit_entry(&limiter, member_entry(n), 100);
            limit_entry(&limiter, member_entry(n), 100);
        }
        assert_eq!(limiter.0.lock().rows.len(), MAX_REMEMBERED_ROWS);
        assert!(
            limit_entry(&limiter, member_entry(2_501), 160).is_some(),
            "those of the minute before make room"
        );
        assert_eq!(limiter.take_counts(at(160)).len(), MAX_REMEMBERED_ROWS + 1);
        for n in 0..10 {
            limit_entry(&limiter, member_entry(n), 160);
        }
        assert!(limit_entry(&limiter, member_entry(1), 0).is_some());
        assert!(limiter.0.lock().rows.len() <= 11);
    }
}
