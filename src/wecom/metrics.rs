//! Metrics of calls to WeCom. Labels are fixed names of ours, never a value of a call.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{SecretKind, WecomError};

#[derive(Debug, Clone)]
pub struct WecomMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<ApiLabels, Histogram, fn() -> Histogram>,
    tokens: Family<TokenLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    api: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    api: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    secret: &'static str,
    outcome: &'static str,
}

impl Default for WecomMetrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(seconds_histogram),
            tokens: Family::default(),
        }
    }
}

/// Buckets from a fast answer to the limits of the classes of calls.
fn seconds_histogram() -> Histogram {
    Histogram::new([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 14.0, 30.0, 60.0])
}

impl WecomMetrics {
    /// Registers `wecom_calls_total{api,outcome}`, `wecom_call_seconds{api}` and
    /// `wecom_token_fetches_total{secret,outcome}` below the registry's prefix. An outcome is `ok`,
    /// `timeout`, `unreachable`, `unreadable` or the family of the errcode.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "wecom_calls",
            "HTTP requests to WeCom by call and outcome, repeated ones included",
            self.calls.clone(),
        );
        registry.register_with_unit(
            "wecom_call",
            "Time from a request to WeCom to the end of its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "wecom_token_fetches",
            "Access tokens asked of WeCom by secret and outcome",
            self.tokens.clone(),
        );
    }

    pub(super) fn record_call(&self, api: &'static str, error: Option<&WecomError>, took: Duration) {
        self.calls.get_or_create(&CallLabels { api, outcome: outcome_label(error) }).inc();
        self.seconds.get_or_create(&ApiLabels { api }).observe(took.as_secs_f64());
    }

    pub(super) fn record_token_fetch(&self, kind: SecretKind, error: Option<&WecomError>) {
        let secret = match kind {
            SecretKind::App => "app",
            SecretKind::Contacts => "contacts",
        };
        self.tokens.get_or_create(&TokenLabels { secret, outcome: outcome_label(error) }).inc();
    }
}

fn outcome_label(error: Option<&WecomError>) -> &'static str {
    match error {
        None => "ok",
        Some(WecomError::Timeout { .. }) => "timeout",
        Some(WecomError::Unreachable { .. }) => "unreachable",
        Some(WecomError::Unreadable { .. }) => "unreadable",
        Some(other) => other.family().as_str(),
    }
}
