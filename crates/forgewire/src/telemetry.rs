//! The process's log lines, and what it records for a collector.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use instruments::recording::SamplingPolicy;
use model::IdSource;
use otlp_export::{OtlpExporter, OtlpProtocol, OtlpSettings};
use service_kit::{
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
    telemetry::{self, LogLines, TelemetryConfig, TraceProtocol},
};

use crate::roles::RoleSet;

/// The telemetry of a process, opened before anything is logged.
#[derive(Debug)]
pub(crate) struct ProcessTelemetry {
    pub(crate) logs: LogLines,
    /// Runs once there are metrics; spans wait for it in a queue.
    exporter: Option<OtlpExporter>,
}

impl ProcessTelemetry {
    /// Starts log lines and, with `telemetry.endpoint`, the recording of traces.
    ///
    /// # Errors
    /// A value of `[telemetry]` cannot be used; the text names it.
    pub(crate) fn open(
        config: &TelemetryConfig,
        roles: &RoleSet,
        ids: &dyn IdSource,
    ) -> anyhow::Result<Self> {
        let settings = otlp_settings(config, roles, ids)?;
        let (layers, exporter) = match settings.map(otlp_export::open).transpose()? {
            Some((layers, exporter)) => (layers, Some(exporter)),
            None => (Vec::new(), None),
        };
        let logs = telemetry::init_with(config, layers)?;
        Ok(Self { logs, exporter })
    }

    /// Registers the metrics of log lines and of the export.
    pub(crate) fn register(&self, registry: &mut MetricsRegistry) {
        self.logs.register(registry);
        if let Some(exporter) = &self.exporter {
            exporter.register(registry);
        }
    }

    /// Starts to export, until the hard stop.
    ///
    /// # Errors
    /// The system's certificates cannot be read, or a variable `OTEL_EXPORTER_OTLP_…` has a value that the
    /// exporter does not know.
    pub(crate) fn start(
        self,
        registry: Arc<MetricsRegistry>,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<()> {
        let Some(exporter) = self.exporter else {
            return Ok(());
        };
        let exporting = exporter.start(registry, lifecycle.closed());
        let exporting = exporting.context("telemetry.endpoint")?;
        lifecycle.spawn_until_closed("telemetry-export", OnExit::MayFinish, exporting);
        Ok(())
    }
}

/// Refuses values of `[telemetry]` that cannot be used.
///
/// # Errors
/// The text names the key.
pub(crate) fn check(config: &TelemetryConfig, roles: &RoleSet) -> anyhow::Result<()> {
    config.check()?;
    // Of any instance.
    let settings = otlp_settings(config, roles, &model::RandomIds)?;
    settings.map_or(Ok(()), |settings| settings.check())?;
    Ok(())
}

/// Where and how traces and metrics leave; `None` without an endpoint.
fn otlp_settings(
    config: &TelemetryConfig,
    roles: &RoleSet,
    ids: &dyn IdSource,
) -> anyhow::Result<Option<OtlpSettings>> {
    config.check()?;
    let Some(endpoint) = config.collector().map(ToOwned::to_owned) else {
        return Ok(None);
    };
    let seconds = config.metrics_interval_seconds;
    Ok(Some(OtlpSettings {
        endpoint,
        protocol: match config.protocol {
            TraceProtocol::Grpc => OtlpProtocol::Grpc,
            TraceProtocol::Http => OtlpProtocol::Http,
        },
        headers: config.all_headers()?,
        resource: resource(config, roles, ids),
        policy: SamplingPolicy {
            ratio: config.sampling_ratio,
            follows_clients: config.follow_client_sampling,
        },
        queue_spans: config.queue_spans,
        timeout: Duration::from_secs(config.export_timeout_seconds),
        metrics_interval: (seconds > 0).then(|| Duration::from_secs(seconds)),
    }))
}

/// The attributes of this process. Those of the configuration win, except for the name of the service,
/// which has a key of its own.
fn resource(
    config: &TelemetryConfig,
    roles: &RoleSet,
    ids: &dyn IdSource,
) -> Vec<(String, String)> {
    let roles: Vec<_> = roles.iter().map(|role| role.name).collect();
    let own = [
        ("service.instance.id", ids.uuid()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("forgewire.roles", roles.join(",")),
    ];
    let given = &config.resource_attributes;
    let own = own
        .into_iter()
        .filter(|(key, _)| !given.contains_key(*key))
        .map(|(key, value)| (key.to_owned(), value));
    let given = given
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    let name = ("service.name".to_owned(), config.service_name.clone());
    let others = own.chain(given).filter(|(key, _)| key != "service.name");
    std::iter::once(name).chain(others).collect()
}
