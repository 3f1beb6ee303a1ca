//! The registry's metrics as OTLP messages.
//!
//! Source: OpenTelemetry metrics data model, "Prometheus and OpenMetrics Compatibility": counters are
//! cumulative monotonic sums from the start of the process, histograms have explicit bounds, names stay
//! without the suffix `_total`, and the unit is that of the name's suffix.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
    },
    resource::v1::Resource,
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as source;

/// Converts sets of metrics of one process.
#[derive(Debug)]
pub(crate) struct ResourceMetricsBuilder {
    resource: Resource,
    started_nanos: u64,
}

impl ResourceMetricsBuilder {
    pub(crate) fn new(resource: &[(String, String)]) -> Self {
        let attributes = resource.iter().map(|(key, value)| attribute(key, value));
        Self {
            resource: Resource {
                attributes: attributes.collect(),
                ..Resource::default()
            },
            started_nanos: now_nanos(),
        }
    }

    pub(crate) fn build(&self, families: Vec<source::MetricFamily>) -> ExportMetricsServiceRequest {
        let at = PointTime {
            started_nanos: self.started_nanos,
            nanos: now_nanos(),
        };
        let metrics = families
            .into_iter()
            .filter_map(|family| at.metric(family))
            .collect();
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: "forgewire".to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    metrics,
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            }],
        }
    }
}

/// The times of every point of one set.
#[derive(Debug, Clone, Copy)]
struct PointTime {
    started_nanos: u64,
    nanos: u64,
}

impl PointTime {
    fn metric(self, family: source::MetricFamily) -> Option<Metric> {
        let kind = family.r#type();
        let data = match kind {
            source::MetricType::Counter => metric::Data::Sum(Sum {
                data_points: self.numbers(&family.metric),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            source::MetricType::Gauge | source::MetricType::Untyped => metric::Data::Gauge(Gauge {
                data_points: self.numbers(&family.metric),
            }),
            source::MetricType::Histogram => metric::Data::Histogram(Histogram {
                data_points: family
                    .metric
                    .iter()
                    .filter_map(|metric| self.histogram(metric))
                    .collect(),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
            }),
            source::MetricType::Summary | source::MetricType::GaugeHistogram => return None,
        };
        let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
        Some(Metric {
            name: name.to_owned(),
            description: family.help,
            unit: unit(name).to_owned(),
            metadata: Vec::new(),
            data: Some(data),
        })
    }

    fn numbers(self, metrics: &[source::Metric]) -> Vec<NumberDataPoint> {
        let points = metrics.iter().filter_map(|metric| {
            let (value, start) = match (&metric.counter, &metric.gauge, &metric.untyped) {
                (Some(counter), ..) => (counter.value, self.started_nanos),
                (_, Some(gauge), _) => (gauge.value, 0),
                (.., Some(untyped)) => (untyped.value, 0),
                _ => return None,
            };
            Some(NumberDataPoint {
                attributes: attributes(&metric.label),
                start_time_unix_nano: start,
                time_unix_nano: self.nanos,
                value: Some(number_data_point::Value::AsDouble(value)),
                ..NumberDataPoint::default()
            })
        });
        points.collect()
    }

    fn histogram(self, metric: &source::Metric) -> Option<HistogramDataPoint> {
        let histogram = metric.histogram.as_ref()?;
        let mut before = 0;
        let (mut bounds, mut counts, mut exemplars) = (Vec::new(), Vec::new(), Vec::new());
        for bucket in &histogram.bucket {
            exemplars.extend(bucket.exemplar.as_ref().map(|found| self.exemplar(found)));
            if bucket.upper_bound.is_finite() && bucket.upper_bound < f64::MAX {
                bounds.push(bucket.upper_bound);
                counts.push(bucket.cumulative_count.saturating_sub(before));
                before = bucket.cumulative_count;
            }
        }
        counts.push(histogram.sample_count.saturating_sub(before));
        Some(HistogramDataPoint {
            attributes: attributes(&metric.label),
            start_time_unix_nano: self.started_nanos,
            time_unix_nano: self.nanos,
            count: histogram.sample_count,
            sum: Some(histogram.sample_sum),
            bucket_counts: counts,
            explicit_bounds: bounds,
            exemplars,
            ..HistogramDataPoint::default()
        })
    }

    fn exemplar(self, found: &source::Exemplar) -> Exemplar {
        let trace = found.label.iter().find(|label| label.name == "trace_id");
        let trace = trace.and_then(|label| u128::from_str_radix(&label.value, 16).ok());
        let at = found.timestamp.as_ref().and_then(|at| {
            let seconds = u64::try_from(at.seconds).ok()?;
            let nanos = u64::try_from(at.nanos).ok()?;
            seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
        });
        Exemplar {
            time_unix_nano: at.unwrap_or(self.nanos),
            trace_id: trace.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
            value: Some(exemplar::Value::AsDouble(found.value)),
            ..Exemplar::default()
        }
    }
}

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// UCUM's code of the unit that ends a name.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

fn attributes(labels: &[source::LabelPair]) -> Vec<KeyValue> {
    let labels = labels.iter();
    labels
        .map(|label| attribute(&label.name, &label.value))
        .collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}
