//! What an answer means for a call: pure, a table.

use super::backoff;
use crate::base::clock::Timestamp;
use crate::wecom::wire::SentMessage;
use crate::wecom::{SendRefusal, WecomError};

/// What came of a call, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallAnswer {
    /// WeCom took it.
    Taken {
        /// What recalls it.
        msgid: Option<String>,
        /// What updates the card, where there is one.
        response_code: Option<String>,
        /// Userids that WeCom does not know or may not send to, in lower case.
        invalid: Vec<String>,
        /// Userids without a licence for the API, in lower case.
        unlicensed: Vec<String>,
    },
    /// WeCom said no, so nothing was sent.
    Refused(CallRefusal),
    /// It never reached WeCom.
    NotMade(String),
    /// Nobody knows.
    Uncertain(String),
}

/// WeCom's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallRefusal {
    /// What can be done.
    pub(super) class: SendRefusal,
    /// `errcode`, if WeCom gave one.
    pub(super) code: Option<i64>,
    /// For people.
    pub(super) words: String,
}

impl CallAnswer {
    /// What `message/send` said.
    pub(super) fn from_send(result: Result<SentMessage, WecomError>) -> Self {
        match result {
            Ok(sent) => Self::Taken {
                msgid: sent.msgid,
                response_code: sent.response_code,
                invalid: sent.invaliduser,
                unlicensed: sent.unlicenseduser,
            },
            Err(error) => Self::from_error(&error),
        }
    }

    /// What `message/recall` said.
    pub(super) fn from_recall(result: Result<(), WecomError>) -> Self {
        match result {
            Ok(()) => {
                Self::Taken { msgid: None, response_code: None, invalid: Vec::new(), unlicensed: Vec::new() }
            }
            Err(error) => Self::from_error(&error),
        }
    }

    fn from_error(error: &WecomError) -> Self {
        let words = error.to_string();
        match SendRefusal::from_error(error) {
            Some(class) => Self::Refused(CallRefusal { class, code: error.code(), words }),
            None if error.may_have_worked() => Self::Uncertain(words),
            None => Self::NotMade(words),
        }
    }
}

/// The try that the answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallAttempt<'a> {
    /// The call's id.
    pub(super) call_id: &'a str,
    /// How many recipients it has.
    pub(super) recipients: i64,
    /// The number of this try, from 1.
    pub(super) number: i64,
    /// Since when it is uncertain, were it for this try.
    pub(super) began_at: Timestamp,
    /// Since when it was uncertain before this try.
    pub(super) uncertain_at: Option<Timestamp>,
    /// Until when the same bytes may be sent again.
    pub(super) retry_until: Timestamp,
}

/// What becomes of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done; those named are not reached.
    Sent {
        msgid: Option<String>,
        response_code: Option<String>,
        invalid: Vec<String>,
        unlicensed: Vec<String>,
    },
    /// The same bytes again, not before `at`.
    Retry { at: Timestamp, uncertain_at: Option<Timestamp>, reason: String, obstacle: Option<SendObstacle> },
    /// Each recipient gets a call of its own.
    SendSeparately { reason: String },
    /// It reached nobody, and never will. `label` is for the metric.
    Failed { reason: String, label: String },
    /// It may have reached everybody, and is not tried again.
    Unknown { reason: String },
}

impl Verdict {
    /// Whether no try of the call has done anything at WeCom.
    pub(super) const fn surely_sent_nothing(&self) -> bool {
        match self {
            Self::Retry { uncertain_at, .. } => uncertain_at.is_none(),
            Self::SendSeparately { .. } | Self::Failed { .. } => true,
            Self::Sent { .. } | Self::Unknown { .. } => false,
        }
    }
}

/// What the way to WeCom as a whole has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendObstacle {
    /// Too many calls at the same time.
    TooManyCalls,
    /// A limit of WeCom's.
    LimitReached(String),
    /// An administrator has to mend something.
    NeedsAdministrator(String),
}

impl SendObstacle {
    /// Whether nothing is sent for a while.
    pub(super) const fn holds(&self) -> bool {
        matches!(self, Self::LimitReached(_) | Self::NeedsAdministrator(_))
    }
}

