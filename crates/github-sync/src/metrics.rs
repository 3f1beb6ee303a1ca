//! Metrics of the sync role.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use service_kit::metrics::{MetricsRegistry, counters};

use crate::mirror::ShownAs;

/// The method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum SyncMethod {
    get_resource,
    find_resource,
    get_resources,
    list_resources,
    get_holders,
    progress,
    compare_now,
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

impl RequestLabels {
    /// All that occur: a call for the status, or the progress, always succeeds.
    const ALL: [Self; 21] = [
        Self::of(SyncMethod::get_resource, SyncCallOutcome::ok),
        Self::of(SyncMethod::get_resource, SyncCallOutcome::missing),
        Self::of(SyncMethod::get_resource, SyncCallOutcome::behind),
        Self::of(SyncMethod::get_resource, SyncCallOutcome::caller),
        Self::of(SyncMethod::find_resource, SyncCallOutcome::ok),
        Self::of(SyncMethod::find_resource, SyncCallOutcome::missing),
        Self::of(SyncMethod::find_resource, SyncCallOutcome::behind),
        Self::of(SyncMethod::find_resource, SyncCallOutcome::caller),
        Self::of(SyncMethod::get_resources, SyncCallOutcome::ok),
        Self::of(SyncMethod::get_resources, SyncCallOutcome::behind),
        Self::of(SyncMethod::get_resources, SyncCallOutcome::caller),
        Self::of(SyncMethod::list_resources, SyncCallOutcome::ok),
        Self::of(SyncMethod::list_resources, SyncCallOutcome::behind),
        Self::of(SyncMethod::list_resources, SyncCallOutcome::caller),
        Self::of(SyncMethod::get_holders, SyncCallOutcome::ok),
        Self::of(SyncMethod::get_holders, SyncCallOutcome::behind),
        Self::of(SyncMethod::get_holders, SyncCallOutcome::caller),
        Self::of(SyncMethod::progress, SyncCallOutcome::ok),
        Self::of(SyncMethod::compare_now, SyncCallOutcome::ok),
        Self::of(SyncMethod::compare_now, SyncCallOutcome::missing),
        Self::of(SyncMethod::status, SyncCallOutcome::ok),
    ];

    const fn of(method: SyncMethod, outcome: SyncCallOutcome) -> Self {
        Self { method, outcome }
    }
}

/// What became of a state from one of GitHub's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum ListedOutcome {
    new,
    newer,
    same,
    outdated,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListedLabels {
    reading: ShownAs,
    outcome: ListedOutcome,
}

impl ListedLabels {
    fn all() -> impl Iterator<Item = Self> {
        const OUTCOMES: [ListedOutcome; 4] = [
            ListedOutcome::new,
            ListedOutcome::newer,
            ListedOutcome::same,
            ListedOutcome::outdated,
        ];
        let readings = [ShownAs::baseline, ShownAs::compared].into_iter();
        readings.flat_map(|reading| OUTCOMES.map(|outcome| Self { reading, outcome }))
    }
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
    listed: Family<ListedLabels, Counter>,
}

impl SyncMetrics {
    pub(crate) fn register(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            requests: counters(RequestLabels::ALL),
            listed: counters(ListedLabels::all()),
            ..Self::default()
        };
        registry.register(
            "forgewire_sync_resources",
            "Resources whose state is known",
            metrics.resources.clone(),
        );
        registry.register(
            "forgewire_sync_lag_events",
            "Positions between the log's head and the last one processed",
            metrics.lag_events.clone(),
        );
        registry.register(
            "forgewire_sync_evicted",
            "States evicted at a bound",
            metrics.evicted.clone(),
        );
        registry.register(
            "forgewire_sync_outdated",
            "Events with an older state than the known one",
            metrics.outdated.clone(),
        );
        registry.register(
            "forgewire_sync_requests",
            "Calls of the sync role",
            metrics.requests.clone(),
        );
        registry.register(
            "forgewire_sync_listed_states",
            "States that GitHub's lists showed",
            metrics.listed.clone(),
        );
        metrics
    }

    pub(crate) fn request(&self, method: SyncMethod, outcome: SyncCallOutcome) {
        self.requests
            .get_or_create(&RequestLabels::of(method, outcome))
            .inc();
    }

    pub(crate) fn listed(&self, reading: ShownAs, outcome: ListedOutcome) {
        let labels = ListedLabels { reading, outcome };
        self.listed.get_or_create(&labels).inc();
    }
}
