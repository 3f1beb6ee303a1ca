//! Batches, which exist in 2025-03-26 alone: each message goes through the same door as one on its own, and
//! what they cost together is bounded like one.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use mcp::{
    ErrorCode, Incoming, RequestId, RpcError,
    envelope::{self, InvalidMessage, RpcRequest},
    headers::AcceptedTypes,
    mrtr,
};
use mcp_server::{
    Caller, RateClass,
    item_queue::{QueueSender, item_queue},
    output::CallOutputItem,
};
use tokio::time::{Instant, timeout_at};

use super::{
    conversation::{Conversation, HandshakeCall},
    exchange::{self, ExchangeParts},
};
use crate::{
    calls::{CallAnswer, parked::WorkEnd},
    edge::Edge,
    error::EdgeError,
    limits::{BATCH_ANSWER_BYTES, BATCH_PARAM_BYTES, BATCH_TIME, BATCH_WAIT, WAITING_FRAMES},
    methods::handshake,
    shared_bytes::HeldBytes,
};

/// A message of a batch that gets an answer.
enum BatchPart {
    /// It has one already, because it was refused.
    Refused(Bytes),
    /// A call, registered as running since the batch arrived, so that a cancellation finds it.
    Call(RequestId, HandshakeCall),
    /// Another request.
    Request(RpcRequest),
}

