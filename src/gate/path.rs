//! The path of a request as it was sent, and each way in which some program understands it
//! differently.
//!
//! Everything here works on bytes: `%D6%D0` is a name in GBK and not UTF-8, and rules must match
//! such names too. [`super::readings`] combines these ways.

use std::borrow::Cow;

use memchr::{memchr, memmem};
use unicode_normalization::UnicodeNormalization as _;

/// The reasons why a text is not a request target (RFC 9112 §3.2). Such a request is denied without
/// asking any rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRequestTarget {
    /// The target does not begin with `/`: it is an absolute-form or asterisk-form target, or
    /// empty.
    #[error("the request target does not begin with a slash")]
    NotOriginForm,
    /// A raw `#`, after which some programs stop reading.
    #[error("the request target has a raw #")]
    Fragment,
    /// A raw control character or space, which ends the target in a request line.
    #[error("the request target has a raw control character or blank")]
    Control,
}

/// Returns the path of a request target (`/path?query`), as it stands in the request line.
///
/// The query takes no part in any decision.
///
/// # Errors
/// [`BadRequestTarget`], for a mistake anywhere in the target.
pub(crate) fn path_of_target(target: &str) -> Result<&str, BadRequestTarget> {
    if memchr(b'#', target.as_bytes()).is_some() {
        return Err(BadRequestTarget::Fragment);
    }
    if target.bytes().any(|b| b == b' ' || b.is_ascii_control()) {
        return Err(BadRequestTarget::Control);
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if path.starts_with('/') { Ok(path) } else { Err(BadRequestTarget::NotOriginForm) }
}

/// Returns whether every program understands `path` alike, except for letter case and a trailing
/// slash.
///
/// Nearly every request has such a path, so this one pass without allocation is its whole cost.
pub(crate) fn is_plain(path: &str) -> bool {
    let mut previous = b' ';
    for byte in path.bytes() {
        let fine = match byte {
            // Two slashes make an empty segment, and a dot before a slash may be a dot segment.
            b'/' => previous != b'/' && previous != b'.',
            // `(S(…))` may be a segment that ASP.NET removes.
            b'.' | b'(' => previous != b'/',
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            _ => b"-_~!$&'()*+,=:@".contains(&byte),
        };
        if !fine {
            return false;
        }
        previous = byte;
    }
    // Windows drops a dot at the end.
    previous != b'.'
}

/// Returns `path` without its trailing slash; the root keeps it.
pub(crate) fn without_trailing_slash<P: AsRef<[u8]> + ?Sized>(path: &P) -> &[u8] {
    let path = path.as_ref();
    path.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(path)
}

/// Decodes percent-escapes once. An encoded slash stays `%2F`, because RFC 3986 takes it for a part
/// of a name. An invalid escape (`%zz`) stays as it is.
pub(crate) fn decode_once(path: &[u8]) -> Vec<u8> {
    decode_escapes(path, false)
}

/// Decodes once more whatever is still encoded, including `%2F` and the `%u002F` of old IIS
/// versions.
pub(super) fn decode_again(path: &[u8]) -> Option<Vec<u8>> {
    memchr(b'%', path)?;
    let decoded = decode_escapes(path, true);
    (decoded != path).then_some(decoded)
}

/// Decodes once more whatever is still encoded, but keeps `%2F` as a part of a name.
pub(super) fn decode_again_but_slashes(path: &[u8]) -> Option<Vec<u8>> {
    memchr(b'%', path)?;
    let decoded = decode_escapes(path, false);
    (decoded != path).then_some(decoded)
}

/// Turns `%2F` into a slash and decodes nothing else.
pub(super) fn decode_slashes(path: &[u8]) -> Option<Vec<u8>> {
    memmem::find(path, b"%2F").or_else(|| memmem::find(path, b"%2f"))?;
    let mut text = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"%2F").or_else(|| rest.strip_prefix(b"%2f")) {
            text.push(b'/');
            rest = after;
        } else {
            text.push(byte);
            rest = tail;
        }
    }
    Some(text)
}

