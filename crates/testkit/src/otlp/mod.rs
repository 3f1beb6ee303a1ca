//! A collector of OpenTelemetry for tests: it receives spans and metrics over gRPC and HTTP, on the official
//! protobuf definitions, and keeps what it received.
//!
//! [`OtlpCollector`] answers as a collector should; [`BrokenCollector`] is one that is silent or answers nonsense.

mod broken;
mod collector;
mod drawing;
mod received;

pub use broken::{BrokenCollector, CollectorFault};
pub use collector::OtlpCollector;
pub use drawing::draw_trace;
pub use received::{ReceivedMetric, ReceivedSpan};
