//! Decides what WeCom's answer means for a call. Pure.

use super::backoff;
use crate::base::clock::Timestamp;
use crate::message::reason::DeliveryReason;
use crate::wecom::wire::SentMessage;
use crate::wecom::{SendRefusal, WecomError};

/// The outcome of one attempt of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallAnswer {
    /// WeCom took it.
    Taken {
        /// The id with which it can be recalled.
        msgid: Option<String>,
        /// The code with which a card can be updated, where there is one.
        response_code: Option<String>,
        /// Userids that WeCom does not know or may not send to, in lower case.
        invalid: Vec<String>,
        /// Userids without a licence for the API, in lower case.
        unlicensed: Vec<String>,
    },
    /// WeCom refused it, so nothing was sent.
    Refused(CallRefusal),
    /// It never reached WeCom.
    NotMade(DeliveryReason),
    /// The outcome is not known.
    Uncertain(DeliveryReason),
}

/// WeCom's refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallRefusal {
    /// What can be done about it.
    pub(super) class: SendRefusal,
    /// `errcode`, if WeCom gave one.
    pub(super) code: Option<i64>,
    pub(super) reason: DeliveryReason,
}

impl CallAnswer {
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

    pub(super) fn from_recall(result: Result<(), WecomError>) -> Self {
        match result {
            Ok(()) => {
                Self::Taken { msgid: None, response_code: None, invalid: Vec::new(), unlicensed: Vec::new() }
            }
            Err(error) => Self::from_error(&error),
        }
    }

    fn from_error(error: &WecomError) -> Self {
        let reason = DeliveryReason::from_error(error);
        match SendRefusal::from_error(error) {
            Some(class) => Self::Refused(CallRefusal { class, code: error.code(), reason }),
            None if error.may_have_worked() => Self::Uncertain(reason),
            None => Self::NotMade(reason),
        }
    }
}

/// The attempt to which an answer belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallAttempt<'a> {
    pub(super) call_id: &'a str,
    pub(super) recipients: i64,
    /// The number of this attempt, from 1.
    pub(super) number: i64,
    /// When this attempt began. Its outcome is uncertain since then, if it stays unknown.
    pub(super) began_at: Timestamp,
    /// Since when the outcome was uncertain before this attempt.
    pub(super) uncertain_at: Option<Timestamp>,
    /// Until when the same bytes may be sent again.
    pub(super) retry_until: Timestamp,
}

/// What happens to a call after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done. The named userids were not reached.
    Sent {
        msgid: Option<String>,
        response_code: Option<String>,
        invalid: Vec<String>,
        unlicensed: Vec<String>,
    },
    /// The same bytes are sent again, not before `at`.
    Retry {
        at: Timestamp,
        uncertain_at: Option<Timestamp>,
        reason: DeliveryReason,
        obstacle: Option<SendObstacle>,
    },
    /// Each recipient gets a call of its own.
    SendSeparately { reason: DeliveryReason },
    /// It reached nobody and never will. `label` is for the metric.
    Failed { reason: DeliveryReason, label: String },
    /// It may have reached everybody and is not tried again.
    Unknown { reason: DeliveryReason },
}

impl Verdict {
    /// Whether no attempt of the call can have done anything at WeCom.
    pub(super) const fn surely_sent_nothing(&self) -> bool {
        match self {
            Self::Retry { uncertain_at, .. } => uncertain_at.is_none(),
            Self::SendSeparately { .. } | Self::Failed { .. } => true,
            Self::Sent { .. } | Self::Unknown { .. } => false,
        }
    }
}

/// What stands in the way of all calls to WeCom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendObstacle {
    TooManyCalls,
    /// One of WeCom's limits.
    LimitReached,
    /// Something that an administrator has to mend.
    NeedsAdministrator(DeliveryReason),
}

impl SendObstacle {
    /// Whether it holds the send window.
    pub(super) const fn holds(&self) -> bool {
        matches!(self, Self::LimitReached | Self::NeedsAdministrator(_))
    }
}

