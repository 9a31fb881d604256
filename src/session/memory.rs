//! Sessions in memory: what every check reads.
//!
//! A token is named by its BLAKE3 hash. A hash that is in the map belongs to a token whose signature was verified
//! and whose row was alive when it was read; from then on the feed tells of its end. So the check path costs a
//! hash and a lookup, and neither a signature nor the database.
//!
//! Between reading a row and putting it into the map its end may be announced. So whatever an announcement
//! concerns is registered before the row is read: a [`Flag`] for a session, a [`Slot`] for a person, the epoch
//! for everything at once.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::store::SessionRow;
use super::{Amr, SessionPerson};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, Sid};

/// The name of a token in memory.
pub type TokenHash = [u8; 32];

/// Raised when a session ends.
pub type EndedFlag = Arc<AtomicBool>;

/// A person, shared by all its sessions and replaced as a whole.
pub type PersonSlot = Arc<ArcSwapOption<SessionPerson>>;

/// A session in memory.
#[derive(Debug)]
pub struct LiveSession {
    /// The row.
    pub sid: Sid,
    /// The sign-in it belongs to.
    pub family: Sid,
    /// Its person.
    pub person: PersonSlot,
    /// The host, or the cookie domain.
    pub audience: Arc<str>,
    /// How the person signed in.
    pub amr: Amr,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// The absolute limit.
    pub expires_at: Timestamp,
    /// When it was last used, here or as last read.
    last_seen: AtomicI64,
    /// What of `seen` the database has.
    written_last_seen: AtomicI64,
    ended_flag: EndedFlag,
}

impl LiveSession {
    fn new(row: &SessionRow, audience: Arc<str>, person: PersonSlot, ended: EndedFlag) -> Self {
        if row.ended_at.is_some() {
            ended.store(true, Ordering::Release);
        }
        Self {
            sid: row.sid.clone(),
            // Mostly the same text, which is then kept once.
            family: if row.family == row.sid { row.sid.clone() } else { row.family.clone() },
            person,
            audience,
            amr: row.amr,
            auth_time: row.auth_time,
            expires_at: row.expires_at,
            last_seen: AtomicI64::new(row.last_seen_at.millis()),
            written_last_seen: AtomicI64::new(row.last_seen_at.millis()),
            ended_flag: ended,
        }
    }

    /// Whether it was ended.
    pub fn has_ended(&self) -> bool {
        self.ended_flag.load(Ordering::Acquire)
    }

    /// Ends it here.
    pub fn end(&self) {
        self.ended_flag.store(true, Ordering::Release);
    }

