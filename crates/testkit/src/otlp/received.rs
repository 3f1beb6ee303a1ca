//! What a collector received, in plain types.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data},
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind},
};

/// A span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedSpan {
    /// The attributes of the process that recorded it.
    pub resource: BTreeMap<String, String>,
    /// Its name.
    pub name: String,
    /// Its kind: `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: &'static str,
    /// Its trace, in hex.
    pub trace_id: String,
    /// Its id, in hex.
    pub span_id: String,
    /// The id of its parent; empty for none.
    pub parent_id: String,
    /// Traces and spans that it links.
    pub links: Vec<(String, String)>,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// Names of its events.
    pub events: Vec<String>,
    /// Whether its status is an error.
    pub is_error: bool,
    /// Its start, in nanoseconds of the Unix time.
    pub started_nanos: u64,
    /// Its end.
    pub ended_nanos: u64,
}

impl ReceivedSpan {
    /// The roles of the process that recorded it.
    #[must_use]
    pub fn roles(&self) -> &str {
        self.resource
            .get("forgewire.roles")
            .map_or("", String::as_str)
    }
}

/// A metric, as it was last received from one process.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedMetric {
    /// The attributes of the process.
    pub resource: BTreeMap<String, String>,
    /// Its name.
    pub name: String,
    /// Its unit, in UCUM.
    pub unit: String,
    /// Its points: labels, and the value; of a histogram, the number of values.
    pub points: Vec<(BTreeMap<String, String>, f64)>,
    /// Traces that its exemplars name, in hex.
    pub exemplars: Vec<String>,
}

pub(super) fn spans(request: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut spans = Vec::new();
    for of_process in request.resource_spans {
        let resource = attributes_of(of_process.resource);
        for scope in of_process.scope_spans {
            spans.extend(
                scope
                    .spans
                    .into_iter()
                    .map(|span| self::span(span, &resource)),
            );
        }
    }
    spans
}

fn span(span: Span, resource: &BTreeMap<String, String>) -> ReceivedSpan {
    let kind = match span.kind() {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    };
    let links = span.links.iter();
    let status = span.status.as_ref();
    ReceivedSpan {
        resource: resource.clone(),
        kind,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        links: links
            .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
            .collect(),
        is_error: status.is_some_and(|status| status.code == 2),
        events: span.events.into_iter().map(|event| event.name).collect(),
        name: span.name,
        attributes: attributes(span.attributes),
        started_nanos: span.start_time_unix_nano,
        ended_nanos: span.end_time_unix_nano,
    }
}

pub(super) fn metrics(request: ExportMetricsServiceRequest) -> Vec<ReceivedMetric> {
    let mut metrics = Vec::new();
    for of_process in request.resource_metrics {
        let resource = attributes_of(of_process.resource);
        for scope in of_process.scope_metrics {
            let found = scope.metrics.into_iter();
            metrics.extend(found.map(|metric| self::metric(metric, &resource)));
        }
    }
    metrics
}

fn metric(metric: Metric, resource: &BTreeMap<String, String>) -> ReceivedMetric {
    let (mut points, mut exemplars) = (Vec::new(), Vec::new());
    match metric.data {
        Some(Data::Sum(sum)) => points.extend(sum.data_points.into_iter().map(number)),
        Some(Data::Gauge(gauge)) => points.extend(gauge.data_points.into_iter().map(number)),
        Some(Data::Histogram(histogram)) => {
            for point in histogram.data_points {
                assert_eq!(
                    point.bucket_counts.iter().sum::<u64>(),
                    point.count,
                    "the buckets of {} hold every value",
                    metric.name
                );
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                let traces = point.exemplars.iter();
                exemplars.extend(traces.map(|exemplar| hex(&exemplar.trace_id)));
                #[expect(clippy::cast_precision_loss, reason = "tests count less")]
                points.push((attributes(point.attributes), point.count as f64));
            }
        }
        _ => {}
    }
    ReceivedMetric {
        resource: resource.clone(),
        name: metric.name,
        unit: metric.unit,
        points,
        exemplars,
    }
}

fn number(
    point: opentelemetry_proto::tonic::metrics::v1::NumberDataPoint,
) -> (BTreeMap<String, String>, f64) {
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    let value = match point.value {
        Some(Value::AsDouble(value)) => value,
        #[expect(clippy::cast_precision_loss, reason = "tests count less")]
        Some(Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    };
    (attributes(point.attributes), value)
}

fn attributes_of(resource: Option<Resource>) -> BTreeMap<String, String> {
    resource.map_or_else(BTreeMap::new, |resource| attributes(resource.attributes))
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let attributes = attributes.into_iter();
    attributes
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
