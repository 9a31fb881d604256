//! Rate limits for each client address: token buckets in memory.
//!
//! A bucket is one instant, the time at which it would be full again (GCRA, the "virtual
//! scheduling" form of ITU-T I.371). An idle address therefore costs nothing but its key, and a
//! full bucket can be forgotten without effect. Memory is bounded: at most [`MAX_ADDRESSES`]
//! addresses are remembered. When they are all in use, full buckets are removed first; if that
//! frees nothing, the half that is nearest to full is forgotten. So a flood of addresses neither
//! locks newcomers out (failing closed would let an attacker with an IPv6 prefix lock out a
//! company) nor frees the heaviest users, who are furthest from full. See [design: rate
//! limits](crate::design#rate-limits).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::clock::Clock;

pub(crate) const MAX_ADDRESSES: usize = 100_000;

const SHARD_COUNT: usize = 16;
const MAX_ADDRESSES_PER_SHARD: usize = MAX_ADDRESSES / SHARD_COUNT;
/// A shard that is still this full after a sweep forgets half of it. If it stayed full, every new
/// address would cost a sweep.
const CROWDED_SHARD_SIZE: usize = MAX_ADDRESSES_PER_SHARD / 4 * 3;

/// How long to wait until the next one is permitted; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many; try again in {} s", .0.as_secs())]
pub struct RetryAfter(pub Duration);

/// A limit for any number of addresses. Clones share what was taken.
#[derive(Debug, Clone)]
pub(crate) struct RateLimit {
    /// Nanoseconds until one comes back; `None` if nothing is ever permitted.
    interval: Option<i64>,
    /// Nanoseconds from empty to full.
    depth: i64,
    /// The wait that is answered if nothing is ever permitted.
    per: Duration,
    clock: Clock,
    hasher: RandomState,
    shards: Arc<[Mutex<RateLimitShard>; SHARD_COUNT]>,
}

#[derive(Debug, Default)]
struct RateLimitShard {
    /// When each bucket is full again, in nanoseconds since 1970.
    full_at: HashMap<IpAddr, i64>,
    /// The size at which the next sweep is due.
    sweep_at: usize,
}

impl RateLimit {
    /// Permits `count` in each `per`, and `burst` at once, for each address. A count or burst of
    /// zero permits nothing.
    pub(crate) fn new(count: u32, per: Duration, burst: u32, clock: Clock) -> Self {
        let per_nanos = i64::try_from(per.as_nanos()).unwrap_or(i64::MAX);
        let interval = (count > 0 && burst > 0).then(|| (per_nanos / i64::from(count.max(1))).max(1));
        let depth = interval.unwrap_or(0).saturating_mul(i64::from(burst));
        Self { interval, depth, per, clock, hasher: RandomState::new(), shards: Arc::default() }
    }

    /// Returns this limit with what was taken of `before`, so that a reload of the configuration
    /// forgives nobody. A limit that has become much narrower may forgive once, because what it
    /// could not have allowed is not believed.
    #[must_use]
    pub(crate) fn continuing(self, before: &Self) -> Self {
        Self { hasher: before.hasher.clone(), shards: Arc::clone(&before.shards), ..self }
    }

    /// Takes one for `address`. IPv4-mapped addresses count as IPv4. IPv6 counts by /64, which one
    /// subscriber has.
    ///
    /// # Errors
    /// [`RetryAfter`] if there is none left; then nothing is taken.
    pub(crate) fn try_take(&self, address: IpAddr) -> Result<(), RetryAfter> {
        let interval = self.interval.ok_or(RetryAfter(self.per))?;
        let (key, now) = (group_address(address), self.now());
        let mut shard = self.shard(key);
        let full_at = self.permitted(shard.full_at.get(&key).copied(), now, interval)?;
        if !shard.full_at.contains_key(&key) {
            shard.make_room(now);
        }
        shard.full_at.insert(key, full_at);
        Ok(())
    }

    /// Gives back one that [`RateLimit::try_take`] took for `address`.
    pub(crate) fn give_back(&self, address: IpAddr) {
        let Some(interval) = self.interval else { return };
        let key = group_address(address);
        if let Some(full_at) = self.shard(key).full_at.get_mut(&key) {
            *full_at = full_at.saturating_sub(interval);
        }
    }

    /// Returns when the bucket is full again once one more is taken.
    fn permitted(&self, full_at: Option<i64>, now: i64, interval: i64) -> Result<i64, RetryAfter> {
        // A bucket cannot be emptier than empty. If it is, the clock was set back, and nobody waits
        // for it to catch up.
        let empty = now.saturating_add(self.depth);
        let full_at = full_at.filter(|at| *at <= empty).unwrap_or(now).max(now);
        let then = full_at.saturating_add(interval);
        let over = then.saturating_sub(now.saturating_add(self.depth));
        if over > 0 {
            return Err(RetryAfter(Duration::from_nanos(u64::try_from(over).unwrap_or(u64::MAX))));
        }
        Ok(then)
    }

    fn now(&self) -> i64 {
        self.clock.now().millis().saturating_mul(1_000_000)
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder of SHARDS is below SHARDS")]
    fn shard(&self, key: IpAddr) -> parking_lot::MutexGuard<'_, RateLimitShard> {
        // The hash has a key of this process, so that nobody can aim at one shard.
        #[expect(clippy::cast_possible_truncation, reason = "the low bits of a hash are a hash")]
        let hash = self.hasher.hash_one(key) as usize;
        self.shards[hash % SHARD_COUNT].lock()
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.shards.iter().map(|s| s.lock().full_at.len()).sum()
    }
}

