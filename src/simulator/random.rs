//! Random texts: tokens, codes, pairing numbers.

/// Returns random characters of `[A-Za-z0-9_-]`, as in WeCom's tokens and codes.
pub(super) fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    random_chars(length, ALPHABET)
}

/// Returns random decimal digits.
pub(super) fn random_digits(length: usize) -> String {
    random_chars(length, b"0123456789")
}

fn random_chars(length: usize, alphabet: &[u8]) -> String {
    // The modulo favours some digits a little; nothing here has to resist that.
    let mut bytes = vec![0_u8; length];
    #[expect(clippy::expect_used, reason = "without randomness of the system nothing can go on")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
        .iter()
        .filter_map(|b| alphabet.get(usize::from(*b) % alphabet.len()))
        .map(|b| char::from(*b))
        .collect()
}
