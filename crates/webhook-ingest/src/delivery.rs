//! One delivery, from its body to its answer.

use std::{sync::Arc, time::Instant};

use event_flow::record::{AppendError, Recorder};
use model::{Clock, TraceContext};
use ports::EventHint;
use tokio::{sync::oneshot, task::spawn_blocking};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{
    api::{Admitted, Answer},
    error::Refusal,
    examine::{About, Examined, examine},
    limits,
    metrics::Metrics,
    signature::Verifier,
};

/// Processes deliveries.
#[derive(Debug)]
pub(crate) struct Deliveries {
    pub(crate) verifier: Verifier,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// Deliveries in progress, for the drain.
    pub(crate) under_way: TaskTracker,
}

/// The facts about a request that are not its content.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) about: About,
    pub(crate) trace: TraceContext,
    pub(crate) started: Instant,
}

impl Deliveries {
    /// Processes a delivery and answers as soon as its events are durable.
    ///
    /// The work runs in a task of its own: a sender that disconnects drops the handler, and that
    /// must not interrupt the work between the append and the hint. The hint is published after the
    /// answer has been handed over, so that a slow bus does not delay the answer. The memory of
    /// these tasks is bounded by their share of the budget for bodies, which they keep until they
    /// end.
    pub(crate) async fn take(self: &Arc<Self>, admitted: Admitted, context: Context) -> Answer {
        let (tell, answer) = oneshot::channel();
        let work = Arc::clone(self).work(admitted, context, tell);
        self.under_way.spawn(work.in_current_span());
        // The task ends without an answer only if the runtime shuts down.
        answer.await.unwrap_or(Answer::Refused(Refusal::Internal))
    }

    async fn work(
        self: Arc<Self>,
        admitted: Admitted,
        mut context: Context,
        tell: oneshot::Sender<Answer>,
    ) {
        let Admitted {
            headers,
            body,
            share,
        } = admitted;
        let (offload, now) = (body.len() > limits::INLINE_BODY_BYTES, self.clock.now());
        let (deliveries, trace) = (Arc::clone(&self), context.trace);
        let look = move || examine(&deliveries.verifier, &headers, &body, now, trace);
        let examined = if offload {
            let joined = spawn_blocking(look).await;
            joined.unwrap_or(Err(Refusal::Internal))
        } else {
            look()
        };
        let (answer, hint) = match examined {
            Ok(examined) => {
                context.about.action.clone_from(&examined.action);
                self.record(examined).await
            }
            Err(refusal) => (Answer::Refused(refusal), None),
        };
        self.report(&answer, &context);
        // An error means that the sender has disconnected; the events are stored, and a redelivery
        // is answered as a duplicate.
        let _ = tell.send(answer);
        if let Some(hint) = hint {
            self.recorder.hint(hint, trace).await;
        }
        drop(share);
    }

    async fn record(&self, examined: Examined) -> (Answer, Option<EventHint>) {
        let events = match examined.events {
            Ok(events) => events,
            Err(skip) => return (Answer::Skipped(skip), None),
        };
        match self.recorder.append(events).await {
            Ok(recorded) if recorded.hint.is_some() => {
                (Answer::Accepted(recorded.ids), recorded.hint)
            }
            Ok(recorded) => (Answer::Deduplicated(recorded.ids), None),
            Err(error) => (Answer::Refused(refusal(&error)), None),
        }
    }

    /// Counts a delivery and logs one line for it, which never contains its body or its signature.
    pub(crate) fn report(&self, answer: &Answer, context: &Context) {
        let (outcome, about) = (answer.outcome(), &context.about);
        self.metrics.delivery(outcome);
        tracing::info!(
            delivery = about.delivery.as_ref().map(tracing::field::display),
            event = about.event.as_deref(),
            action = about.action.as_deref(),
            outcome,
            reason = answer.reason(),
            events = answer.events(),
            trace_id = %context.trace.trace,
            micros = u64::try_from(context.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "webhook delivery"
        );
    }
}

/// What the sender reads of an append that failed.
pub(crate) const fn refusal(error: &AppendError) -> Refusal {
    match error {
        AppendError::Log(_) | AppendError::Timeout(_) => Refusal::LogUnavailable,
        AppendError::ContractBroken { .. } => Refusal::Internal,
    }
}
