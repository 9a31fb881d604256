//! Readings: every path that some application may understand when it receives one path.
//!
//! A gateway that matches one spelling while the application serves another is an old and common
//! hole (`LemonLDAP` CVE-2020-24660, oauth2-proxy GHSA-7rh7-c77v-6434). Refusing every ambiguous
//! path would also refuse `/api/v4/projects/group%2Fproject`. So each reading is decided on its
//! own, and all decisions must agree.
//!
//! Programs change a path one way after another and in any order. The readings are therefore the
//! closure of the path under all the ways of [`super::path`]. Some programs apply them before they
//! decode: then `..;` is not `..%3b`, and `%2F` is not `%252F`. So the ways are also applied to the
//! path as it was sent; their results are only decoded and never decided about. Letter case is left
//! to the rules: each rule says whether it matters.

use std::borrow::Cow;
use std::fmt;

use super::path;

/// The largest number of readings. A path with more is denied on a host with rules; no browser
/// sends one.
const MAX_READINGS: usize = 64;
/// The largest length of all readings of one path together, in bytes. It bounds the cost of one
/// check.
const MAX_READINGS_BYTES: usize = 64 * 1024;

/// One way to understand a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathReading<'p> {
    path: Cow<'p, [u8]>,
    changes: PathChanges,
}

impl PathReading<'_> {
    /// Returns the decoded path. It begins with `/` and has no trailing slash. It may have empty
    /// segments and dot segments, which count as names here.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Describes what was done to the path as it was sent: `decoded once more, without
    /// ;parameters`.
    pub(crate) const fn changes(&self) -> impl fmt::Display + use<> {
        self.changes
    }
}

/// All readings of one path. The first one is canonical: without empty segments, dot segments
/// resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathReadings<'p> {
    canonical: PathReading<'p>,
    others: Vec<PathReading<'p>>,
}

/// The reasons why a path has no readings. It is denied on a host with rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnreadablePath {
    /// Escapes within escapes, or many unusual spellings at once.
    #[error("the path can be read in too many ways")]
    TooManyReadings,
    /// A program that writes the decoded path into a new request would send a second request with
    /// it.
    #[error("the path has an encoded line break, which some programs send on as a second request")]
    LineBreak,
}

impl<'p> PathReadings<'p> {
    /// Reads a path as it was sent, without its query, in every way.
    ///
    /// # Errors
    /// [`UnreadablePath`].
    pub(crate) fn from_path(sent: &'p str) -> Result<Self, UnreadablePath> {
        if path::is_plain(sent) {
            let path = Cow::Borrowed(path::without_trailing_slash(sent));
            return Ok(Self {
                canonical: PathReading { path, changes: PathChanges::NONE },
                others: Vec::new(),
            });
        }
        // The ways of programs that change the path before they decode it.
        let mut encoded = ReadingSet::default();
        encoded.add(sent.as_bytes().to_vec(), PathChanges::NONE)?;
        encoded.close_over(&PathChange::BEFORE_DECODING)?;
        let decoded = path::decode_once(sent.as_bytes());
        let mut found = ReadingSet::default();
        let canonical = {
            let (whole, mut changes) = match path::without_empty_segments(&decoded) {
                Some(path) => (path, PathChanges::NONE.with(PathChange::EmptySegments)),
                None => (decoded.clone(), PathChanges::NONE),
            };
            let resolved = path::resolve_dots(&whole).inspect(|_| changes = changes.with(PathChange::Dots));
            (resolved.unwrap_or(whole), changes)
        };
        // The canonical reading comes first.
        found.add(canonical.0, canonical.1)?;
        found.add(decoded, PathChanges::NONE)?;
        for (path, changes) in &encoded.0 {
            found.add(path::decode_once(path), *changes)?;
            if let Some(whole) = path::decode_again(path) {
                found.add(whole, changes.with(PathChange::Slashes))?;
            }
        }
        found.close_over(&PathChange::ALL)?;
        let mut all =
            found.0.into_iter().map(|(path, changes)| PathReading { path: Cow::Owned(path), changes });
        let canonical = all.next().ok_or(UnreadablePath::TooManyReadings)?;
        Ok(Self { canonical, others: all.collect() })
    }

    /// Iterates over all readings, the canonical one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PathReading<'p>> {
        std::iter::once(&self.canonical).chain(&self.others)
    }

    pub(crate) const fn canonical(&self) -> &PathReading<'p> {
        &self.canonical
    }
}

/// The readings found so far, each of them once, in the order in which they were found.
#[derive(Default)]
struct ReadingSet(Vec<(Vec<u8>, PathChanges)>);

impl ReadingSet {
    /// Adds every path that `ways` lead to, repeatedly, until nothing new is found.
    fn close_over(&mut self, ways: &[PathChange]) -> Result<(), UnreadablePath> {
        let mut at = 0;
        // The list grows while it is walked, so the new paths are changed too.
        while let Some((path, changes)) = self.0.get(at).cloned() {
            for change in ways {
                if let Some(next) = change.apply(&path) {
                    self.add(next, changes.with(*change))?;
                }
            }
            at += 1;
        }
        Ok(())
    }