/// Decodes percent-escapes; with `everything` also slashes and `%uXXXX`.
fn decode_escapes(path: &[u8], everything: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            text.push(byte);
        } else if let Some((value, after)) = escaped_byte(tail) {
            // An encoded slash gets one spelling, so that `%2f` and `%2F` are one reading.
            if everything || value != b'/' {
                text.push(value);
            } else {
                text.extend(b"%2F");
            }
            rest = after;
        } else if let Some((value, after)) = escaped_unit(tail).filter(|_| everything) {
            text.extend(value.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
        } else {
            text.push(byte);
        }
    }
    text
}

/// Returns the byte that the two hexadecimal digits at the start of `digits` encode, and the rest.
fn escaped_byte(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, rest) = digits.split_first_chunk::<2>()?;
    let [high, low] = pair.map(hex_value);
    Some((high? << 4 | low?, rest))
}

/// Returns the character that `uXXXX` at the start of `digits` encodes, and the rest.
fn escaped_unit(digits: &[u8]) -> Option<(char, &[u8])> {
    let digits = digits.strip_prefix(b"u").or_else(|| digits.strip_prefix(b"U"))?;
    let (four, rest) = digits.split_first_chunk::<4>()?;
    let mut value = 0;
    for digit in four {
        value = value << 4 | u32::from(hex_value(*digit)?);
    }
    Some((char::from_u32(value)?, rest))
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Turns backslashes into slashes (WHATWG URL, IIS, Windows).
pub(super) fn backslashes_as_slashes(path: &[u8]) -> Option<Vec<u8>> {
    memchr(b'\\', path)?;
    Some(path.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect())
}

/// Cuts the path at the first byte that `ends` accepts. This is what remains when one program
/// writes the decoded path into a new request and the next program stops reading at that byte.
pub(super) fn cut_at(path: &[u8], ends: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let at = path.iter().position(|b| ends(*b))?;
    path.get(..at).map(<[u8]>::to_vec)
}

/// Returns whether a decoded byte ends a target as a space does in a request line.
pub(super) const fn is_blank(byte: u8) -> bool {
    byte != 0 && (byte <= b' ' || byte == 0x7f)
}

/// Removes the `;parameters` of segments, as Java servers do.
pub(super) fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    memchr(b';', path)?;
    Some(join_segments(split_segments(path).map(|s| s.split(|b| *b == b';').next().unwrap_or_default())))
}

/// Removes the segments in which ASP.NET keeps a session for browsers without cookies: `(S(…))`,
/// `(A(…)F(…))`.
pub(super) fn without_session_segments(path: &[u8]) -> Option<Vec<u8>> {
    let is_session = |s: &[u8]| s.starts_with(b"(") && s.ends_with(b"))");
    // Without such a segment there is no other reading, and no copy is made.
    split_segments(path).find(|s| is_session(s))?;
    Some(join_segments(split_segments(path).filter(|s| !is_session(s))))
}

/// Removes dots at the ends of segments, as Windows does when it opens files. Dot segments stay.
pub(super) fn without_trailing_dots(path: &[u8]) -> Option<Vec<u8>> {
    let strip = |s: &[u8]| s.iter().rposition(|b| *b != b'.').map(|last| last.saturating_add(1));
    let short = |s| strip(s).and_then(|end| <[u8]>::get(s, ..end)).unwrap_or(s);
    split_segments(path).find(|s| short(s).len() < s.len())?;
    Some(join_segments(split_segments(path).map(short)))
}

/// Removes tabs, which URL parsers drop wherever they stand (WHATWG URL §4.4).
pub(super) fn without_tabs(path: &[u8]) -> Option<Vec<u8>> {
    memchr(b'\t', path)?;
    Some(path.iter().copied().filter(|b| *b != b'\t').collect())
}

/// Trims every segment, as Spring's path matcher once did (CVE-2016-5007).
pub(super) fn with_trimmed_segments(path: &[u8]) -> Option<Vec<u8>> {
    if path.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    split_segments(path).find(|s| trim_segment(s).len() < s.len())?;
    Some(join_segments(split_segments(path).map(trim_segment)))
}

/// Converts to Unicode's compatibility form NFKC: full-width letters become letters (`ａdmin`), `／`
/// becomes a slash.
pub(super) fn in_compatibility_form(path: &[u8]) -> Option<Vec<u8>> {
    let normal = normalise_segment(path);
    (*normal != *path).then(|| normal.into_owned())
}

