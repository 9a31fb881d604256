//! What each errcode means to the program (document 90313): the one table of its family and of what
//! the sender of a message can do about it. What it means to people is in [`explain_errcode`] and
//! [`explain_message_errcode`].
//!
//! [`explain_errcode`]: super::explain_errcode
//! [`explain_message_errcode`]: super::explain_message_errcode

/// The family of an error: what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorFamily {
    /// The code is used up or too old: begin the sign-in again, once.
    SignInAgain,
    /// The access token was refused, even a fresh one.
    Token,
    /// One of WeCom's limits is reached; it passes by itself.
    Busy,
    /// WeCom is busy, and still was after the last try.
    Retry,
    /// Only an administrator can mend it.
    Setup,
    /// The member left or is not in the application's visible range; WeCom does not say which.
    NotVisible,
    /// The request itself was wrong; sending it again does not help.
    Caller,
    /// An errcode that is not in the table.
    Unknown,
    /// There is no answer, or none that can be read.
    Upstream,
}

/// What a sender can do about a refusal of `message/send` (document 90313).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SendRefusal {
    /// WeCom is busy (−1, 6000): repeat the call a little later.
    Retry,
    /// Too many calls at the same time (45033): repeat it with fewer calls in parallel.
    ReduceParallelism,
    /// One of WeCom's limits is used up (45009): send no message at all until its window ends.
    AwaitQuota,
    /// No message goes out until an administrator has mended the secret, the trusted address, the
    /// application or the company.
    NeedsAdministrator,
    /// One recipient makes WeCom refuse the call; sent separately, the others may get the message.
    SplitRecipients,
    /// None of the recipients may get messages of this application (81013).
    NoRecipient,
    /// The message itself is refused, or the code is unknown: never send it again unchanged.
    RejectedMessage,
}

/// The row of an errcode.
struct ErrcodeRow {
    family: ErrorFamily,
    send_refusal: SendRefusal,
}

/// Returns what `code` means. A code that is not in the table is never retried blindly.
const fn classify_errcode(code: i64) -> ErrcodeRow {
    let (family, send_refusal) = match code {
        -1 | 6000 => (ErrorFamily::Retry, SendRefusal::Retry),
        45033 => (ErrorFamily::Busy, SendRefusal::ReduceParallelism),
        45009 => (ErrorFamily::Busy, SendRefusal::AwaitQuota),
        // A sender sees these only after a fresh token was refused too.
        40014 | 42001 => (ErrorFamily::Token, SendRefusal::NeedsAdministrator),
        // 40163 is WeChat's code for a used code; some proxies answer it in WeCom's place.
        40029 | 40163 | 42003 | 42022 | 84014 | 84015 => {
            (ErrorFamily::SignInAgain, SendRefusal::RejectedMessage)
        }
        50002 | 60011 | 60021 | 60030 | 60111 | 92000 => {
            (ErrorFamily::NotVisible, SendRefusal::SplitRecipients)
        }
        40001
        | 40013
        | 40054..=40057
        | 40091
        | 40093
        | 41002
        | 41004
        | 42012
        | 43009
        | 45024
        | 45026
        | 45031
        | 48001
        | 48002
        | 48004..=48006
        | 48009
        | 49004
        | 50001
        | 50003
        | 60020
        | 80001
        | 81011
        | 85004
        | 85005
        | 301_002
        | 301_007
        | 701_008
        | 2_000_002 => (ErrorFamily::Setup, SendRefusal::NeedsAdministrator),
        // Only cards that members answer need a callback address, and they must not hold up the
        // rest.
        43012 => (ErrorFamily::Setup, SendRefusal::RejectedMessage),
        // Something between us and WeCom takes the query or the body apart.
        41001 | 41011 => (ErrorFamily::Caller, SendRefusal::NeedsAdministrator),
        // Members, and what stands for members: departments and tags.
        40003 | 40031 | 40032 | 40066 | 40068 | 40070 | 40073 | 43004 | 46004 | 60003 | 60123 | 301_021 => {
            (ErrorFamily::Caller, SendRefusal::SplitRecipients)
        }
        81013 => (ErrorFamily::Caller, SendRefusal::NoRecipient),
        40004..=40009
        | 40011
        | 40033..=40035
        | 40039
        | 40058
        | 40063
        | 40071
        | 40072
        | 40074
        | 40088
        | 40089
        | 40094
        | 40123
        | 40126
        | 40201
        | 41008..=41010
        | 41016
        | 41033
        | 42014..=42020
        | 42027..=42052
        | 44001
        | 44004
        | 45001
        | 45002
        | 45007
        | 45008
        | 45029
        | 45034
        | 50100
        | 60001
        | 60002
        | 60004..=60010
        | 60102..=60107
        | 60110
        | 60112
        | 60129
        | 60136
        | 60140
        | 60257
        | 81001..=81003
        | 81012
        | 81014
        | 82001..=82003
        | 85002
        | 91040 => (ErrorFamily::Caller, SendRefusal::RejectedMessage),
        _ => (ErrorFamily::Unknown, SendRefusal::RejectedMessage),
    };
    ErrcodeRow { family, send_refusal }
}

impl ErrorFamily {
    /// Returns the label in metrics.
    pub(in crate::wecom) const fn as_str(self) -> &'static str {
        match self {
            Self::SignInAgain => "sign_in_again",
            Self::Token => "token",
            Self::Busy => "busy",
            Self::Retry => "retry",
            Self::Setup => "setup",
            Self::NotVisible => "not_visible",
            Self::Caller => "caller",
            Self::Unknown => "unknown",
            Self::Upstream => "upstream",
        }
    }

    /// Returns the family of an errcode.
    pub(in crate::wecom) const fn from_errcode(code: i64) -> Self {
        classify_errcode(code).family
    }
}

impl SendRefusal {
    /// Returns what can be done about this errcode of `message/send` itself.
    pub(crate) const fn from_errcode(code: i64) -> Self {
        classify_errcode(code).send_refusal
    }
}

/// Whether the access token was refused, so that a new one is worth asking for. Some servers answer
/// 40001 for a token that has ended.
pub(in crate::wecom) fn refuses_token(code: i64) -> bool {
    code == 40001 || ErrorFamily::from_errcode(code) == ErrorFamily::Token
}

/// Whether asking for a token again soon after this refusal of gettoken is useless or dangerous.
///
/// An unknown errcode is taken for a wrong secret. −1 and 45033 pass by themselves; 60020 is mended
/// within a minute and bans nobody.
pub(in crate::wecom) fn needs_back_off(code: i64) -> bool {
    code != 60020 && code != 45033 && ErrorFamily::from_errcode(code) != ErrorFamily::Retry
}

/// Whether `message/send` found nothing wrong but that no recipient is named.
pub(in crate::wecom) const fn misses_recipient(code: i64) -> bool {
    matches!(code, 82001 | 81012 | 81013 | 40063 | 40035 | 40003)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errcode_nobody_knows_is_never_retried_blindly() {
        assert_eq!(ErrorFamily::from_errcode(987_654), ErrorFamily::Unknown);
        for (code, family) in [
            (-1, ErrorFamily::Retry),
            (40163, ErrorFamily::SignInAgain),
            (42001, ErrorFamily::Token),
            (45033, ErrorFamily::Busy),
            (60020, ErrorFamily::Setup),
            (60111, ErrorFamily::NotVisible),
            (40003, ErrorFamily::Caller),
        ] {
            assert_eq!(ErrorFamily::from_errcode(code), family, "{code}");
        }
    }
}
