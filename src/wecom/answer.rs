//! From bytes to JSON: repairs what real answers get wrong, and reads the envelope that all answers
//! share.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Unexpected, Visitor};

use super::lenient_json;

/// An answer by its envelope: a success with its body, or WeCom's refusal.
#[derive(Debug)]
pub(super) enum WecomAnswer {
    /// `errcode` is 0, null or absent: some calls leave it out (document 90664).
    Success(AnswerBody),
    /// `errcode` and `errmsg`.
    Refusal(i64, String),
}

/// A body that is one JSON object.
#[derive(Debug)]
pub(super) struct AnswerBody(Vec<u8>);

/// The reason why a body is not an answer. It never quotes the body, because a body may echo the
/// request, which holds the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnreadableReason {
    Empty,
    Html,
    NotAnObject,
    CutOff,
    NotJson,
    NotAsDocumented,
}

impl fmt::Display for UnreadableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Html => "it is HTML, perhaps a proxy's or a captive portal's page",
            Self::NotAnObject => "it is not a JSON object",
            Self::CutOff => "it is cut off",
            Self::NotJson => "it is not JSON",
            Self::NotAsDocumented => "it lacks what the call is documented to return",
        })
    }
}

#[derive(Deserialize)]
struct AnswerEnvelope {
    #[serde(default, deserialize_with = "errcode")]
    errcode: i64,
    #[serde(default, deserialize_with = "lenient_json::text")]
    errmsg: String,
}

impl WecomAnswer {
    /// Reads the envelope of `body`.
    pub(super) fn parse(mut body: Vec<u8>) -> Result<Self, UnreadableReason> {
        // Seen in recorded answers; JSON allows no byte order mark.
        if body.starts_with(b"\xef\xbb\xbf") {
            body.drain(..3);
        }
        // Strings hold raw control characters (names pasted from elsewhere), which JSON forbids.
        // Between tokens a space means the same as a line break, so replacing all of them is
        // harmless.
        for byte in &mut body {
            if *byte < 0x20 {
                *byte = b' ';
            }
        }
        match body.iter().find(|b| **b != b' ') {
            None => return Err(UnreadableReason::Empty),
            Some(b'{') => {}
            Some(b'<') => return Err(UnreadableReason::Html),
            // A derived struct also accepts an array, and `[]` would then pass for a success.
            Some(_) if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() => {
                return Err(UnreadableReason::NotAnObject);
            }
            Some(_) => return Err(UnreadableReason::NotJson),
        }
        let envelope: AnswerEnvelope = serde_json::from_slice(&body).map_err(|e| classify_json_error(&e))?;
        Ok(match envelope.errcode {
            0 => Self::Success(AnswerBody(body)),
            code => Self::Refusal(code, envelope.errmsg),
        })
    }
}

impl AnswerBody {
    /// Decodes the body into the type that the call returns.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, UnreadableReason> {
        serde_json::from_slice(&self.0).map_err(|e| classify_json_error(&e))
    }
}

fn classify_json_error(error: &serde_json::Error) -> UnreadableReason {
    match error.classify() {
        serde_json::error::Category::Eof => UnreadableReason::CutOff,
        serde_json::error::Category::Data => UnreadableReason::NotAsDocumented,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => UnreadableReason::NotJson,
    }
}

/// Reads an errcode: a number, a number in quotation marks, or null. Anything else is an error and
/// not 0, because an errcode that cannot be read must not pass for a success.
fn errcode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct ErrcodeVisitor;
    impl Visitor<'_> for ErrcodeVisitor {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an errcode")
        }

        fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<i64, E> {
            Ok(n)
        }

        fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<i64, E> {
            i64::try_from(n).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
            text.trim().parse().map_err(|_| E::invalid_value(Unexpected::Other("text"), &self))
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<i64, E> {
            Ok(0)
        }
    }
    deserializer.deserialize_any(ErrcodeVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct NamedAnswer {
        name: String,
    }

    fn read_name(body: &[u8]) -> Result<String, UnreadableReason> {
        match WecomAnswer::parse(body.to_vec())? {
            WecomAnswer::Success(body) => Ok(body.decode::<NamedAnswer>()?.name),
            WecomAnswer::Refusal(code, _) => Ok(format!("refused {code}")),
        }
    }

    #[test]
    fn a_failure_is_an_errcode_that_is_present_and_not_zero() {
        for (body, expected) in [
            (r#"{"errcode":0,"name":"a"}"#, "a"),
            (r#"{"errcode":"0","name":"a"}"#, "a"),
            (r#"{"errcode":" 0 ","name":"a"}"#, "a"),
            (r#"{"errcode":null,"name":"a"}"#, "a"),
            (r#"{"name":"a"}"#, "a"),
            (r#"{"errcode":-1}"#, "refused -1"),
            (r#"{"errcode":"40014"}"#, "refused 40014"),
            (r#"{"errcode":60020,"errmsg":null}"#, "refused 60020"),
        ] {
            assert_eq!(read_name(body.as_bytes()).as_deref(), Ok(expected), "{body}");
        }
    }

    #[test]
    fn an_errcode_that_cannot_be_read_is_not_a_success() {
        for errcode in [r#""""#, r#""ok""#, "true", "false", "0.0", "[]", "{}", "18446744073709551615"] {
            let body = format!(r#"{{"errcode":{errcode},"name":"a"}}"#);
            assert_eq!(read_name(body.as_bytes()), Err(UnreadableReason::NotAsDocumented), "{errcode}");
        }
        assert_eq!(
            read_name(br#"{"errcode":0,"errcode":40014,"name":"a"}"#),
            Err(UnreadableReason::NotAsDocumented)
        );
    }

    #[test]
    fn a_byte_order_mark_and_raw_control_characters_are_read_over() {
        assert_eq!(read_name(b"\xef\xbb\xbf{\"errcode\":0,\"name\":\"a\"}").as_deref(), Ok("a"));
        assert_eq!(
            read_name(b"\r\n{\"errcode\":0,\x00\"name\":\"a\x01b\nc\x1f\"}\n").as_deref(),
            Ok("a b c ")
        );
    }

    #[test]
    fn what_is_no_answer_says_why_without_quoting_it() {
        for (body, why) in [
            (&b""[..], UnreadableReason::Empty),
            (b" \r\n\t", UnreadableReason::Empty),
            (b"<html>502</html>", UnreadableReason::Html),
            (b"\xef\xbb\xbf<!doctype html>", UnreadableReason::Html),
            (b"[]", UnreadableReason::NotAnObject),
            (b"[0]", UnreadableReason::NotAnObject),
            (b"null", UnreadableReason::NotAnObject),
            (b"0", UnreadableReason::NotAnObject),
            (b"\"ok\"", UnreadableReason::NotAnObject),
            (b"ok", UnreadableReason::NotJson),
            (b"{\"errcode\":0,\"name\":\"a", UnreadableReason::CutOff),
            (b"{\"errcode\":0", UnreadableReason::CutOff),
            (b"{\"errcode\":0,\"name\":\"a\"} extra", UnreadableReason::NotJson),
            (b"{\"errcode\":0,\"name\":\"\xff\xfe\"}", UnreadableReason::NotJson),
            (b"{\"errcode\":0}", UnreadableReason::NotAsDocumented),
        ] {
            let got = read_name(body);
            assert_eq!(got, Err(why), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_a_stack_overflow() {
        let body = format!(r#"{{"errcode":0,"name":"a","x":{}}}"#, "[".repeat(100_000));
        assert!(read_name(body.as_bytes()).is_err());
    }
}
