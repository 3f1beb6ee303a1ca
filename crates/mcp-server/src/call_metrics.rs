//! What calls cost: a span and a latency for each request of a client, by method and outcome, and for each
//! call of a tool.

use std::{fmt, time::Instant};

use instruments::{SpanName, TraceSpan};
use mcp::{ErrorCode, HttpRefusal, ProtocolVersion, RpcError, method};
use model::TraceContext;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::family::Family,
};
use service_kit::metrics::{LatencyHistogram, MetricsRegistry};

use crate::{
    rates::{RATE_LIMITED, SESSION_GONE},
    waiting::CallReply,
};

/// The methods that have a label of their own; all others share one.
const METHODS: [&str; 18] = [
    method::INITIALIZE,
    method::PING,
    method::DISCOVER,
    method::LISTEN,
    method::TOOLS_LIST,
    method::TOOLS_CALL,
    method::RESOURCES_LIST,
    method::RESOURCES_TEMPLATES_LIST,
    method::RESOURCES_READ,
    method::RESOURCES_SUBSCRIBE,
    method::RESOURCES_UNSUBSCRIBE,
    method::PROMPTS_LIST,
    method::PROMPTS_GET,
    method::COMPLETION,
    method::SET_LEVEL,
    method::TASKS_GET,
    method::TASKS_UPDATE,
    method::TASKS_CANCEL,
];

/// The label of the other methods.
const OTHER_METHOD: &str = "other";

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// It has a result; that of a tool may say that the tool failed.
    Answered,
    /// It has an error, for which the client, its rights or its rates are the reason.
    Refused,
    /// It has an error of ours.
    Failed,
    /// Nobody waited for its result any more, or it was cancelled.
    Abandoned,
}

impl CallOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// The outcome of a call with this result.
    #[must_use]
    pub fn of<T>(result: &Result<T, HttpRefusal>) -> Self {
        match result {
            Ok(_) => Self::Answered,
            Err(refusal) if is_ours(&refusal.error) => Self::Failed,
            Err(_) => Self::Refused,
        }
    }
}

/// Whether an error is ours. JSON-RPC has no code for rates and sessions, so their errors are internal ones too,
/// with a code of their own in the data.
fn is_ours(error: &RpcError) -> bool {
    let code = error.data.as_ref().and_then(|data| data["code"].as_str());
    error.code == ErrorCode::Internal && !matches!(code, Some(RATE_LIMITED | SESSION_GONE))
}

impl EncodeLabelValue for CallOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    outcome: CallOutcome,
}

/// The instruments of calls. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct CallMetrics {
    latency: Family<CallLabels, LatencyHistogram>,
    tools: Family<ToolLabels, LatencyHistogram>,
}

impl CallMetrics {
    /// Registers the instruments.
    pub fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self::default();
        registry.register(
            "forgewire_mcp_call_seconds",
            "Duration of requests of MCP clients, of both eras, by method and outcome: answered, refused, failed, or \
             abandoned by the client",
            metrics.latency.clone(),
        );
        registry.register(
            "forgewire_mcp_tool_seconds",
            "Duration of calls of tools that ran within their request, by tool and outcome",
            metrics.tools.clone(),
        );
        metrics
    }

    /// The latencies of one tool of the registry.
    pub(crate) fn of_tool(&self, name: &str) -> ToolLatency {
        let latency = |outcome| {
            self.tools.get_or_create_owned(&ToolLabels {
                tool: name.to_owned(),
                outcome,
            })
        };
        ToolLatency {
            ok: latency(ToolOutcome::Ok),
            error: latency(ToolOutcome::Error),
        }
    }

    /// Begins a call. `request` is the trace of its HTTP request, `meta` the one that the call names itself.
    #[must_use]
    pub fn begin(
        &self,
        name: &str,
        version: ProtocolVersion,
        request: Option<TraceContext>,
        meta: Option<TraceContext>,
    ) -> ObservedCall {
        let known = METHODS.iter().find(|known| **known == name);
        let method = known.copied().unwrap_or(OTHER_METHOD);
        let (span, trace) = TraceSpan::of_call(SpanName::Call, request, meta);
        if span.is_recorded() {
            span.rename(|| method.to_owned());
            span.set("mcp.method.name", method);
            span.set("mcp.protocol.version", version.as_str());
        }
        ObservedCall {
            metrics: self.clone(),
            method,
            began: Instant::now(),
            span: span.is_recorded().then(|| Box::new(span)),
            trace,
            outcome: CallOutcome::Abandoned,
        }
    }
}

