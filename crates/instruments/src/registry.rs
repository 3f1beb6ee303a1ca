//! The registry of a process's metrics, in every form in which they leave it.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{
        prometheus_protobuf::{
            self,
            prometheus_data_model::{MetricFamily, MetricType as MetricKind},
        },
        text,
    },
    metrics::MetricType,
    registry::{Metric, Registry},
};

/// A metric as documents describe it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricDescription {
    /// The name, without the suffix that counters get.
    pub name: String,
    /// `counter`, `gauge`, `histogram`, `info` or `unknown`.
    pub kind: &'static str,
    /// Its meaning.
    pub help: String,
}

/// All metrics of a process. Names start with `forgewire_<owner>_`, units come last, and counters get
/// `_total` from the encoder. A label's value comes from an enum, never from a user: the number of time
/// series stays bounded.
#[derive(Debug, Default)]
pub struct MetricsRegistry {
    metrics: Registry,
    descriptions: Vec<MetricDescription>,
}

impl MetricsRegistry {
    /// Registers a metric.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        help: impl Into<String>,
        metric: impl Metric,
    ) {
        let (name, help) = (name.into(), help.into());
        self.descriptions.push(MetricDescription {
            name: name.clone(),
            kind: kind_of(metric.metric_type()),
            help: help.clone(),
        });
        self.metrics.register(name, help, metric);
    }

    /// Registers metrics that are read from their owner whenever they are asked for.
    pub fn register_collector(&mut self, collector: Box<dyn Collector>) {
        self.metrics.register_collector(collector);
    }

    /// OpenMetrics text (1.0), with exemplars.
    ///
    /// # Errors
    /// A metric cannot be encoded, which is a mistake in its type.
    pub fn open_metrics(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.metrics)?;
        Ok(out)
    }

    /// The metrics as Prometheus' messages.
    ///
    /// # Errors
    /// As [`Self::open_metrics`].
    pub fn families(&self) -> Result<Vec<MetricFamily>, fmt::Error> {
        prometheus_protobuf::encode(&self.metrics)
    }

    /// Every metric that was registered, and those that collectors give now, by name.
    ///
    /// # Errors
    /// As [`Self::open_metrics`].
    pub fn descriptions(&self) -> Result<Vec<MetricDescription>, fmt::Error> {
        let mut all = self.descriptions.clone();
        for family in self.families()? {
            let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
            if all.iter().all(|known| known.name != name) {
                all.push(MetricDescription {
                    name: name.to_owned(),
                    kind: kind_name(family.r#type()),
                    // The registry ends each help with a full stop.
                    help: family.help.trim_end_matches('.').to_owned(),
                });
            }
        }
        all.sort();
        Ok(all)
    }
}

const fn kind_of(metric: MetricType) -> &'static str {
    match metric {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
        MetricType::Info => "info",
        _ => "unknown",
    }
}

const fn kind_name(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        _ => "unknown",
    }
}