/// Decides what becomes of a call.
pub(super) fn decide_verdict(answer: CallAnswer, tried: &CallAttempt<'_>, now: Timestamp) -> Verdict {
    match answer {
        CallAnswer::Taken { msgid, response_code, invalid, unlicensed } => {
            Verdict::Sent { msgid, response_code, invalid, unlicensed }
        }
        CallAnswer::NotMade(reason) => retry_verdict(tried, now, reason, None),
        CallAnswer::Uncertain(reason) => uncertain_verdict(tried, now, reason),
        CallAnswer::Refused(CallRefusal { class, code, words }) => match class {
            SendRefusal::Retry => retry_verdict(tried, now, words, None),
            SendRefusal::ReduceParallelism => {
                retry_verdict(tried, now, words, Some(SendObstacle::TooManyCalls))
            }
            SendRefusal::AwaitQuota => {
                retry_verdict(tried, now, words.clone(), Some(SendObstacle::LimitReached(words)))
            }
            SendRefusal::NeedsAdministrator => {
                retry_verdict(tried, now, words.clone(), Some(SendObstacle::NeedsAdministrator(words)))
            }
            // An earlier try may have reached whoever was fine then: it has not failed, and apart they would get it twice.
            SendRefusal::SplitRecipients | SendRefusal::NoRecipient | SendRefusal::RejectedMessage
                if tried.uncertain_at.is_some() =>
            {
                Verdict::Unknown { reason: words }
            }
            SendRefusal::SplitRecipients if tried.recipients > 1 => Verdict::SendSeparately { reason: words },
            SendRefusal::SplitRecipients | SendRefusal::NoRecipient | SendRefusal::RejectedMessage => {
                Verdict::Failed {
                    reason: words,
                    label: code.map_or_else(|| "refused".to_owned(), |code| code.to_string()),
                }
            }
        },
    }
}

/// This try surely did nothing: what was uncertain before stays so, and nothing else does.
fn retry_verdict(
    tried: &CallAttempt<'_>,
    now: Timestamp,
    reason: String,
    lane: Option<SendObstacle>,
) -> Verdict {
    let at = now.plus(backoff::retry_pause(tried.number, tried.call_id));
    // What is uncertain is tried again inside WeCom's window, or it never is.
    let at = if tried.uncertain_at.is_some() { at.min(tried.retry_until) } else { at };
    Verdict::Retry { at, uncertain_at: tried.uncertain_at, reason, obstacle: lane }
}

