//! The sessions in memory, which every check reads.
//!
//! The key of the map is the BLAKE3 hash of the token. A hash is in the map only after the token's
//! signature was verified and its row was read as alive; from then on the feed reports its end. So
//! a check costs one hash and one lookup, and neither a signature nor the database.
//!
//! A session may end between reading its row and inserting it. So whatever a feed entry can concern
//! is registered before the row is read: an [`EndedFlag`] for a session, a [`PersonSlot`] for a
//! person, the epoch for everything at once.

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

/// The BLAKE3 hash of a token.
pub(crate) type TokenHash = [u8; 32];

/// Set when a session ends.
pub(crate) type EndedFlag = Arc<AtomicBool>;

/// A person, shared by all of the person's sessions and replaced as a whole.
pub(crate) type PersonSlot = Arc<ArcSwapOption<SessionPerson>>;

/// A session in memory.
#[derive(Debug)]
pub(crate) struct LiveSession {
    pub sid: Sid,
    /// The session that the sign-in began with.
    pub family: Sid,
    pub person: PersonSlot,
    /// The host, or the cookie domain.
    pub audience: Arc<str>,
    pub amr: Amr,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// The absolute limit.
    pub expires_at: Timestamp,
    /// The last use in milliseconds, here or as last read.
    last_seen: AtomicI64,
    /// The part of `last_seen` that the database has.
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
            // Usually both are the same text: share it.
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

    /// Returns whether the session has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended_flag.load(Ordering::Acquire)
    }

    /// Marks the session as ended in this process.
    pub(crate) fn end(&self) {
        self.ended_flag.store(true, Ordering::Release);
    }

    /// Returns when the session was last used.
    pub(crate) fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Records a use. Stores at most once a second, so that cores do not contend for the cache
    /// line.
    pub(crate) fn touch(&self, now: Timestamp) {
        if now.millis() - self.last_seen.load(Ordering::Relaxed) >= 1000 {
            self.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    /// Records that another replica saw the session at `at`.
    pub(crate) fn merge_last_seen(&self, at: Timestamp) {
        self.last_seen.fetch_max(at.millis(), Ordering::Relaxed);
    }
}

/// Uses the first eight bytes of a [`TokenHash`] as its hash.
///
/// A BLAKE3 hash needs no hashing again, and only tokens that we signed are inserted, so nobody can
/// choose the buckets.
#[derive(Debug, Default)]
struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The `Hash` of an array also writes its length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The maps of tokens, flags and persons.
#[derive(Debug, Default)]
pub(crate) struct SessionMemory {
    tokens: papaya::HashMap<TokenHash, Arc<LiveSession>, BuildHasherDefault<TokenHasher>>,
    flags: papaya::HashMap<Sid, EndedFlag>,
    persons: papaya::HashMap<PersonId, PersonSlot>,
    /// One text for each host, however many sessions there are.
    audiences: Mutex<HashSet<Arc<str>>>,
    epoch: AtomicU64,
}

impl SessionMemory {
    /// Returns the session of a known token.
    pub(crate) fn get(&self, token: &TokenHash) -> Option<Arc<LiveSession>> {
        self.tokens.pin().get(token).cloned()
    }

    /// Returns the number of tokens in memory.
    pub(crate) fn count(&self) -> usize {
        self.tokens.len()
    }

    /// Registers a session and its person before the row is read. Pass the result to
    /// [`SessionMemory::put`].
    pub(crate) fn expect(&self, sid: &Sid, person: &PersonId) -> ExpectedSession {
        // The epoch first: whatever is cleared from here on makes `put` fail.
        let epoch = self.epoch.load(Ordering::SeqCst);
        let flag = self.flags.pin().get_or_insert_with(sid.clone(), EndedFlag::default).clone();
        let slot = self.persons.pin().get_or_insert_with(person.clone(), PersonSlot::default).clone();
        ExpectedSession { epoch, flag, slot }
    }

    /// Inserts a row that was read after [`SessionMemory::expect`]. Returns `None` if the maps were
    /// cleared or swept meanwhile: then the row must be read again.
    pub(crate) fn put(
        &self,
        token: TokenHash,
        row: &SessionRow,
        expected: ExpectedSession,
    ) -> Option<Arc<LiveSession>> {
        let slot = expected.slot;
        // Do not replace a newer state that the feed has brought meanwhile.
        if slot.load().is_none() {
            slot.compare_and_swap(&None::<Arc<SessionPerson>>, Some(Arc::new(row.person.clone())));
        }
        let live = Arc::new(LiveSession::new(row, self.audience(&row.audience), slot, expected.flag));
        self.tokens.pin().insert(token, Arc::clone(&live));
        // `clear` raises the epoch before it empties the map. If the old epoch is still visible
        // here, this insert came first and `clear` removes it.
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

    /// Marks a session as ended.
    pub(crate) fn end_session(&self, sid: &Sid) {
        if let Some(flag) = self.flags.pin().get(sid) {
            flag.store(true, Ordering::Release);
        }
    }

    /// Returns whether a session here holds this person, who must then be read again after a
    /// change.
    pub(crate) fn knows_person(&self, id: &PersonId) -> bool {
        self.persons.pin().contains_key(id)
    }

    /// Replaces a person. `None` means that the person was removed.
    pub(crate) fn replace_person(&self, id: &PersonId, person: Option<SessionPerson>) {
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

    /// Clears the maps. The next check of each session reads the database.
    pub(crate) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.tokens.pin().clear();
        self.flags.pin().clear();
        self.persons.pin().clear();
        // A caller that took a flag or slot meanwhile must take it again.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Removes expired sessions, and the flags and persons that no session holds any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.tokens.pin().retain(|_, live| live.expires_at > now);
        // One reference is that of the map itself.
        self.flags.pin().retain(|_, flag| Arc::strong_count(flag) > 1);
        self.persons.pin().retain(|_, slot| Arc::strong_count(slot) > 1);
        self.audiences.lock().retain(|audience| Arc::strong_count(audience) > 1);
        // A caller that took a flag or slot meanwhile must take it again.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the sessions whose last use is at least `step` later than what the database has.
    pub(crate) fn unwritten_sessions(&self, step: Duration) -> Vec<Arc<LiveSession>> {
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let due = |live: &Arc<LiveSession>| {
            !live.has_ended()
                && live.last_seen.load(Ordering::Relaxed) - live.written_last_seen.load(Ordering::Relaxed)
                    >= step
        };
        self.tokens.pin().iter().filter(|(_, live)| due(live)).map(|(_, live)| Arc::clone(live)).collect()
    }

    /// Records that the database has `at` as the last use.
    pub(crate) fn mark_written(live: &LiveSession, at: Timestamp) {
        live.written_last_seen.fetch_max(at.millis(), Ordering::Relaxed);
    }
}

/// A session whose row is about to be read.
#[derive(Debug)]
pub(crate) struct ExpectedSession {
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
