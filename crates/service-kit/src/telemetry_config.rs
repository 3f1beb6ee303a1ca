//! The section `[telemetry]`.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use model::{Classified, ErrorClass};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// The protocol of the export to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceProtocol {
    /// OTLP over gRPC; collectors listen on port 4317.
    #[default]
    #[serde(alias = "GRPC")]
    Grpc,
    /// OTLP over HTTP with protobuf bodies; collectors listen on port 4318.
    #[serde(alias = "http/protobuf")]
    Http,
}

/// The section `[telemetry]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Format of log lines: `text` or `json`.
    pub format: LogFormat,
    /// Filter of log lines: a level, and levels per crate, for instance `info,sse_edge=debug`. The driver
    /// of NATS (`async_nats`) writes warnings only unless the filter names it.
    pub filter: String,
    /// Address of an OpenTelemetry collector, for instance `http://collector:4317`; `https` uses the system's
    /// certificates. Without it nothing is recorded and nothing is sent.
    pub endpoint: Option<String>,
    /// Protocol of the collector: `grpc` or `http`. For `http`, `/v1/traces` and `/v1/metrics` are added to
    /// `endpoint`.
    pub protocol: TraceProtocol,
    /// Share of requests from outside whose traces are recorded: 0 to 1. All processes follow the one that a
    /// request reaches first.
    pub sampling_ratio: f64,
    /// Whether the flag in a client's `traceparent` decides instead of the share. Then any client can have all of
    /// its requests recorded.
    pub follow_client_sampling: bool,
    /// Name of the installation in traces and metrics (`service.name`).
    pub service_name: String,
    /// Further attributes of the resource, for instance `{ "deployment.environment.name" = "production" }`.
    pub resource_attributes: BTreeMap<String, String>,
    /// Headers of every request to the collector. Prefer `header_files` for tokens.
    pub headers: BTreeMap<String, Secret>,
    /// Files with the value of a header each, by the header's name.
    pub header_files: BTreeMap<String, PathBuf>,
    /// Maximum number of spans that wait to be sent; further ones are dropped and counted.
    pub queue_spans: usize,
    /// Maximum time of one export, in seconds.
    pub export_timeout_seconds: u64,
    /// Interval at which metrics are sent to the collector, in seconds; 0: never.
    pub metrics_interval_seconds: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
            endpoint: None,
            protocol: TraceProtocol::Grpc,
            sampling_ratio: 0.01,
            follow_client_sampling: false,
            service_name: "forgewire".to_owned(),
            resource_attributes: BTreeMap::new(),
            headers: BTreeMap::new(),
            header_files: BTreeMap::new(),
            queue_spans: 4096,
            export_timeout_seconds: 5,
            metrics_interval_seconds: 60,
        }
    }
}

/// Maximum of `queue_spans`: at up to 2 KiB a span, 128 MiB.
const MAX_QUEUE_SPANS: usize = 65_536;
/// Maximum of `export_timeout_seconds`.
const MAX_EXPORT_TIMEOUT_SECONDS: u64 = 60;
/// Maximum of `metrics_interval_seconds`: a day.
const MAX_METRICS_INTERVAL_SECONDS: u64 = 86_400;

/// A value of `[telemetry]` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryValueError {
    /// A number is out of its range.
    #[error("telemetry.{key}: {given} is not between {min} and {max}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value.
        given: String,
        /// The lowest value.
        min: u64,
        /// The highest value.
        max: u64,
    },
    /// The file of a header cannot be read.
    #[error("telemetry.header_files: {} cannot be read, which has the header {header}", file.display())]
    HeaderFile {
        /// The header.
        header: String,
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl Classified for TelemetryValueError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

impl TelemetryConfig {
    /// The address of the collector; an empty one is none, as in OpenTelemetry's own variable.
    #[must_use]
    pub fn collector(&self) -> Option<&str> {
        self.endpoint.as_deref().filter(|text| !text.is_empty())
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// A value is out of its range; the error names the key.
    pub fn check(&self) -> Result<(), TelemetryValueError> {
        if !(0.0..=1.0).contains(&self.sampling_ratio) {
            return Err(TelemetryValueError::Range {
                key: "sampling_ratio",
                given: self.sampling_ratio.to_string(),
                min: 0,
                max: 1,
            });
        }
        let queue = u64::try_from(self.queue_spans).unwrap_or(u64::MAX);
        for (key, given, min, max) in [
            ("queue_spans", queue, 1, MAX_QUEUE_SPANS as u64),
            (
                "export_timeout_seconds",
                self.export_timeout_seconds,
                1,
                MAX_EXPORT_TIMEOUT_SECONDS,
            ),
            (
                "metrics_interval_seconds",
                self.metrics_interval_seconds,
                0,
                MAX_METRICS_INTERVAL_SECONDS,
            ),
        ] {
            if !(min..=max).contains(&given) {
                let given = given.to_string();
                return Err(TelemetryValueError::Range {
                    key,
                    given,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }

    /// The headers for the collector: those of the configuration, and those of files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn all_headers(&self) -> Result<Vec<(String, String)>, TelemetryValueError> {
        let given = self.headers.iter();
        let mut headers: Vec<_> = given
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect();
        for (name, file) in &self.header_files {
            let value =
                fs::read_to_string(file).map_err(|source| TelemetryValueError::HeaderFile {
                    header: name.clone(),
                    file: file.clone(),
                    source,
                })?;
            headers.push((name.clone(), value.trim().to_owned()));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_its_range_is_named() {
        assert!(TelemetryConfig::default().check().is_ok());
        let of = |ratio, queue_spans, interval| TelemetryConfig {
            sampling_ratio: ratio,
            queue_spans,
            metrics_interval_seconds: interval,
            ..TelemetryConfig::default()
        };
        for (config, key) in [
            (of(1.5, 1, 0), "sampling_ratio"),
            (of(-0.1, 1, 0), "sampling_ratio"),
            (of(f64::NAN, 1, 0), "sampling_ratio"),
            (of(0.5, 0, 0), "queue_spans"),
            (of(0.5, 1 << 20, 0), "queue_spans"),
            (of(0.5, 1, 100_000), "metrics_interval_seconds"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn headers_come_from_files_too_and_their_values_are_never_shown() {
        let missing = PathBuf::from("/nonexistent/token");
        let config = TelemetryConfig {
            headers: BTreeMap::from([("x-team".to_owned(), Secret::new("hidden"))]),
            header_files: BTreeMap::from([("authorization".to_owned(), missing)]),
            ..TelemetryConfig::default()
        };
        let error = config.all_headers().unwrap_err().to_string();
        assert!(error.contains("authorization") && error.contains("/nonexistent/token"));
        assert!(!format!("{config:?}").contains("hidden"));
        assert!(!serde_json::to_string(&config).unwrap().contains("hidden"));
    }
}
