//! Metrics: one registry per process, text for Prometheus.
//!
//! Services register with names that start with `forgewire_<service>_`. A label's value comes from
//! an enum, never from a user: the number of time series stays bounded. Units come last in a name
//! (`forgewire_ingest_append_seconds`); counters get `_total` from the encoder.

use std::fmt;

use model::ErrorClass;
use prometheus_client::{
    encoding::{EncodeLabelValue, LabelValueEncoder, text},
    metrics::histogram::Histogram,
};

/// The registry of a process's metrics.
pub type MetricsRegistry = prometheus_client::registry::Registry;

/// Buckets for latencies in seconds: 100 µs to 10 s, in steps of 1, 2.5 and 5.
pub const LATENCY_BUCKETS_SECONDS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The media type of the text that [`encode`] returns (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A histogram of latencies in seconds; also the constructor for a `Family`.
#[must_use]
pub fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS_SECONDS)
}

/// All metrics as OpenMetrics text.
///
/// # Errors
/// A metric cannot be encoded, which is a mistake in its type.
pub fn encode(registry: &MetricsRegistry) -> Result<String, fmt::Error> {
    let mut out = String::new();
    text::encode(&mut out, registry)?;
    Ok(out)
}

/// The label value of an error class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClassLabel(pub ErrorClass);

impl From<ErrorClass> for ClassLabel {
    fn from(class: ErrorClass) -> Self {
        Self(class)
    }
}

impl EncodeLabelValue for ClassLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::{counter::Counter, family::Family};

    #[test]
    fn metrics_read_as_open_metrics() {
        let mut registry = MetricsRegistry::default();
        let latency = latency_histogram();
        registry.register(
            "forgewire_test_append_seconds",
            "Append time",
            latency.clone(),
        );
        let errors = Family::<[(&'static str, ClassLabel); 1], Counter>::default();
        registry.register("forgewire_test_errors", "Errors by class", errors.clone());
        latency.observe(0.0002);
        errors
            .get_or_create(&[("class", ErrorClass::Transient.into())])
            .inc();
        let text = encode(&registry).unwrap();
        assert!(
            text.contains("forgewire_test_append_seconds_bucket{le=\"0.00025\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("forgewire_test_errors_total{class=\"transient\"} 1"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
