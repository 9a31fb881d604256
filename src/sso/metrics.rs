//! Counters of sign-ins.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::entrance;
use super::state::Entrance;
use crate::http::words::Code;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    entrance: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    code: &'static str,
}

/// Counters of sign-ins.
#[derive(Debug, Default)]
pub struct Metrics {
    started: Family<Way, Counter>,
    finished: Family<Way, Counter>,
    failed: Family<Why, Counter>,
}

impl Metrics {
    /// Puts the counters into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sign_in_started", "Sign-ins sent to WeCom", self.started.clone());
        registry.register("sign_in_finished", "Sign-ins that led to a session", self.finished.clone());
        registry.register("sign_in_failed", "Sign-in pages that said why not", self.failed.clone());
    }

    pub(super) fn started(&self, way: Entrance) {
        self.started.get_or_create(&Way { entrance: entrance::name(way) }).inc();
    }

    pub(super) fn finished(&self, way: Entrance) {
        self.finished.get_or_create(&Way { entrance: entrance::name(way) }).inc();
    }

    pub(super) fn failed(&self, code: Code) {
        self.failed.get_or_create(&Why { code: code.as_str() }).inc();
    }
}
