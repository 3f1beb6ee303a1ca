//! What became of spans and metrics.

use instruments::{depth::register_depth, registry::MetricsRegistry};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tokio::sync::mpsc;

use opentelemetry_sdk::trace::SpanData;

/// `outcome`: exported, queue_full, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExportOutcome {
    outcome: &'static str,
}

/// The counters of an exporter; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportCounts {
    spans: Family<ExportOutcome, Counter>,
    metric_exports: Family<ExportOutcome, Counter>,
}

impl ExportCounts {
    /// Begins an export of `spans` spans.
    pub(crate) fn begin(&self, spans: usize) -> CountedExport {
        CountedExport {
            counts: self.clone(),
            spans,
            outcome: "failed",
        }
    }

    pub(crate) fn queue_full(&self) {
        self.count("queue_full", 1);
    }

    fn count(&self, outcome: &'static str, spans: usize) {
        let counter = self.spans.get_or_create(&ExportOutcome { outcome });
        counter.inc_by(spans as u64);
    }

    pub(crate) fn metrics_sent(&self, is_sent: bool) {
        let outcome = if is_sent { "exported" } else { "failed" };
        let counter = self
            .metric_exports
            .get_or_create(&ExportOutcome { outcome });
        counter.inc();
    }

    pub(crate) fn register(
        &self,
        registry: &mut MetricsRegistry,
        queue: mpsc::WeakSender<SpanData>,
    ) {
        // An alert on an increase does not see the step from no series to its first value.
        for outcome in ["exported", "failed", "queue_full"] {
            self.count(outcome, 0);
        }
        for outcome in ["exported", "failed"] {
            drop(
                self.metric_exports
                    .get_or_create(&ExportOutcome { outcome }),
            );
        }
        registry.register(
            "forgewire_otlp_spans",
            "Spans of recorded traces by what became of them: sent to the collector (exported), refused or not \
             answered by it (failed), or dropped because the queue was full (queue_full)",
            self.spans.clone(),
        );
        registry.register(
            "forgewire_otlp_metric_exports",
            "Sets of metrics that were sent to the collector (exported), or refused or not answered by it (failed)",
            self.metric_exports.clone(),
        );
        register_depth(
            registry,
            "forgewire_otlp_queued_spans",
            "Spans that wait to be sent to the collector; at most telemetry.queue_spans",
            move || {
                let queue = queue.upgrade();
                queue.map_or(0, |queue| queue.max_capacity() - queue.capacity())
            },
        );
    }
}

/// An export under way; dropped before its success, it has failed.
#[derive(Debug)]
pub(crate) struct CountedExport {
    counts: ExportCounts,
    spans: usize,
    outcome: &'static str,
}

impl CountedExport {
    pub(crate) fn succeeded(mut self) {
        self.outcome = "exported";
    }
}

impl Drop for CountedExport {
    fn drop(&mut self) {
        self.counts.count(self.outcome, self.spans);
    }
}
