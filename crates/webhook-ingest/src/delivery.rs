//! One delivery, from its body to its answer.

use std::{sync::Arc, time::Instant};

use event_flow::record::{AppendError, Recorder};
use model::{Clock, TraceContext};
use ports::EventHint;
use tokio::{sync::oneshot, task::spawn_blocking};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{
    api::{AdmittedRequest, DeliveryAnswer},
    error::DeliveryRefusal,
    examine::{DeliveryDescription, Examiner, VerifiedDelivery},
    limits,
    metrics::IngestMetrics,
};

/// Processes deliveries.
#[derive(Debug)]
pub(crate) struct Deliveries {
    pub(crate) examiner: Examiner,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: IngestMetrics,
    /// Deliveries in progress, for the drain.
    pub(crate) in_progress: TaskTracker,
}

/// The facts about a request other than its content.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryContext {
    pub(crate) description: DeliveryDescription,
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
    pub(crate) async fn process(
        self: &Arc<Self>,
        admitted: AdmittedRequest,
        context: DeliveryContext,
    ) -> DeliveryAnswer {
        let (reply, answer) = oneshot::channel();
        let run = Arc::clone(self).run(admitted, context, reply);
        self.in_progress.spawn(run.in_current_span());
        // The task ends without an answer only if the runtime shuts down.
        answer
            .await
            .unwrap_or(DeliveryAnswer::Refused(DeliveryRefusal::Internal))
    }

    async fn run(
        self: Arc<Self>,
        admitted: AdmittedRequest,
        mut context: DeliveryContext,
        reply: oneshot::Sender<DeliveryAnswer>,
    ) {
        let AdmittedRequest {
            headers,
            body,
            share,
        } = admitted;
        let (offload, now) = (body.len() > limits::INLINE_BODY_BYTES, self.clock.now());
        let (deliveries, trace) = (Arc::clone(&self), context.trace);
        let max = self.recorder.max_event_bytes();
        let look = move || {
            let examiner = &deliveries.examiner;
            examiner.examine(&headers, &body, now, trace, max)
        };
        let verified = if offload {
            let joined = spawn_blocking(look).await;
            joined.unwrap_or(Err(DeliveryRefusal::Internal))
        } else {
            look()
        };
        let (answer, hint) = match verified {
            Ok(verified) => {
                context.description.action.clone_from(&verified.action);
                context.description.is_repeated = verified.is_repeated;
                self.record(verified).await
            }
            Err(refusal) => (DeliveryAnswer::Refused(refusal), None),
        };
        self.report(&answer, &context);
        // An error means that the sender has disconnected; the events are stored, and a redelivery
        // is answered as a duplicate.
        let _ = reply.send(answer);
        if let Some(hint) = hint {
            self.recorder.hint(hint, trace).await;
        }
        drop(share);
    }

    async fn record(&self, verified: VerifiedDelivery) -> (DeliveryAnswer, Option<EventHint>) {
        let events = match verified.events {
            Ok(events) => events,
            Err(skip) => return (DeliveryAnswer::Skipped(skip), None),
        };
        match self.recorder.append(events).await {
            Ok(recorded) if recorded.hint.is_some() => {
                (DeliveryAnswer::Accepted(recorded.ids), recorded.hint)
            }
            Ok(recorded) => (DeliveryAnswer::Deduplicated(recorded.ids), None),
            Err(error) => (DeliveryAnswer::Refused(refusal(&error)), None),
        }
    }

    /// Counts a delivery and logs one line for it, which never contains its body or its signature.
    pub(crate) fn report(&self, answer: &DeliveryAnswer, context: &DeliveryContext) {
        let (outcome, description) = (answer.outcome(), &context.description);
        self.metrics.delivery(outcome);
        if description.is_repeated {
            self.metrics.repeated_body();
        }
        tracing::info!(
            delivery = description.delivery.as_ref().map(tracing::field::display),
            event = description.event.as_deref(),
            action = description.action.as_deref(),
            outcome,
            reason = answer.reason(),
            events = answer.events(),
            repeated_body = description.is_repeated,
            trace_id = %context.trace.trace,
            micros = u64::try_from(context.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "webhook delivery"
        );
    }
}

/// The refusal that the sender receives for a failed append.
pub(crate) const fn refusal(error: &AppendError) -> DeliveryRefusal {
    match error {
        AppendError::Log(_) | AppendError::Timeout(_) | AppendError::Failing { .. } => {
            DeliveryRefusal::LogUnavailable
        }
        AppendError::ContractBroken { .. } => DeliveryRefusal::Internal,
    }
}
