//! Errors of calls to WeCom, in families that callers act on.
//!
//! No variant carries a URL, a token, a secret or a code: these travel in query strings, and an
//! error is written to logs, pages and the audit trail. The texts are our own; WeCom's `errmsg` is
//! cleaned first.

use std::net::IpAddr;

use super::SecretKind;
use super::errcode::ErrorFamily;
use crate::base::clock::Timestamp;
use crate::base::text::blank_misleading;

/// The call that asks for an access token. If it fails, the call that needed the token was never
/// made.
pub(super) const GETTOKEN_API: &str = "gettoken";

/// An error of a call to WeCom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WecomError {
    /// WeCom answered with an errcode.
    #[error("WeCom refused {}", .0)]
    Refused(WecomRefusal),
    /// No answer within the limits of the call or the caller's deadline. The call may have had its
    /// effect.
    #[error("WeCom did not answer {api} in time")]
    Timeout {
        /// The call by its path below `/cgi-bin/`, `auth/getuserinfo`.
        api: &'static str,
        /// Whether the request may have gone out; false while waiting for a slot, a token or a
        /// connection.
        sent: bool,
    },
    /// No usable connection, or a server error (HTTP 5xx).
    #[error("WeCom cannot be reached for {api}: {why}")]
    Unreachable {
        api: &'static str,
        /// The reason, in our own words.
        why: String,
        /// Whether the request may have gone out; false if there was no connection.
        sent: bool,
    },
    /// An answer that is not what WeCom documents: HTML, cut off, empty, too long, another HTTP
    /// status.
    #[error("the answer to {api} (HTTP {status}) cannot be read: {why}")]
    Unreadable {
        api: &'static str,
        status: u16,
        /// What is wrong with the answer, in our own words; never quotes it.
        why: String,
    },
    /// Nothing was sent. WeCom refused a token for a reason that lasts, and asking again now could
    /// get our address banned for an hour (document 90313, 45009).
    #[error("no access token is asked for before {}: WeCom refused {cause}", .until.rfc3339())]
    BackingOff {
        /// When the next token will be asked for.
        until: Timestamp,
        /// The refusal of the last attempt.
        cause: Box<WecomRefusal>,
    },
    /// The call needs a secret that is not configured.
    #[error("wecom.{0} is not configured")]
    NoSecret(SecretKind),
}

/// An error of the settings for which no client can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WecomSetupError {
    /// An address is not `http://` or `https://` with a host.
    #[error("wecom.{0} must begin with https:// or http:// and name a host")]
    Address(&'static str),
    /// The proxy's address cannot be used.
    #[error("wecom.proxy is not the address of a proxy")]
    Proxy,
    /// The HTTP client cannot be built, for instance without root certificates.
    #[error("no HTTP client can be made: {0}")]
    Http(String),
}

/// A refusal as WeCom worded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WecomRefusal {
    pub api: &'static str,
    /// `errcode`.
    pub code: i64,
    /// `errmsg`, at most 300 characters, without control characters and without secrets. For people
    /// only: WeCom changes these texts, so no decision may depend on one.
    pub message: String,
    /// The address that our call came from as WeCom saw it, if `errmsg` names it. An administrator
    /// enters it under 「企业可信IP」.
    pub from_ip: Option<IpAddr>,
}

impl std::fmt::Display for WecomRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {}", self.api, self.code, self.message)
    }
}

impl WecomError {
    /// Returns the errcode behind this error, if WeCom gave one.
    pub fn code(&self) -> Option<i64> {
        self.refusal().map(|r| r.code)
    }