/// Removes empty segments, as nginx does.
pub(super) fn without_empty_segments(path: &[u8]) -> Option<Vec<u8>> {
    memmem::find(path, b"//")?;
    Some(join_segments(split_segments(path).filter(|s| !s.is_empty())))
}

/// Removes the first segment after two slashes, which URL parsers take for a host (Node's `new
/// URL`, PHP's `parse_url`).
pub(super) fn without_authority(path: &[u8]) -> Option<Vec<u8>> {
    let mut rest = path.strip_prefix(b"//")?;
    while let Some(after) = rest.strip_prefix(b"/") {
        rest = after;
    }
    let end = memchr(b'/', rest).unwrap_or(rest.len());
    let path = rest.get(end..).unwrap_or_default();
    Some(if path.is_empty() { b"/".to_vec() } else { path.to_vec() })
}

/// Resolves dot segments. An empty segment counts like any other (RFC 3986 §5.2.4), and `..` at the
/// root changes nothing.
pub(super) fn resolve_dots(path: &[u8]) -> Option<Vec<u8>> {
    split_segments(path).find(|s| is_dots(s))?;
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in split_segments(path) {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    Some(join_segments(kept.into_iter()))
}

/// Replaces segments that are dot segments, or empty, in disguise: with white space around them, in
/// another form of NFKC, or in the overlong forms that careless UTF-8 decoders accept.
pub(super) fn uncover_dots(path: &[u8]) -> Option<Vec<u8>> {
    let uncovered: Vec<Cow<'_, [u8]>> = split_segments(path).map(uncover_segment).collect();
    let any = uncovered.iter().any(|s| matches!(s, Cow::Owned(_)));
    any.then(|| join_segments(uncovered.iter().map(AsRef::as_ref)))
}

fn uncover_segment(segment: &[u8]) -> Cow<'_, [u8]> {
    // This covers nearly all segments. A backslash is handled by `backslashes_as_slashes`.
    if segment.iter().all(u8::is_ascii_graphic) {
        return Cow::Borrowed(segment);
    }
    let normal = normalise_segment(segment);
    // NFKC may have made slashes, which split the segment.
    let mut pieces: Vec<&[u8]> = normal.split(|b| matches!(b, b'/' | b'\\')).collect();
    let mut found = false;
    for piece in &mut pieces {
        let trimmed = trim_segment(piece);
        if is_dots(trimmed) || (trimmed.is_empty() && !segment.is_empty()) {
            found |= trimmed != segment;
            *piece = trimmed;
        }
    }
    if found { Cow::Owned(pieces.join(&b'/')) } else { Cow::Borrowed(segment) }
}

/// Applies NFKC (`．` and `‥` become dots, `／` becomes a slash) and decodes overlong forms (`C0 AE`,
/// `E0 80 AE`).
fn normalise_segment(segment: &[u8]) -> Cow<'_, [u8]> {
    if segment.is_ascii() {
        return Cow::Borrowed(segment);
    }
    let mut text = Vec::with_capacity(segment.len());
    for chunk in segment.utf8_chunks() {
        for c in chunk.valid().nfkc() {
            text.extend(c.encode_utf8(&mut [0; 4]).bytes());
        }
        text.extend(chunk.invalid());
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    loop {
        // C0, C1 and E0 80 begin overlong forms of characters that ASCII has.
        rest = match rest {
            [0xe0, 0x80, low @ 0x80..=0xbf, after @ ..] => {
                plain.push(low & 0x3f);
                after
            }
            [high @ 0xc0..=0xc1, low @ 0x80..=0xbf, after @ ..] => {
                plain.push((high & 1) << 6 | (low & 0x3f));
                after
            }
            [byte, after @ ..] => {
                plain.push(*byte);
                after
            }
            [] => return Cow::Owned(plain),
        };
    }
}

/// Removes white space, control characters and zero-width characters at both ends.
fn trim_segment(piece: &[u8]) -> &[u8] {
    let odd = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    std::str::from_utf8(piece).map_or_else(|_| piece.trim_ascii(), |text| text.trim_matches(odd).as_bytes())
}

const fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

/// Splits a path into its segments, without the slash that it begins with.
fn split_segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|b| *b == b'/')
}

