//! What the gate counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
}

/// Counters of the gate; each is looked up once, so that counting is one atomic addition.
#[derive(Debug, Clone)]
pub struct GateMetrics {
    checks: Family<CheckLabels, Counter>,
    /// Passed, signed in.
    pub(super) allowed: Counter,
    /// Passed by an `anyone` rule.
    pub(super) public: Counter,
    /// 401.
    pub(super) sign_in: Counter,
    /// 401 because neither memory nor database could say.
    pub(super) unavailable: Counter,
    /// 403 by a rule.
    pub(super) denied: Counter,
    /// 403 for the peer.
    pub(super) untrusted_proxy: Counter,
    /// 403 for the host.
    pub(super) unknown_host: Counter,
    /// 403 for headers that describe no request.
    pub(super) malformed: Counter,
    /// Denials that the audit could not take because its queue was full.
    pub(super) audit_dropped: Counter,
}

impl GateMetrics {
    /// Counters at zero, registered as `gongpai_gate_…`.
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
