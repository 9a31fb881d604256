//! Authenticated encryption under keys derived from the root secret.
//!
//! The one root secret (`server.secret`) seals several kinds of values. Each kind has its own key,
//! derived by HKDF-SHA-256 (RFC 5869) from the root and the name of the kind, so that a value
//! sealed as one kind can never be opened as another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;

/// The kind of a sealed value. Its name is part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealPurpose {
    /// WeCom's `state`.
    State,
    /// A sign-in handed from an application host to public_url's host.
    HandOff,
    /// A signing key in the database.
    SigningKey,
}

impl SealPurpose {
    const fn key_info(self) -> &'static str {
        match self {
            Self::State => "gongpai state v1",
            Self::HandOff => "gongpai hand-off v1",
            Self::SigningKey => "gongpai signing key v1",
        }
    }
}

/// Seals and opens values for one [`SealPurpose`]: AES-256-GCM with a random nonce.
///
/// A sealed value is `nonce (12) ‖ ciphertext ‖ tag (16)`: [`SEAL_OVERHEAD_BYTES`] longer than the
/// plaintext.
pub struct Sealer {
    key: RandomizedNonceKey,
}

/// How much longer a sealed value is than its plaintext.
pub(crate) const SEAL_OVERHEAD_BYTES: usize = NONCE_LEN + 16;

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer([REDACTED])")
    }
}

/// The error for a value that we did not seal for this purpose and context, or that was changed
/// since.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the sealed value is not ours or was changed")]
pub struct UnsealError;

struct Aes256KeyLength;
impl hkdf::KeyType for Aes256KeyLength {
    fn len(&self) -> usize {
        32
    }
}

impl Sealer {
    /// Makes the sealer for `purpose` under the 32-byte root secret.
    #[expect(clippy::expect_used, reason = "32 bytes are a valid HKDF-SHA-256 output and AES-256 key")]
    pub fn new(root: &[u8; 32], purpose: SealPurpose) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"gongpai").extract(root);
        let mut key = [0_u8; 32];
        prk.expand(&[purpose.key_info().as_bytes()], Aes256KeyLength)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are a valid output length");
        Self { key: RandomizedNonceKey::new(&AES_256_GCM, &key).expect("32 bytes are an AES-256 key") }
    }

    /// Seals `plain`, bound to `context`, which opening needs again.
    #[expect(clippy::expect_used, reason = "sealing fails only beyond 64 GiB")]
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        let nonce =
            self.key.seal_in_place_append_tag(Aad::from(context), &mut body).expect("less than 64 GiB");
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut body);
        out
    }

    /// Opens a value that [`Sealer::seal`] made with the same purpose, root and context.
    ///
    /// # Errors
    /// [`UnsealError`] for everything else.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(UnsealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let mut body = body.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| UnsealError)?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_for_its_purpose_context_and_root() {
        let state = Sealer::new(&[7; 32], SealPurpose::State);
        let sealed = state.seal(b"hello", b"corp");
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD_BYTES);
        assert_eq!(state.open(&sealed, b"corp").as_deref(), Ok(&b"hello"[..]));
        assert_eq!(state.open(&sealed, b"other"), Err(UnsealError));
        assert_eq!(Sealer::new(&[8; 32], SealPurpose::State).open(&sealed, b"corp"), Err(UnsealError));
        assert_eq!(Sealer::new(&[7; 32], SealPurpose::HandOff).open(&sealed, b"corp"), Err(UnsealError));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let sealer = Sealer::new(&[1; 32], SealPurpose::State);
        let sealed = sealer.seal(b"attempt", b"");
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert_eq!(sealer.open(&bad, b""), Err(UnsealError), "byte {i}");
            assert_eq!(sealer.open(&sealed[..i], b""), Err(UnsealError), "cut at {i}");
        }
    }
}
