//! Path patterns of rules: `*` matches one segment or a part of one, `**` matches any number of
//! segments.

use memchr::{memchr, memmem};

use super::path;

/// A compiled path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    segments: Vec<GlobSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GlobSegment {
    /// `**`: any number of segments, also none.
    AnyDepth,
    /// A segment without `*`.
    Literal(Box<[u8]>),
    /// A segment with `*`, split at each of them: at least two pieces.
    Pieces(Box<[Box<[u8]>]>),
}

impl Glob {
    /// Compiles a pattern as an administrator writes it. An empty pattern matches every path.
    ///
    /// Escapes are decoded as in a URL, so `/a%20b` and `/%E8%B4%A2` may be copied from the address
    /// bar.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the pattern.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Ok(Self { segments: vec![GlobSegment::AnyDepth] });
        }
        if pattern.contains('?') {
            return Err("the query takes no part in matching: the path may not contain ?".to_owned());
        }
        if path::path_of_target(pattern).is_err() {
            return Err("the path must begin with / and have no raw #, blank or control character".to_owned());
        }
        if pattern.to_ascii_lowercase().contains("%2a") {
            return Err("a * cannot be matched literally".to_owned());
        }
        let decoded = path::decode_once(pattern.as_bytes());
        if decoded.contains(&b';') {
            return Err("requests are also read without ;parameters: the path may not contain ;".to_owned());
        }
        if decoded.contains(&b'\\') {
            return Err("a backslash is also read as a slash: the path may not contain one".to_owned());
        }
        if decoded.iter().any(u8::is_ascii_control) {
            return Err("the path has an encoded control character".to_owned());
        }
        // What is still encoded now is an encoded slash, an escape within an escape, or no escape
        // at all.
        if path::decode_again(&decoded).is_some() {
            return Err("an encoded slash is also read as a slash, and what is encoded twice as decoded: \
                        the path may contain neither"
                .to_owned());
        }
        if has_broken_escape(pattern) {
            return Err("the path has a % without two hexadecimal digits: a % itself is %25".to_owned());
        }
        if path::resolve_dots(&decoded).is_some() {
            return Err("the path may not contain dot segments".to_owned());
        }
        let names = decoded.split(|b| *b == b'/').filter(|s| !s.is_empty());
        Ok(Self { segments: names.map(GlobSegment::compile).collect::<Result<_, _>>()? })
    }

    /// Returns the same pattern for paths that are folded to lower case.
    #[must_use]
    pub(crate) fn folded(&self) -> Self {
        let fold = |text: &[u8]| Box::from(&*path::fold_case(text));
        let segments = self.segments.iter().map(|segment| match segment {
            GlobSegment::AnyDepth => GlobSegment::AnyDepth,
            GlobSegment::Literal(text) => GlobSegment::Literal(fold(text)),
            GlobSegment::Pieces(pieces) => {
                GlobSegment::Pieces(pieces.iter().map(|piece| fold(piece)).collect())
            }
        });
        Self { segments: segments.collect() }
    }

    /// Returns whether every path matches.
    pub(crate) fn matches_everything(&self) -> bool {
        self.segments == [GlobSegment::AnyDepth]
    }

    /// Returns the text that the first segment of a path must equal; `None` if any text may match.
    pub(crate) fn literal_first_segment(&self) -> Option<&[u8]> {
        match self.segments.first() {
            Some(GlobSegment::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the segments of the folder that all matching paths lie in, as far as it has no
    /// wildcard: `/a` for `/a/**` and for `/a/*.js`.
    pub(crate) fn folder(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map_while(|segment| match segment {
            GlobSegment::Literal(text) => Some(&**text),
            GlobSegment::AnyDepth | GlobSegment::Pieces(_) => None,
        })
    }

    /// Returns whether the pattern matches exactly [`Glob::folder`] and everything in it.
    pub(crate) fn is_folder(&self) -> bool {
        self.segments.iter().position(|s| *s == GlobSegment::AnyDepth) == Some(self.folder().count())
            && self.folder().count() + 1 == self.segments.len()
    }

    /// Returns whether the pattern has wildcards, so that it matches paths which it does not spell
    /// out.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.segments.iter().any(|segment| !matches!(segment, GlobSegment::Literal(_)))
    }

    /// Returns whether `path` matches. `path` is one reading of a path and begins with `/`.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let mut rest = path.strip_prefix(b"/").unwrap_or(path);
        let mut pattern = self.segments.as_slice();
        // The rest of the pattern after the last `**`, and the segment at which it was last tried.
        // Going back to the last `**` is enough, so the cost is at most segments × pattern.
        let mut retry: Option<(&[GlobSegment], &[u8])> = None;
        loop {
            match (pattern.split_first(), split_first_segment(rest)) {
                (Some((GlobSegment::AnyDepth, [])), _) | (None, None) => return true,
                (Some((GlobSegment::AnyDepth, tail)), _) => {
                    retry = Some((tail, rest));
                    pattern = tail;
                }
                (Some((segment, tail)), Some((head, after))) if segment.matches(head) => {
                    pattern = tail;
                    rest = after;
                }
                _ => {
                    let Some((tail, from)) = retry else { return false };
                    let Some((_, after)) = split_first_segment(from) else { return false };
                    retry = Some((tail, after));
                    pattern = tail;
                    rest = after;
                }
            }
        }
    }
}

