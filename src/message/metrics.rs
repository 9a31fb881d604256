//! Counters of messages, and gauges of those that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::deliver::DeliveryCounts;
use super::store::{MessageBacklog, SendWindow};
use crate::base::clock::{Clock, Timestamp};
use crate::wecom::SendRefusal;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageOutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageFailureLabel {
    reason: String,
}

/// The counters of this process, and what the database says about all processes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MessageMetrics {
    accepted: Counter,
    recipients: Family<MessageOutcomeLabel, Counter>,
    failures: Family<MessageFailureLabel, Counter>,
    calls: Family<MessageOutcomeLabel, Counter>,
    waiting: Gauge,
    held: Gauge,
    /// When the oldest waiting message was accepted, in milliseconds; 0 if none waits.
    oldest: Arc<AtomicI64>,
    clock: Clock,
}

impl MessageMetrics {
    pub fn new(clock: Clock) -> Self {
        Self {
            accepted: Counter::default(),
            recipients: Family::default(),
            failures: Family::default(),
            calls: Family::default(),
            waiting: Gauge::default(),
            held: Gauge::default(),
            oldest: Arc::default(),
            clock,
        }
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("messages_accepted", "Messages that were accepted", self.accepted.clone());
        registry.register(
            "message_recipients",
            "Recipients of messages by what became of them",
            self.recipients.clone(),
        );
        registry.register(
            "message_failures",
            "Recipients that were not reached, by WeCom's errcode or our word for the reason",
            self.failures.clone(),
        );
        registry.register("message_calls", "Calls to send or recall messages", self.calls.clone());
        registry.register("message_waiting", "Messages that have not finished", self.waiting.clone());
        registry.register(
            "message_held",
            "1 while no message can be sent because of a limit or of something an administrator has to mend",
            self.held.clone(),
        );
        registry.register_collector(Box::new(OldestMessageCollector { metrics: self.clone() }));
    }

    /// Counts messages that were accepted here.
    pub fn add_accepted(&self, messages: u64) {
        self.accepted.inc_by(messages);
    }

    /// Counts recipients by their outcome.
    pub(super) fn add_recipients(&self, delivered: &DeliveryCounts) {
        let DeliveryCounts { sent, failed, unknown, expired, recalled, .. } = *delivered;
        let counts = [
            ("sent", sent),
            ("failed", failed),
            ("unknown", unknown),
            ("expired", expired),
            ("recalled", recalled),
        ];
        for (outcome, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.recipients.get_or_create(&MessageOutcomeLabel { outcome }).inc_by(count);
        }
    }

    /// Counts recipients that were not reached. `reason` is a word of ours or an errcode.
    pub(super) fn add_failures(&self, reason: &str, recipients: u64) {
        if recipients > 0 {
            self.failures
                .get_or_create(&MessageFailureLabel { reason: bound_label(reason) })
                .inc_by(recipients);
        }
    }

    /// Counts a call that ended.
    pub(super) fn add_call(&self, outcome: &'static str) {
        self.calls.get_or_create(&MessageOutcomeLabel { outcome }).inc();
    }

    /// Sets the gauges from the database.
    pub(super) fn set_backlog(&self, waiting: &MessageBacklog, window: &SendWindow, now: Timestamp) {
        self.waiting.set(waiting.messages);
        self.held.set(i64::from(window.is_held(now)));
        self.oldest.store(waiting.oldest.map_or(0, Timestamp::millis), Ordering::Relaxed);
    }

    fn oldest_age(&self) -> Duration {
        match self.oldest.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            at => self.clock.now().since(Timestamp::from_millis(at)),
        }
    }
}

/// Returns a label whose number of values is bounded: errcodes that our table does not know share
/// one.
fn bound_label(reason: &str) -> String {
    match reason.parse::<i64>() {
        Ok(code)
            if !CONTENT_ERRCODES.contains(&code)
                && SendRefusal::from_errcode(code) == SendRefusal::RejectedMessage =>
        {
            "other".to_owned()
        }
        _ => reason.to_owned(),
    }
}

/// The errcodes by which WeCom refuses a message for its content (document 90313).
const CONTENT_ERRCODES: [i64; 14] =
    [40004, 40007, 40008, 40035, 40039, 40058, 40063, 40074, 40201, 41033, 43012, 44004, 45002, 85002];

/// Computes the age of the oldest message when the metrics are read.
#[derive(Debug)]
struct OldestMessageCollector {
    metrics: MessageMetrics,
}

impl Collector for OldestMessageCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.metrics.oldest_age().as_secs()).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(
            "message_oldest",
            "How long ago the oldest message was accepted that has not finished; 0 if there is none",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_shown_with_the_age_of_the_oldest() {
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let mut registry = Registry::with_prefix("gongpai");
        let metrics = MessageMetrics::new(clock.clone());
        metrics.register(&mut registry);
        let text = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        assert!(text(&registry).contains("gongpai_message_oldest_seconds 0"), "{}", text(&registry));
        let hold_until = clock.now().plus(Duration::from_secs(5));
        let window = SendWindow { hold_until, ..SendWindow::UNUSED };
        metrics.set_backlog(&MessageBacklog { messages: 3, oldest: Some(clock.now()) }, &window, clock.now());
        metrics.add_accepted(2);
        metrics.add_recipients(&DeliveryCounts { sent: 7, failed: 1, ..DeliveryCounts::default() });
        metrics.add_failures("40058", 1);
        metrics.add_failures("987654", 1);
        metrics.add_call("sent");
        clock.advance(Duration::from_secs(90));
        let out = text(&registry);
        for line in [
            "gongpai_message_oldest_seconds 90",
            "gongpai_message_waiting 3",
            "gongpai_message_held 1",
            "gongpai_messages_accepted_total 2",
            "gongpai_message_recipients_total{outcome=\"sent\"} 7",
            "gongpai_message_recipients_total{outcome=\"failed\"} 1",
            "gongpai_message_failures_total{reason=\"40058\"} 1",
            "gongpai_message_failures_total{reason=\"other\"} 1",
            "gongpai_message_calls_total{outcome=\"sent\"} 1",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
    }
}
