//! The lengths of texts, and cutting a text that is too long.

use std::fmt;

use super::markup::Markup;

/// WeCom names no limit; nobody has seen a longer media_id.
pub(super) const MAX_MEDIA_ID_BYTES: usize = 512;

/// WeCom's limit of a text: bytes of UTF-8 for most, characters (字) for the parts of cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LengthLimit {
    Bytes(usize),
    Chars(usize),
}

impl LengthLimit {
    /// Describes the length of `text` if it exceeds the limit.
    pub(super) fn exceeded_by(self, text: &str) -> Option<String> {
        let (length, most) = match self {
            Self::Bytes(most) => (text.len(), most),
            Self::Chars(most) => (text.chars().count(), most),
        };
        (length > most).then(|| format!("{length} {self}, at most {most}"))
    }

    /// Returns where the longest prefix of `text` within the limit ends.
    fn cut_position(self, text: &str) -> usize {
        match self {
            Self::Bytes(most) => text.floor_char_boundary(most),
            Self::Chars(most) => text.char_indices().nth(most).map_or(text.len(), |(at, _)| at),
        }
    }

    /// Returns the longest prefix of `text` within the limit that ends neither in a character nor
    /// in a link nor in a tag. It may be empty.
    pub(super) fn cut(self, text: &str, markup: Markup) -> &str {
        let mut end = self.cut_position(text);
        if end < text.len() {
            // A link may begin within something that only looks like a tag, so each new end is
            // checked again.
            let whole = markup.unbreakable_spans(text);
            while let Some(within) = whole.iter().find(|span| span.start < end && end < span.end) {
                end = within.start;
            }
        }
        text.get(..end).unwrap_or_default()
    }
}

impl fmt::Display for LengthLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "bytes",
            Self::Chars(_) => "characters",
        })
    }
}