/// A call on its way. Dropped before [`Self::finish`], it counts as abandoned.
#[derive(Debug)]
pub struct ObservedCall {
    metrics: CallMetrics,
    method: &'static str,
    began: Instant,
    /// `None` if its trace is not recorded, as those of most calls: what waits for hours holds no room for it.
    span: Option<Box<TraceSpan>>,
    trace: Option<TraceContext>,
    outcome: CallOutcome,
}

impl ObservedCall {
    /// The trace of what the call does.
    #[must_use]
    pub const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Runs a part of the call inside its span.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        self.span().enclose(work).await
    }

    fn span(&self) -> &TraceSpan {
        static UNRECORDED: TraceSpan = TraceSpan::none();
        self.span.as_deref().unwrap_or(&UNRECORDED)
    }

    /// Ends the call.
    pub fn finish(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }

    /// Runs a whole call and ends it, or goes with it while it waits. Call and observation are in memory once: an
    /// `async fn` would hold its arguments two or three times, for as long as the call runs.
    pub fn observe(
        self: Box<Self>,
        call: impl Future<Output = Result<CallReply, HttpRefusal>> + Send,
    ) -> impl Future<Output = Result<CallReply, HttpRefusal>> + Send {
        let call = Box::pin(self.span().enclose(call));
        async move {
            match call.await {
                Ok(CallReply::Waits(waiting)) => Ok(CallReply::Waits(waiting.observed_by(self))),
                result => {
                    self.finish(CallOutcome::of(&result));
                    result
                }
            }
        }
    }
}

impl Drop for ObservedCall {
    fn drop(&mut self) {
        if self.outcome != CallOutcome::Answered {
            self.span().fail_as(self.outcome.as_str());
        }
        let labels = CallLabels {
            method: self.method,
            outcome: self.outcome,
        };
        let latency = self.metrics.latency.get_or_create(&labels);
        latency.observe(self.began.elapsed(), self.span());
    }
}

/// The outcome of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ToolOutcome {
    Ok,
    Error,
}

impl EncodeLabelValue for ToolOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Ok => "ok",
            Self::Error => "error",
        };
        text.encode(encoder)
    }
}

/// The labels of a tool; its name is one of the registry's.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ToolLabels {
    tool: String,
    outcome: ToolOutcome,
}

/// The latencies of one tool.
#[derive(Debug, Clone)]
pub(crate) struct ToolLatency {
    ok: LatencyHistogram,
    error: LatencyHistogram,
}

impl ToolLatency {
    pub(crate) fn observe(&self, began: Instant, is_ok: bool) {
        let latency = if is_ok { &self.ok } else { &self.error };
        latency.observe(began.elapsed(), &TraceSpan::current());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call_error::CallError,
        policy::RateClass,
        rates::{RateLimiter, RateLimits},
    };

    #[test]
    fn what_observes_a_call_that_waits_is_small() {
        assert!(
            size_of::<ObservedCall>() <= 112,
            "{}",
            size_of::<ObservedCall>()
        );
    }

    #[test]
    fn rates_and_sessions_that_have_ended_are_no_failures_of_ours() {
        let limits = RateLimits {
            store_calls_per_second: 1,
            ..RateLimits::default()
        };
        let limiter = RateLimiter::new(&limits, &mut MetricsRegistry::default());
        let client = model::PrincipalId::anonymous();
        let mut admitted = (0..3).map(|_| limiter.admit(&client, RateClass::Store));
        let limited = admitted.find_map(Result::err).unwrap();
        for (error, expected) in [
            (CallError::Limited(limited).into_rpc(), CallOutcome::Refused),
            (CallError::SessionGone.into_rpc(), CallOutcome::Refused),
            (RpcError::invalid_params("no"), CallOutcome::Refused),
            (RpcError::internal(), CallOutcome::Failed),
        ] {
            let outcome = CallOutcome::of::<()>(&Err(error.clone().into()));
            assert_eq!(outcome, expected, "{error}");
        }
    }
}
