//! Exports recorded spans and all metrics over OTLP (OpenTelemetry Protocol 1.x), by gRPC or HTTP.
//!
//! Nothing of the product waits for a collector. A span that has ended goes into a bounded queue
//! ([`queue`]); one task ([`exporter`]) takes batches from it and sends them, each with a timeout. While the
//! collector is slow, dead or answers nonsense, the queue fills and spans are dropped and counted. At the
//! hard stop the task sends what is left for up to [`FINAL_FLUSH`], then ends.
//!
//! The metrics that are sent are those of the process's registry, at the interval of the settings: there is
//! one set of instruments, whether Prometheus reads it or a collector receives it.

mod batch;
mod counts;
mod exporter;
mod metrics;
mod queue;
mod settings;
mod transport;

use std::sync::Arc;

use instruments::recording::{self, BoxedLayer};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;

pub use exporter::{FINAL_FLUSH, OtlpExporter};
pub use settings::{OtlpError, OtlpProtocol, OtlpSettings};

use counts::ExportCounts;
use queue::SpanQueue;

/// The layers that record spans, and the exporter to run. Makes no connection yet.
///
/// # Errors
/// The endpoint or a header cannot be used; the text names the key.
pub fn open<S>(settings: OtlpSettings) -> Result<(Vec<BoxedLayer<S>>, OtlpExporter), OtlpError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let target = settings.target()?;
    let counts = Arc::new(ExportCounts::default());
    let (queue, spans) = SpanQueue::new(settings.queue_spans, Arc::clone(&counts));
    let waiting = queue.waiting();
    let provider = SdkTracerProvider::builder()
        // The policy of recording has decided before a span is made.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_max_attributes_per_span(32)
        .with_max_events_per_span(16)
        .with_max_links_per_span(8)
        .with_resource(settings.resource())
        .with_span_processor(queue)
        .build();
    let layers = recording::layers(provider.tracer("forgewire"), settings.policy);
    let exporter = OtlpExporter::new(settings, target, (waiting, spans), counts);
    Ok((layers, exporter))
}
