//! The path of a request, in the one spelling that rules are compared with.
//!
//! A gateway that matches one spelling while the application serves another is the oldest hole of this trade
//! (`LemonLDAP` CVE-2020-24660, oauth2-proxy GHSA-7rh7-c77v-6434). So a path is canonicalised once, and every
//! spelling that two programs could read differently is [`Ambiguous`], which means deny: browsers send none of
//! them. What is left is decoded once, free of dot segments, duplicate slashes and a trailing slash.

use std::borrow::Cow;

/// A path as rules see it: decoded, beginning with `/`, without a trailing one (but for the root itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    main: Cow<'a, str>,
    others: Vec<String>,
}

/// Why a path means different things to different programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// Not `/…`: an absolute-form or asterisk-form target, or nothing.
    #[error("the request target does not begin with a slash")]
    NotOriginForm,
    /// A raw `#`, after which some programs stop reading.
    #[error("the request target has a raw #")]
    Fragment,
    /// A backslash, which some programs read as a slash, raw or encoded.
    #[error("the path has a backslash")]
    Backslash,
    /// A control character or white space that no browser sends, or an encoded control character.
    #[error("the path has a control character or raw white space")]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("the path has an incomplete percent-escape")]
    Escape,
    /// Bytes that are no UTF-8, overlong forms among them.
    #[error("the path is not UTF-8")]
    Encoding,
    /// `%2F`: a slash to some, part of a name to others.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// An escape is left after decoding: some programs decode twice.
    #[error("the path is encoded twice")]
    EncodedTwice,
    /// `.` or `..` with encoded dots or with path parameters (`..;x`).
    #[error("the path has a disguised dot segment")]
    DisguisedDots,
    /// More `..` than there are segments before it.
    #[error("the path climbs above the root")]
    AboveRoot,
    /// `..` together with `//`: whether the empty segment counts differs (nginx: no, RFC 3986 §5.2.4: yes).
    #[error("the path has both an empty and a parent segment")]
    EmptyAndParent,
}

impl<'a> CanonicalPath<'a> {
    /// Canonicalises the path of a request target (`/path?query`) as it stands in the request line.
    ///
    /// The query takes no part, except that a raw `#` in it is refused too.
    ///
    /// # Errors
    /// [`Ambiguous`] for every spelling that two programs could understand differently.
    pub fn of_target(target: &'a str) -> Result<Self, Ambiguous> {
        if target.contains('#') {
            return Err(Ambiguous::Fragment);
        }
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        if !path.starts_with('/') {
            return Err(Ambiguous::NotOriginForm);
        }
        if is_plain(path) {
            let main = path.strip_suffix('/').filter(|p| !p.is_empty()).unwrap_or(path);
            return Ok(Self { main: Cow::Borrowed(main), others: Vec::new() });
        }
        if path.contains('\\') {
            return Err(Ambiguous::Backslash);
        }
        if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Ambiguous::Control);
        }
        let segments = path.split('/').skip(1).map(segment).collect::<Result<Vec<_>, _>>()?;
        let named = || segments.iter().map(AsRef::as_ref);
        let stripped = || segments.iter().map(|s| s.split(';').next().unwrap_or_default());
        let main = resolve(named())?;
        let mut others = Vec::new();
        let parameters = segments.iter().any(|s| s.contains(';'));
        if parameters {
            others.push(resolve(stripped())?);
        }
        if segments.iter().any(|s| matches!(s.as_ref(), "." | "..")) {
            others.push(join(named()));
            if parameters {
                others.push(join(stripped()));
            }
        }
        Ok(Self { main: Cow::Owned(main), others })
    }

    /// The path with everything that was written in its segments.
    pub fn main(&self) -> &str {
        &self.main
    }

    /// How else an application may read the path, which is passed on as it was sent: without the parameters of
    /// its segments (`;jsessionid=…`, as Java servers do), and with its dot segments standing as names (as many
    /// routers do, for which `/api/../public` is below `/api`). Nearly always nothing. A decision must be the
    /// same for all of them.
    pub fn other_readings(&self) -> impl Iterator<Item = &str> {
        self.others.iter().map(String::as_str)
    }
}

