//! Metrics of the synchronisation: counters of runs, and the age of the chart.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::apply::{Counts, Tally};
use super::queue::SyncRun;
use super::state::SyncRunStatus;
use crate::base::clock::{Clock, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    entity: &'static str,
    change: &'static str,
}

/// Bounds from a chart of ten persons to one of 100 000 whose details are read one by one.
const RUN_SECONDS_BUCKETS: [f64; 9] = [0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Counters of the runs of this process, and gauges of what the database says. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SyncMetrics {
    runs: Family<RunLabels, Counter>,
    duration: Histogram,
    changes: Family<ChangeLabels, Counter>,
    refused: Counter,
    conflicts: Gauge,
    /// Unix milliseconds; 0 before the first complete run.
    complete_at: Arc<AtomicI64>,
    clock: Clock,
}

impl SyncMetrics {
    pub fn new(clock: Clock) -> Self {
        Self {
            runs: Family::default(),
            duration: Histogram::new(RUN_SECONDS_BUCKETS),
            changes: Family::default(),
            refused: Counter::default(),
            conflicts: Gauge::default(),
            complete_at: Arc::default(),
            clock,
        }
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("sync_runs", "Runs of the synchronisation by outcome", self.runs.clone());
        registry.register_with_unit(
            "sync_duration",
            "How long a run took",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("sync_changes", "What runs changed", self.changes.clone());
        registry.register(
            "sync_refused",
            "Runs that were refused because they would remove too much",
            self.refused.clone(),
        );
        registry.register(
            "sync_conflicts_open",
            "Questions about persons that wait for a human",
            self.conflicts.clone(),
        );
        registry.register_collector(Box::new(ChartAgeCollector { metrics: self.clone() }));
    }

    /// Counts a run that ended in this process.
    pub(super) fn record_run(&self, run: &SyncRun, status: SyncRunStatus, took: Duration, counts: &Counts) {
        let outcome = if run.dry_run { "dry_run" } else { status.as_str() };
        self.runs.get_or_create(&RunLabels { kind: run.kind.as_str(), outcome }).inc();
        if run.dry_run {
            return;
        }
        self.duration.observe(took.as_secs_f64());
        if status == SyncRunStatus::Refused {
            self.refused.inc();
        }
        if status == SyncRunStatus::Done {
            let Counts { units, persons, memberships } = counts;
            for (entity, tally) in [("unit", units), ("person", persons), ("membership", memberships)] {
                let Tally { created, updated, removed } = *tally;
                for (change, count) in [("created", created), ("updated", updated), ("removed", removed)] {
                    self.changes.get_or_create(&ChangeLabels { entity, change }).inc_by(count);
                }
            }
        }
    }

    /// Sets the gauges to what the database says.
    pub(super) fn record_chart(&self, complete_at: Option<Timestamp>, conflicts: i64) {
        self.complete_at.store(complete_at.map_or(0, Timestamp::millis), Ordering::Relaxed);
        self.conflicts.set(conflicts);
    }

    fn chart_age(&self) -> Option<Duration> {
        let at = self.complete_at.load(Ordering::Relaxed);
        (at > 0).then(|| self.clock.now().since(Timestamp::from_millis(at)))
    }
}

/// Computes the age of the chart at each scrape; absent before the first complete run.
#[derive(Debug)]
struct ChartAgeCollector {
    metrics: SyncMetrics,
}

impl Collector for ChartAgeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(age) = self.metrics.chart_age() else { return Ok(()) };
        let gauge = ConstGauge::new(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(
            "sync_complete_age",
            "Time since the last run began that read every detail",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode_text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn the_age_of_the_chart_grows_by_itself_and_is_absent_without_one() {
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let mut registry = Registry::with_prefix("gongpai");
        let metrics = SyncMetrics::new(clock.clone());
        metrics.register(&mut registry);
        assert!(!encode_text(&registry).contains("sync_complete_age"), "{}", encode_text(&registry));
        metrics.record_chart(Some(clock.now()), 3);
        clock.advance(Duration::from_secs(90));
        let out = encode_text(&registry);
        assert!(out.contains("gongpai_sync_complete_age_seconds 90"), "{out}");
        assert!(out.contains("gongpai_sync_conflicts_open 3"), "{out}");
    }
}