    /// Returns WeCom's refusal behind this error, also if it is remembered from an earlier call.
    pub fn refusal(&self) -> Option<&WecomRefusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::BackingOff { cause, .. } => Some(cause),
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Unreadable { .. } | Self::NoSecret(_) => {
                None
            }
        }
    }

    /// Returns what a caller can do about this error.
    pub fn family(&self) -> ErrorFamily {
        match self {
            Self::Refused(refusal) => ErrorFamily::from_errcode(refusal.code),
            // No token is asked for. Whatever family the errcode has elsewhere, here an
            // administrator must act, unless it is WeCom's own limit.
            Self::BackingOff { cause, .. } => match ErrorFamily::from_errcode(cause.code) {
                ErrorFamily::Busy => ErrorFamily::Busy,
                _ => ErrorFamily::Setup,
            },
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Unreadable { .. } => {
                ErrorFamily::Upstream
            }
            Self::NoSecret(_) => ErrorFamily::Setup,
        }
    }

    /// Whether WeCom may have acted on the call although it did not report success: the connection
    /// broke or stayed silent, a server error, an answer that cannot be read. Then the call may be
    /// repeated only if a second one does no harm.
    ///
    /// A refusal means that WeCom did not act, and a call without a token was never made.
    pub fn may_have_worked(&self) -> bool {
        match self {
            Self::Refused(_) | Self::BackingOff { .. } | Self::NoSecret(_) => false,
            Self::Timeout { api, sent } | Self::Unreachable { api, sent, .. } => {
                // While a token is fetched, the call itself has not been made.
                *sent && *api != GETTOKEN_API
            }
            Self::Unreadable { api, .. } => *api != GETTOKEN_API,
        }
    }

    /// Returns when asking again makes sense, if that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::BackingOff { until, .. } => Some(*until),
            _ => None,
        }
    }
}

impl WecomRefusal {
    const MAX_MESSAGE_CHARS: usize = 300;

    /// Makes a refusal of an answer's `errcode` and `errmsg`. Every one of the `hidden` values is
    /// removed, because a server in between may echo the request.
    pub(super) fn new(api: &'static str, code: i64, errmsg: &str, hidden: &[&str]) -> Self {
        Self {
            api,
            code,
            message: redact_text(errmsg, hidden, Self::MAX_MESSAGE_CHARS),
            from_ip: parse_from_ip(errmsg),
        }
    }
}

/// Returns `text` as a log line may have it: without the `hidden` values, without control and
/// direction characters, and cut to `longest` characters.
pub(super) fn redact_text(text: &str, hidden: &[&str], longest: usize) -> String {
    let mut text = text.to_owned();
    for value in hidden.iter().filter(|v| !v.is_empty()) {
        text = text.replace(value, "[REDACTED]");
        // In an echoed query string the value is percent-encoded.
        let encoded = urlencoding::encode(value);
        if encoded != *value {
            text = text.replace(encoded.as_ref(), "[REDACTED]");
        }
    }
    blank_misleading(&text.chars().take(longest).collect::<String>())
}

/// Finds the address in `…, from ip: 203.0.113.7, more info at …`.
fn parse_from_ip(errmsg: &str) -> Option<IpAddr> {
    let (_, rest) = errmsg.split_once("from ip:")?;
    let word = rest.trim_start().split(|c: char| c == ',' || c.is_whitespace()).next()?;
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_wecom_saw_is_read_from_errmsg() {
        let text =
            "not allow to access from your ip, hint: [1], from ip: 203.0.113.7, more info at https://x";
        assert_eq!(WecomRefusal::new("user/get", 60020, text, &[]).from_ip, "203.0.113.7".parse().ok());
        let v6 = WecomRefusal::new("user/get", 60020, "from ip: 2001:db8::7", &[]);
        assert_eq!(v6.from_ip, "2001:db8::7".parse().ok());
        assert_eq!(WecomRefusal::new("user/get", 60020, "from ip: unknown", &[]).from_ip, None);
    }

    #[test]
    fn errmsg_cannot_forge_a_log_line_or_echo_what_was_sent() {
        let message = WecomRefusal::new(
            "user/get",
            40014,
            "bad T0KEN/1 or T0KEN%2F1\r\n\u{1b}[31m\u{202e}x",
            &["T0KEN/1"],
        )
        .message;
        assert!(!message.contains("T0KEN"), "{message}");
        assert_eq!(blank_misleading(&message), message);
        let long = "长".repeat(5_000);
        assert_eq!(WecomRefusal::new("user/get", 1, &long, &[]).message.chars().count(), 300);
    }

    #[test]
    fn what_is_remembered_from_a_refused_token_keeps_its_code_and_its_time() {
        let until = Timestamp::from_millis(60_000);
        let error = WecomError::BackingOff {
            until,
            cause: Box::new(WecomRefusal::new("gettoken", 40001, "no", &[])),
        };
        assert_eq!(
            (error.code(), error.family(), error.retry_at()),
            (Some(40001), ErrorFamily::Setup, Some(until))
        );
    }
}
