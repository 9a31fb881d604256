//! What an answer means for a call: pure, a table.

use super::pauses;
use crate::base::clock::Timestamp;
use crate::wecom::wire::SentMessage;
use crate::wecom::{Error, SendRefusal};

/// What came of a call, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
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
    Refused(Refusal),
    /// It never reached WeCom.
    NotMade(String),
    /// Nobody knows.
    Unsure(String),
}

/// WeCom's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What can be done.
    pub(super) class: SendRefusal,
    /// `errcode`, if WeCom gave one.
    pub(super) code: Option<i64>,
    /// For people.
    pub(super) words: String,
}

impl Answer {
    /// What `message/send` said.
    pub(super) fn of(result: Result<SentMessage, Error>) -> Self {
        match result {
            Ok(sent) => Self::Taken {
                msgid: sent.msgid,
                response_code: sent.response_code,
                invalid: sent.invaliduser,
                unlicensed: sent.unlicenseduser,
            },
            Err(error) => Self::not_taken(&error),
        }
    }

    /// What `message/recall` said.
    pub(super) fn of_recall(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => {
                Self::Taken { msgid: None, response_code: None, invalid: Vec::new(), unlicensed: Vec::new() }
            }
            Err(error) => Self::not_taken(&error),
        }
    }

    fn not_taken(error: &Error) -> Self {
        let words = error.to_string();
        match SendRefusal::of(error) {
            Some(class) => Self::Refused(Refusal { class, code: error.code(), words }),
            None if error.may_have_worked() => Self::Unsure(words),
            None => Self::NotMade(words),
        }
    }
}

/// The try that the answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Try<'a> {
    /// The call's id.
    pub(super) call: &'a str,
    /// How many recipients it has.
    pub(super) recipients: i64,
    /// The number of this try, from 1.
    pub(super) number: i64,
    /// Since when it is uncertain, were it for this try.
    pub(super) began: Timestamp,
    /// Since when it was uncertain before this try.
    pub(super) uncertain_at: Option<Timestamp>,
    /// Until when the same bytes may be sent again.
    pub(super) until: Timestamp,
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
    Again { at: Timestamp, uncertain_at: Option<Timestamp>, reason: String, lane: Option<Trouble> },
    /// Each recipient gets a call of its own.
    Apart { reason: String },
    /// It reached nobody, and never will. `label` is for the metric.
    Failed { reason: String, label: String },
    /// It may have reached everybody, and is not tried again.
    Unknown { reason: String },
}

impl Verdict {
    /// Whether no try of the call has done anything at WeCom.
    pub(super) const fn surely_nothing(&self) -> bool {
        match self {
            Self::Again { uncertain_at, .. } => uncertain_at.is_none(),
            Self::Apart { .. } | Self::Failed { .. } => true,
            Self::Sent { .. } | Self::Unknown { .. } => false,
        }
    }
}

/// What the way to WeCom as a whole has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Too many calls at the same time.
    Crowded,
    /// A limit of WeCom's.
    Limited(String),
    /// An administrator has to mend something.
    Broken(String),
}

impl Trouble {
    /// Whether nothing is sent for a while.
    pub(super) const fn holds(&self) -> bool {
        matches!(self, Self::Limited(_) | Self::Broken(_))
    }
}

/// Decides what becomes of a call.
pub(super) fn judge(answer: Answer, tried: &Try<'_>, now: Timestamp) -> Verdict {
    match answer {
        Answer::Taken { msgid, response_code, invalid, unlicensed } => {
            Verdict::Sent { msgid, response_code, invalid, unlicensed }
        }
        Answer::NotMade(reason) => again(tried, now, reason, None),
        Answer::Unsure(reason) => uncertain(tried, now, reason),
        Answer::Refused(Refusal { class, code, words }) => match class {
            SendRefusal::Again => again(tried, now, words, None),
            SendRefusal::Fewer => again(tried, now, words, Some(Trouble::Crowded)),
            SendRefusal::Wait => again(tried, now, words.clone(), Some(Trouble::Limited(words))),
            SendRefusal::Administrator => again(tried, now, words.clone(), Some(Trouble::Broken(words))),
            // An earlier try may have reached whoever was fine then: it has not failed, and apart they would get it twice.
            SendRefusal::Recipients | SendRefusal::Nobody | SendRefusal::Message
                if tried.uncertain_at.is_some() =>
            {
                Verdict::Unknown { reason: words }
            }
            SendRefusal::Recipients if tried.recipients > 1 => Verdict::Apart { reason: words },
            SendRefusal::Recipients | SendRefusal::Nobody | SendRefusal::Message => Verdict::Failed {
                reason: words,
                label: code.map_or_else(|| "refused".to_owned(), |code| code.to_string()),
            },
        },
    }
}

/// This try surely did nothing: what was uncertain before stays so, and nothing else does.
fn again(tried: &Try<'_>, now: Timestamp, reason: String, lane: Option<Trouble>) -> Verdict {
    let at = now.plus(pauses::again(tried.number, tried.call));
    // What is uncertain is tried again inside WeCom's window, or it never is.
    let at = if tried.uncertain_at.is_some() { at.min(tried.until) } else { at };
    Verdict::Again { at, uncertain_at: tried.uncertain_at, reason, lane }
}

