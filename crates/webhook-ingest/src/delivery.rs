//! One delivery, from its body to its answer.

use std::{fmt, sync::Arc, time::Instant};

use bytes::Bytes;
use event_flow::record::Recorder;
use http::HeaderMap;
use instruments::{SpanName, TraceSpan};
use model::{Timestamp, TraceContext};
use ports::EventHint;
use service_kit::{
    audit::{AuditLog, SecurityRefusal},
    bodies::BodySender,
};
use tokio_util::task::TaskTracker;

use crate::{
    api::{AdmittedRequest, DeliveryAnswer},
    delivery_lines::DeliveryLines,
    error::DeliveryRefusal,
    examine::{self, DeliveryDescription, Examiner, ReceivedDelivery, VerifiedDelivery},
    item_contents::ItemContents,
    large_bodies::LargeBodies,
    limits,
    log_clock::LogClock,
    metrics::IngestMetrics,
    order::DeliveryOrder,
    parse_turns::ParseTurns,
    sources::Sources,
    uninterrupted::{Uninterrupted, begin},
};

/// Processes deliveries.
#[derive(Debug)]
pub(crate) struct Deliveries {
    pub(crate) examiner: Examiner,
    pub(crate) parsing: ParseTurns,
    pub(crate) contents: ItemContents,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) order: Arc<DeliveryOrder>,
    pub(crate) clock: Arc<LogClock>,
    pub(crate) metrics: IngestMetrics,
    pub(crate) large_bodies: LargeBodies,
    pub(crate) sources: Sources,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) lines: Arc<DeliveryLines>,
    /// Deliveries in progress, for the drain.
    pub(crate) in_progress: TaskTracker,
}

/// The facts about a request other than its content.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryContext {
    pub(crate) description: DeliveryDescription,
    pub(crate) sender: BodySender,
    pub(crate) trace: TraceContext,
    pub(crate) started: Instant,
}

impl Deliveries {
    /// Processes a delivery and answers as soon as its events are durable.
    ///
    /// A sender that disconnects drops the handler, and that must not interrupt the work between the append and the
    /// hint: then a task ends the work. A bus that does not take the hint at once does not delay the answer. The memory
    /// of all this is bounded by the share of the budget for bodies, which is kept until the end.
    pub(crate) async fn process(
        self: &Arc<Self>,
        admitted: AdmittedRequest,
        context: DeliveryContext,
    ) -> DeliveryAnswer {
        let span = TraceSpan::child(SpanName::Delivery, Some(context.trace));
        let context = DeliveryContext {
            trace: span.context().unwrap_or(context.trace),
            ..context
        };
        // Several KiB: boxed before it is handed on, so that it is moved once.
        let run = Box::pin(Arc::clone(self).run(admitted, context));
        let answer = Uninterrupted::new(&self.in_progress, span.enclose(run)).await;
        answer.unwrap_or(DeliveryAnswer::Refused(DeliveryRefusal::Internal))
    }

    async fn run(
        self: Arc<Self>,
        admitted: AdmittedRequest,
        mut context: DeliveryContext,
    ) -> DeliveryAnswer {
        let AdmittedRequest {
            headers,
            body,
            share,
        } = admitted;
        let headers = Arc::new(headers);
        let now = self.clock.current().await;
        let verified = self.examine(&headers, &body, (now, context.trace)).await;
        let trace = context.trace;
        let (answer, hint) = match verified {
            Ok(verified) => {
                context.description.action.clone_from(&verified.action);
                context.description.is_repeated = verified.is_repeated;
                self.record(verified, trace).await
            }
            Err(refusal) => (DeliveryAnswer::Refused(refusal), None),
        };
        self.report(&answer, &context);
        if let Some(hint) = hint {
            let recorder = Arc::clone(&self.recorder);
            let hinting = async move {
                recorder.hint(hint, trace).await;
                drop(share);
            };
            begin(&self.in_progress, hinting).await;
        }
        answer
    }

