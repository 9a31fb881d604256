//! The id of a request, which its page, its answer and its log line share.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;

use crate::base::secret::random_bytes;

/// The id of a request: 1 to 64 of `[A-Za-z0-9._-]`. Every request to an ordinary route has one as
/// an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Parses an id; `None` unless it is well-formed.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let well_formed = (1..=64).contains(&bytes.len()) && bytes.iter().all(|b| good(*b));
        if well_formed { HeaderValue::from_bytes(bytes).ok().map(Self) } else { None }
    }

    /// Returns the id as text.
    #[expect(
        clippy::expect_used,
        reason = "parse and RequestIdGenerator::next let only ASCII letters, digits and ._- in"
    )]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("ASCII")
    }

    /// Returns the id as the value of a header.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    /// Returns the id that the middleware gave; `-` if a router is used without it.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self(HeaderValue::from_static("-"))))
    }
}

/// Makes ids: 16 hex digits that do not repeat within a process and look random between processes.
///
/// One is made for every auth check, so it costs a counter and a few multiplications and no call
/// for randomness. Ids are not secret.
#[derive(Debug)]
pub(super) struct RequestIdGenerator {
    seed: u64,
    count: AtomicU64,
}

impl RequestIdGenerator {
    pub(super) fn new() -> Self {
        Self { seed: u64::from_le_bytes(random_bytes()), count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        // SplitMix64 is a bijection of the counter, so that no value comes twice.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut n = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^= n >> 31;
        let mut digits = [b'0'; 16];
        for digit in digits.iter_mut().rev() {
            let low = (n & 15) as u8;
            *digit = if low < 10 { b'0' + low } else { b'a' + low - 10 };
            n >>= 4;
        }
        RequestId(HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("-")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_are_16_hex_digits_and_do_not_repeat() {
        let ids = RequestIdGenerator::new();
        let made: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        assert!(RequestId::parse(ids.next().as_str().as_bytes()).is_some());
    }

    #[test]
    fn case_30_only_plain_ids_are_taken_over() {
        for good in ["a", "0af7651916cd43dd8448eb211c80319c", "A.b_c-1", &"x".repeat(64)] {
            assert!(RequestId::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "a b", "a\r\nb", "\u{1b}[31m", "<b>", "号", &"x".repeat(65)] {
            assert!(RequestId::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
