//! A failure, described once: the page for people, the problem document for programs and the line
//! in the log all come from one [`Failure`]. See [design: errors](crate::design#errors).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::language::BilingualText;
use super::words::{Code, labels};
use crate::base::clock::Timestamp;
use crate::base::url::BadTarget;

/// A failure as far as the person concerned may know it.
///
/// Texts may come from outside (a rule, an address of an errmsg): pages escape them and drop
/// control characters. They must not be secrets, tokens, codes or tickets.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The code, which selects status, page and words.
    pub code: Code,
    /// WeCom's errcode, if there was one.
    pub errcode: Option<i64>,
    /// The meaning of the errcode.
    pub meaning: Option<BilingualText>,
    /// What mends the failure.
    pub remedy: Option<BilingualText>,
    /// The page of WeCom's console on which it is mended.
    pub console: Option<BilingualText>,
    /// The particular of this case: an address, a host, the rule that decided, when it ends.
    pub detail: Option<String>,
    /// Since when the failure lasts.
    pub since: Option<Timestamp>,
    /// The target of 重试 or 返回.
    pub retry: Option<String>,
    /// The target of 换个账号 (`/sso/logout?rd=…`).
    pub switch_account: Option<String>,
    /// Where the page goes by itself after 5 s. The address must be marked, so that the caller
    /// gives `None` the second time; otherwise the page would retry for ever.
    pub auto_retry: Option<String>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// The cause for the log; never shown.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Makes a failure with `code` only; the rest is filled in by field.
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            errcode: None,
            meaning: None,
            remedy: None,
            console: None,
            detail: None,
            since: None,
            retry: None,
            switch_account: None,
            auto_retry: None,
            retry_after: None,
            cause: None,
        }
    }

    /// Makes the failure of a target that no browser is sent to, with the reason.
    pub fn from_bad_target(why: BadTarget) -> Self {
        Self { meaning: Some(explain_bad_target(why)), ..Self::new(Code::BadTarget) }
    }

    pub(super) fn report(&self) -> FailureReport {
        let mut report = FailureReport::new(self.code);
        report.errcode = self.errcode;
        report.detail.clone_from(&self.detail);
        report.cause.clone_from(&self.cause);
        report
    }
}

/// Returns the reason of a refused target, in words.
pub(crate) const fn explain_bad_target(why: BadTarget) -> BilingualText {
    match why {
        BadTarget::NoUrl => labels::TARGET_NO_URL,
        BadTarget::OtherHost => labels::TARGET_OTHER_HOST,
        BadTarget::TooLong => labels::TARGET_TOO_LONG,
        BadTarget::OwnScheme => labels::TARGET_OWN_SCHEME,
    }
}

/// What the log says about a failed request. It is an extension of the response;
/// [`super::middleware`] writes it once, inside the request's span.
#[derive(Debug, Clone)]
pub(crate) struct FailureReport {
    /// The code that the caller got.
    pub code: Code,
    /// WeCom's errcode, if there was one.
    pub errcode: Option<i64>,
    /// The particular of the case.
    pub detail: Option<String>,
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl FailureReport {
    /// Makes a report with `code` only.
    pub(crate) const fn new(code: Code) -> Self {
        Self { code, errcode: None, detail: None, cause: None }
    }

    /// Returns the cause with its sources, joined by `: `.
    pub(super) fn cause_chain(&self) -> Option<String> {
        let mut next: Option<&(dyn Error + 'static)> =
            self.cause.as_deref().map(|c| c as &(dyn Error + 'static));
        let mut chain = Vec::new();
        while let Some(error) = next {
            chain.push(error.to_string());
            next = error.source();
        }
        (!chain.is_empty()).then(|| chain.join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::fmt::Error);
        let report = FailureReport {
            cause: Some(Arc::new(Outer(std::fmt::Error))),
            ..FailureReport::new(Code::Internal)
        };
        let causes = report.cause_chain().unwrap();
        assert!(causes.starts_with("outer: an error"), "{causes}");
    }
}
