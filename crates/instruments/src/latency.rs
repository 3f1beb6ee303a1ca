//! Histograms of latencies. A recorded trace leaves its id as an exemplar: the way from a slow bucket to the
//! request that filled it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use model::TraceContext;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, exemplar::HistogramWithExemplars},
};

/// Buckets for latencies in seconds: 100 µs to 10 s, in steps of 1, 2.5 and 5.
pub const LATENCY_BUCKETS_SECONDS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The label of an exemplar.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabel {
    trace_id: String,
}

/// A histogram of latencies in seconds, in [`LATENCY_BUCKETS_SECONDS`]. Clones share it.
#[derive(Debug, Clone)]
pub struct LatencyHistogram(HistogramWithExemplars<TraceLabel>);

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self(HistogramWithExemplars::new(
            LATENCY_BUCKETS_SECONDS.into_iter(),
        ))
    }
}

impl LatencyHistogram {
    /// Adds a latency; that of a recorded trace becomes the exemplar of its bucket.
    pub fn observe(&self, latency: Duration, trace: Option<TraceContext>) {
        let recorded = trace.filter(|trace| trace.sampled);
        let label = recorded.map(|trace| TraceLabel {
            trace_id: trace.trace.to_string(),
        });
        let at = label.is_some().then(SystemTime::now);
        self.0.observe(latency.as_secs_f64(), label, at);
    }
}

impl TypedMetric for LatencyHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for LatencyHistogram {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::MetricsRegistry;

    #[test]
    fn a_recorded_trace_is_the_exemplar_of_its_bucket_and_another_is_none() {
        let latency = LatencyHistogram::default();
        let mut registry = MetricsRegistry::default();
        registry.register("forgewire_test_seconds", "Test", latency.clone());
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";
        let context = |flag| TraceContext::parse(&format!("{header}{flag}"));
        latency.observe(Duration::from_millis(2), context(1));
        latency.observe(Duration::from_millis(20), context(0));
        latency.observe(Duration::from_millis(200), None);
        let text = registry.open_metrics().unwrap();
        let exemplars: Vec<_> = text.lines().filter(|line| line.contains(" # {")).collect();
        assert_eq!(exemplars.len(), 1, "{text}");
        assert!(
            exemplars[0].starts_with("forgewire_test_seconds_bucket{le=\"0.0025\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.002"),
            "{text}"
        );
    }
}
