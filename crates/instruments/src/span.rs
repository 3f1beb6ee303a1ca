//! A span of a recorded trace.

use std::fmt;

use model::{Classified, IdSource, SpanId, TraceContext, TraceId};
use opentelemetry::{
    Context, Value,
    trace::{SpanContext, Status, TraceContextExt, TraceFlags, TraceState},
};
use tracing::{Instrument, Span, instrument::Instrumented};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    SpanName,
    recording::{self, SPAN_TARGET, SamplingPolicy, is_trace_span},
};

/// A span, or nothing if its trace is not recorded. It ends when the last clone and everything that runs
/// inside it has been dropped.
#[derive(Clone, Default)]
pub struct TraceSpan {
    span: Option<Span>,
    context: Option<TraceContext>,
}

impl fmt::Debug for TraceSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceSpan").field(&self.context).finish()
    }
}

impl TraceSpan {
    /// No span.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            span: None,
            context: None,
        }
    }

    /// The span of a request from outside, and the context of its work. `caller` is the context that the
    /// request brought: the trace goes on under its id. Whether it is recorded is decided here, by the
    /// [`SamplingPolicy`], for the whole installation: a process without one does not hand the caller's flag on,
    /// because the others take it for a decision.
    #[must_use]
    pub fn of_request(
        name: SpanName,
        caller: Option<TraceContext>,
        ids: &dyn IdSource,
    ) -> (Self, TraceContext) {
        let unrecorded = || {
            let context =
                caller.map_or_else(|| TraceContext::start(ids), |caller| caller.child(ids));
            TraceContext {
                sampled: false,
                ..context
            }
        };
        let policy = SamplingPolicy::current();
        let caller_flag = caller.map(|caller| caller.sampled);
        if !policy.is_some_and(|policy| policy.samples(caller_flag, ids)) {
            return (Self::none(), unrecorded());
        }
        let span = Self::begin(name, caller.map_or_else(Context::new, remote));
        let context = span.context.unwrap_or_else(unrecorded);
        (span, context)
    }

    /// A span under a context of this installation; none unless the trace is recorded.
    #[must_use]
    pub fn child(name: SpanName, parent: Option<TraceContext>) -> Self {
        match parent {
            Some(parent) if parent.sampled && SamplingPolicy::current().is_some() => {
                Self::begin(name, remote(parent))
            }
            _ => Self::none(),
        }
    }

    /// A span under the one that is being worked on; none if there is none.
    #[must_use]
    pub fn of_current(name: SpanName) -> Self {
        let current = Span::current();
        match current.metadata() {
            Some(callsite) if is_trace_span(callsite) => Self::begin(name, current.context()),
            _ => Self::none(),
        }
    }

    /// A span under the one that is being worked on, or else under a context of this installation.
    #[must_use]
    pub fn below(name: SpanName, parent: Option<TraceContext>) -> Self {
        let span = Self::of_current(name);
        match span.is_recorded() {
            true => span,
            false => Self::child(name, parent),
        }
    }

    /// The span of a client's call, which an HTTP request carries, and the context of its work. A trace that
    /// the call names itself (`meta`) goes on, and the request is linked; whether it is recorded was decided
    /// with the request, unless clients may decide.
    #[must_use]
    pub fn of_call(
        name: SpanName,
        request: Option<TraceContext>,
        meta: Option<TraceContext>,
    ) -> (Self, Option<TraceContext>) {
        let own = meta.filter(|meta| request.is_none_or(|request| request.trace != meta.trace));
        let Some(own) = own else {
            let span = Self::child(name, request);
            let context = span.context.or(request);
            return (span, context);
        };
        let policy = SamplingPolicy::current();
        let is_recorded = policy.is_some_and(|policy| {
            request.is_some_and(|request| request.sampled)
                || (policy.follows_clients && own.sampled)
        });
        if !is_recorded {
            let unrecorded = TraceContext {
                sampled: false,
                ..own
            };
            return (Self::none(), Some(unrecorded));
        }
        let span = Self::begin(name, remote(own));
        if let Some(request) = request.filter(|request| request.sampled) {
            span.link(request);
        }
        let context = span.context.or(Some(own));
        (span, context)
    }

    /// The span that is being worked on; none if there is none.
    #[must_use]
    pub fn current() -> Self {
        let current = Span::current();
        match current.metadata() {
            Some(callsite) if is_trace_span(callsite) => {
                let context = from_open_telemetry(current.context().span().span_context());
                Self {
                    span: Some(current),
                    context,
                }
            }
            _ => Self::none(),
        }
    }

    fn begin(name: SpanName, parent: Context) -> Self {
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            parent: None,
            "span",
            otel.name = name.as_str(),
            otel.kind = name.role().as_str(),
        );
        if span.set_parent(parent).is_err() {
            // The subscriber records nothing.
            return Self::none();
        }
        recording::set_line_span(&span, recording::line_span());
        let context = from_open_telemetry(span.context().span().span_context());
        Self {
            span: Some(span),
            context,
        }
    }

    /// The context to hand on; `None` if there is no span.
    #[must_use]
    pub const fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// Whether there is a span: only then attributes are worth making.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.span.is_some()
    }

    /// Sets an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &self.span {
            span.set_attribute(key, value);
        }
    }

    /// Sets the name, made of attributes ([`SpanName::pattern`]).
    pub fn rename(&self, name: impl FnOnce() -> String) {
        if let Some(span) = &self.span {
            span.context().span().update_name(name());
        }
    }

    /// Shows `line` in log lines of the work inside this span, and of the spans below it. Without this, they show
    /// the span that was around when this one began.
    pub fn show_in_lines(&self, line: &Span) {
        if let Some(span) = &self.span {
            recording::set_line_span(span, line.clone());
        }
    }

    /// Links another span.
    pub fn link(&self, other: TraceContext) {
        if let Some(span) = &self.span {
            span.add_link(span_context(other));
        }
    }

    /// Marks the work as failed; the class of the error is its attribute `error.type`.
    pub fn fail(&self, error: &(impl Classified + ?Sized)) {
        self.fail_as(error.class().as_str());
    }

    /// As [`Self::fail`], for failures without a class.
    pub fn fail_as(&self, class: &'static str) {
        if let Some(span) = &self.span {
            span.set_attribute("error.type", class);
            span.set_status(Status::error(class));
        }
    }

    /// Runs a future inside the span.
    pub fn enclose<F>(&self, work: F) -> Instrumented<F> {
        work.instrument(self.span.clone().unwrap_or_else(Span::none))
    }

    /// Runs a function inside the span.
    pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.span {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }
}

/// The context in OpenTelemetry's form, as a parent.
fn remote(context: TraceContext) -> Context {
    let parent = TraceContext {
        sampled: true,
        ..context
    };
    Context::new().with_remote_span_context(span_context(parent))
}

fn span_context(context: TraceContext) -> SpanContext {
    let flags = match context.sampled {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::default(),
    };
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(context.trace.to_bytes()),
        opentelemetry::SpanId::from_bytes(context.span.to_bytes()),
        flags,
        true,
        TraceState::default(),
    )
}

fn from_open_telemetry(context: &SpanContext) -> Option<TraceContext> {
    Some(TraceContext {
        trace: TraceId::from_bytes(context.trace_id().to_bytes())?,
        span: SpanId::from_bytes(context.span_id().to_bytes())?,
        sampled: context.is_sampled(),
    })
}

#[cfg(test)]
mod tests;