    fn add(&mut self, mut path: Vec<u8>, changes: PathChanges) -> Result<(), UnreadablePath> {
        // All trailing slashes go: a remaining one would make another reading out of the same path.
        while path.len() > 1 && path.ends_with(b"/") {
            path.pop();
        }
        // The list is short, so a search costs less than a hash set.
        if self.0.iter().any(|(known, _)| *known == path) {
            return Ok(());
        }
        if path.iter().any(|b| matches!(b, b'\r' | b'\n')) {
            return Err(UnreadablePath::LineBreak);
        }
        let bytes: usize = self.0.iter().map(|(known, _)| known.len()).sum();
        if self.0.len() == MAX_READINGS || bytes + path.len() > MAX_READINGS_BYTES {
            return Err(UnreadablePath::TooManyReadings);
        }
        self.0.push((path, changes));
        Ok(())
    }
}

/// One way in which a program understands a path as another one.
#[derive(Debug, Clone, Copy)]
enum PathChange {
    Slashes,
    Again,
    AgainButSlashes,
    Backslashes,
    Question,
    Hash,
    Nul,
    Blank,
    Tabs,
    Trimmed,
    Compatibility,
    TrailingDots,
    Parameters,
    SessionSegments,
    EmptySegments,
    Authority,
    Disguised,
    Dots,
}

impl PathChange {
    /// The ways that programs apply to a path that is still encoded.
    const BEFORE_DECODING: [Self; 5] =
        [Self::Backslashes, Self::Parameters, Self::EmptySegments, Self::Authority, Self::Dots];

    const ALL: [Self; 18] = [
        Self::Slashes,
        Self::Again,
        Self::AgainButSlashes,
        Self::Backslashes,
        Self::Question,
        Self::Hash,
        Self::Nul,
        Self::Blank,
        Self::Tabs,
        Self::Trimmed,
        Self::Compatibility,
        Self::TrailingDots,
        Self::Parameters,
        Self::SessionSegments,
        Self::EmptySegments,
        Self::Authority,
        Self::Disguised,
        Self::Dots,
    ];

    /// Returns the path as it is understood this way; `None` if that makes no difference.
    fn apply(self, path: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Slashes => path::decode_slashes(path),
            Self::Again => path::decode_again(path),
            Self::AgainButSlashes => path::decode_again_but_slashes(path),
            Self::Backslashes => path::backslashes_as_slashes(path),
            Self::Question => path::cut_at(path, |b| b == b'?'),
            Self::Hash => path::cut_at(path, |b| b == b'#'),
            Self::Nul => path::cut_at(path, |b| b == 0),
            Self::Blank => path::cut_at(path, path::is_blank),
            Self::Tabs => path::without_tabs(path),
            Self::Trimmed => path::with_trimmed_segments(path),
            Self::Compatibility => path::in_compatibility_form(path),
            Self::TrailingDots => path::without_trailing_dots(path),
            Self::Parameters => path::without_parameters(path),
            Self::SessionSegments => path::without_session_segments(path),
            Self::EmptySegments => path::without_empty_segments(path),
            Self::Authority => path::without_authority(path),
            Self::Disguised => path::uncover_dots(path),
            Self::Dots => path::resolve_dots(path),
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Slashes => "%2F as a slash",
            Self::Again => "decoded once more",
            Self::AgainButSlashes => "decoded once more but for slashes",
            Self::Backslashes => "backslashes as slashes",
            Self::Question => "cut at a decoded ?",
            Self::Hash => "cut at a decoded #",
            Self::Nul => "cut at a decoded NUL",
            Self::Blank => "cut at a decoded blank",
            Self::Tabs => "without tabs",
            Self::Trimmed => "segments trimmed",
            Self::Compatibility => "in Unicode's compatibility form",
            Self::TrailingDots => "without dots at the ends of segments",
            Self::Parameters => "without ;parameters",
            Self::SessionSegments => "without (S(…)) segments",
            Self::EmptySegments => "without empty segments",
            Self::Authority => "without the first segment after //",
            Self::Disguised => "disguised dot segments as such",
            Self::Dots => "dot segments resolved",
        }
    }
}

/// A set of [`PathChange`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PathChanges(u32);

impl PathChanges {
    const NONE: Self = Self(0);

    const fn with(self, change: PathChange) -> Self {
        Self(self.0 | 1 << change as u16)
    }
}

impl fmt::Display for PathChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for change in PathChange::ALL {
            if self.0 & 1 << change as u16 != 0 {
                f.write_str(if first { "" } else { ", " })?;
                f.write_str(change.description())?;
                first = false;
            }
        }
        if first { f.write_str("as sent") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