/// Returns whether some `%` is not followed by two hexadecimal digits.
fn has_broken_escape(pattern: &str) -> bool {
    let escape = |after: &[u8]| after.iter().take(2).filter(|b| b.is_ascii_hexdigit()).count() == 2;
    pattern.as_bytes().split(|b| *b == b'%').skip(1).any(|after| !escape(after))
}

/// Returns the first segment of `path`; empty for the root.
pub(crate) fn first_segment(path: &[u8]) -> &[u8] {
    split_first_segment(path.strip_prefix(b"/").unwrap_or(path)).map_or(b"", |(first, _)| first)
}

fn split_first_segment(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if rest.is_empty() {
        return None;
    }
    Some(memchr(b'/', rest).and_then(|at| split_around(rest, at, 1)).unwrap_or((rest, b"")))
}

/// Returns the text before and after the `length` bytes at `at`.
fn split_around(text: &[u8], at: usize, length: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at.checked_add(length)?..)?))
}

impl GlobSegment {
    fn compile(text: &[u8]) -> Result<Self, String> {
        if text == b"**" {
            Ok(Self::AnyDepth)
        } else if memmem::find(text, b"**").is_some() {
            Err(format!("`**` stands alone between slashes, unlike in `{}`", path::to_printable(text)))
        } else if text.contains(&b'*') {
            Ok(Self::Pieces(text.split(|b| *b == b'*').map(Box::from).collect()))
        } else {
            Ok(Self::Literal(text.into()))
        }
    }

    fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Self::AnyDepth => true,
            Self::Literal(text) => **text == *segment,
            Self::Pieces(pieces) => {
                let [first, middle @ .., last] = &**pieces else { return false };
                let Some(rest) = segment.strip_prefix(&**first) else { return false };
                let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
                for piece in middle {
                    let found = memmem::find(rest, piece);
                    let Some((_, after)) = found.and_then(|at| split_around(rest, at, piece.len())) else {
                        return false;
                    };
                    rest = after;
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::compile(pattern).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        for (pattern, path) in [
            ("", "/"),
            ("", "/a/b"),
            ("/**", "/"),
            ("/admin/**", "/admin"),
            ("/admin/**", "/admin/x/y"),
            ("/admin", "/admin"),
            ("/admin/", "/admin"),
            ("/a/*/c", "/a/b/c"),
            ("/*.js", "/x.js"),
            ("/static/*.min.*", "/static/x.min.js"),
            ("/**/*.js", "/a/b/x.js"),
            ("/**/*.js", "/x.js"),
            ("/a/**/b/**/c", "/a/1/b/b/2/c"),
            ("/%E8%B4%A2/**", "/财/x"),
            ("/财/**", "/财"),
            ("/a%20b", "/a b"),
            ("/", "/"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/admin/**", "/administrator"),
            ("/admin/**", "/x/admin"),
            ("/admin", "/admin/x"),
            ("/admin", "/Admin"),
            ("/a/*", "/a"),
            ("/a/*", "/a/b/c"),
            ("/*.js", "/a/x.js"),
            ("/ab*ba", "/aba"),
            ("/a/**/b", "/a/b/c"),
            ("/", "/a"),
            ("/*", "/"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_with_another_first_segment_than_the_patterns_never_matches() {
        for (pattern, first) in [
            ("/a/**", Some("a")),
            ("/a*/b", None),
            ("/**/a", None),
            ("", None),
            ("/", None),
            ("/%61", Some("a")),
        ] {
            assert_eq!(
                Glob::compile(pattern).unwrap().literal_first_segment(),
                first.map(str::as_bytes),
                "{pattern}"
            );
        }
        for path in ["/", "/b", "/b/a", "/aa", "/ab/a"] {
            assert_ne!(first_segment(path.as_bytes()), b"a", "{path}");
            assert!(!matches("/a/**", path), "{path}");
        }
        for (path, first) in [("/", ""), ("/a", "a"), ("/a/b", "a"), ("//a", ""), ("/a//b", "a")] {
            assert_eq!(first_segment(path.as_bytes()), first.as_bytes(), "{path}");
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let pattern = format!("/{}x", "**/a/".repeat(20));
        assert!(!matches(&pattern, &"/a".repeat(2000)));
    }

    #[test]
    fn a_pattern_that_could_not_mean_what_it_says_is_an_error() {
        for bad in [
            "admin",
            "/a?b",
            "/a#b",
            "/a;b",
            "/a%3bb",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a**",
            "/a/***",
            "/%2a",
            "/%2f",
            "/a b",
            "/%",
            "/%z1",
            "/%2541",
            "/a\\b",
            "/a%5cb",
            "/%00",
            "/%0a",
            "*",
        ] {
            assert!(Glob::compile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_may_name_what_is_no_utf8_and_folds_as_paths_do() {
        let gbk = Glob::compile("/%D6%D0/*.PDF").unwrap();
        assert!(gbk.matches(b"/\xd6\xd0/x.PDF") && !gbk.matches(b"/\xd6\xd1/x.PDF"));
        assert!(!gbk.matches(b"/\xd6\xd0/x.pdf") && gbk.folded().matches(b"/\xd6\xd0/x.pdf"));
        let admin = Glob::compile("/Admin/**").unwrap().folded();
        assert_eq!(admin, Glob::compile("/aDMIN/**").unwrap().folded());
        assert!(admin.matches(b"/admin/X"));
    }

    #[test]
    fn an_empty_segment_is_a_segment_like_any_other() {
        assert!(matches("/a/*/b", "/a//b") && !matches("/a/b", "/a//b") && !matches("/a/**", "//a"));
        assert!(matches("/**/a", "//a"));
    }
}
