//! The answer to one request: JSON, or a stream if messages are sent before the answer.
//!
//! In the stateless era the work belongs to the connection: a client that disconnects cancels it
//! (MCP 2026-07-28, Streamable HTTP, "Cancellation"). In the handshake era it does not (2025-11-25,
//! "Sending Messages to the Server"), so there the work is a task of the process, and the stream
//! only forwards its messages.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, future::BoxFuture};
use http::StatusCode;
use mcp::{RequestId, headers::AcceptedTypes};
use mcp_server::{cpu_turns::in_turns, item_queue::QueueReceiver, output::CallOutputItem};
use model::TraceContext;
use stream_driver::{FillResult, OutgoingFrames, SendProgress, StreamSource};
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    answers::{json_or_sse, retry_later},
    sse,
};
use crate::{
    answer_budget::AnswerBytes,
    calls::{CallAnswer, record::FirstResponse, unanswered::stopped_answer},
    limits::{STREAM_AFTER, UNKEPT_CLIENT_WAIT},
    request_line::InRequestLine,
};

/// Interval of the comments that keep proxies from cutting a call that sends nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Work that ends with an answer, or without one if it was cancelled.
pub(super) type Work = BoxFuture<'static, Option<CallAnswer>>;

/// Waits for the answer, for the first message before it, or until the silence has lasted too long,
/// whichever is first.
pub(super) async fn answer(
    accepts: AcceptedTypes,
    trace: Option<TraceContext>,
    mut work: Work,
    mut messages: QueueReceiver<CallOutputItem>,
) -> Response {
    if !accepts.sse {
        // Messages that cannot be streamed are dropped; the answer is sent.
        let drained = async { while messages.recv().await.is_some() {} };
        let (answer, ()) = tokio::join!(work, drained);
        return whole(accepts, answer);
    }
    let first = tokio::select! {
        biased;
        first = beginning(&mut messages) => match first {
            Some(first) => Some(first),
            None => return whole(accepts, work.await),
        },
        // An item was sent immediately before the answer.
        answer = &mut work => match beginning(&mut messages).now_or_never().flatten() {
            Some(first) => {
                work = Box::pin(std::future::ready(answer));
                Some(first)
            }
            None => return whole(accepts, answer),
        },
        () = sleep(STREAM_AFTER) => None,
    };
    let first = first.and_then(CallOutputItem::into_message);
    let exchange = MessagesThenAnswer {
        frame: first.map(|message| mcp::sse::message(None, &message).into()),
        messages,
        // Not within the body, which nobody polls while the client does not read, and others need the turn.
        work: Some(AbortOnDropHandle::new(tokio::spawn(in_turns(
            InRequestLine::new(trace, work),
        )))),
    };
    sse::answer(AnswerSource::new(exchange))
}

/// The first item with which the answer begins as a stream.
async fn beginning(messages: &mut QueueReceiver<CallOutputItem>) -> Option<CallOutputItem> {
    loop {
        let item = messages.recv().await?;
        if item.begins_stream() {
            return Some(item);
        }
    }
}

/// The answer of a call that is recorded.
pub(super) async fn recorded_response(
    accepts: AcceptedTypes,
    request: &RequestId,
    begun: oneshot::Receiver<FirstResponse>,
) -> Response {
    match begun.await {
        Ok(FirstResponse::Answer(answer)) => whole(accepts, Some(answer)),
        Ok(FirstResponse::Stream(frames)) => sse::answer(AnswerSource::new(ReceivedFrames(frames))),
        Ok(FirstResponse::Cancelled) => whole(accepts, None),
        // The process stops.
        Err(_) => whole(accepts, Some(stopped_answer(request))),
    }
}

/// A cancelled request has no answer, but HTTP needs a response.
fn whole(accepts: AcceptedTypes, answer: Option<CallAnswer>) -> Response {
    let Some(answer) = answer else {
        return match accepts.sse {
            true => sse::whole(Bytes::from_static(mcp::sse::KEEP_ALIVE)),
            false => StatusCode::ACCEPTED.into_response(),
        };
    };
    let mut response = json_or_sse(accepts, answer.message);
    *response.status_mut() = answer.status;
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        retry_later(&mut response);
    }
    response
}

struct ReceivedFrames(QueueReceiver<AnswerBytes>);

impl Stream for ReceivedFrames {
    type Item = AnswerBytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
        self.0.poll_recv(cx)
    }
}

/// The stream of one request: messages, then the answer, then the end.
struct MessagesThenAnswer {
    /// The first frame; once the work has ended, that of its answer.
    frame: Option<AnswerBytes>,
    messages: QueueReceiver<CallOutputItem>,
    /// It ends with the stream.
    work: Option<AbortOnDropHandle<Option<CallAnswer>>>,
}

impl Stream for MessagesThenAnswer {
    type Item = AnswerBytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
        let this = &mut *self;
        let frame = |message: &Bytes| mcp::sse::message(None, message);
        if let Some(work) = &mut this.work {
            if let Some(first) = this.frame.take() {
                return Poll::Ready(Some(first));
            }
            if let Poll::Ready(answer) = Pin::new(work).poll(cx) {
                // An error is a panic, which is in the log.
                let answer = answer.ok().flatten();
                this.frame = answer.map(|answer| answer.message.map(frame));
                this.work = None;
            }
        }
        // Messages are in the queue before the work that sent them ends.
        while let Poll::Ready(Some(item)) = this.messages.poll_recv(cx) {
            // This client cannot reconnect, so it stays connected.
            if let Some(message) = item.into_message() {
                return Poll::Ready(Some(frame(&message).into()));
            }
        }
        if this.work.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(this.frame.take())
    }
}

/// Frames for the driver of their connection, with a comment after each long silence. Large frames are handed over in
/// parts. While nothing happens, an answer that is waited for costs what a stream costs: its connection leaves hyper.
pub(super) struct AnswerSource<S> {
    frames: S,
    /// The rest of a frame.
    rest: AnswerBytes,
    silence: Pin<Box<Sleep>>,
}

impl<S: Stream<Item = AnswerBytes> + Unpin> AnswerSource<S> {
    pub(super) fn new(frames: S) -> Self {
        Self {
            frames,
            rest: AnswerBytes::default(),
            silence: Box::pin(sleep(KEEP_ALIVE)),
        }
    }
}

impl<S: Stream<Item = AnswerBytes> + Send + Unpin> StreamSource for AnswerSource<S> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        if self.rest.is_empty()
            && let Poll::Ready(frame) = Pin::new(&mut self.frames).poll_next(cx)
        {
            match frame {
                Some(frame) => self.rest = frame,
                None => return Poll::Ready(FillResult::Last),
            }
        }
        if !self.rest.is_empty() {
            self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
            let part = self.rest.next_part();
            out.push_unrepeatable(|out| out.extend_from_slice(&part));
            return Poll::Ready(FillResult::Frames);
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
            out.push_unrepeatable(|out| out.extend_from_slice(mcp::sse::KEEP_ALIVE));
            return Poll::Ready(FillResult::Frames);
        }
        Poll::Pending
    }

    fn record_progress(&mut self, _: SendProgress) {}

    fn should_give_up(&self, behind: Duration) -> bool {
        behind >= UNKEPT_CLIENT_WAIT
    }
}
