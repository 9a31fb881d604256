//! The log line of every request, with the cause of a failure.
//!
//! The line holds nothing that a client chooses freely: the path is the route's own
//! (`/sso/callback`), never the query; the id is checked; text from outside is quoted with its
//! control characters escaped.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use tracing::{Level, debug, error, event_enabled, info, warn};

use crate::http::failure::FailureReport;
use crate::http::request_id::RequestId;
use crate::http::words::FailureKind;

/// The part of a request that its log line names.
pub(super) struct LogLine<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) client: Option<IpAddr>,
    pub(super) request_id: &'a RequestId,
}

/// Whether checks are logged at all; only then the fields of the line are collected.
pub(super) fn checks_are_logged() -> bool {
    event_enabled!(Level::DEBUG)
}

impl LogLine<'_> {
    /// Logs an auth check, at debug level because there are thousands a second and nginx logs them
    /// too.
    pub(super) fn log_check(&self, status: StatusCode, took: Duration) {
        let (status, duration_ms) = (status.as_u16(), milliseconds(took));
        debug!(
            request.id = %self.request_id,
            path = self.path,
            status,
            duration_ms,
            client = self.client.map(tracing::field::display),
            "Check answered {status}"
        );
    }

    /// Logs any other request, within its span. What somebody must act on is an error, what passes
    /// by itself a warning, and the rest information (also refusals: these are in the audit trail).
    pub(super) fn log_answer(&self, response: &Response, took: Duration) {
        let (status, duration_ms) = (response.status().as_u16(), milliseconds(took));
        let (method, path) = (self.method, self.path);
        let client = self.client.map(tracing::field::display);
        let Some(report) = response.extensions().get::<FailureReport>() else {
            if response.status().is_server_error() {
                error!(status, duration_ms, client, "{method} {path} answered {status}");
            } else {
                info!(status, duration_ms, client, "{method} {path} answered {status}");
            }
            return;
        };
        let code = report.code.as_str();
        let errcode = report.errcode;
        let detail = report.detail.as_deref().map(tracing::field::debug);
        let cause = report.cause_chain();
        let cause = cause.as_deref().map(tracing::field::debug);
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    status,
                    duration_ms,
                    client,
                    code,
                    errcode,
                    detail,
                    cause,
                    "{method} {path} answered {status} {code}"
                )
            };
        }
        match (response.status().is_server_error(), report.code.row().kind) {
            (false, _) => line!(info),
            (true, FailureKind::Trouble) if response.status() != StatusCode::INTERNAL_SERVER_ERROR => {
                line!(warn);
            }
            (true, _) => line!(error),
        }
    }
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
