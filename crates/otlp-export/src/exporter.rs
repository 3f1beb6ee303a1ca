//! The task that sends batches of spans, and the metrics of the process.

use std::{sync::Arc, time::Duration};

use instruments::registry::MetricsRegistry;
use model::error_chain;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    batch::SpanBatch,
    counts::ExportCounts,
    metrics::ResourceMetricsBuilder,
    settings::{ExportTarget, OtlpError, OtlpSettings},
    transport::{self, MetricsSender},
};

/// Longest time for which the process waits at its end for the last spans and metrics to be sent.
pub const FINAL_FLUSH: Duration = Duration::from_millis(500);
/// Exports until the process ends. Until it runs, spans wait in the queue.
#[derive(Debug)]
pub struct OtlpExporter {
    settings: OtlpSettings,
    target: ExportTarget,
    spans: mpsc::Receiver<SpanData>,
    queue: mpsc::WeakSender<SpanData>,
    counts: Arc<ExportCounts>,
}

impl OtlpExporter {
    pub(crate) fn new(
        settings: OtlpSettings,
        target: ExportTarget,
        (queue, spans): (mpsc::WeakSender<SpanData>, mpsc::Receiver<SpanData>),
        counts: Arc<ExportCounts>,
    ) -> Self {
        Self {
            settings,
            target,
            spans,
            queue,
            counts,
        }
    }

    /// Registers the counters of the export.
    pub fn register(&self, registry: &mut MetricsRegistry) {
        self.counts.register(registry, self.queue.clone());
    }

    /// Exports spans as they come, and the metrics of `registry`, until `closed`; then what is left for up
    /// to [`FINAL_FLUSH`]. Inside a tokio runtime.
    ///
    /// # Errors
    /// The settings cannot be used, which [`crate::open`] could not see.
    pub fn start(
        self,
        registry: Arc<MetricsRegistry>,
        closed: CancellationToken,
    ) -> Result<impl Future<Output = ()> + Send + 'static, OtlpError> {
        let (mut exporter, sender) =
            transport::connect(self.settings.protocol, self.target, self.settings.timeout)?;
        exporter.set_resource(&self.settings.resource());
        let running = RunningExport {
            exporter,
            sender,
            counts: self.counts,
            metrics: ResourceMetricsBuilder::new(&self.settings.resource),
            registry,
            timeout: self.settings.timeout,
            spans_health: ExportHealth::of("spans"),
            metrics_health: ExportHealth::of("metrics"),
        };
        Ok(running.run(self.spans, self.settings.metrics_interval, closed))
    }
}

struct RunningExport {
    exporter: SpanExporter,
    sender: MetricsSender,
    counts: Arc<ExportCounts>,
    metrics: ResourceMetricsBuilder,
    registry: Arc<MetricsRegistry>,
    timeout: Duration,
    spans_health: ExportHealth,
    metrics_health: ExportHealth,
}

/// Whether the last export failed: only a change is a line of the log. Spans and metrics have one each, because
/// there are collectors that take only one of them.
struct ExportHealth {
    signal: &'static str,
    is_failing: bool,
}

impl ExportHealth {
    const fn of(signal: &'static str) -> Self {
        Self {
            signal,
            is_failing: false,
        }
    }

    fn report(&mut self, failure: Option<&str>) {
        let signal = self.signal;
        match (failure, self.is_failing) {
            (Some(failure), false) => warn!(
                signal,
                failure,
                "the collector of telemetry does not take what it is sent; until it does, that is dropped and counted"
            ),
            (None, true) => info!(signal, "the collector of telemetry answers again"),
            _ => {}
        }
        self.is_failing = failure.is_some();
    }
}

impl RunningExport {
    async fn run(
        mut self,
        mut spans: mpsc::Receiver<SpanData>,
        metrics_interval: Option<Duration>,
        closed: CancellationToken,
    ) {
        let period = metrics_interval.unwrap_or(Duration::from_secs(3600));
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sends_metrics = metrics_interval.is_some();
        // Outside of the futures that fill it, which may be dropped.
        let mut batch = SpanBatch::default();
        let in_time = {
            let work = async {
                loop {
                    tokio::select! {
                        biased;
                        () = closed.cancelled() => break,
                        _ = ticks.tick(), if sends_metrics => self.send_metrics().await,
                        () = batch.fill(&mut spans) => self.export(batch.take()).await,
                    }
                }
                batch.fill_now(&mut spans);
                while !batch.is_empty() {
                    self.export(batch.take()).await;
                    batch.fill_now(&mut spans);
                }
                if sends_metrics {
                    self.send_metrics().await;
                }
            };
            let window = async {
                closed.cancelled().await;
                sleep(FINAL_FLUSH).await;
            };
            tokio::select! {
                () = work => true,
                () = window => false,
            }
        };
        if !in_time {
            warn!("the collector did not take the last spans and metrics in time");
            spans.close();
            batch.fill_all(&mut spans);
            drop(self.counts.begin(batch.take().len()));
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let export = self.counts.begin(batch.len());
        let failure = match timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(elapsed) => Some(elapsed.to_string()),
        };
        if failure.is_none() {
            export.succeeded();
        }
        self.spans_health.report(failure.as_deref());
    }

    async fn send_metrics(&mut self) {
        let families = match self.registry.families() {
            Ok(families) => families,
            Err(error) => return self.metrics_health.report(Some(&error.to_string())),
        };
        let set = self.metrics.build(families);
        let failure = match timeout(self.timeout, self.sender.send(set)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&*error)),
            Err(elapsed) => Some(elapsed.to_string()),
        };
        self.counts.metrics_sent(failure.is_none());
        self.metrics_health.report(failure.as_deref());
    }
}
