//! The instruments of every crate above: spans, latencies with exemplars, and the metrics of store calls.
//!
//! A trace travels as data ([`model::TraceContext`]): through the log, the bus, gRPC and HTTP headers. A
//! component that does work of interest opens a [`TraceSpan`] under the context that it was given and hands the
//! span's own context on. Whether a trace is recorded is decided once, where a request enters the installation
//! ([`TraceSpan::of_request`]); everything after it costs one comparison unless the trace is recorded.
//!
//! | module | gives |
//! | --- | --- |
//! | [`span`] | spans under a context |
//! | [`span_name`] | all spans of the product, with their meaning |
//! | [`recording`] | the layers that turn recorded traces into OpenTelemetry's spans |
//! | [`latency`] | histograms of latencies, whose exemplars name a trace |
//! | [`depth`] | depths of queues |
//! | [`registry`] | the metrics of a process, as text and as messages |
//! | [`store_calls`] | spans, latencies and errors of calls to stores |
//! | `testing` | a subscriber that records into memory (feature `testing`) |

pub mod depth;
pub mod latency;
pub mod recording;
pub mod registry;
pub mod span;
pub mod span_name;
pub mod store_calls;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use span::TraceSpan;
pub use span_name::SpanName;