    /// Examines a delivery. Large ones do not hold up a thread of the runtime, and are parsed in turns: a
    /// payload takes many times its bytes while it is read. Their signatures are verified before, so that who
    /// has no secret takes no turn.
    async fn examine(
        self: &Arc<Self>,
        headers: &Arc<HeaderMap>,
        body: &Bytes,
        (at, trace): (Timestamp, TraceContext),
    ) -> Result<VerifiedDelivery, DeliveryRefusal> {
        let is_large = body.len() > limits::INLINE_BODY_BYTES;
        let signature = match is_large {
            false => self.examiner.verify(headers, body)?,
            true => {
                self.offload(headers, body, |all, headers, body| {
                    all.examiner.verify(headers, body)
                })
                .await?
            }
        };
        let _turn = self.parsing.begin(body.len()).await?;
        let content = match examine::is_item(headers) {
            true => self.contents.find(headers, body, trace).await,
            false => None,
        };
        let max = self.recorder.max_event_bytes();
        let received = ReceivedDelivery {
            signature,
            at,
            trace,
            content,
            max_event_bytes: max.saturating_sub(limits::LATE_MARK_BYTES),
        };
        if !is_large {
            return self.examiner.read(received, headers, body, &self.order);
        }
        self.offload(headers, body, move |all, headers, body| {
            all.examiner.read(received, headers, body, &all.order)
        })
        .await
    }

    async fn offload<T: Send + 'static>(
        self: &Arc<Self>,
        headers: &Arc<HeaderMap>,
        body: &Bytes,
        work: impl FnOnce(&Self, &HeaderMap, &[u8]) -> Result<T, DeliveryRefusal> + Send + 'static,
    ) -> Result<T, DeliveryRefusal> {
        let (all, headers, body) = (Arc::clone(self), Arc::clone(headers), body.clone());
        let done = self
            .large_bodies
            .work(move || work(&all, &headers, &body))
            .await;
        done.unwrap_or(Err(DeliveryRefusal::Internal))
    }

    /// Stores the events of a delivery, after those of deliveries that come before it. The hint is returned if it
    /// was not sent.
    async fn record(
        &self,
        verified: VerifiedDelivery,
        trace: TraceContext,
    ) -> (DeliveryAnswer, Option<EventHint>) {
        let events = match verified.events {
            Ok(events) => events,
            Err(skip) => return (DeliveryAnswer::Skipped(skip), None),
        };
        if let Some(place) = verified.place {
            let answer = self.order.store(place, events, trace).await;
            let failed = DeliveryAnswer::Refused(DeliveryRefusal::Internal);
            return (answer.unwrap_or(failed), None);
        }
        match self.recorder.append(events).await {
            Ok(recorded) if recorded.hint.is_some() => {
                (DeliveryAnswer::Accepted(recorded.ids), recorded.hint)
            }
            Ok(recorded) => (DeliveryAnswer::Deduplicated(recorded.ids), None),
            Err(error) => (DeliveryAnswer::Refused(DeliveryRefusal::from(&error)), None),
        }
    }

    /// Counts a delivery and logs one line for it, which never contains its body or its signature, unless too many were
    /// accepted in this second. Refusals that strangers cause go to the audit log instead, whose lines have a bound.
    pub(crate) fn report(&self, answer: &DeliveryAnswer, context: &DeliveryContext) {
        let (outcome, description) = (answer.outcome(), &context.description);
        let span = TraceSpan::current();
        if span.is_recorded() {
            span.set("forgewire.outcome", outcome);
            if let Some(delivery) = &description.delivery {
                span.set("forgewire.delivery.id", delivery.to_string());
            }
        }
        self.metrics.delivery(outcome);
        self.sources.note(&context.sender, answer.conduct());
        if let DeliveryAnswer::Refused(refusal) = answer
            && let Some(kind) = refusal.audit_kind()
        {
            self.audit(kind, refusal, context);
            return;
        }
        if description.is_repeated {
            self.metrics.repeated_body();
        }
        let is_usual = matches!(answer, DeliveryAnswer::Accepted(_)) && !description.is_repeated;
        if is_usual && !self.lines.has_room() {
            return;
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

    fn audit(&self, kind: &'static str, refusal: &DeliveryRefusal, context: &DeliveryContext) {
        let source = match context.sender {
            BodySender::Address(address) => Some(address),
            BodySender::Principal(_) | BodySender::Unknown => None,
        };
        let delivery = context.description.delivery.as_ref();
        self.audit.refuse(&SecurityRefusal {
            kind,
            code: refusal.code(),
            source,
            about: delivery.map(|delivery| delivery as &dyn fmt::Display),
            trace: Some(&context.trace.trace),
        });
    }
}
