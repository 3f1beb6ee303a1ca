//! Metrics of the ingest role.

use std::{fmt, time::Duration};

use event_flow::record::RecordObserver;
use instruments::TraceSpan;
use model::{EventFacts, ResourceType};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
};
use service_kit::{
    http_metrics::HttpMetrics,
    metrics::{LatencyHistogram, MetricsRegistry, counters},
    shared_clock::SkewGauge,
};

use crate::error::DeliveryRefusal;

/// The outcomes of deliveries that are not refused.
const TAKEN: [&str; 3] = ["accepted", "deduplicated", "skipped"];

/// `outcome`: accepted, deduplicated, skipped, or the code of a [`crate::DeliveryRefusal`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The label of kinds that this build does not know.
const UNKNOWN_KIND: &str = "other";

/// `resource_type`: a kind that this build knows, or `other`, so the number of values is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource_type: KindLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct KindLabel(ResourceType);

impl EncodeLabelValue for KindLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_str().encode(encoder)
    }
}

/// What is known of the content of a project's item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum ItemContentOutcome {
    found,
    unknown,
    unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemContentLabel {
    content: ItemContentOutcome,
}

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct IngestMetrics {
    deliveries: Family<OutcomeLabel, Counter>,
    events: Family<ResourceLabel, Counter>,
    /// Duration of one append to the event log, successful or not.
    append_seconds: LatencyHistogram,
    /// Hints that the bus did not accept; the events are in the log.
    hint_failures: Counter,
    pub(crate) clock_skew_seconds: SkewGauge,
    /// Deliveries with the body of an earlier one under another GUID.
    repeated_bodies: Counter,
    /// Deliveries that were stored after a later state of the same resource.
    late_deliveries: Counter,
    /// Deliveries about items of projects.
    item_contents: Family<ItemContentLabel, Counter>,
    pub(crate) http: HttpMetrics,
}

impl IngestMetrics {
    /// Registers the instruments; `routes` are the paths of the listener.
    pub(crate) fn new(registry: &mut MetricsRegistry, routes: &'static [&'static str]) -> Self {
        let metrics = Self {
            deliveries: counters(
                TAKEN
                    .into_iter()
                    .chain(DeliveryRefusal::CODES)
                    .map(|outcome| OutcomeLabel { outcome }),
            ),
            events: counters(
                ResourceType::KNOWN
                    .iter()
                    .cloned()
                    .chain([ResourceType::open(UNKNOWN_KIND)])
                    .map(|kind| ResourceLabel {
                        resource_type: KindLabel(kind),
                    }),
            ),
            append_seconds: LatencyHistogram::default(),
            hint_failures: Counter::default(),
            clock_skew_seconds: SkewGauge::default(),
            repeated_bodies: Counter::default(),
            late_deliveries: Counter::default(),
            item_contents: counters(
                [
                    ItemContentOutcome::found,
                    ItemContentOutcome::unknown,
                    ItemContentOutcome::unavailable,
                ]
                .map(|content| ItemContentLabel { content }),
            ),
            http: HttpMetrics::new(registry, "ingest", routes, ""),
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
        registry.register(
            "forgewire_ingest_clock_skew_seconds",
            "Seconds by which the clock of this process is ahead of the event log's; negative if it is behind",
            metrics.clock_skew_seconds.clone(),
        );
        registry.register(
            "forgewire_ingest_repeated_bodies",
            "Deliveries with the signed body of an earlier delivery under another id or event name",
            metrics.repeated_bodies.clone(),
        );
        registry.register(
            "forgewire_ingest_late_deliveries",
            "Deliveries that were stored after a later state of the same resource, and are marked",
            metrics.late_deliveries.clone(),
        );
        registry.register(
            "forgewire_ingest_item_contents",
            "Deliveries about an issue or pull request in a project, by what the sync role knows of it: without its \
             repository and number the event is the owner's",
            metrics.item_contents.clone(),
        );
        metrics
    }

    pub(crate) fn repeated_body(&self) {
        self.repeated_bodies.inc();
    }

    pub(crate) fn item_content(&self, content: ItemContentOutcome) {
        let label = ItemContentLabel { content };
        self.item_contents.get_or_create(&label).inc();
    }

    pub(crate) fn late_delivery(&self) {
        self.late_deliveries.inc();
    }

    pub(crate) fn delivery(&self, outcome: &'static str) {
        self.deliveries
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }
}

impl RecordObserver for IngestMetrics {
    fn appended(&self, took: Duration) {
        self.append_seconds.observe(took, &TraceSpan::current());
    }

    fn recorded(&self, event: &EventFacts) {
        // Events that GitHub adds have kinds that this build does not know; their names come from a header.
        let kind = match event.resource_type.is_known() {
            true => event.resource_type.clone(),
            false => ResourceType::open(UNKNOWN_KIND),
        };
        let resource_type = KindLabel(kind);
        self.events
            .get_or_create(&ResourceLabel { resource_type })
            .inc();
    }

    fn hint_failed(&self) {
        self.hint_failures.inc();
    }
}
