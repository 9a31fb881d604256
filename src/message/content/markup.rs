//! Finds the links of a text: `<a href="…">` as WeCom reads it in texts and text cards, `[…](…)` in
//! Markdown.
//!
//! Offsets are in bytes and always lie between characters, because everything that is searched for
//! is ASCII.

use std::ops::Range;

/// The markup that a text may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    /// Plain text.
    None,
    /// Tags of HTML.
    Html,
    /// WeCom's Markdown, in which `<font …>` is a tag too.
    Markdown,
}

/// A link in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkSpan {
    /// The whole link, from `<a` or `[` to `</a>` or `)`.
    pub(super) span: Range<usize>,
    /// The URL within it.
    pub(super) url: Range<usize>,
}

impl Markup {
    /// Returns the links of a text, in order; none lies within another.
    pub(super) fn links(self, text: &str) -> Vec<LinkSpan> {
        match self {
            Self::None => Vec::new(),
            Self::Html => scan_html(text).0,
            Self::Markdown => scan_markdown(text),
        }
    }

    /// Returns what must not be cut: links and tags, in order.
    pub(super) fn unbreakable_spans(self, text: &str) -> Vec<Range<usize>> {
        if self == Self::None {
            return Vec::new();
        }
        let mut spans: Vec<_> = self.links(text).into_iter().map(|anchor| anchor.span).collect();
        spans.extend(scan_html(text).1);
        // Of overlapping spans the outer one comes first.
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        spans
    }
}

/// The tags that WeCom knows (document 90236); any other `<` is a plain character.
const KNOWN_TAGS: [&str; 4] = ["a", "br", "div", "font"];

struct HtmlTag {
    span: Range<usize>,
    is_anchor: bool,
    href: Option<Range<usize>>,
}

/// Returns the links and every tag.
fn scan_html(text: &str) -> (Vec<LinkSpan>, Vec<Range<usize>>) {
    let (mut anchors, mut tags) = (Vec::new(), Vec::new());
    let lower = text.to_ascii_lowercase();
    let mut at = 0;
    while let Some(start) = lower.get(at..).and_then(|rest| rest.find('<')).map(|found| at + found) {
        let Some(tag) = parse_tag(&lower, start) else {
            at = start + 1;
            continue;
        };
        at = tag.span.end;
        if tag.is_anchor {
            // An anchor that is not closed is only its tag.
            let end = lower.get(at..).and_then(|rest| rest.find("</a>")).map_or(at, |found| at + found + 4);
            if let Some(url) = tag.href {
                anchors.push(LinkSpan { span: start..end, url });
                at = end;
            }
        }
        tags.push(tag.span);
    }
    (anchors, tags)
}

/// Returns the complete tag that begins at `start`, if there is one.
///
/// Attributes are read as a browser reads them (WHATWG HTML §13.2.5.32), so that a `>` within
/// quotes does not end the tag.
fn parse_tag(lower: &str, start: usize) -> Option<HtmlTag> {
    let bytes = lower.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let is_space = |b: u8| b.is_ascii_whitespace() || b == b'/';
    let mut at = start + 1;
    if byte(at) == Some(b'/') {
        at += 1;
    }
    let name = at;
    if !byte(at)?.is_ascii_alphabetic() {
        return None;
    }
    while !is_space(byte(at)?) && byte(at)? != b'>' {
        at += 1;
    }
    let is_anchor = lower.get(start + 1..at) == Some("a") && name == start + 1;
    if !lower.get(name..at).is_some_and(|name| KNOWN_TAGS.contains(&name)) {
        return None;
    }
    let mut href = None;
    loop {
        while is_space(byte(at)?) {
            at += 1;
        }
        if byte(at)? == b'>' {
            return Some(HtmlTag { span: start..at + 1, is_anchor, href });
        }
        let begin = at;
        // A `=` at the beginning belongs to the name.
        at += 1;
        while !matches!(byte(at)?, b'=' | b'>') && !is_space(byte(at)?) {
            at += 1;
        }
        let is_href = lower.get(begin..at) == Some("href");
        let mut next = at;
        while byte(next)?.is_ascii_whitespace() {
            next += 1;
        }
        if byte(next)? != b'=' {
            continue;
        }
        at = next + 1;
        while byte(at)?.is_ascii_whitespace() {
            at += 1;
        }
        let value = match byte(at)? {
            quote @ (b'"' | b'\'') => {
                let begin = at + 1;
                at = begin;
                while byte(at)? != quote {
                    at += 1;
                }
                at += 1;
                begin..at - 1
            }
            _ => {
                let begin = at;
                while byte(at)? != b'>' && !byte(at)?.is_ascii_whitespace() {
                    at += 1;
                }
                begin..at
            }
        };
        // Of two attributes with one name the first counts.
        if is_href && href.is_none() {
            href = Some(value);
        }
    }
}

/// Returns the links of a Markdown text.
///
/// A link within a code span is none. `![…](…)` is a link behind a `!`, because WeCom knows no
/// images.
fn scan_markdown(text: &str) -> Vec<LinkSpan> {
    let bytes = text.as_bytes();
    let mut anchors = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'`' => at = skip_code_span(text, at),
            b'[' => match parse_markdown_link(bytes, at) {
                Some(anchor) => {
                    at = anchor.span.end;
                    anchors.push(anchor);
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    anchors
}

/// Returns the end of the code span that begins at `start`, or the end of its backquotes if it is
/// not closed.
fn skip_code_span(text: &str, start: usize) -> usize {
    let ticks = |at: usize| text.bytes().skip(at).take_while(|b| *b == b'`').count();
    let opening = ticks(start);
    let mut at = start + opening;
    // A code span does not go beyond its paragraph (CommonMark §6.1).
    let end = text.get(at..).and_then(|rest| rest.find("\n\n")).map_or(text.len(), |found| at + found);
    while let Some(found) = text.get(at..end).and_then(|rest| rest.find('`')) {
        let closing = ticks(at + found);
        at += found + closing;
        if closing == opening {
            return at;
        }
    }
    start + opening
}

/// Returns the link whose `[` is at `start`.
fn parse_markdown_link(bytes: &[u8], start: usize) -> Option<LinkSpan> {
    let byte = |at: usize| bytes.get(at).copied();
    let mut at = find_closing_bracket(bytes, start, b'[', b']')?;
    if byte(at + 1)? != b'(' {
        return None;
    }
    let end = find_closing_bracket(bytes, at + 1, b'(', b')')?;
    at += 2;
    while byte(at)?.is_ascii_whitespace() {
        at += 1;
    }
    // In `[text](<url>)` the angle brackets are not part of the URL.
    let begin = if byte(at)? == b'<' { at + 1 } else { at };
    let is_end = |b: u8| b.is_ascii_whitespace() || (begin > at && b == b'>');
    let mut url_end = begin;
    while url_end < end && !is_end(byte(url_end)?) {
        url_end += 1;
    }
    Some(LinkSpan { span: start..end + 1, url: begin..url_end })
}

/// Returns where the bracket at `start` is closed, within the same paragraph.
fn find_closing_bracket(bytes: &[u8], start: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        let byte = *bytes.get(at)?;
        if byte == b'\\' {
            at += 1;
        } else if byte == open {
            depth += 1;
        } else if byte == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        } else if byte == b'\n' && bytes.get(at + 1) == Some(&b'\n') {
            return None;
        }
        at += 1;
    }
}
