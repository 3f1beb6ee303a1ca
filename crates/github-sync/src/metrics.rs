//! Metrics of the sync role.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum SyncMethod {
    get_resource,
    status,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum SyncCallOutcome {
    ok,
    missing,
    behind,
    caller,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: SyncMethod,
    outcome: SyncCallOutcome,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SyncMetrics {
    pub(crate) resources: Gauge,
    pub(crate) lag_events: Gauge,
    /// States evicted at a bound.
    pub(crate) evicted: Counter,
    /// Events with an older state than the known one.
    pub(crate) outdated: Counter,
    requests: Family<RequestLabels, Counter>,
}

impl SyncMetrics {
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
            "Positions between the log's head and the last one processed",
            metrics.lag_events.clone(),
        );
        sync.register(
            "evicted",
            "States evicted at a bound",
            metrics.evicted.clone(),
        );
        sync.register(
            "outdated",
            "Events with an older state than the known one",
            metrics.outdated.clone(),
        );
        sync.register(
            "requests",
            "Calls of the sync role",
            metrics.requests.clone(),
        );
        metrics
    }

    pub(crate) fn request(&self, method: SyncMethod, outcome: SyncCallOutcome) {
        self.requests
            .get_or_create(&RequestLabels { method, outcome })
            .inc();
    }
}
