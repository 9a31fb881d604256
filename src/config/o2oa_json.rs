//! Reads JSON as leniently as O2OA does (Gson, lenient), so that a file which works there works
//! here.
//!
//! `jsonc-parser` reads comments, single quotes, unquoted names and trailing commas. What Gson
//! accepts beyond that is rewritten first: `#` comments, `;` for a comma, `=` and `=>` for a colon,
//! and text without quotes.

use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde_json::Value;

/// Where and why a text cannot be read. It never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct JsonFault {
    /// The line number; the first line is 1.
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// Parses a value.
///
/// # Errors
/// [`JsonFault`].
pub(super) fn parse_o2oa_json(text: &str) -> Result<Value, JsonFault> {
    if let Some((before, _)) = text.split_once('\0') {
        let line = before.matches('\n').count().saturating_add(1);
        return Err(JsonFault { line, reason: "there is a NUL, as in UTF-16; save the file as UTF-8" });
    }
    // A missing comma is an error, as with Gson: a missing quotation mark is the likelier cause.
    let options = ParseOptions { allow_missing_commas: false, ..ParseOptions::default() };
    let value = parse_to_serde_value(&to_jsonc(text), &options);
    value.map_err(|error| JsonFault { line: error.line_display(), reason: describe_error(&error) })
}

/// Describes an error. The parser's own words may quote the text, which may be a secret.
fn describe_error(error: &ParseError) -> &'static str {
    match error.kind() {
        ParseErrorKind::ExpectedColonAfterObjectKey => "a name has no colon behind it",
        ParseErrorKind::ExpectedObjectValue | ParseErrorKind::UnexpectedCloseBrace => "a value is missing",
        ParseErrorKind::ExpectedComma => "behind a value a comma is missing, or in it a quotation mark",
        ParseErrorKind::UnexpectedComma => "there is a comma too many",
        ParseErrorKind::UnexpectedColon
        | ParseErrorKind::UnexpectedToken
        | ParseErrorKind::UnexpectedTokenInObject
        | ParseErrorKind::UnexpectedWord => {
            "something stands here that may not; a text with a colon, a slash or a blank in it needs quotation marks"
        }
        ParseErrorKind::UnterminatedObject => "the object that begins here has no closing }",
        ParseErrorKind::UnterminatedArray => "the list that begins here has no closing ]",
        ParseErrorKind::UnterminatedCommentBlock => "the comment that begins here has no closing */",
        ParseErrorKind::MultipleRootJsonValues => "there is something after the closing }",
        ParseErrorKind::String(_) => {
            "a text has no closing quotation mark, or a \\ in it is followed by what JSON does not know"
        }
        _ => "this is not JSON",
    }
}

/// Returns whether the character ends a text without quotation marks (Gson,
/// `JsonReader.nextUnquotedValue`).
const fn is_word_end(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '/' | '\\' | ';' | '#' | '=' | '{' | '}' | '[' | ']' | ':' | ',')
}

/// Rewrites what only Gson accepts as JSON with comments. Line numbers stay the same.
fn to_jsonc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' => quoted_length(rest, c),
            '/' if rest.starts_with("//") => line_length(rest),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end.saturating_add(2)),
            '#' => {
                let length = line_length(rest);
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            ';' | '=' => {
                out.push(if c == ';' { ',' } else { ':' });
                let arrow = rest.strip_prefix("=>");
                rest = arrow.or_else(|| rest.get(1..)).unwrap_or_default();
                continue;
            }
            c if is_word_end(c) => c.len_utf8(),
            _ => {
                let end = rest.find(is_word_end).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                push_word(&mut out, word);
                rest = after;
                continue;
            }
        };
        let (same, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        out.push_str(same);
        rest = after;
    }
    out
}

/// Returns the number of bytes up to the end of the line or text.
fn line_length(text: &str) -> usize {
    text.find(['\n', '\r']).unwrap_or(text.len())
}

/// Returns the number of bytes of a quoted text with both marks, or of all the rest if the second
/// one is missing.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

/// Appends a word; puts quotation marks around it unless it is a number or one of JSON's own words.
fn push_word(out: &mut String, word: &str) {
    let number = serde_json::from_str::<serde_json::Number>(word).is_ok();
    if number || matches!(word, "true" | "false" | "null") {
        out.push_str(word);
        return;
    }
    out.push('"');
    for c in word.chars() {
        if c == '"' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_gson_takes_is_read() {
        for (text, want) in [
            ("{\"a\": 'x', // why\n 'b': \"y\", /* why */ c: 1} # why", json!({"a": "x", "b": "y", "c": 1})),
            ("{a = x; b => y, c: z;}", json!({"a": "x", "b": "y", "c": "z"})),
            (
                "{a: “x”, 中: 文, n: -1, t: true, u: True, e: null}",
                json!({"a": "“x”", "中": "文", "n": -1, "t": true, "u": "True", "e": null}),
            ),
            ("{\"a\": \"1#2;3=4//5\", 'b': '/*'}", json!({"a": "1#2;3=4//5", "b": "/*"})),
            (
                "{\"a\": \"x\ty\nz\", \"b\": 'it\\'s \"1\"', c: 0012, d: x\"y}",
                json!({"a": "x\ty\nz", "b": "it's \"1\"", "c": "0012", "d": "x\"y"}),
            ),
            ("{\"###a\": \"#\", \"a\": 1, \"a\": 2}", json!({"###a": "#", "a": 2})),
            ("# only a comment\r\n{}", json!({})),
        ] {
            assert_eq!(parse_o2oa_json(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_nobody_reads_names_its_line_and_the_reason_and_quotes_nothing() {
        for (text, line, part) in [
            ("{\n\"a\": \"S3CRET\"\n\"b\": 1}", 2, "comma"),
            ("{\n\"a\" \"S3CRET\"}", 2, "colon"),
            ("{\n\"a\": ,\n\"b\": 1}", 2, "comma too many"),
            ("{\n\n\"a\": \"S3CRET}", 3, "no closing quotation mark"),
            ("{\n\"a\": \"\\uS3CRET\"}", 2, "\\ in it"),
            ("{\n\"a\": https://S3CRET}", 2, "needs quotation marks"),
            ("{\"a\": 1} S3CRET", 1, "after the closing }"),
            ("{\"a\": 1", 1, "no closing }"),
            ("{\n/* S3CRET", 2, "no closing */"),
            ("\u{fffd}\0{\0", 1, "UTF-16"),
        ] {
            let fault = parse_o2oa_json(text).expect_err(text);
            assert_eq!(fault.line, line, "{text}: {fault}");
            assert!(fault.reason.contains(part), "{text}: {fault}");
            assert!(!fault.to_string().contains("S3CRET"));
        }
    }
}
