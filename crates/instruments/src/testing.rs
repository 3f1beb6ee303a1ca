//! A subscriber that records into memory.

use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Subscriber;
use tracing_subscriber::{layer::SubscriberExt, registry, registry::LookupSpan};

use crate::recording::{self, SamplingPolicy};

/// Records every request.
pub const ALL_REQUESTS: SamplingPolicy = SamplingPolicy {
    ratio: 1.0,
    follows_clients: false,
};

/// The spans that have ended.
#[derive(Debug, Clone)]
pub struct RecordedSpans {
    exporter: InMemorySpanExporter,
    /// Its end, which would come with that of the subscriber, would empty the exporter.
    _provider: SdkTracerProvider,
}

impl RecordedSpans {
    /// All of them, in the order of their ends.
    ///
    /// # Panics
    /// Another test panicked while it recorded here.
    #[must_use]
    pub fn ended(&self) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans();
        spans.expect("nothing panics while a span is added")
    }

    /// The names of those that failed, in this order.
    #[must_use]
    pub fn failed(&self) -> Vec<String> {
        let spans = self.ended().into_iter();
        let failed = spans.filter(|span| matches!(span.status, Status::Error { .. }));
        failed.map(|span| span.name.into_owned()).collect()
    }

    /// Their names, in this order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let spans = self.ended().into_iter();
        spans.map(|span| span.name.into_owned()).collect()
    }
}

/// A subscriber that records by `policy`, and what it has recorded.
pub fn recorder(
    policy: SamplingPolicy,
) -> (
    impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    RecordedSpans,
) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layers = recording::layers(provider.tracer("test"), policy);
    let spans = RecordedSpans {
        exporter,
        _provider: provider,
    };
    (registry().with(layers), spans)
}