    /// When it was last used.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Notes a use; at most one store a second, so that cores do not fight over the line.
    pub fn touch(&self, now: Timestamp) {
        if now.millis() - self.last_seen.load(Ordering::Relaxed) >= 1000 {
            self.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    /// Takes over that somebody else saw it at `at`.
    pub fn merge_last_seen(&self, at: Timestamp) {
        self.last_seen.fetch_max(at.millis(), Ordering::Relaxed);
    }
}

/// Takes the beginning of a [`TokenHash`] as it is: a BLAKE3 hash needs no hashing, and only tokens that we signed
/// are ever put into the map, so that nobody can choose where they stand.
#[derive(Debug, Default)]
struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // An array hashes its length too.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The maps.
#[derive(Debug, Default)]
pub struct SessionMemory {
    tokens: papaya::HashMap<TokenHash, Arc<LiveSession>, BuildHasherDefault<TokenHasher>>,
    flags: papaya::HashMap<Sid, EndedFlag>,
    persons: papaya::HashMap<PersonId, PersonSlot>,
    /// One for each host, whatever the number of sessions.
    audiences: Mutex<HashSet<Arc<str>>>,
    epoch: AtomicU64,
}

impl SessionMemory {
    /// The session of a token that was seen before.
    pub fn get(&self, token: &TokenHash) -> Option<Arc<LiveSession>> {
        self.tokens.pin().get(token).cloned()
    }

    /// How many tokens are in memory.
    pub fn count(&self) -> usize {
        self.tokens.len()
    }

    /// Registers interest in a session and its person before the row is read; hand the result to
    /// [`Memory::put`].
    pub fn expect(&self, sid: &Sid, person: &PersonId) -> ExpectedSession {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let flag = self.flags.pin().get_or_insert_with(sid.clone(), EndedFlag::default).clone();
        let slot = self.persons.pin().get_or_insert_with(person.clone(), PersonSlot::default).clone();
        ExpectedSession { epoch, flag, slot }
    }

    /// Puts a row that was read after [`Memory::expect`] under its token's hash. `None` if everything was
    /// forgotten meanwhile: read again.
    pub fn put(
        &self,
        token: TokenHash,
        row: &SessionRow,
        expected: ExpectedSession,
    ) -> Option<Arc<LiveSession>> {
        let slot = expected.slot;
        // A newer state that the feed brought meanwhile is not replaced.
        if slot.load().is_none() {
            slot.compare_and_swap(&None::<Arc<SessionPerson>>, Some(Arc::new(row.person.clone())));
        }
        let live = Arc::new(LiveSession::new(row, self.audience(&row.audience), slot, expected.flag));
        self.tokens.pin().insert(token, Arc::clone(&live));
        // `clear` raises the epoch first: whoever still sees the old one is in the map before it is emptied.
        if self.epoch.load(Ordering::SeqCst) == expected.epoch {
            return Some(live);
        }
        self.tokens.pin().remove(&token);
        None
    }

    fn audience(&self, text: &str) -> Arc<str> {
        let mut audiences = self.audiences.lock();
        if let Some(known) = audiences.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        audiences.insert(Arc::clone(&new));
        new
    }

    /// One session ended.
    pub fn end_session(&self, sid: &Sid) {
        if let Some(flag) = self.flags.pin().get(sid) {
            flag.store(true, Ordering::Release);
        }
    }

    /// Whether a person is known here, and so must be read again when it changes.
    pub fn knows_person(&self, id: &PersonId) -> bool {
        self.persons.pin().contains_key(id)
    }

    /// A person changed; `None`: it is gone.
    pub fn replace_person(&self, id: &PersonId, person: Option<SessionPerson>) {
        if let Some(slot) = self.persons.pin().get(id) {
            match person {
                Some(person) => slot.store(Some(Arc::new(person))),
                None => {
                    slot.rcu(|old| {
                        old.as_ref()
                            .map(|p| Arc::new(SessionPerson { active: false, ..SessionPerson::clone(p) }))
                    });
                }
            }
        }
    }

    /// Forgets everything; the next check of each session reads the database again.
    pub fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.tokens.pin().clear();
        self.flags.pin().clear();
        self.persons.pin().clear();
        // Whoever took a flag or slot while they were being cleared must take it again.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets what expired, and flags and persons that no session holds any more.
    pub fn sweep(&self, now: Timestamp) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.tokens.pin().retain(|_, live| live.expires_at > now);
        self.flags.pin().retain(|_, flag| Arc::strong_count(flag) > 1);
        self.persons.pin().retain(|_, slot| Arc::strong_count(slot) > 1);
        self.audiences.lock().retain(|audience| Arc::strong_count(audience) > 1);
        // Whoever took a flag or slot while it was being swept must take it again.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Sessions used since the database was last told, at least `step` later than it knows.
    pub fn unwritten_sessions(&self, step: Duration) -> Vec<Arc<LiveSession>> {
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let due = |live: &Arc<LiveSession>| {
            !live.has_ended()
                && live.last_seen.load(Ordering::Relaxed) - live.written_last_seen.load(Ordering::Relaxed)
                    >= step
        };
        self.tokens.pin().iter().filter(|(_, live)| due(live)).map(|(_, live)| Arc::clone(live)).collect()
    }

    /// Notes that the database has `at` for that session.
    pub fn mark_written(live: &LiveSession, at: Timestamp) {
        live.written_last_seen.fetch_max(at.millis(), Ordering::Relaxed);
    }
}

/// A session whose row is about to be read.
#[derive(Debug)]
pub struct ExpectedSession {
    epoch: u64,
    flag: EndedFlag,
    slot: PersonSlot,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::UserId;
    use crate::session::identity::IdentityCache;

    fn row(ended: bool) -> SessionRow {
        let t = Timestamp::from_millis(1_000);
        SessionRow {
            sid: Sid::new("s"),
            person: SessionPerson {
                id: PersonId::new("p"),
                userid: UserId::new("zhangsan"),
                name: "张三".into(),
                email: String::new(),
                active: true,
                memberships: Box::default(),
                identity: IdentityCache::default(),
            },
            family: Sid::new("s"),
            audience: "oa.example.com".into(),
            amr: Amr::App,
            auth_time: t,
            created_at: t,
            last_seen_at: t,
            expires_at: t.plus(Duration::from_secs(60)),
            ended_at: ended.then_some(t),
            address: String::new(),
            user_agent: String::new(),
        }
    }

    #[test]
    fn a_session_ended_while_its_row_was_being_read_is_ended() {
        let memory = SessionMemory::default();
        let expected = memory.expect(&Sid::new("s"), &PersonId::new("p"));
        memory.end_session(&Sid::new("s"));
        assert!(memory.put([1; 32], &row(false), expected).unwrap().has_ended());
    }

    #[test]
    fn a_sweep_while_a_row_was_being_read_means_reading_again() {
        let memory = SessionMemory::default();
        let expected = memory.expect(&Sid::new("s"), &PersonId::new("p"));
        memory.sweep(Timestamp::from_millis(0));
        assert!(memory.put([1; 32], &row(false), expected).is_none());
    }

    #[test]
    fn everything_forgotten_while_a_row_was_being_read_means_reading_again() {
        let memory = SessionMemory::default();
        let expected = memory.expect(&Sid::new("s"), &PersonId::new("p"));
        memory.clear();
        assert!(memory.put([1; 32], &row(false), expected).is_none());
        assert!(memory.get(&[1; 32]).is_none(), "what was read before stayed for the next check");
    }

    #[test]
    fn a_person_changed_while_the_row_was_being_read_stays_changed() {
        let memory = SessionMemory::default();
        let expected = memory.expect(&Sid::new("s"), &PersonId::new("p"));
        memory
            .replace_person(&PersonId::new("p"), Some(SessionPerson { active: false, ..row(false).person }));
        let live = memory.put([2; 32], &row(false), expected).unwrap();
        assert!(!live.person.load_full().unwrap().active);
    }

    #[test]
    fn sweeping_keeps_only_what_has_not_expired() {
        let memory = SessionMemory::default();
        drop(memory.put([1; 32], &row(false), memory.expect(&Sid::new("s"), &PersonId::new("p"))));
        memory.sweep(Timestamp::from_millis(60_999));
        assert_eq!(memory.count(), 1);
        memory.sweep(Timestamp::from_millis(61_000));
        assert_eq!(memory.count(), 0);
    }
}
