//! Metrics: one registry per process, text for Prometheus.
//!
//! Services register with names that start with `forgewire_<service>_`. A label's value comes from
//! an enum, never from a user: the number of time series stays bounded. Units come last in a name
//! (`forgewire_ingest_append_seconds`); counters get `_total` from the encoder.

use std::{fmt, hash::Hash};

use model::ErrorClass;
use prometheus_client::{
    encoding::{EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
};

pub use instruments::{
    latency::{LATENCY_BUCKETS_SECONDS, LatencyHistogram},
    registry::MetricsRegistry,
};

use crate::prometheus_text::without_open_metrics;

/// The media type of OpenMetrics 1.0.
pub const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of Prometheus' text format.
pub const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters by labels, with one time series for each of these values from the start: an alert on an increase
/// does not see the step from no series at all to its first value.
#[must_use]
pub fn counters<L>(labels: impl IntoIterator<Item = L>) -> Family<L, Counter>
where
    L: Clone + Hash + Eq,
{
    let family = Family::default();
    for label in labels {
        drop(family.get_or_create(&label));
    }
    family
}

/// All metrics as OpenMetrics text, with exemplars.
///
/// # Errors
/// A metric cannot be encoded, which is a mistake in its type.
pub fn encode(registry: &MetricsRegistry) -> Result<String, fmt::Error> {
    registry.open_metrics()
}

/// All metrics as the reader's `Accept` header asks, with their media type: OpenMetrics if it names that,
/// else Prometheus' text format, which has no exemplars.
///
/// # Errors
/// As [`encode`].
pub fn encode_for(
    registry: &MetricsRegistry,
    accept: &str,
) -> Result<(&'static str, String), fmt::Error> {
    let text = registry.open_metrics()?;
    let names_open_metrics = accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next() == Some("application/openmetrics-text");
        is_named && !parts.any(|parameter| parameter == "q=0")
    });
    Ok(match names_open_metrics {
        true => (OPEN_METRICS_TYPE, text),
        false => (PROMETHEUS_TYPE, without_open_metrics(&text)),
    })
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
    use instruments::{SpanName, TraceSpan, testing};
    use model::RandomIds;
    use std::time::Duration;

    fn registry() -> MetricsRegistry {
        let mut registry = MetricsRegistry::default();
        let latency = LatencyHistogram::default();
        registry.register(
            "forgewire_test_append_seconds",
            "Append time",
            latency.clone(),
        );
        let label = |class: ErrorClass| [("class", ClassLabel::from(class))];
        let errors = counters([ErrorClass::Caller, ErrorClass::Transient].map(label));
        registry.register("forgewire_test_errors", "Errors by class", errors.clone());
        let (recorder, _) = testing::recorder(testing::ALL_REQUESTS);
        tracing::subscriber::with_default(recorder, || {
            let (span, _) = TraceSpan::of_request(SpanName::HttpRequest, None, &RandomIds);
            latency.observe(Duration::from_micros(200), &span);
        });
        errors.get_or_create(&label(ErrorClass::Transient)).inc();
        registry
    }

    #[test]
    fn metrics_read_as_open_metrics() {
        let text = encode(&registry()).unwrap();
        assert!(
            text.contains("forgewire_test_append_seconds_bucket{le=\"0.00025\"} 1 # {trace_id="),
            "{text}"
        );
        for line in ["{class=\"transient\"} 1", "{class=\"caller\"} 0"] {
            let line = format!("forgewire_test_errors_total{line}");
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_reader_gets_open_metrics_only_if_it_asks_for_it() {
        let registry = registry();
        for (accept, expected) in [
            ("", PROMETHEUS_TYPE),
            ("*/*", PROMETHEUS_TYPE),
            ("text/plain;version=0.0.4", PROMETHEUS_TYPE),
            (
                "application/openmetrics-text;q=0,text/plain",
                PROMETHEUS_TYPE,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3,*/*;q=0.2",
                OPEN_METRICS_TYPE,
            ),
        ] {
            let (kind, text) = encode_for(&registry, accept).unwrap();
            assert_eq!(kind, expected, "{accept}");
            let is_open = expected == OPEN_METRICS_TYPE;
            assert_eq!(text.contains("# EOF"), is_open, "{accept}");
            assert_eq!(text.contains("trace_id"), is_open, "{accept}");
        }
        let (_, text) = encode_for(&registry, "").unwrap();
        for line in [
            "# TYPE forgewire_test_errors_total counter",
            "forgewire_test_errors_total{class=\"transient\"} 1",
            "# TYPE forgewire_test_append_seconds histogram",
            "forgewire_test_append_seconds_bucket{le=\"0.00025\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