pub(super) fn decide_verdict(answer: CallAnswer, attempt: &CallAttempt<'_>, now: Timestamp) -> Verdict {
    match answer {
        CallAnswer::Taken { msgid, response_code, invalid, unlicensed } => {
            Verdict::Sent { msgid, response_code, invalid, unlicensed }
        }
        CallAnswer::NotMade(reason) => retry_verdict(attempt, now, reason, None),
        CallAnswer::Uncertain(reason) => uncertain_verdict(attempt, now, reason),
        CallAnswer::Refused(CallRefusal { class, code, reason }) => match class {
            SendRefusal::Retry => retry_verdict(attempt, now, reason, None),
            SendRefusal::ReduceParallelism => {
                retry_verdict(attempt, now, reason, Some(SendObstacle::TooManyCalls))
            }
            SendRefusal::AwaitQuota => retry_verdict(attempt, now, reason, Some(SendObstacle::LimitReached)),
            SendRefusal::NeedsAdministrator => {
                let obstacle = SendObstacle::NeedsAdministrator(reason.clone());
                retry_verdict(attempt, now, reason, Some(obstacle))
            }
            // An earlier attempt may have reached recipients that were valid then. So the call has
            // not certainly failed, and separate calls could reach them twice.
            SendRefusal::SplitRecipients | SendRefusal::NoRecipient | SendRefusal::RejectedMessage
                if attempt.uncertain_at.is_some() =>
            {
                Verdict::Unknown { reason }
            }
            // WeCom does not say which recipient it refuses.
            SendRefusal::SplitRecipients if attempt.recipients > 1 => Verdict::SendSeparately { reason },
            SendRefusal::SplitRecipients | SendRefusal::NoRecipient | SendRefusal::RejectedMessage => {
                Verdict::Failed {
                    reason,
                    label: code.map_or_else(|| "refused".to_owned(), |code| code.to_string()),
                }
            }
        },
    }
}

/// This attempt certainly did nothing. If the outcome was uncertain before, it still is.
fn retry_verdict(
    attempt: &CallAttempt<'_>,
    now: Timestamp,
    reason: DeliveryReason,
    obstacle: Option<SendObstacle>,
) -> Verdict {
    let at = now.plus(backoff::retry_pause(attempt.number, attempt.call_id));
    // A call with an uncertain outcome is tried again inside WeCom's duplicate window or never.
    let at = if attempt.uncertain_at.is_some() { at.min(attempt.retry_until) } else { at };
    Verdict::Retry { at, uncertain_at: attempt.uncertain_at, reason, obstacle }
}

fn uncertain_verdict(attempt: &CallAttempt<'_>, now: Timestamp, reason: DeliveryReason) -> Verdict {
    if now >= attempt.retry_until {
        return Verdict::Unknown { reason };
    }
    let since = attempt.uncertain_at.unwrap_or(attempt.began_at);
    let at = now.plus(backoff::uncertain_pause(attempt.number, attempt.call_id)).min(attempt.retry_until);
    Verdict::Retry { at, uncertain_at: Some(since), reason, obstacle: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::state::FailureReason;

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
        CallAnswer::Refused(CallRefusal { class, code: Some(code), reason: FailureReason::Refused.into() })
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
            Verdict::Retry { obstacle: Some(SendObstacle::LimitReached), .. } => "limited",
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
        for answer in [refusal(-1), CallAnswer::NotMade(FailureReason::Unreachable.into())] {
            for uncertain in [false, true] {
                let attempt = attempt(3, uncertain);
                let Verdict::Retry { uncertain_at, at, .. } = decide_verdict(answer.clone(), &attempt, now)
                else {
                    panic!("{answer:?}")
                };
                assert_eq!(uncertain_at, attempt.uncertain_at);
                assert!(at > now && (!uncertain || at <= attempt.retry_until));
            }
        }
    }

    #[test]
    fn what_an_earlier_try_may_have_brought_has_not_failed_and_nobody_gets_it_twice() {
        for code in [40003, 60111, 81013, 40058, 45002, 123_456] {
            for recipients in [1, 7] {
                let verdict = decide_verdict(refusal(code), &attempt(recipients, true), BEGAN);
                assert_eq!(
                    verdict,
                    Verdict::Unknown { reason: FailureReason::Refused.into() },
                    "{recipients}"
                );
            }
        }
    }

    #[test]
    fn silence_is_asked_again_inside_the_window_and_never_after_it() {
        let silence = || CallAnswer::Uncertain(FailureReason::Timeout.into());
        for uncertain in [false, true] {
            let attempt = attempt(1, uncertain);
            let mut now = BEGAN.plus(Duration::from_secs(14));
            for number in 1..20 {
                let attempt = CallAttempt {
                    number,
                    uncertain_at: Some(attempt.uncertain_at.unwrap_or(BEGAN)),
                    ..attempt.clone()
                };
                match decide_verdict(silence(), &attempt, now) {
                    Verdict::Retry { at, uncertain_at, .. } => {
                        assert!(at > now && at <= attempt.retry_until, "{at:?}");
                        assert_eq!(uncertain_at, attempt.uncertain_at, "since the first try");
                        now = at.plus(Duration::from_secs(1));
                    }
                    verdict => {
                        assert!(now >= attempt.retry_until, "{verdict:?}");
                        assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
                        break;
                    }
                }
            }
            assert!(now >= attempt.retry_until);
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