impl RateLimitShard {
    /// Makes room for one more. It sweeps only when the shard has doubled since the last sweep, so
    /// that the cost for each address stays constant.
    fn make_room(&mut self, now: i64) {
        if self.full_at.len() < self.sweep_at.max(64) {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= CROWDED_SHARD_SIZE {
            let mut instants: Vec<i64> = self.full_at.values().copied().collect();
            let middle = instants.len() / 2;
            let (_, median, _) = instants.select_nth_unstable(middle);
            let (median, mut surplus) = (*median, middle);
            self.full_at.retain(|_, full_at| {
                // Many may share the median: only half of all is forgotten, not all of these.
                let forgotten = *full_at <= median && surplus > 0;
                surplus -= usize::from(forgotten);
                !forgotten
            });
        }
        self.full_at.shrink_to(self.full_at.len().saturating_mul(2));
        self.sweep_at = self.full_at.len().saturating_mul(2).min(MAX_ADDRESSES_PER_SHARD);
    }
}

/// Returns the key of an address: what counts as one address.
fn group_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;

    fn test_limit(count: u32, per: u64, burst: u32) -> (RateLimit, Clock) {
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        (RateLimit::new(count, Duration::from_secs(per), burst, clock.clone()), clock)
    }

    fn parse_ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_comes_back_each_interval() {
        let (limit, clock) = test_limit(30, 60, 3);
        let a = parse_ip("203.0.113.7");
        for _ in 0..3 {
            limit.try_take(a).unwrap();
        }
        assert_eq!(limit.try_take(a), Err(RetryAfter(Duration::from_secs(2))));
        clock.advance(Duration::from_millis(1999));
        assert_eq!(limit.try_take(a), Err(RetryAfter(Duration::from_millis(1))));
        clock.advance(Duration::from_millis(1));
        limit.try_take(a).unwrap();
        assert!(limit.try_take(a).is_err());
    }

    #[test]
    fn addresses_do_not_share_a_bucket() {
        let (limit, _) = test_limit(1, 60, 1);
        limit.try_take(parse_ip("203.0.113.7")).unwrap();
        assert!(limit.try_take(parse_ip("203.0.113.7")).is_err());
        limit.try_take(parse_ip("203.0.113.8")).unwrap();
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_a_full_bucket_gets_no_fuller() {
        let (limit, clock) = test_limit(2, 60, 2);
        let a = parse_ip("203.0.113.7");
        limit.give_back(a);
        for _ in 0..2 {
            limit.try_take(a).unwrap();
        }
        limit.give_back(a);
        limit.try_take(a).unwrap();
        assert!(limit.try_take(a).is_err());
        clock.advance(Duration::from_secs(3600));
        limit.give_back(a);
        for _ in 0..2 {
            limit.try_take(a).unwrap();
        }
        assert!(limit.try_take(a).is_err());
    }

    #[test]
    fn case_31_one_client_has_one_key_however_its_address_is_spelt() {
        let (limit, _) = test_limit(1, 60, 1);
        limit.try_take(parse_ip("::ffff:203.0.113.7")).unwrap();
        assert!(limit.try_take(parse_ip("203.0.113.7")).is_err());
        limit.try_take(parse_ip("2001:db8:1:2::1")).unwrap();
        assert!(limit.try_take(parse_ip("2001:db8:1:2:ffff::9")).is_err());
        limit.try_take(parse_ip("2001:db8:1:3::1")).unwrap();
    }

    #[test]
    fn a_clock_that_steps_back_locks_nobody_out() {
        let clock = Clock::fixed(Timestamp::from_millis(10_000_000));
        let limit = RateLimit::new(1, Duration::from_secs(1), 1, clock.clone());
        limit.try_take(parse_ip("203.0.113.7")).unwrap();
        if let Clock::Fixed(ms) = &clock {
            ms.store(0, std::sync::atomic::Ordering::SeqCst);
        }
        limit.try_take(parse_ip("203.0.113.7")).unwrap();
        assert_eq!(limit.try_take(parse_ip("203.0.113.7")), Err(RetryAfter(Duration::from_secs(1))));
    }

    #[test]
    fn a_limit_that_is_read_again_goes_on_from_what_was_taken() {
        let (before, clock) = test_limit(1, 60, 1);
        let a = parse_ip("203.0.113.7");
        before.try_take(a).unwrap();
        let after = RateLimit::new(2, Duration::from_secs(60), 3, clock.clone()).continuing(&before);
        after.try_take(a).unwrap();
        assert!(after.try_take(a).is_err());
        clock.advance(Duration::from_secs(30));
        after.try_take(a).unwrap();
        assert!(after.try_take(a).is_err());
    }

    #[test]
    fn zero_permits_nothing() {
        let (limit, _) = test_limit(0, 60, 0);
        assert_eq!(limit.try_take(parse_ip("203.0.113.7")), Err(RetryAfter(Duration::from_secs(60))));
    }

    #[test]
    fn memory_is_bounded_and_whoever_used_most_is_remembered_longest() {
        let (limit, _) = test_limit(1, 3600, 10);
        let heavy = parse_ip("198.51.100.1");
        for _ in 0..10 {
            limit.try_take(heavy).unwrap();
        }
        for n in 0..250_000_u32 {
            limit.try_take(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n))).unwrap();
        }
        assert!(limit.remembered() <= MAX_ADDRESSES, "{}", limit.remembered());
        assert!(limit.try_take(heavy).is_err());
    }

    #[test]
    fn idle_buckets_are_swept() {
        let (limit, clock) = test_limit(1, 1, 1);
        for n in 0..50_000_u32 {
            limit.try_take(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n))).unwrap();
        }
        clock.advance(Duration::from_secs(2));
        for n in 0..50_000_u32 {
            limit.try_take(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0b00_0000 + n))).unwrap();
        }
        assert!(limit.remembered() <= 80_000, "{}", limit.remembered());
    }
}