fn uncertain(tried: &Try<'_>, now: Timestamp, reason: String) -> Verdict {
    if now >= tried.until {
        return Verdict::Unknown { reason };
    }
    let since = tried.uncertain_at.unwrap_or(tried.began);
    let at = now.plus(pauses::uncertain(tried.number, tried.call)).min(tried.until);
    Verdict::Again { at, uncertain_at: Some(since), reason, lane: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::clock::Timestamp;

    const BEGAN: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn tried(recipients: i64, uncertain: bool) -> Try<'static> {
        let uncertain_at = uncertain.then(|| BEGAN.minus(Duration::from_secs(20)));
        let until = uncertain_at.unwrap_or(BEGAN).plus(Duration::from_secs(105));
        Try { call: "call", recipients, number: 1, began: BEGAN, uncertain_at, until }
    }

    fn refused(code: i64) -> Answer {
        let class = SendRefusal::of_code(code);
        Answer::Refused(Refusal { class, code: Some(code), words: format!("no {code}") })
    }

    #[test]
    fn every_refusal_has_its_own_consequence() {
        let now = BEGAN.plus(Duration::from_secs(1));
        let word = |code: i64, recipients: i64| match judge(refused(code), &tried(recipients, false), now) {
            Verdict::Sent { .. } => "sent",
            Verdict::Again { uncertain_at: Some(_), .. } => "uncertain",
            Verdict::Again { lane: None, .. } => "again",
            Verdict::Again { lane: Some(Trouble::Crowded), .. } => "fewer",
            Verdict::Again { lane: Some(Trouble::Limited(_)), .. } => "limited",
            Verdict::Again { lane: Some(Trouble::Broken(_)), .. } => "held",
            Verdict::Apart { .. } => "apart",
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
        for answer in [refused(-1), Answer::NotMade("no connection".to_owned())] {
            for uncertain in [false, true] {
                let tried = tried(3, uncertain);
                let Verdict::Again { uncertain_at, at, .. } = judge(answer.clone(), &tried, now) else {
                    panic!("{answer:?}")
                };
                assert_eq!(uncertain_at, tried.uncertain_at);
                assert!(at > now && (!uncertain || at <= tried.until));
            }
        }
    }

    #[test]
    fn what_an_earlier_try_may_have_brought_has_not_failed_and_nobody_gets_it_twice() {
        for code in [40003, 60111, 81013, 40058, 45002, 123_456] {
            for recipients in [1, 7] {
                let verdict = judge(refused(code), &tried(recipients, true), BEGAN);
                assert_eq!(verdict, Verdict::Unknown { reason: format!("no {code}") }, "{recipients}");
            }
        }
    }

    #[test]
    fn silence_is_asked_again_inside_the_window_and_never_after_it() {
        let silence = || Answer::Unsure("no answer".to_owned());
        for uncertain in [false, true] {
            let tried = tried(1, uncertain);
            let mut now = BEGAN.plus(Duration::from_secs(14));
            for number in 1..20 {
                let tried =
                    Try { number, uncertain_at: Some(tried.uncertain_at.unwrap_or(BEGAN)), ..tried.clone() };
                match judge(silence(), &tried, now) {
                    Verdict::Again { at, uncertain_at, .. } => {
                        assert!(at > now && at <= tried.until, "{at:?}");
                        assert_eq!(uncertain_at, tried.uncertain_at, "since the first try");
                        now = at.plus(Duration::from_secs(1));
                    }
                    verdict => {
                        assert!(now >= tried.until, "{verdict:?}");
                        assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
                        break;
                    }
                }
            }
            assert!(now >= tried.until);
        }
        let first = judge(silence(), &tried(1, false), BEGAN.plus(Duration::from_secs(14)));
        assert!(matches!(first, Verdict::Again { uncertain_at: Some(BEGAN), .. }), "{first:?}");
    }

    #[test]
    fn what_the_client_says_becomes_what_happened() {
        let api = "message/send";
        let silent = |sent| Error::Timeout { api, sent };
        assert!(matches!(Answer::of(Err(silent(true))), Answer::Unsure(_)));
        assert!(matches!(Answer::of(Err(silent(false))), Answer::NotMade(_)));
        assert!(matches!(Answer::of_recall(Err(silent(true))), Answer::Unsure(_)));
        let unreadable = Error::Unreadable { api, status: 502, why: "HTML".to_owned() };
        assert!(matches!(Answer::of(Err(unreadable)), Answer::Unsure(_)));
        let no_secret = Error::NoSecret(crate::wecom::SecretKind::App);
        let Answer::Refused(refusal) = Answer::of(Err(no_secret)) else { panic!("held") };
        assert_eq!((refusal.class, refusal.code), (SendRefusal::Administrator, None));
        assert!(matches!(Answer::of_recall(Ok(())), Answer::Taken { .. }));
    }
}