/// Whether `path` is its own canonical form but for a trailing slash. Nearly every request is, so this is the
/// whole cost of canonicalising on the check path: one pass, no allocation.
fn is_plain(path: &str) -> bool {
    let mut previous = b' ';
    for byte in path.bytes() {
        let fine = match byte {
            b'/' | b'.' => previous != b'/',
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            _ => b"-_~!$&'()*+,=:@".contains(&byte),
        };
        if !fine {
            return false;
        }
        previous = byte;
    }
    true
}

/// One segment, decoded once.
fn segment(raw: &str) -> Result<Cow<'_, str>, Ambiguous> {
    let decoded = decode(raw)?;
    if decoded.contains('/') {
        return Err(Ambiguous::EncodedSlash);
    }
    if decoded.contains('\\') {
        return Err(Ambiguous::Backslash);
    }
    if decoded.contains(char::is_control) {
        return Err(Ambiguous::Control);
    }
    if has_escape(decoded.as_bytes()) {
        return Err(Ambiguous::EncodedTwice);
    }
    let name = decoded.split(';').next().unwrap_or_default();
    if matches!(name, "." | "..") && name != raw {
        return Err(Ambiguous::DisguisedDots);
    }
    Ok(decoded)
}

fn decode(raw: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let (value, tail) = escape(tail).ok_or(Ambiguous::Escape)?;
            bytes.push(value);
            rest = tail;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Ambiguous::Encoding)
}

/// The byte that two hexadecimal digits at the beginning of `digits` mean, and what follows them.
fn escape(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, rest) = digits.split_first_chunk::<2>()?;
    let [high, low] = pair.map(|d| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok()));
    Some((high? << 4 | low?, rest))
}

fn has_escape(text: &[u8]) -> bool {
    text.split(|b| *b == b'%').skip(1).any(|after| escape(after).is_some())
}

/// Joins segments, with dot segments resolved, empty ones dropped.
fn resolve<'s>(segments: impl Iterator<Item = &'s str>) -> Result<String, Ambiguous> {
    let mut kept: Vec<&str> = Vec::new();
    let (mut parent, mut empty) = (false, false);
    let mut segments = segments.peekable();
    while let Some(segment) = segments.next() {
        match segment {
            // The last one is only a trailing slash.
            "" => empty |= segments.peek().is_some(),
            "." => {}
            ".." => {
                parent = true;
                kept.pop().ok_or(Ambiguous::AboveRoot)?;
            }
            name => kept.push(name),
        }
    }
    if parent && empty {
        return Err(Ambiguous::EmptyAndParent);
    }
    Ok(join(kept.into_iter()))
}

