//! Counters of sign-ins, and the delay of rechecks.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::entrance;
use super::sealed_state::Entrance;
use crate::http::words::Code;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EntranceLabels {
    entrance: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    code: &'static str,
}

/// Counters of sign-ins.
#[derive(Debug, Clone, Default)]
pub struct SsoMetrics {
    started: Family<EntranceLabels, Counter>,
    finished: Family<EntranceLabels, Counter>,
    failed: Family<FailureLabels, Counter>,
    recheck_overdue: Gauge,
}

impl SsoMetrics {
    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sign_in_started", "Sign-ins sent to WeCom", self.started.clone());
        registry.register("sign_in_finished", "Sign-ins that led to a session", self.finished.clone());
        registry.register("sign_in_failed", "Sign-in pages that said why not", self.failed.clone());
        registry.register_with_unit(
            "recheck_overdue",
            "How much later than gate.recheck says WeCom is asked again about the person who has waited longest; 0 if nobody waits",
            Unit::Seconds,
            self.recheck_overdue.clone(),
        );
    }

    pub(super) fn recheck_overdue(&self, overdue: Duration) {
        self.recheck_overdue.set(i64::try_from(overdue.as_secs()).unwrap_or(i64::MAX));
    }

    pub(super) fn started(&self, entrance: Entrance) {
        self.started.get_or_create(&EntranceLabels { entrance: entrance::entrance_name(entrance) }).inc();
    }

    pub(super) fn finished(&self, entrance: Entrance) {
        self.finished.get_or_create(&EntranceLabels { entrance: entrance::entrance_name(entrance) }).inc();
    }

    pub(super) fn failed(&self, code: Code) {
        self.failed.get_or_create(&FailureLabels { code: code.as_str() }).inc();
    }
}
