//! A failure, described once: the page for people, the problem document for programs and the line
//! in the log all come from one [`Failure`]. See [design: errors](crate::design#errors).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

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

    /// Whether the caller is a program, which gets a problem document and not a page: a fetch or
    /// XHR by its Sec-Fetch-Mode or X-Requested-With, or an Accept that names JSON and not HTML.
    pub fn wants_json(headers: &HeaderMap) -> bool {
        if let Some(mode) = headers.get("sec-fetch-mode") {
            // Browsers send this header with every request, so it decides alone.
            return mode != "navigate";
        }
        if headers.contains_key("x-requested-with") {
            return true;
        }
        let accepts = |kind: &[u8]| {
            headers
                .get_all(ACCEPT)
                .iter()
                .flat_map(|h| h.as_bytes().split(|b| *b == b','))
                .filter_map(|range| range.split(|b| *b == b';').next())
                .any(|range| range.trim_ascii().eq_ignore_ascii_case(kind))
        };
        (accepts(b"application/json") || accepts(b"application/problem+json")) && !accepts(b"text/html")
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

    fn wants_json(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(n, v)| (axum::http::HeaderName::from_static(n), axum::http::HeaderValue::from_static(v)))
            .collect();
        Failure::wants_json(&headers)
    }

    #[test]
    fn navigations_get_pages_and_programs_get_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(!wants_json(&[("sec-fetch-mode", "navigate"), ("accept", browser)]));
        assert!(wants_json(&[("sec-fetch-mode", "cors"), ("accept", "*/*")]));
        assert!(wants_json(&[("sec-fetch-mode", "no-cors"), ("accept", "text/html")]));
        assert!(wants_json(&[("x-requested-with", "XMLHttpRequest"), ("accept", browser)]));
        assert!(wants_json(&[("accept", "Application/JSON; charset=utf-8")]));
        assert!(!wants_json(&[("accept", "text/html, application/json;q=0.5")]));
        assert!(!wants_json(&[]));
    }

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
