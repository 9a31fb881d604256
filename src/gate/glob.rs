//! Path patterns of rules: `*` is one segment or a part of one, `**` is any number of segments.

use super::path::CanonicalPath;

/// A compiled path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of segments, none included.
    AnyDepth,
    /// Exactly this text.
    Literal(Box<str>),
    /// Text with `*` in it, split there: at least two pieces.
    Pieces(Box<[Box<str>]>),
}

impl Glob {
    /// Compiles a pattern as an administrator writes it; empty means every path.
    ///
    /// Escapes are read as in a URL, so `/a%20b` and `/%E8%B4%A2` are written like the address bar copies them.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the pattern.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Ok(Self { segments: vec![Segment::AnyDepth] });
        }
        if pattern.contains('?') {
            return Err("the query takes no part in matching: the path may not contain ?".to_owned());
        }
        if pattern.contains(';') {
            return Err("a path with ; is read in two ways and could never match".to_owned());
        }
        if pattern.to_ascii_lowercase().contains("%2a") {
            return Err("a * cannot be matched literally".to_owned());
        }
        if pattern.split('/').any(|s| matches!(s, "." | "..")) {
            return Err("the path may not contain dot segments".to_owned());
        }
        let path = CanonicalPath::of_target(pattern).map_err(|why| why.to_string())?;
        let segments = path
            .main()
            .split('/')
            .filter(|s| !s.is_empty())
            .map(Segment::compile)
            .collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// Whether every path matches.
    pub fn is_everything(&self) -> bool {
        self.segments == [Segment::AnyDepth]
    }

    /// What the first segment of a path must be to match; `None`: it may be any.
    pub fn first(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether `path`, which is canonical, matches.
    pub fn matches(&self, path: &str) -> bool {
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        let mut pattern = self.segments.as_slice();
        // Where the last `**` ends in the pattern, and from which segment what follows it was last tried.
        // Going back to the last one only is enough, so this is at worst segments × pattern.
        let mut retry: Option<(&[Segment], &str)> = None;
        loop {
            match (pattern.split_first(), first_segment(rest)) {
                (Some((Segment::AnyDepth, [])), _) | (None, None) => return true,
                (Some((Segment::AnyDepth, tail)), _) => {
                    retry = Some((tail, rest));
                    pattern = tail;
                }
                (Some((segment, tail)), Some((head, after))) if segment.matches(head) => {
                    pattern = tail;
                    rest = after;
                }
                _ => {
                    let Some((tail, from)) = retry else { return false };
                    let Some((_, after)) = first_segment(from) else { return false };
                    retry = Some((tail, after));
                    pattern = tail;
                    rest = after;
                }
            }
        }
    }
}

/// The first segment of `path`, which is canonical; empty for the root.
pub fn first_of(path: &str) -> &str {
    first_segment(path.strip_prefix('/').unwrap_or(path)).map_or("", |(first, _)| first)
}

fn first_segment(rest: &str) -> Option<(&str, &str)> {
    (!rest.is_empty()).then(|| rest.split_once('/').unwrap_or((rest, "")))
}

impl Segment {
    fn compile(text: &str) -> Result<Self, String> {
        if text == "**" {
            Ok(Self::AnyDepth)
        } else if text.contains("**") {
            Err(format!("`**` stands alone between slashes, unlike in `{text}`"))
        } else if text.contains('*') {
            Ok(Self::Pieces(text.split('*').map(Box::from).collect()))
        } else {
            Ok(Self::Literal(text.into()))
        }
    }

    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::AnyDepth => true,
            Self::Literal(text) => **text == *segment,
            Self::Pieces(pieces) => {
                let [first, middle @ .., last] = &**pieces else { return false };
                let Some(rest) = segment.strip_prefix(&**first) else { return false };
                let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
                for piece in middle {
                    let Some((_, after)) = rest.split_once(&**piece) else { return false };
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
        Glob::compile(pattern).unwrap().matches(path)
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
            assert_eq!(Glob::compile(pattern).unwrap().first(), first, "{pattern}");
        }
        for path in ["/", "/b", "/b/a", "/aa", "/ab/a"] {
            assert_ne!(first_of(path), "a", "{path}");
            assert!(!matches("/a/**", path), "{path}");
        }
        assert_eq!((first_of("/"), first_of("/a"), first_of("/a/b")), ("", "a", "a"));
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let pattern = format!("/{}x", "**/a/".repeat(20));
        assert!(!matches(&pattern, &"/a".repeat(2000)));
    }

    #[test]
    fn a_pattern_that_could_not_mean_what_it_says_is_an_error() {
        for bad in
            ["admin", "/a?b", "/a#b", "/a;b", "/a/../b", "/a**", "/a/***", "/%2a", "/%2f", "/a b", "/%"]
        {
            assert!(Glob::compile(bad).is_err(), "{bad}");
        }
    }
}
