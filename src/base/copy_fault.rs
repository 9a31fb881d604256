//! Faults that copying brings into a value from a console, a chat or a document: quotation marks,
//! blanks, line breaks, characters that nobody sees, or the words of a template. Nothing here
//! repeats a value.

use std::fmt;

/// The characters that a copied value may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopiedAlphabet {
    /// What WeCom's console shows: letters, digits, `_` and `-`.
    Console,
    /// A URL: ASCII without blanks and quotation marks.
    Url,
}

impl CopiedAlphabet {
    const fn contains(self, c: char) -> bool {
        match self {
            Self::Console => c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
            Self::Url => c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '`' | '<' | '>'),
        }
    }
}

/// A part of a value that was probably not meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyFault {
    /// The words of a template that nobody replaced.
    Placeholder,
    /// A character that does not belong there.
    Character {
        character: char,
        /// The position in characters, from 1.
        position: usize,
        /// The number of characters of the value.
        length: usize,
    },
}

/// The length of a WeCom Secret. A value of this length is hardly a template's, whatever words its
/// random letters happen to form.
const SECRET_LENGTH_CHARS: usize = 43;

/// Words that templates write in place of a value.
const PLACEHOLDER_WORDS: [&str; 7] =
    ["your", "changeme", "change_me", "change-me", "xxxx", "placeholder", "****"];

/// Finds the first fault in `value`, without the white space around it.
pub(crate) fn find_copy_fault(value: &str, alphabet: CopiedAlphabet) -> Option<CopyFault> {
    let value = value.trim();
    let length = value.chars().count();
    let lower = value.to_ascii_lowercase();
    // A URL may well contain such words.
    let is_template = alphabet == CopiedAlphabet::Console
        && (value.chars().any(is_han)
            || (length != SECRET_LENGTH_CHARS && PLACEHOLDER_WORDS.iter().any(|word| lower.contains(word))));
    if is_template {
        return Some(CopyFault::Placeholder);
    }
    let (at, character) = value.chars().enumerate().find(|(_, c)| !alphabet.contains(*c))?;
    Some(CopyFault::Character { character, position: at.saturating_add(1), length })
}

impl CopyFault {
    /// Returns the fault in Chinese, as a clause.
    pub(crate) fn zh(&self) -> String {
        match *self {
            Self::Placeholder => "它是模板里的占位文字，不是复制来的值".to_owned(),
            Self::Character { character, position, length } => {
                let name = character_name(character).map_or_else(String::new, |(_, zh)| format!("（{zh}）"));
                format!("第 {position} 个字符（共 {length} 个）是 {}{name}", format_code_point(character))
            }
        }
    }
}

impl fmt::Display for CopyFault {
    /// Writes the fault in English; it completes "it holds …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Placeholder => f.write_str("the words of a template, not a value that was copied"),
            Self::Character { character, position, length } => {
                write!(f, "{} at position {position} of {length}", describe_character(character))
            }
        }
    }
}

/// Returns code point and name, `U+200B ZERO WIDTH SPACE`.
fn describe_character(c: char) -> String {
    let code = format_code_point(c);
    if let Some((en, _)) = character_name(c) {
        return format!("{code} {en}");
    }
    // The fullwidth forms of ASCII are 0xFEE0 above the ASCII characters.
    let ascii = u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).filter(char::is_ascii_graphic);
    match ascii {
        Some(letter) if letter.is_ascii_uppercase() => {
            format!("{code} FULLWIDTH LATIN CAPITAL LETTER {letter}")
        }
        Some(letter) if letter.is_ascii_lowercase() => {
            format!("{code} FULLWIDTH LATIN SMALL LETTER {}", letter.to_ascii_uppercase())
        }
        Some(form) => format!("{code} FULLWIDTH {form}"),
        None if is_han(c) => format!("{code}, a Chinese character"),
        None => code,
    }
}

fn format_code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

const fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Returns the Unicode name and the Chinese name of the characters that copying brings.
const fn character_name(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '\t' => ("TAB", "制表符"),
        '\n' => ("LINE FEED (a line break)", "换行"),
        '\r' => ("CARRIAGE RETURN (a line break)", "回车"),
        ' ' => ("SPACE", "空格"),
        '"' => ("QUOTATION MARK", "双引号"),
        '\'' => ("APOSTROPHE", "单引号"),
        '`' => ("GRAVE ACCENT", "反引号"),
        ',' => ("COMMA", "逗号"),
        ';' => ("SEMICOLON", "分号"),
        '\u{a0}' => ("NO-BREAK SPACE", "不间断空格"),
        '\u{ad}' => ("SOFT HYPHEN", "软连字符"),
        '\u{200b}' => ("ZERO WIDTH SPACE", "零宽空格"),
        '\u{200c}' => ("ZERO WIDTH NON-JOINER", "零宽不连字符"),
        '\u{200d}' => ("ZERO WIDTH JOINER", "零宽连字符"),
        '\u{200e}' => ("LEFT-TO-RIGHT MARK", "从左至右标记"),
        '\u{200f}' => ("RIGHT-TO-LEFT MARK", "从右至左标记"),
        '\u{2010}' => ("HYPHEN", "连字符"),
        '\u{2011}' => ("NON-BREAKING HYPHEN", "不间断连字符"),
        '\u{2013}' => ("EN DASH", "短破折号"),
        '\u{2014}' => ("EM DASH", "破折号"),
        '\u{2018}' => ("LEFT SINGLE QUOTATION MARK", "左单引号"),
        '\u{2019}' => ("RIGHT SINGLE QUOTATION MARK", "右单引号"),
        '\u{201c}' => ("LEFT DOUBLE QUOTATION MARK", "左双引号"),
        '\u{201d}' => ("RIGHT DOUBLE QUOTATION MARK", "右双引号"),
        '\u{2028}' => ("LINE SEPARATOR", "行分隔符"),
        '\u{2029}' => ("PARAGRAPH SEPARATOR", "段分隔符"),
        '\u{202a}' => ("LEFT-TO-RIGHT EMBEDDING", "方向控制符"),
        '\u{202b}' => ("RIGHT-TO-LEFT EMBEDDING", "方向控制符"),
        '\u{202c}' => ("POP DIRECTIONAL FORMATTING", "方向控制符"),
        '\u{202d}' => ("LEFT-TO-RIGHT OVERRIDE", "方向控制符"),
        '\u{202e}' => ("RIGHT-TO-LEFT OVERRIDE", "方向控制符"),
        '\u{2060}' => ("WORD JOINER", "零宽连接符"),
        '\u{2066}' => ("LEFT-TO-RIGHT ISOLATE", "方向控制符"),
        '\u{2067}' => ("RIGHT-TO-LEFT ISOLATE", "方向控制符"),
        '\u{2068}' => ("FIRST STRONG ISOLATE", "方向控制符"),
        '\u{2069}' => ("POP DIRECTIONAL ISOLATE", "方向控制符"),
        '\u{2212}' => ("MINUS SIGN", "减号"),
        '\u{3000}' => ("IDEOGRAPHIC SPACE", "全角空格"),
        '\u{300c}' => ("LEFT CORNER BRACKET", "左直角引号"),
        '\u{300d}' => ("RIGHT CORNER BRACKET", "右直角引号"),
        '\u{feff}' => ("ZERO WIDTH NO-BREAK SPACE (byte order mark)", "字节顺序标记 BOM"),
        '\u{fffd}' => ("REPLACEMENT CHARACTER", "乱码替换字符"),
        '\u{ff0d}' => ("FULLWIDTH HYPHEN-MINUS", "全角连字符"),
        '\u{ff3f}' => ("FULLWIDTH LOW LINE", "全角下划线"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console_fault(value: &str) -> Option<String> {
        find_copy_fault(value, CopiedAlphabet::Console).map(|fault| fault.to_string())
    }

    #[test]
    fn every_character_that_copying_brings_is_named_with_its_place() {
        for (value, want) in [
            ("\"abc\"", "U+0022 QUOTATION MARK at position 1 of 5"),
            ("abc'", "U+0027 APOSTROPHE at position 4 of 4"),
            ("“abc”", "U+201C LEFT DOUBLE QUOTATION MARK at position 1 of 5"),
            ("ab cd", "U+0020 SPACE at position 3 of 5"),
            ("ab\u{a0}cd", "U+00A0 NO-BREAK SPACE at position 3 of 5"),
            ("ab\ncd", "U+000A LINE FEED (a line break) at position 3 of 5"),
            ("ab\r\ncd", "U+000D CARRIAGE RETURN (a line break) at position 3 of 6"),
            ("ab\u{200b}", "U+200B ZERO WIDTH SPACE at position 3 of 3"),
            ("\u{feff}ab", "U+FEFF ZERO WIDTH NO-BREAK SPACE (byte order mark) at position 1 of 3"),
            ("abＡ", "U+FF21 FULLWIDTH LATIN CAPITAL LETTER A at position 3 of 3"),
            ("ab１", "U+FF11 FULLWIDTH 1 at position 3 of 3"),
            ("ab！", "U+FF01 FULLWIDTH ! at position 3 of 3"),
            ("ab＿c", "U+FF3F FULLWIDTH LOW LINE at position 3 of 4"),
            ("abc;", "U+003B SEMICOLON at position 4 of 4"),
            ("abcé", "U+00E9 at position 4 of 4"),
            ("「请填写」", "the words of a template, not a value that was copied"),
            ("请填写应用的Secret", "the words of a template, not a value that was copied"),
            ("your-app-secret", "the words of a template, not a value that was copied"),
            ("XXXXXXXX", "the words of a template, not a value that was copied"),
        ] {
            assert_eq!(console_fault(value).as_deref(), Some(want), "{value:?}");
        }
    }

    #[test]
    fn what_the_console_shows_is_no_fault_and_white_space_around_it_does_not_count() {
        for good in [
            "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
            " \t_-aZ09\r\n",
            "\u{3000}ab\u{a0}",
            // By chance, at the length of a Secret.
            "abcxxxxhijkYourpqrstuvwxyz0123456789ABCDEFG",
            "",
        ] {
            assert_eq!(console_fault(good), None, "{good:?}");
        }
    }

    #[test]
    fn a_url_has_no_blank_no_quotation_mark_and_nothing_unseen() {
        let url = |value: &str| find_copy_fault(value, CopiedAlphabet::Url).map(|fault| fault.zh());
        assert_eq!(url("postgres://u:p%40!$&*@db/g?sslmode=require"), None);
        assert_eq!(
            url("postgres://u:p@db/g\u{200b}").as_deref(),
            Some("第 20 个字符（共 20 个）是 U+200B（零宽空格）")
        );
        assert_eq!(
            url("postgres://u:p d@db/g").as_deref(),
            Some("第 15 个字符（共 21 个）是 U+0020（空格）")
        );
    }
}
