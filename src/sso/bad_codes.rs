//! Limits the codes that WeCom refuses ([design: rate limits](crate::design#rate-limits)).
//!
//! A company may share one address with an attacker. So an address that has used up its share is
//! still served as long as the whole installation is within its limit: junk can then neither shut
//! out good sign-ins from the same address nor use up what WeCom allows the gateway's own address.
//! Each code takes its share before WeCom is asked, so that codes that arrive together cannot pass
//! the limit together; a code that is not bad gives its share back.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::base::clock::Clock;
use crate::http::rate_limit::{RateLimit, RetryAfter};

/// Bad codes of the whole installation in a minute: a tenth of the calls that WeCom accepts from
/// one address.
const MAX_BAD_CODES_PER_MINUTE: u32 = 2000;

/// The key of the limit that everybody shares, and of visitors whose address is not known.
const NO_ADDRESS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The limit of each address and that of the installation. Clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct BadCodeLimits {
    address: RateLimit,
    installation: RateLimit,
}

impl BadCodeLimits {
    /// Builds the limits; `address` is `server.bad_code_rate`.
    pub(crate) fn new(address: RateLimit, clock: Clock) -> Self {
        let (count, minute) = (MAX_BAD_CODES_PER_MINUTE, Duration::from_secs(60));
        Self { address, installation: RateLimit::new(count, minute, count, clock) }
    }

    /// Returns these limits with the counts of `before`.
    pub(super) fn continuing(self, before: &Self) -> Self {
        Self {
            address: self.address.continuing(&before.address),
            installation: self.installation.continuing(&before.installation),
        }
    }

    /// Takes the share of one code from `address` before WeCom is asked about it.
    ///
    /// # Errors
    /// [`RetryAfter`] if both the address and the installation are beyond their limits. Nothing is
    /// taken then.
    pub(super) fn reserve(&self, address: Option<IpAddr>) -> Result<CodeReservation<'_>, RetryAfter> {
        let address = address.unwrap_or(NO_ADDRESS);
        let by_address = self.address.try_take(address);
        let by_all = self.installation.try_take(NO_ADDRESS);
        // One of the two limits is enough to go on.
        if let (Err(RetryAfter(a)), Err(RetryAfter(b))) = (by_address, by_all) {
            return Err(RetryAfter(a.min(b)));
        }
        Ok(CodeReservation {
            limits: self,
            address: by_address.is_ok().then_some(address),
            installation: by_all.is_ok(),
        })
    }
}

/// The share taken for one code. Dropping it gives the share back, unless [`CodeReservation::keep`]
/// was called because the code was bad.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub(super) struct CodeReservation<'l> {
    limits: &'l BadCodeLimits,
    address: Option<IpAddr>,
    installation: bool,
}

impl CodeReservation<'_> {
    /// Keeps the share, because WeCom refused the code.
    pub(super) fn keep(mut self) {
        (self.address, self.installation) = (None, false);
    }
}

impl Drop for CodeReservation<'_> {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.limits.address.give_back(address);
        }
        if self.installation {
            self.limits.installation.give_back(NO_ADDRESS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;

    fn limits(per_address: u32) -> (BadCodeLimits, Clock) {
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let address = RateLimit::new(per_address, Duration::from_secs(60), per_address, clock.clone());
        (BadCodeLimits::new(address, clock.clone()), clock)
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([203, 0, 113, last]))
    }

    #[test]
    fn case_48_however_many_junk_codes_come_at_once_wecom_is_asked_no_more_often_than_the_limit() {
        let (limits, clock) = limits(30);
        // All of them are pending: none has been answered when the next one comes.
        let under_way: Vec<_> = (0..5000).filter_map(|_| limits.reserve(ip(7)).ok()).collect();
        assert_eq!(under_way.len(), 2000);
        under_way.into_iter().for_each(CodeReservation::keep);
        assert_eq!(limits.reserve(ip(7)).unwrap_err(), RetryAfter(Duration::from_millis(30)));
        let others: Vec<_> = (0..100).filter_map(|_| limits.reserve(ip(8)).ok()).collect();
        assert_eq!(others.len(), 30, "another address still has its own share");
        clock.advance(Duration::from_secs(60));
        assert!(limits.reserve(ip(7)).is_ok());
    }

    #[test]
    fn case_48_an_address_beyond_its_share_is_not_refused_while_the_installation_is_within_its_own() {
        let (limits, _) = limits(3);
        for _ in 0..1000 {
            limits.reserve(ip(7)).unwrap().keep();
        }
        // A good code costs nothing, so any number of them passes beside the junk.
        for _ in 0..5000 {
            drop(limits.reserve(ip(7)).unwrap());
        }
    }

    #[test]
    fn a_good_code_is_given_back_to_whoever_paid_for_it() {
        let (limits, _) = limits(2);
        for _ in 0..2000 {
            limits.reserve(ip(1)).unwrap().keep();
        }
        // The installation's limit is used up; only the share of this address is left.
        for _ in 0..10 {
            drop(limits.reserve(ip(2)).unwrap());
        }
        limits.reserve(ip(2)).unwrap().keep();
        limits.reserve(ip(2)).unwrap().keep();
        assert!(limits.reserve(ip(2)).is_err());
    }

    #[test]
    fn visitors_without_an_address_share_one() {
        let (limits, _) = limits(1);
        for _ in 0..2000 {
            limits.reserve(None).unwrap().keep();
        }
        assert!(limits.reserve(None).is_err() && limits.reserve(ip(1)).is_ok());
    }
}