fn join_segments<'s>(segments: impl Iterator<Item = &'s [u8]>) -> Vec<u8> {
    let mut path = Vec::new();
    for segment in segments {
        path.push(b'/');
        path.extend(segment);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

/// Folds letters to lower case. Bytes that are not UTF-8 stay as they are.
///
/// It goes by way of upper case, so that letters that share a capital become one letter (`ſ` and
/// `s`, `K` and `k`), and character by character, so that a part folds like the whole.
pub(crate) fn fold_case(text: &[u8]) -> Cow<'_, [u8]> {
    // Most paths need no copy.
    if !text.iter().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        return Cow::Borrowed(text);
    }
    if text.is_ascii() {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    let mut folded = String::with_capacity(text.len());
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        folded.clear();
        folded.extend(chunk.valid().chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
        bytes.extend(folded.bytes());
        bytes.extend(chunk.invalid());
    }
    Cow::Owned(bytes)
}

/// Formats a path for people: bytes that are not UTF-8, control characters and white space are
/// percent-encoded.
pub(crate) fn to_printable(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    let encode = |text: &mut String, bytes: &[u8]| {
        text.extend(bytes.iter().map(|byte| format!("%{byte:02X}")));
    };
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c.is_whitespace() {
                encode(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        encode(&mut text, chunk.invalid());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_3_the_query_takes_no_part() {
        for (target, path) in [
            ("/private?x=1/public/status", "/private"),
            ("/private?/../public", "/private"),
            ("/a?b=%2f%zz\\", "/a"),
            ("/search?q=%D6%D0", "/search"),
            ("/", "/"),
        ] {
            assert_eq!(path_of_target(target), Ok(path));
        }
    }

    #[test]
    fn case_4_what_is_no_request_target_is_refused_and_a_raw_hash_wherever_it_stands() {
        for (target, why) in [
            ("", BadRequestTarget::NotOriginForm),
            ("*", BadRequestTarget::NotOriginForm),
            ("?x", BadRequestTarget::NotOriginForm),
            ("http://evil.example/", BadRequestTarget::NotOriginForm),
            ("/public/x#/../../api", BadRequestTarget::Fragment),
            ("/public?x#y", BadRequestTarget::Fragment),
            ("/a b", BadRequestTarget::Control),
            ("/a\tb", BadRequestTarget::Control),
            ("/a?b\r\nc", BadRequestTarget::Control),
            ("/a\u{7f}", BadRequestTarget::Control),
        ] {
            assert_eq!(path_of_target(target), Err(why), "{target:?}");
        }
    }

    #[test]
    fn a_path_is_decoded_once_and_an_encoded_slash_stays() {
        for (path, want) in [
            ("/%61dmin", "/admin"),
            ("/%E8%B4%A2", "/财"),
            ("/a%2fb%2Fc", "/a%2Fb%2Fc"),
            ("/a%252fb", "/a%2fb"),
            ("/100%25", "/100%"),
            ("/%zz/%4/%", "/%zz/%4/%"),
            ("/%u002e", "/%u002e"),
            ("/%5c%3f%23", "/\\?#"),
        ] {
            assert_eq!(decode_once(path.as_bytes()), want.as_bytes(), "{path}");
        }
        assert_eq!(decode_once(b"/%D6%d0"), b"/\xd6\xd0");
        for (path, want) in [
            ("/a%2Fb", Some("/a/b")),
            ("/%2e%2E", Some("/..")),
            ("/%u002e%u8d22", Some("/.财")),
            ("/100%", None),
            ("/a", None),
        ] {
            assert_eq!(decode_again(path.as_bytes()).as_deref(), want.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn letters_that_have_one_capital_fold_to_one_letter() {
        for (text, want) in [
            ("/Admin", "/admin"),
            ("/\u{212a}\u{17f}", "/ks"),
            ("/ΣΑΣ", "/σασ"),
            ("/财", "/财"),
            ("/a", "/a"),
        ] {
            assert_eq!(&*fold_case(text.as_bytes()), want.as_bytes(), "{text}");
        }
        assert_eq!(&*fold_case(b"/\xd6\xd0A"), b"/\xd6\xd0a");
    }
}
