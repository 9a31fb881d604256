//! A failure for programs: RFC 9457 problem documents with a stable `code`.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::FailureReport;
use super::request_id::RequestId;
use super::words::Code;

/// The problem document that a program gets.
///
/// A 4xx says in `detail` what the caller can mend. A 5xx reveals nothing of what happened inside:
/// only the code, and the request id under which the log has the rest. A 401 has no
/// `WWW-Authenticate`, because a browser answers that with its own password box, over whatever page
/// asked. Only the API, which programs call, adds a challenge.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    request_id: RequestId,
    detail: Option<String>,
    retry_after: Option<Duration>,
    report: FailureReport,
}

/// A failure (RFC 9457).
// With `about:blank` the title is the status's own phrase (RFC 9457 §4.2.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What went wrong. Codes are stable: `api.bad_request`.
    code: &'static str,
    /// What can be mended, in English; not with a 5xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    detail: Option<&'a str>,
    /// Under which the log has the rest.
    request_id: &'a str,
}

impl Problem {
    /// Makes the problem `code` of this request; its detail is the code's English sentence unless
    /// [`Problem::with_detail`] replaces it.
    pub(crate) fn new(code: Code, request_id: &RequestId) -> Self {
        let (request_id, report) = (request_id.clone(), FailureReport::new(code));
        Self { code, request_id, detail: None, retry_after: None, report }
    }

    /// Sets what the caller can mend, in English; not sent with a 5xx.
    #[must_use]
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets when to try again.
    #[must_use]
    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Sets the report for the log, in place of an earlier one.
    #[must_use]
    pub(crate) fn with_report(mut self, report: FailureReport) -> Self {
        self.report = report;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let detail = self.detail.as_deref().unwrap_or(&self.code.row().happened.en);
        let document = ProblemDocument {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: (!status.is_server_error()).then_some(detail),
            request_id: self.request_id.as_str(),
        };
        // Serialising a struct of texts and numbers cannot fail; if it did, the status would still
        // be right.
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        put_retry_after(headers, status, self.retry_after);
        response.extensions_mut().insert(self.report);
        response
    }
}

/// Sets Retry-After on every 429 and 503: `after` rounded up to whole seconds, or 5 s if nobody
/// knows.
pub(super) fn put_retry_after(headers: &mut HeaderMap, status: StatusCode, after: Option<Duration>) {
    let expected = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if after.is_none() && !expected {
        return;
    }
    let after = after.unwrap_or(Duration::from_secs(5));
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> serde_json::Value {
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn id() -> RequestId {
        RequestId::parse(b"req-1").unwrap()
    }

    #[tokio::test]
    async fn a_problem_is_an_rfc_9457_document_with_code_and_request_id() {
        let response =
            Problem::new(Code::BadRequest, &id()).with_detail("limit: not a number").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        insta::assert_json_snapshot!(body(response).await, @r#"
        {
          "type": "about:blank",
          "title": "Bad Request",
          "status": 400,
          "code": "api.bad_request",
          "detail": "limit: not a number",
          "request_id": "req-1"
        }
        "#);
    }

    #[tokio::test]
    async fn a_5xx_says_its_code_and_request_id_only() {
        let response = Problem::new(Code::Internal, &id()).with_detail("SELECT secret").into_response();
        insta::assert_json_snapshot!(body(response).await, @r#"
        {
          "type": "about:blank",
          "title": "Internal Server Error",
          "status": 500,
          "code": "internal",
          "request_id": "req-1"
        }
        "#);
    }

    #[test]
    fn a_429_or_503_says_when_to_try_again_and_a_401_makes_no_browser_ask_for_a_password() {
        let after = |code, wait: Option<u64>| {
            let mut problem = Problem::new(code, &id());
            if let Some(ms) = wait {
                problem = problem.with_retry_after(Duration::from_millis(ms));
            }
            problem.into_response()
        };
        assert_eq!(after(Code::TooMany, Some(1001)).headers()["retry-after"], "2");
        assert_eq!(after(Code::TooMany, Some(0)).headers()["retry-after"], "1");
        assert_eq!(after(Code::StoreUnavailable, None).headers()["retry-after"], "5");
        assert!(!after(Code::Internal, None).headers().contains_key("retry-after"));
        assert!(!after(Code::Unauthorized, None).headers().contains_key("www-authenticate"));
    }
}
