//! The one form of an ES256 signature: its `s` is in the lower half of the group's order.
//!
//! Whoever has a signature (r, s) can write another one that verifies as well, (r, n − s), without
//! any key. A token would then have two spellings, and whatever remembers tokens by their text
//! would know only one of them. RFC 7518 §3.4 permits both; ours are the lower one, like those of
//! BIP 146.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of `r` and of `s` (RFC 7518 §3.4).
const SCALAR_BYTES: usize = 32;

/// n, the order of P-256's group (SEC 2 §2.4.2), big-endian.
const GROUP_ORDER: [u8; SCALAR_BYTES] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, //
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// ⌊n ÷ 2⌋.
const HALF_ORDER: [u8; SCALAR_BYTES] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, //
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Returns whether the signature of `token` (`header.claims.signature`) has the lower `s`. Does not
/// verify it.
pub(super) fn has_low_s(token: &str) -> bool {
    split_token(token).is_some_and(|(_, _, s)| s.cmp(&HALF_ORDER) != Ordering::Greater)
}

/// Returns `token` with the lower `s`, or `None` if its signature is not an ES256 signature.
pub(super) fn lower_s(token: String) -> Option<String> {
    let (signed, r, s) = split_token(&token)?;
    if s.cmp(&HALF_ORDER) != Ordering::Greater {
        return Some(token);
    }
    let signature = [r, subtract_from_order(&s)?].concat();
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Splits a token into what is signed, r and s.
fn split_token(token: &str) -> Option<(&str, [u8; SCALAR_BYTES], [u8; SCALAR_BYTES])> {
    let (signed, signature) = token.rsplit_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let (r, s) = bytes.split_at_checked(SCALAR_BYTES)?;
    Some((signed, r.try_into().ok()?, s.try_into().ok()?))
}

/// Returns n − s, or `None` if s is greater than n.
fn subtract_from_order(s: &[u8; SCALAR_BYTES]) -> Option<[u8; SCALAR_BYTES]> {
    let mut difference = [0; SCALAR_BYTES];
    let mut borrow = false;
    for ((digit, n), s) in difference.iter_mut().zip(GROUP_ORDER).zip(*s).rev() {
        let (partial, under) = n.overflowing_sub(s);
        let (value, under_again) = partial.overflowing_sub(u8::from(borrow));
        *digit = value;
        borrow = under || under_again;
    }
    (!borrow).then_some(difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(s: &[u8; SCALAR_BYTES]) -> String {
        format!("a.b.{}", URL_SAFE_NO_PAD.encode([[7; SCALAR_BYTES], *s].concat()))
    }

    fn plus_one(mut number: [u8; SCALAR_BYTES]) -> [u8; SCALAR_BYTES] {
        for digit in number.iter_mut().rev() {
            let (value, over) = digit.overflowing_add(1);
            *digit = value;
            if !over {
                break;
            }
        }
        number
    }

    #[test]
    fn half_the_order_is_low_and_one_more_is_not() {
        assert!(has_low_s(&token(&HALF_ORDER)));
        let above = plus_one(HALF_ORDER);
        assert!(!has_low_s(&token(&above)));
        // n is odd: n − (⌊n/2⌋ + 1) = ⌊n/2⌋.
        assert_eq!(lower_s(token(&above)), Some(token(&HALF_ORDER)));
        assert_eq!(lower_s(token(&HALF_ORDER)), Some(token(&HALF_ORDER)));
    }

    #[test]
    fn what_is_no_signature_is_neither_low_nor_lowered() {
        for text in ["", "a.b", "a.b.", "a.b.AAAA", "a.b.!!", &format!("{}AA", token(&HALF_ORDER))] {
            assert!(!has_low_s(text), "{text}");
            assert_eq!(lower_s(text.to_owned()), None, "{text}");
        }
        assert_eq!(lower_s(token(&[0xff; SCALAR_BYTES])), None, "s above n");
    }
}
