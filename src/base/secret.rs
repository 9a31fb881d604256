//! Secrets: the type that holds them, comparison in constant time, and fresh random ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Text that is never printed: `Debug` shows `[REDACTED]`, reading it takes `expose_secret()`.
pub type Secret = secrecy::SecretString;
pub(crate) use secrecy::ExposeSecret;

/// Returns `N` bytes from the operating system's generator.
///
/// # Panics
/// Never in practice: aws-lc aborts the process itself if the operating system gives no randomness.
#[expect(clippy::expect_used, reason = "without randomness nothing here may go on")]
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// Returns `N` random bytes as unpadded base64url.
pub fn random_token<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<N>())
}

/// Compares two byte strings in a time that depends on their lengths only.
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Returns the SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0_u8; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Returns the SHA-256 of `text` as lower-case hex, the form in which secrets that are only
/// compared are stored.
pub fn sha256_hex(text: &str) -> String {
    hex::encode(sha256(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::from("S3CRET".to_owned());
        assert!(!format!("{secret:?}").contains("S3CRET"));
    }

    #[test]
    fn random_tokens_have_the_length_of_their_bytes_and_differ() {
        let (a, b) = (random_token::<32>(), random_token::<32>());
        assert_eq!(a.len(), 43);
        assert_ne!(a, b);
    }
}
