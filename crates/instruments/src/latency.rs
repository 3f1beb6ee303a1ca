//! Histograms of latencies. A span leaves the id of its trace as an exemplar: the way from a slow bucket to the
//! request that filled it. A context is not enough for that: its flag may be the word of a client.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, exemplar::HistogramWithExemplars},
};

use crate::TraceSpan;

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
    /// Adds the latency of the work of `span`; if that is recorded, its trace becomes the exemplar of the bucket.
    pub fn observe(&self, latency: Duration, span: &TraceSpan) {
        let recorded = span.context().filter(|trace| trace.sampled);
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
    use crate::{SpanName, registry::MetricsRegistry, testing};
    use model::{RandomIds, TraceContext};

    #[test]
    fn a_recorded_trace_is_the_exemplar_of_its_bucket_and_the_word_of_a_client_is_none() {
        let latency = LatencyHistogram::default();
        let mut registry = MetricsRegistry::default();
        registry.register("forgewire_test_seconds", "Test", latency.clone());
        let caller = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let request = || TraceSpan::of_request(SpanName::HttpRequest, caller, &RandomIds).0;
        latency.observe(Duration::from_millis(20), &request());
        latency.observe(Duration::from_millis(200), &TraceSpan::none());
        let text = registry.open_metrics().unwrap();
        assert!(!text.contains(" # {"), "nothing is recorded: {text}");
        let (subscriber, _) = testing::recorder(testing::ALL_REQUESTS);
        tracing::subscriber::with_default(subscriber, || {
            latency.observe(Duration::from_millis(2), &request());
        });
        let text = registry.open_metrics().unwrap();
        let exemplars: Vec<_> = text.lines().filter(|line| line.contains(" # {")).collect();
        assert_eq!(exemplars.len(), 1, "{text}");
        assert!(
            exemplars[0].starts_with("forgewire_test_seconds_bucket{le=\"0.0025\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.002"),
            "{text}"
        );
    }
}