fn uncertain_verdict(tried: &CallAttempt<'_>, now: Timestamp, reason: String) -> Verdict {
    if now >= tried.retry_until {
        return Verdict::Unknown { reason };
    }
    let since = tried.uncertain_at.unwrap_or(tried.began_at);
    let at = now.plus(backoff::uncertain_pause(tried.number, tried.call_id)).min(tried.retry_until);
    Verdict::Retry { at, uncertain_at: Some(since), reason, obstacle: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::clock::Timestamp;

    const BEGAN: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn attempt(recipients: i64, uncertain: bool) -> CallAttempt<'static> {
        let uncertain_at = uncertain.then(|| BEGAN.minus(Duration::from_secs(20)));
        let until = uncertain_at.unwrap_or(BEGAN).plus(Duration::from_secs(105));
        CallAttempt {
            call_id: "call",
            recipients,
            number: 1,
            began_at: BEGAN,
            uncertain_at,
            retry_until: until,
        }
    }

    fn refusal(code: i64) -> CallAnswer {
        let class = SendRefusal::from_errcode(code);
        CallAnswer::Refused(CallRefusal { class, code: Some(code), words: format!("no {code}") })
    }

    #[test]
    fn every_refusal_has_its_own_consequence() {
        let now = BEGAN.plus(Duration::from_secs(1));
        let word = |code: i64, recipients: i64| match decide_verdict(
            refusal(code),
            &attempt(recipients, false),
            now,
        ) {
            Verdict::Sent { .. } => "sent",
            Verdict::Retry { uncertain_at: Some(_), .. } => "uncertain",
            Verdict::Retry { obstacle: None, .. } => "again",
            Verdict::Retry { obstacle: Some(SendObstacle::TooManyCalls), .. } => "fewer",
            Verdict::Retry { obstacle: Some(SendObstacle::LimitReached(_)), .. } => "limited",
            Verdict::Retry { obstacle: Some(SendObstacle::NeedsAdministrator(_)), .. } => "held",
            Verdict::SendSeparately { .. } => "apart",
            Verdict::Failed { .. } => "failed",
            Verdict::Unknown { .. } => "unknown",
        };
        for (code, alone, several) in [
            (-1, "again", "again"),
            (6000, "again", "again"),
            (45033, "fewer", "fewer"),
            (45009, "limited", "limited"),
            (60020, "held", "held"),
            (48002, "held", "held"),
            (301_002, "held", "held"),
            (50003, "held", "held"),
            (40001, "held", "held"),
            (40014, "held", "held"),
            (40003, "failed", "apart"),
            (60111, "failed", "apart"),
            (81013, "failed", "failed"),
            (40058, "failed", "failed"),
            (45002, "failed", "failed"),
            (123_456, "failed", "failed"),
        ] {
            assert_eq!((word(code, 1), word(code, 7)), (alone, several), "{code}");
        }
    }

    #[test]
    fn a_refusal_leaves_as_uncertain_what_was_so_before_and_nothing_else() {
        let now = BEGAN.plus(Duration::from_secs(1));
        for answer in [refusal(-1), CallAnswer::NotMade("no connection".to_owned())] {
            for uncertain in [false, true] {
                let tried = attempt(3, uncertain);
                let Verdict::Retry { uncertain_at, at, .. } = decide_verdict(answer.clone(), &tried, now)
                else {
                    panic!("{answer:?}")
                };
                assert_eq!(uncertain_at, tried.uncertain_at);
                assert!(at > now && (!uncertain || at <= tried.retry_until));
            }
        }
    }

    #[test]
    fn what_an_earlier_try_may_have_brought_has_not_failed_and_nobody_gets_it_twice() {
        for code in [40003, 60111, 81013, 40058, 45002, 123_456] {
            for recipients in [1, 7] {
                let verdict = decide_verdict(refusal(code), &attempt(recipients, true), BEGAN);
                assert_eq!(verdict, Verdict::Unknown { reason: format!("no {code}") }, "{recipients}");
            }
        }
    }

    #[test]
    fn silence_is_asked_again_inside_the_window_and_never_after_it() {
        let silence = || CallAnswer::Uncertain("no answer".to_owned());
        for uncertain in [false, true] {
            let tried = attempt(1, uncertain);
            let mut now = BEGAN.plus(Duration::from_secs(14));
            for number in 1..20 {
                let tried = CallAttempt {
                    number,
                    uncertain_at: Some(tried.uncertain_at.unwrap_or(BEGAN)),
                    ..tried.clone()
                };
                match decide_verdict(silence(), &tried, now) {
                    Verdict::Retry { at, uncertain_at, .. } => {
                        assert!(at > now && at <= tried.retry_until, "{at:?}");
                        assert_eq!(uncertain_at, tried.uncertain_at, "since the first try");
                        now = at.plus(Duration::from_secs(1));
                    }
                    verdict => {
                        assert!(now >= tried.retry_until, "{verdict:?}");
                        assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
                        break;
                    }
                }
            }
            assert!(now >= tried.retry_until);
        }
        let first = decide_verdict(silence(), &attempt(1, false), BEGAN.plus(Duration::from_secs(14)));
        assert!(matches!(first, Verdict::Retry { uncertain_at: Some(BEGAN), .. }), "{first:?}");
    }

    #[test]
    fn what_the_client_says_becomes_what_happened() {
        let api = "message/send";
        let silent = |sent| WecomError::Timeout { api, sent };
        assert!(matches!(CallAnswer::from_send(Err(silent(true))), CallAnswer::Uncertain(_)));
        assert!(matches!(CallAnswer::from_send(Err(silent(false))), CallAnswer::NotMade(_)));
        assert!(matches!(CallAnswer::from_recall(Err(silent(true))), CallAnswer::Uncertain(_)));
        let unreadable = WecomError::Unreadable { api, status: 502, why: "HTML".to_owned() };
        assert!(matches!(CallAnswer::from_send(Err(unreadable)), CallAnswer::Uncertain(_)));
        let no_secret = WecomError::NoSecret(crate::wecom::SecretKind::App);
        let CallAnswer::Refused(refusal) = CallAnswer::from_send(Err(no_secret)) else { panic!("held") };
        assert_eq!((refusal.class, refusal.code), (SendRefusal::NeedsAdministrator, None));
        assert!(matches!(CallAnswer::from_recall(Ok(())), CallAnswer::Taken { .. }));
    }
}
