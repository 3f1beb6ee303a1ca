//! Metrics of the ingest role.

use model::ResourceType;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};
use service_kit::metrics::{Registry, latency_histogram};

/// `outcome`: accepted, deduplicated, skipped, or the code of a [`crate::Refusal`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// `resource_type`: one of [`ResourceType::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource_type: &'static str,
}

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    deliveries: Family<OutcomeLabel, Counter>,
    events: Family<ResourceLabel, Counter>,
    /// Duration of an append to the event log, successful or not.
    pub(crate) append_seconds: Histogram,
    /// Hints that the bus did not accept; the events are in the log nevertheless.
    pub(crate) hint_failures: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            deliveries: Family::default(),
            events: Family::default(),
            append_seconds: latency_histogram(),
            hint_failures: Counter::default(),
        };
        // The encoder adds `_total` to the names of counters.
        registry.register(
            "forgewire_ingest_deliveries",
            "Webhook deliveries, by outcome",
            metrics.deliveries.clone(),
        );
        registry.register(
            "forgewire_ingest_events",
            "New events in the log, by kind of resource",
            metrics.events.clone(),
        );
        registry.register(
            "forgewire_ingest_append_seconds",
            "Duration of one append to the event log",
            metrics.append_seconds.clone(),
        );
        registry.register(
            "forgewire_ingest_hint_failures",
            "Hints that the bus did not accept; the events are in the log",
            metrics.hint_failures.clone(),
        );
        metrics
    }

    pub(crate) fn delivery(&self, outcome: &'static str) {
        self.deliveries
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    pub(crate) fn event(&self, kind: ResourceType) {
        let resource_type = kind.as_str();
        self.events
            .get_or_create(&ResourceLabel { resource_type })
            .inc();
    }
}
