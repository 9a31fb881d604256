//! Decodes text as editors on Chinese Windows save it: UTF-8 with or without a byte order mark,
//! UTF-16 ("Unicode"), or the code page that Notepad calls ANSI, which is GBK.

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-16 with a byte order mark.
    Utf16,
    /// GB18030, which includes GBK and GB 2312.
    Gb18030,
}

impl TextEncoding {
    /// Returns the name that people know.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Gb18030 => "GBK (GB18030)",
        }
    }
}

/// The error for bytes that are text in none of these encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither UTF-8 nor GBK from this line on: save it as UTF-8")]
pub(crate) struct UnknownEncoding {
    /// The first line that is not UTF-8, from 1.
    pub line: usize,
}

/// Decodes `bytes` without their byte order mark: as the mark says, or as strict UTF-8, or else as
/// GB18030.
///
/// UTF-8 is tried first and strictly, because GBK text is hardly ever valid UTF-8, while any UTF-8
/// text could be read as some GBK.
///
/// # Errors
/// [`UnknownEncoding`].
pub(crate) fn decode_text(bytes: &[u8]) -> Result<(String, TextEncoding), UnknownEncoding> {
    let (marked, mark) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let bytes = bytes.get(mark..).unwrap_or_default();
    let with = |encoding: &'static Encoding| {
        encoding.decode_without_bom_handling_and_without_replacement(bytes).map(std::borrow::Cow::into_owned)
    };
    if marked == UTF_16LE || marked == UTF_16BE {
        return with(marked).map(|text| (text, TextEncoding::Utf16)).ok_or(UnknownEncoding { line: 1 });
    }
    if let Some(text) = with(UTF_8) {
        return Ok((text, TextEncoding::Utf8));
    }
    // Behind the mark of UTF-8 these bytes are broken UTF-8, and never GBK.
    if let Some(text) = with(GB18030).filter(|_| mark == 0) {
        return Ok((text, TextEncoding::Gb18030));
    }
    Err(UnknownEncoding { line: first_line_that_is_not_utf8(bytes).unwrap_or(1) })
}

/// Returns the line of the first byte that is not UTF-8, from 1; `None` if all are.
pub(crate) fn first_line_that_is_not_utf8(bytes: &[u8]) -> Option<usize> {
    let good = std::str::from_utf8(bytes).err()?.valid_up_to();
    let before = bytes.get(..good).unwrap_or_default();
    Some(before.iter().filter(|b| **b == b'\n').count().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_the_encodings_that_windows_saves() {
        for (bytes, want, encoding) in [
            (&b"abc"[..], "abc", TextEncoding::Utf8),
            ("企业".as_bytes(), "企业", TextEncoding::Utf8),
            (b"\xef\xbb\xbf{}", "{}", TextEncoding::Utf8),
            (b"\xc6\xf3\xd2\xb5", "企业", TextEncoding::Gb18030),
            (b"\xff\xfe{\0\x01\x4f", "{企", TextEncoding::Utf16),
            (b"\xfe\xff\0{\x4f\x01", "{企", TextEncoding::Utf16),
            (b"", "", TextEncoding::Utf8),
        ] {
            assert_eq!(decode_text(bytes), Ok((want.to_owned(), encoding)), "{bytes:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_name_the_line() {
        for (bytes, line) in
            [(&b"a\n\xff\xff"[..], 2), (b"\xef\xbb\xbf\n\n\xd6\xd0", 3), (b"\xff\xfe\0\xd8", 1)]
        {
            assert_eq!(decode_text(bytes), Err(UnknownEncoding { line }), "{bytes:?}");
        }
    }
}
