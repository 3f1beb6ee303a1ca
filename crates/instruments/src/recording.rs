//! Turns recorded traces into OpenTelemetry's spans: layers of the process's tracing subscriber.
//!
//! The subscriber is what a process already shares, so the policy of recording is a layer of it as well:
//! nothing here is a global of ours, and a test has a subscriber of its own.

use model::IdSource;
use opentelemetry::trace::Tracer;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, filter_fn},
    registry::{LookupSpan, SpanRef},
};

/// The target of the spans of [`crate::TraceSpan`]. Log lines never show them: they have `trace_id`.
pub const SPAN_TARGET: &str = "forgewire::trace";

/// A layer behind one type.
pub type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Which requests from outside are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingPolicy {
    /// The share of requests: 0 to 1.
    pub ratio: f64,
    /// Whether the flag in a client's `traceparent` decides instead of the share. Any client could then have
    /// all of its requests recorded.
    pub follows_clients: bool,
}

impl SamplingPolicy {
    /// The policy of the present subscriber; `None` if nothing is recorded.
    pub(crate) fn current() -> Option<Self> {
        tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref::<Self>().copied())
    }

    /// Whether a request is recorded; `caller` is the flag of its `traceparent`.
    pub(crate) fn samples(self, caller: Option<bool>, ids: &dyn IdSource) -> bool {
        match caller {
            Some(is_sampled) if self.follows_clients => is_sampled,
            _ if self.ratio >= 1.0 => true,
            _ if self.ratio <= 0.0 => false,
            _ => unit_interval(ids.random_u64()) < self.ratio,
        }
    }
}

/// Whether the present subscriber records traces.
#[must_use]
pub fn is_on() -> bool {
    SamplingPolicy::current().is_some()
}

/// A random number as a fraction in `[0, 1)`, of its upper 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
fn unit_interval(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

impl<S: Subscriber> Layer<S> for SamplingPolicy {}

/// The layers that record the traces of `policy` with `tracer`. Warnings and errors that are logged inside a
/// span become its events.
pub fn layers<S, T>(tracer: T, policy: SamplingPolicy) -> Vec<BoxedLayer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_level(false)
        .with_target(false)
        .with_filter(filter_fn(is_recorded));
    // It only has to be found; without a filter every callsite of the process would be enabled for it.
    vec![spans.boxed(), policy.with_filter(LevelFilter::OFF).boxed()]
}

/// Whether spans and events of a callsite reach OpenTelemetry.
fn is_recorded(callsite: &Metadata<'_>) -> bool {
    match callsite.is_span() {
        true => is_trace_span(callsite),
        false => *callsite.level() <= Level::WARN,
    }
}

/// The span around a recorded one, in the subscriber's data of the recorded one.
struct LineSpan(Span);

/// The span around this work that log lines show: for a task that begins here. That of a recorded span
/// would end only after the task.
#[must_use]
pub fn line_span() -> Span {
    let current = Span::current();
    match current.metadata() {
        Some(callsite) if is_trace_span(callsite) => with_registry(&current, |recorded| {
            let data = recorded.extensions();
            data.get::<LineSpan>().map(|LineSpan(span)| span.clone())
        })
        .unwrap_or_else(Span::none),
        _ => current,
    }
}

/// Remembers the span around a recorded one.
pub(crate) fn set_line_span(recorded: &Span, line: Span) {
    with_registry(recorded, |recorded| {
        recorded.extensions_mut().replace(LineSpan(line));
        Some(())
    });
}

fn with_registry<T>(
    span: &Span,
    work: impl FnOnce(SpanRef<'_, Registry>) -> Option<T>,
) -> Option<T> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        work(registry.span(id)?)
    });
    found.flatten()
}

/// Whether a callsite is that of [`crate::TraceSpan`].
#[must_use]
pub fn is_trace_span(callsite: &Metadata<'_>) -> bool {
    callsite.is_span() && callsite.target() == SPAN_TARGET
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::RandomIds;

    #[test]
    fn the_share_decides_unless_the_client_may() {
        let policy = |ratio, follows_clients| SamplingPolicy {
            ratio,
            follows_clients,
        };
        for (policy, caller, expected) in [
            (policy(0.0, false), None, false),
            (policy(0.0, false), Some(true), false),
            (policy(1.0, false), Some(false), true),
            (policy(0.0, true), Some(true), true),
            (policy(1.0, true), Some(false), false),
            (policy(1.0, true), None, true),
        ] {
            assert_eq!(
                policy.samples(caller, &RandomIds),
                expected,
                "{policy:?} {caller:?}"
            );
        }
        let tenth = policy(0.1, false);
        let count = (0..10_000)
            .filter(|_| tenth.samples(None, &RandomIds))
            .count();
        assert!((700..1300).contains(&count), "{count} of 10,000");
    }

    #[test]
    fn fractions_are_below_one() {
        assert!(unit_interval(u64::MAX) < 1.0);
        assert!(unit_interval(0).abs() < f64::EPSILON);
    }
}
