//! The bounded queue between spans that end and the exporter.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::sync::mpsc;

use crate::counts::ExportCounts;

/// Takes the spans that end. It never waits: a span that finds the queue full is counted and dropped.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    spans: mpsc::Sender<SpanData>,
    counts: Arc<ExportCounts>,
}

impl SpanQueue {
    /// A queue of up to `capacity` spans, and its other end.
    pub(crate) fn new(
        capacity: usize,
        counts: Arc<ExportCounts>,
    ) -> (Self, mpsc::Receiver<SpanData>) {
        let (spans, receiver) = mpsc::channel(capacity.max(1));
        (Self { spans, counts }, receiver)
    }

    /// Shows how many spans wait.
    pub(crate) fn waiting(&self) -> mpsc::WeakSender<SpanData> {
        self.spans.downgrade()
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.counts.queue_full();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
