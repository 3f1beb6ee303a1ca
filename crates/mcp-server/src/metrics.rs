//! The instruments of admission. Names are a contract with dashboards.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use instruments::TraceSpan;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use service_kit::metrics::{LatencyHistogram, MetricsRegistry};

use crate::policy::RateClass;

impl EncodeLabelValue for RateClass {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ClassLabel {
    class: RateClass,
}

/// Counts refused requests, by class.
#[derive(Clone, Debug)]
pub(crate) struct RateMetrics([Counter; RateClass::ALL.len()]);

impl RateMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let refused = Family::<ClassLabel, Counter>::default();
        let counters =
            RateClass::ALL.map(|class| refused.get_or_create_owned(&ClassLabel { class }));
        registry.register(
            "forgewire_edge_calls_refused",
            "Requests refused because their principal reached a limit of edge.rates",
            refused,
        );
        Self(counters)
    }

    pub(crate) fn call_refused(&self, class: RateClass) {
        self.0[class as usize].inc();
    }
}

/// The instruments of turns. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct TurnMetrics {
    pub(crate) waiting: Gauge,
    waits: LatencyHistogram,
    used_seconds: Counter<f64, AtomicU64>,
}

impl TurnMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            waiting: Gauge::default(),
            waits: LatencyHistogram::default(),
            used_seconds: Counter::default(),
        };
        registry.register(
            "forgewire_edge_requests_waiting_for_cpu",
            "Requests and calls that are ready and wait for their turn at a core",
            metrics.waiting.clone(),
        );
        registry.register(
            "forgewire_edge_cpu_wait_seconds",
            "Time for which requests and calls waited for one turn at a core; those that began at once do not count",
            metrics.waits.clone(),
        );
        registry.register(
            "forgewire_edge_request_cpu_seconds",
            "Time that requests and calls had a core, in all their turns",
            metrics.used_seconds.clone(),
        );
        metrics
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.waits.observe(time, &TraceSpan::none());
    }

    pub(crate) fn used(&self, time: Duration) {
        self.used_seconds.inc_by(time.as_secs_f64());
    }
}