/// Joins segments; empty ones are dropped.
fn join<'s>(segments: impl Iterator<Item = &'s str>) -> String {
    let mut path = String::new();
    for segment in segments.filter(|s| !s.is_empty()) {
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn main(target: &str) -> String {
        CanonicalPath::of_target(target).unwrap_or_else(|e| panic!("{target}: {e}")).main().to_owned()
    }

    fn refused(target: &str) -> Ambiguous {
        CanonicalPath::of_target(target).expect_err(target)
    }

    #[test]
    fn one_path_has_one_spelling() {
        for (raw, want) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("//a///b//", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
            ("/%61dmin", "/admin"),
            ("/%E8%B4%A2%E5%8A%A1", "/财务"),
            ("/财务", "/财务"),
            ("/a%20b", "/a b"),
            ("/100%25", "/100%"),
            ("/C%23", "/C#"),
            ("/a[1]|b", "/a[1]|b"),
        ] {
            assert_eq!(main(raw), want, "{raw}");
        }
    }

    #[test]
    fn case_3_the_query_takes_no_part() {
        assert_eq!(main("/private?x=1/public/status"), "/private");
        assert_eq!(main("/private?/../public"), "/private");
        assert_eq!(main("/a?b=%2f%zz\\"), "/a");
    }

    #[test]
    fn case_4_a_raw_hash_is_refused_wherever_it_stands() {
        assert_eq!(refused("/public/x#/../../api"), Ambiguous::Fragment);
        assert_eq!(refused("/public?x#y"), Ambiguous::Fragment);
    }

    #[test]
    fn case_9_what_two_programs_could_read_differently_is_ambiguous() {
        for (raw, why) in [
            ("", Ambiguous::NotOriginForm),
            ("*", Ambiguous::NotOriginForm),
            ("?x", Ambiguous::NotOriginForm),
            ("http://evil.example/", Ambiguous::NotOriginForm),
            ("/public/..%2fapi/x", Ambiguous::EncodedSlash),
            ("/a%2Fb", Ambiguous::EncodedSlash),
            ("/public/%2e%2e/api/x", Ambiguous::DisguisedDots),
            ("/public/.%2e/api", Ambiguous::DisguisedDots),
            ("/public/%2e/api", Ambiguous::DisguisedDots),
            ("/public/..;/api/x", Ambiguous::DisguisedDots),
            ("/public/..;a=b/api", Ambiguous::DisguisedDots),
            ("/public/.;/api", Ambiguous::DisguisedDots),
            ("/public/..%3b/api", Ambiguous::DisguisedDots),
            ("/public\\..\\api", Ambiguous::Backslash),
            ("/public/..%5capi", Ambiguous::Backslash),
            ("/a%00b", Ambiguous::Control),
            ("/a%0d%0ab", Ambiguous::Control),
            ("/a%7f", Ambiguous::Control),
            ("/a b", Ambiguous::Control),
            ("/a\tb", Ambiguous::Control),
            ("/%c0%ae%c0%ae/api", Ambiguous::Encoding),
            ("/%c0%af", Ambiguous::Encoding),
            ("/%ff", Ambiguous::Encoding),
            ("/%", Ambiguous::Escape),
            ("/%2", Ambiguous::Escape),
            ("/%zz", Ambiguous::Escape),
            ("/%u002e", Ambiguous::Escape),
            ("/%252e%252e/api", Ambiguous::EncodedTwice),
            ("/%2541", Ambiguous::EncodedTwice),
            ("/..", Ambiguous::AboveRoot),
            ("/a/../../api", Ambiguous::AboveRoot),
            ("/public//../api", Ambiguous::EmptyAndParent),
            ("/public/;x/../api", Ambiguous::EmptyAndParent),
        ] {
            assert_eq!(refused(raw), why, "{raw}");
        }
    }

    fn others(target: &str) -> Vec<String> {
        CanonicalPath::of_target(target).unwrap().other_readings().map(str::to_owned).collect()
    }

    #[test]
    fn case_9_parameters_and_dot_segments_give_other_readings() {
        assert_eq!(main("/a;v=1/b;jsessionid=9/"), "/a;v=1/b;jsessionid=9");
        assert_eq!(others("/a;v=1/b;jsessionid=9/"), ["/a/b"]);
        assert_eq!(others("/api/../public/./x"), ["/api/../public/./x"]);
        assert_eq!(others("/a;v/../b"), ["/b", "/a;v/../b", "/a/../b"]);
        assert_eq!(others("/a/b"), Vec::<String>::new());
        assert_eq!(others("/.well-known/财"), Vec::<String>::new());
    }

    fn encoded(path: &str) -> String {
        path.split('/').map(|s| urlencoding::encode(s).into_owned()).collect::<Vec<_>>().join("/")
    }

    proptest! {
        #[test]
        fn case_9_canonicalising_is_idempotent(raw in "(/|\\.|\\.\\.|;|%2[ef5]|%[0-9a-f]{2}|[a-c]|财| |//|\\\\|\\?|#|%){0,16}") {
            let raw = format!("/{raw}");
            if let Ok(once) = CanonicalPath::of_target(&raw) {
                let again = encoded(once.main());
                let again = CanonicalPath::of_target(&again).unwrap();
                prop_assert_eq!(again.main(), once.main());
                prop_assert!(!once.main().contains("//"));
                prop_assert!(!once.main().split('/').any(|s| s == "." || s == ".."));
            }
        }

        #[test]
        fn case_9_any_text_has_an_answer(raw in "\\PC*") {
            let _ = CanonicalPath::of_target(&raw);
        }

        #[test]
        fn case_9_the_short_way_agrees_with_the_long_one(raw in "/[a-b./@~-]{0,12}") {
            let long = raw.split('/').skip(1).map(segment).collect::<Result<Vec<_>, _>>()
                .and_then(|s| resolve(s.iter().map(AsRef::as_ref)));
            if is_plain(&raw) {
                prop_assert_eq!(long.unwrap(), main(&raw));
            }
        }
    }
}
