//! WeCom's `state` parameter: one sealed attempt in at most 128 letters and digits (WeCom document
//! 96441).
//!
//! Nothing about an attempt is stored before it comes back, so the state contains everything that
//! is needed then. The seal binds it to the corporation and the application, its hashes to the
//! target and the browser's cookie.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::base::seal::{SEAL_OVERHEAD_BYTES, Sealer};
use crate::base::secret::{random_bytes, sha256};

/// How long an attempt may take.
pub(crate) const ATTEMPT_LIFETIME: Duration = Duration::from_secs(600);

const VERSION: u8 = 1;
const ID_BYTES: usize = 12;
const HASH_BYTES: usize = 16;
const TIME_BYTES: usize = 6;
const PLAIN_BYTES: usize = 1 + TIME_BYTES + 1 + ID_BYTES + HASH_BYTES + HASH_BYTES;

/// The digits of base62, in the order of ASCII.
const BASE62_ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The way into WeCom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// Inside WeCom, by OAuth without a page.
    App,
    /// From a desktop browser, by the QR page.
    Qr,
}

/// The first 16 bytes of a SHA-256.
pub(crate) type Hash16 = [u8; HASH_BYTES];

/// Hashes a text for use in a state.
pub(crate) fn hash16(text: &[u8]) -> Hash16 {
    let mut out = [0; HASH_BYTES];
    for (to, from) in out.iter_mut().zip(sha256(text)) {
        *to = from;
    }
    out
}

/// The random id of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptId([u8; ID_BYTES]);

impl AttemptId {
    pub(crate) fn generate() -> Self {
        Self(random_bytes())
    }

    /// Returns the id as the attempts table stores it, in lower-case hex.
    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Returns the eight characters that the cookie's name contains.
    pub(crate) fn short(self) -> String {
        self.to_hex().chars().take(8).collect()
    }
}

/// The contents of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignInState {
    /// When the attempt began.
    pub started_at: Timestamp,
    pub id: AttemptId,
    /// How often the sign-in has restarted.
    pub restarts: u8,
    pub entrance: Entrance,
    /// The hash of the target in redirect_uri; of the whole target if redirect_uri has none.
    pub target: Hash16,
    /// The hash of the cookie's value.
    pub cookie: Hash16,
}

/// A state that was changed, or that we did not make for this corporation and application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of ours")]
pub(crate) struct ForeignState;

/// Seals and opens states of one corporation and application.
#[derive(Debug)]
pub(crate) struct StateSealer {
    sealer: Sealer,
    context: Vec<u8>,
}

impl StateSealer {
    /// Builds a sealer. It does not open the states of another corporation or application.
    pub(crate) fn new(sealer: Sealer, corp: &CorpId, agent: u32) -> Self {
        Self { sealer, context: format!("{agent}@{corp}").into_bytes() }
    }

    /// Seals a state into at most 128 characters of `[A-Za-z0-9]`.
    pub(crate) fn seal(&self, state: &SignInState) -> String {
        let mut plain = Vec::with_capacity(PLAIN_BYTES);
        plain.push(VERSION);
        let time = state.started_at.millis().to_be_bytes();
        // Six bytes are enough: the first two of the milliseconds are zero.
        plain.extend(time.into_iter().skip(time.len() - TIME_BYTES));
        let entrance = match state.entrance {
            Entrance::App => 0,
            Entrance::Qr => 0x80,
        };
        // One byte holds both: the entrance is its highest bit.
        plain.push(state.restarts.min(0x7f) | entrance);
        plain.extend(state.id.0);
        plain.extend(state.target);
        plain.extend(state.cookie);
        base_x::encode(BASE62_ALPHABET, &self.sealer.seal(&plain, &self.context))
    }

    /// Opens a text that [`StateSealer::seal`] made. Does not check its age.
    ///
    /// # Errors
    /// [`ForeignState`] for everything else.
    pub(crate) fn open(&self, text: &str) -> Result<SignInState, ForeignState> {
        // A longer text than WeCom permits cannot be ours.
        if text.len() > 128 || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ForeignState);
        }
        let sealed = base_x::decode(BASE62_ALPHABET, text).map_err(|_| ForeignState)?;
        if sealed.len() != PLAIN_BYTES + SEAL_OVERHEAD_BYTES {
            return Err(ForeignState);
        }
        let plain = self.sealer.open(&sealed, &self.context).map_err(|_| ForeignState)?;
        let mut rest = plain.as_slice();
        let [VERSION] = take_bytes::<1>(&mut rest)? else { return Err(ForeignState) };
        let mut time = [0; 8];
        for (to, from) in time.iter_mut().skip(8 - TIME_BYTES).zip(take_bytes::<TIME_BYTES>(&mut rest)?) {
            *to = from;
        }
        let [flags] = take_bytes::<1>(&mut rest)?;
        Ok(SignInState {
            started_at: Timestamp::from_millis(i64::from_be_bytes(time)),
            id: AttemptId(take_bytes(&mut rest)?),
            restarts: flags & 0x7f,
            entrance: if flags & 0x80 == 0 { Entrance::App } else { Entrance::Qr },
            target: take_bytes(&mut rest)?,
            cookie: take_bytes(&mut rest)?,
        })
    }
}

fn take_bytes<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ForeignState> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(ForeignState)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seal::SealPurpose;
    use proptest::prelude::*;

    fn sealer(corp: &str, agent: u32) -> StateSealer {
        StateSealer::new(Sealer::new(&[3; 32], SealPurpose::State), &CorpId::new(corp), agent)
    }

    fn state() -> SignInState {
        SignInState {
            started_at: Timestamp::from_millis(1_795_334_400_123),
            id: AttemptId::generate(),
            restarts: 1,
            entrance: Entrance::Qr,
            target: hash16(b"/x"),
            cookie: hash16(b"c"),
        }
    }

    #[test]
    fn a_state_is_short_alphanumeric_and_says_what_was_put_in() {
        for _ in 0..200 {
            let (sealer, state) = (sealer("ww1", 1_000_002), state());
            let text = sealer.seal(&state);
            assert!(text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
            assert_eq!(sealer.open(&text), Ok(state));
        }
    }

    #[test]
    fn case_19_a_state_for_another_corporation_or_application_is_foreign() {
        let text = sealer("ww1", 1_000_002).seal(&state());
        assert_eq!(sealer("ww2", 1_000_002).open(&text), Err(ForeignState));
        assert_eq!(sealer("ww1", 1_000_003).open(&text), Err(ForeignState));
    }

    #[test]
    fn case_19_a_changed_state_is_foreign() {
        let sealer = sealer("ww1", 1);
        let text = sealer.seal(&state());
        for i in 0..text.len() {
            let mut bad = text.clone().into_bytes();
            bad[i] = if bad[i] == b'a' { b'b' } else { b'a' };
            assert_eq!(sealer.open(std::str::from_utf8(&bad).unwrap()), Err(ForeignState));
            assert_eq!(sealer.open(&text[..i]), Err(ForeignState));
        }
    }

    proptest! {
        #[test]
        fn no_text_whatever_makes_it_panic(text in ".{0,140}") {
            prop_assert_eq!(sealer("ww1", 1).open(&text), Err(ForeignState));
        }
    }
}
