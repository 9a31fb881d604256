//! Detects how a spreadsheet wrote a file: its encoding, and what separates its cells.
//!
//! In China, Excel and WPS save "CSV" as GBK, "CSV UTF-8" with a byte order mark, and "Unicode
//! text" as UTF-16 with tabs.

use std::fmt;

use encoding_rs::{GB18030, UTF_16BE, UTF_16LE};

/// The detected format of a file. Its text says so in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFormat {
    encoding: FileEncoding,
    separator: CellSeparator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileEncoding {
    Utf8,
    Gb18030,
    Utf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellSeparator {
    Comma,
    Tab,
    Semicolon,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = match self.encoding {
            FileEncoding::Utf8 => "UTF-8",
            FileEncoding::Gb18030 => "GB18030 (GBK)",
            FileEncoding::Utf16 => "UTF-16",
        };
        let (en, zh) = match self.separator {
            CellSeparator::Comma => ("commas", "逗号"),
            CellSeparator::Tab => ("tabs", "制表符"),
            CellSeparator::Semicolon => ("semicolons", "分号"),
        };
        write!(f, "read as {encoding}, separated by {en} · 按 {encoding} 编码读取，以{zh}分隔")
    }
}

impl FileFormat {
    /// Returns whether this is the format of an export, which needs no mention.
    pub(crate) fn is_as_exported(self) -> bool {
        self == Self { encoding: FileEncoding::Utf8, separator: CellSeparator::Comma }
    }

    /// Returns the byte between cells.
    pub(super) const fn separator(self) -> u8 {
        match self.separator {
            CellSeparator::Comma => b',',
            CellSeparator::Tab => b'\t',
            CellSeparator::Semicolon => b';',
        }
    }
}

/// Decodes a file and detects its format. `known` says whether a text is the heading of a column.
///
/// A file is UTF-8 or else GB18030, which includes GBK and GB 2312, unless a byte order mark says
/// otherwise. The separator is the one that yields the most headings.
///
/// # Errors
/// How many bytes are UTF-8, if the bytes are no text in any of them.
pub(super) fn decode_file(bytes: &[u8], known: impl Fn(&str) -> bool) -> Result<(String, FileFormat), usize> {
    let (text, encoding) = decode_text(bytes)?;
    let heading = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let headings = |separator: char| {
        heading.split(separator).filter(|cell| known(cell.trim().trim_matches('"').trim())).count()
    };
    let (comma, tab, semicolon) = (headings(','), headings('\t'), headings(';'));
    let separator = if tab > comma && tab >= semicolon {
        CellSeparator::Tab
    } else if semicolon > comma {
        CellSeparator::Semicolon
    } else {
        CellSeparator::Comma
    };
    Ok((text, FileFormat { encoding, separator }))
}

fn decode_text(bytes: &[u8]) -> Result<(String, FileEncoding), usize> {
    if let Some((utf16, mark)) =
        encoding_rs::Encoding::for_bom(bytes).filter(|(e, _)| [UTF_16LE, UTF_16BE].contains(e))
    {
        let text =
            utf16.decode_without_bom_handling_and_without_replacement(bytes.get(mark..).unwrap_or_default());
        return text.map(|text| (text.into_owned(), FileEncoding::Utf16)).ok_or(0);
    }
    match std::str::from_utf8(bytes) {
        // Here the byte order mark says nothing more.
        Ok(text) => Ok((text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(), FileEncoding::Utf8)),
        Err(error) => {
            let text = GB18030.decode_without_bom_handling_and_without_replacement(bytes);
            text.map(|text| (text.into_owned(), FileEncoding::Gb18030)).ok_or(error.valid_up_to())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(bytes: &[u8]) -> Result<(String, String), usize> {
        let known = |cell: &str| ["账号", "姓名", "userid", "name"].contains(&cell);
        decode_file(bytes, known).map(|(text, format)| (text, format.to_string()))
    }

    #[test]
    fn a_file_of_excel_or_wps_is_read_in_the_encoding_it_has_and_that_is_told_in_both_languages() {
        let text = "账号,姓名\r\na,𠮷田镕\r\n";
        let gb18030 = GB18030.encode(text).0.into_owned();
        let gbk = GB18030.encode("账号\t姓名\r\na,b\t张三\r\n").0.into_owned();
        let utf16: Vec<u8> =
            "\u{feff}\"账号\"\t姓名\r\na\t张三".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}账号;姓名".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, en, zh) in [
            (text.as_bytes(), "read as UTF-8, separated by commas", "按 UTF-8 编码读取，以逗号分隔"),
            (&gb18030, "read as GB18030 (GBK), separated by commas", "按 GB18030 (GBK) 编码读取，以逗号分隔"),
            (&gbk, "read as GB18030 (GBK), separated by tabs", "按 GB18030 (GBK) 编码读取，以制表符分隔"),
            (&utf16, "read as UTF-16, separated by tabs", "按 UTF-16 编码读取，以制表符分隔"),
            (&big, "read as UTF-16, separated by semicolons", "按 UTF-16 编码读取，以分号分隔"),
            (b"\xef\xbb\xbfuserid", "read as UTF-8, separated by commas", "按 UTF-8 编码读取，以逗号分隔"),
        ] {
            let (read, told) = format(bytes).unwrap();
            assert_eq!(told, format!("{en} · {zh}"));
            assert!(!read.starts_with('\u{feff}'), "{read:?}");
        }
        assert_eq!(format(&gb18030).unwrap().0, text);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_where_they_stop_being_text() {
        assert_eq!(format(b"userid\na\xff"), Err(8));
        assert_eq!(format(b"\xff\xfe\x00\xd8"), Err(0), "half a surrogate");
    }
}
