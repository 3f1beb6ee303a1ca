//! What the sync role counts.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum Method {
    get_resource,
    status,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum Outcome {
    ok,
    missing,
    caller,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: Method,
    outcome: Outcome,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) resources: Gauge,
    pub(crate) lag_events: Gauge,
    /// States that went at the bound.
    pub(crate) evicted: Counter,
    /// Events whose state was older than the one known.
    pub(crate) outdated: Counter,
    requests: Family<RequestLabels, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let sync = registry.sub_registry_with_prefix("forgewire_sync");
        sync.register(
            "resources",
            "Resources whose state is known",
            metrics.resources.clone(),
        );
        sync.register(
            "lag_events",
            "Positions between the log's head and what has been taken in",
            metrics.lag_events.clone(),
        );
        sync.register(
            "evicted",
            "States that went at the bound",
            metrics.evicted.clone(),
        );
        sync.register(
            "outdated",
            "Events that told of an older state than the one known",
            metrics.outdated.clone(),
        );
        sync.register(
            "requests",
            "Calls of the sync role",
            metrics.requests.clone(),
        );
        metrics
    }

    pub(crate) fn request(&self, method: Method, outcome: Outcome) {
        self.requests
            .get_or_create(&RequestLabels { method, outcome })
            .inc();
    }
}
