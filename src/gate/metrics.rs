//! Counters of the gate.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
}

/// Counters of the gate. Each label is looked up once, so that counting is one atomic addition.
#[derive(Debug, Clone)]
pub struct GateMetrics {
    checks: Family<CheckLabels, Counter>,
    /// 200 for a signed-in person.
    pub(super) allowed: Counter,
    /// 200 by an `anyone` rule.
    pub(super) public: Counter,
    /// 401.
    pub(super) sign_in: Counter,
    /// 401 because neither memory nor the database could answer.
    pub(super) unavailable: Counter,
    /// 403 by a rule.
    pub(super) denied: Counter,
    /// 403 because the peer is no trusted proxy.
    pub(super) untrusted_proxy: Counter,
    /// 403 because the host is not one of this installation.
    pub(super) unknown_host: Counter,
    /// 403 because the headers describe no request.
    pub(super) malformed: Counter,
    /// Denials that were not written to the audit trail because its queue was full.
    pub(super) audit_dropped: Counter,
}

impl GateMetrics {
    /// Registers the counters as `gongpai_gate_…`, all of them at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("gate_checks", "Access checks by outcome", metrics.checks.clone());
        registry.register(
            "gate_audit_dropped",
            "Denials that the audit trail could not take because its queue was full",
            metrics.audit_dropped.clone(),
        );
        metrics
    }
}

impl Default for GateMetrics {
    fn default() -> Self {
        let checks = Family::<CheckLabels, Counter>::default();
        let counter = |outcome| checks.get_or_create(&CheckLabels { outcome }).clone();
        Self {
            allowed: counter("allowed"),
            public: counter("public"),
            sign_in: counter("sign_in"),
            unavailable: counter("unavailable"),
            denied: counter("denied"),
            untrusted_proxy: counter("untrusted_proxy"),
            unknown_host: counter("unknown_host"),
            malformed: counter("malformed"),
            audit_dropped: Counter::default(),
            checks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_counted_by_outcome() {
        let mut registry = Registry::default();
        let metrics = GateMetrics::register(&mut registry);
        metrics.denied.inc();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("gate_checks_total{outcome=\"denied\"} 1"), "{text}");
    }
}