/// Answers a batch. Its calls run one after the other and share the time of one request, waits as well as
/// work; the client may disconnect meanwhile.
///
/// # Errors
/// The store does not take a notification or a response, before anything else is done: then the whole
/// request gets 503, because only that tells the client to try again.
pub(super) async fn answer(
    conversation: &Conversation,
    accepts: AcceptedTypes,
    batch: Vec<Result<Incoming, InvalidMessage>>,
) -> Result<Response, EdgeError> {
    let began = Instant::now();
    // Each message counts like a single one. The first was counted with its request.
    for _ in 1..batch.len() {
        let rates = &conversation.edge.rates;
        rates.admit(&conversation.principal.id, RateClass::Memory)?;
    }
    let hold = || conversation.edge.batches.hold(&conversation.principal.id);
    let (mut params, answers) = (hold(), BatchAnswers::new(hold()));
    let (parts, others) = begin(conversation, batch, began + BATCH_WAIT, &mut params);
    let edge = Arc::clone(&conversation.edge);
    let silent = conversation.silent();
    let until = began + BATCH_TIME;
    for message in others {
        let handled = handshake::message(&edge, &silent, message);
        timeout_at(until, handled).await??;
    }
    if parts.is_empty() {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    let lost = lost_answers(&parts, BatchAnswers::new(hold()));
    let (out, messages) = item_queue(WAITING_FRAMES);
    let task = conversation.edge.background.spawn(async move {
        let run = BatchRun { edge, silent, out };
        let principal = run.silent.principal.id.clone();
        let budget = Arc::clone(&run.edge.answers);
        let answers = run.answers(parts, until, answers).await;
        drop(params);
        Some(answers?.within(&budget, &principal, None).await)
    });
    let work = Box::pin(async move {
        // The process stops.
        let answer = task.await.unwrap_or(lost);
        answer.map_or(WorkEnd::Cancelled, WorkEnd::Answered)
    });
    let parts = ExchangeParts {
        wheel: &conversation.edge.wheel,
        accepts,
        line: conversation.line,
    };
    Ok(exchange::answer(parts, work, messages).await)
}

/// Registers the calls, and separates the messages that get no answer.
fn begin(
    conversation: &Conversation,
    batch: Vec<Result<Incoming, InvalidMessage>>,
    waits_until: Instant,
    held: &mut HeldBytes,
) -> (Vec<BatchPart>, Vec<Incoming>) {
    let (mut parts, mut others) = (Vec::new(), Vec::new());
    let mut param_bytes = 0;
    for message in batch {
        let request = match message {
            Ok(Incoming::Request(request)) => request,
            Ok(other) => {
                others.push(other);
                continue;
            }
            Err(invalid) => {
                let refused = envelope::error(invalid.id(), &invalid.error());
                parts.push(BatchPart::Refused(refused));
                continue;
            }
        };
        let params = request.params.as_ref();
        let with_these = param_bytes + params.map_or(0, |params| params.get().len());
        let id = request.id.clone();
        if with_these > BATCH_PARAM_BYTES || !held.grow(with_these) {
            // Its params are dropped, so later requests may still fit.
            let refused = envelope::error(Some(&id), &too_many_params());
            parts.push(BatchPart::Refused(refused));
            continue;
        }
        param_bytes = with_these;
        parts.push(match mrtr::is_supported(&request.method) {
            false => BatchPart::Request(request),
            true => match conversation.call(request, None, Some(waits_until)) {
                Ok(call) => BatchPart::Call(id, call),
                Err(error) => BatchPart::Refused(envelope::error(Some(&id), &error.into())),
            },
        });
    }
    (parts, others)
}

struct BatchRun {
    edge: Arc<Edge>,
    silent: Caller,
    out: QueueSender<CallOutputItem>,
}

impl BatchRun {
    /// The answers in one message; `None` if all requests were cancelled.
    async fn answers(
        &self,
        parts: Vec<BatchPart>,
        until: Instant,
        mut answers: BatchAnswers,
    ) -> Option<CallAnswer> {
        for part in parts {
            let id = match &part {
                BatchPart::Refused(_) => None,
                BatchPart::Call(id, _) => Some(id.clone()),
                BatchPart::Request(request) => Some(request.id.clone()),
            };
            let answer = match Instant::now() < until {
                true => timeout_at(until, self.answer(part)).await.ok(),
                false => None,
            };
            let late = || Some(envelope::error(id.as_ref(), &out_of_time()));
            if let Some(answer) = answer.unwrap_or_else(late) {
                answers.add(id.as_ref(), &answer);
            }
        }
        answers.finish()
    }

    /// The answer to one message; `None` if it was cancelled.
    async fn answer(&self, part: BatchPart) -> Option<Bytes> {
        match part {
            BatchPart::Refused(refused) => Some(refused),
            BatchPart::Call(_, call) => Some(self.relay(call).await?.message.bytes().clone()),
            BatchPart::Request(request) => {
                let id = request.id.clone();
                let request = Incoming::Request(request);
                match handshake::message(&self.edge, &self.silent, request).await {
                    Ok(answer) => answer,
                    Err(error) => Some(envelope::error(Some(&id), &error.into())),
                }
            }
        }
    }

    /// Runs a call, and passes on what it sends before its answer.
    async fn relay(&self, call: HandshakeCall) -> Option<CallAnswer> {
        let HandshakeCall {
            mut work,
            mut messages,
            ..
        } = call;
        let mut is_open = true;
        let answer = loop {
            tokio::select! {
                biased;
                item = messages.recv(), if is_open => match item {
                    Some(item) => self.send(item).await,
                    None => is_open = false,
                },
                end = &mut work => break end.into_answer(),
            }
        };
        while let Some(item) = messages.try_recv() {
            self.send(item).await;
        }
        answer
    }

    /// Lost if the client has gone.
    async fn send(&self, item: CallOutputItem) {
        let _ = self.out.send(item).await;
    }
}

/// The answers of a batch so far.
struct BatchAnswers {
    message: BytesMut,
    held: HeldBytes,
}

impl BatchAnswers {
    fn new(held: HeldBytes) -> Self {
        Self {
            message: BytesMut::new(),
            held,
        }
    }

    /// Adds an answer, or an error in its place if there is no room for it.
    fn add(&mut self, id: Option<&RequestId>, answer: &Bytes) {
        let delimiter = if self.message.is_empty() { b'[' } else { b',' };
        self.message.put_u8(delimiter);
        let bytes = self.message.len() + answer.len();
        let fits = bytes <= BATCH_ANSWER_BYTES && self.held.grow(bytes);
        match id {
            Some(id) if !fits => {
                let refused = envelope::error(Some(id), &too_large(answer.len()));
                self.message.put_slice(&refused);
            }
            _ => self.message.put_slice(answer),
        }
    }

    fn finish(mut self) -> Option<CallAnswer> {
        if self.message.is_empty() {
            return None;
        }
        self.message.put_u8(b']');
        Some(CallAnswer {
            status: StatusCode::OK,
            message: self.message.freeze().into(),
        })
    }
}

fn lost_answers(parts: &[BatchPart], mut answers: BatchAnswers) -> Option<CallAnswer> {
    for part in parts {
        let id = match part {
            BatchPart::Refused(refused) => {
                answers.add(None, refused);
                continue;
            }
            BatchPart::Call(id, _) => id,
            BatchPart::Request(request) => &request.id,
        };
        answers.add(Some(id), &envelope::error(Some(id), &RpcError::internal()));
    }
    answers.finish()
}

fn too_many_params() -> RpcError {
    let text = format!(
        "params: no room for those of this request; a batch has up to {BATCH_PARAM_BYTES} bytes of them; send \
         it on its own"
    );
    RpcError::invalid_params(text)
}

fn too_large(bytes: usize) -> RpcError {
    let text = format!(
        "no room for the answer of {bytes} bytes; a batch has up to {BATCH_ANSWER_BYTES} bytes of answers; \
         send this request on its own"
    );
    RpcError::new(ErrorCode::Internal, text)
}

fn out_of_time() -> RpcError {
    let text = format!(
        "the {} s that a batch may take are over; send this request on its own",
        BATCH_TIME.as_secs()
    );
    RpcError::new(ErrorCode::Internal, text)
}

#[cfg(test)]
mod tests {
    use model::PrincipalId;
    use serde_json::Value;

    use super::*;
    use crate::{
        limits::{BATCH_BYTES, SMALL_BATCH_BYTES},
        shared_bytes::SharedBytes,
    };

    #[test]
    fn answers_beyond_the_bound_are_errors_in_their_place() {
        let answer = |id: &RequestId| envelope::result(id, &"x".repeat(BATCH_ANSWER_BYTES / 3));
        let shared = SharedBytes::new(BATCH_BYTES, SMALL_BATCH_BYTES);
        let hold = || shared.hold(&PrincipalId::anonymous());
        let mut answers = BatchAnswers::new(hold());
        let ids: Vec<_> = (0..64).map(RequestId::Integer).collect();
        for id in &ids {
            answers.add(Some(id), &answer(id));
        }
        let message = answers.finish().unwrap().message;
        assert!(message.len() < BATCH_ANSWER_BYTES + (64 << 10));
        let answers: Vec<Value> = serde_json::from_slice(message.bytes()).unwrap();
        assert_eq!(answers.len(), 64);
        for (place, answer) in answers.iter().enumerate() {
            assert_eq!(answer["id"], place);
            assert_eq!(answer["result"].is_string(), place < 2, "{place}");
            assert_eq!(answer["error"]["code"].is_number(), place >= 2);
        }
        assert!(BatchAnswers::new(hold()).finish().is_none());
    }
}
