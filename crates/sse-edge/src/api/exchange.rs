//! The answer to one request: JSON, or a stream if messages are sent before the answer.
//!
//! In the stateless era the work belongs to the connection: a client that disconnects cancels it
//! (MCP 2026-07-28, Streamable HTTP, "Cancellation"). In the handshake era it does not (2025-11-25,
//! "Sending Messages to the Server"), so there the work is a task of the process, and the stream
//! only forwards its messages.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture};
use http::StatusCode;
use http_body::Frame;
use mcp::{RequestId, headers::AcceptedTypes};
use mcp_server::output::CallOutputItem;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Sleep, sleep},
};

use super::{answers::json_or_sse, sse};
use crate::{
    calls::{
        CallAnswer,
        record::{FirstResponse, stopped_answer},
    },
    limits::STREAM_AFTER,
};

/// Interval of the comments that keep proxies from cutting a call that sends nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Work that ends with an answer, or without one if it was cancelled.
pub(super) type Work = BoxFuture<'static, Option<CallAnswer>>;

/// Waits for the answer, for the first message before it, or until the silence has lasted too long,
/// whichever is first.
pub(super) async fn answer(
    accepts: AcceptedTypes,
    mut work: Work,
    mut messages: mpsc::Receiver<CallOutputItem>,
) -> Response {
    if !accepts.sse {
        // Messages that cannot be streamed are dropped; the answer is sent.
        let drained = async { while messages.recv().await.is_some() {} };
        let (answer, ()) = tokio::join!(work, drained);
        return whole(accepts, answer);
    }
    let first = tokio::select! {
        biased;
        first = messages.recv() => match first {
            Some(first) => Some(first),
            None => return whole(accepts, work.await),
        },
        answer = &mut work => match messages.try_recv() {
            // An item was sent immediately before the answer.
            Ok(first) => {
                work = Box::pin(std::future::ready(answer));
                Some(first)
            }
            Err(_) => return whole(accepts, answer),
        },
        () = sleep(STREAM_AFTER) => None,
    };
    let exchange = MessagesThenAnswer {
        first,
        messages,
        work: Some(work),
        answer: None,
    };
    sse::answer(KeepAliveBody::new(exchange))
}

/// The answer of a call that is recorded.
pub(super) async fn recorded_response(
    accepts: AcceptedTypes,
    request: &RequestId,
    begun: oneshot::Receiver<FirstResponse>,
) -> Response {
    match begun.await {
        Ok(FirstResponse::Answer(answer)) => whole(accepts, Some(answer)),
        Ok(FirstResponse::Stream(frames)) => {
            sse::answer(KeepAliveBody::new(ReceivedFrames(frames)))
        }
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
    response
}

struct ReceivedFrames(mpsc::Receiver<Bytes>);

impl Stream for ReceivedFrames {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

/// The stream of one request: messages, then the answer, then the end.
struct MessagesThenAnswer {
    first: Option<CallOutputItem>,
    messages: mpsc::Receiver<CallOutputItem>,
    work: Option<Work>,
    answer: Option<CallAnswer>,
}

impl Stream for MessagesThenAnswer {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(CallOutputItem::Message(first)) = self.first.take() {
            return Poll::Ready(Some(mcp::sse::message(None, &first)));
        }
        if let Some(work) = &mut self.work
            && let Poll::Ready(answer) = work.as_mut().poll(cx)
        {
            self.answer = answer;
            self.work = None;
        }
        // Messages are in the queue before the work that sent them ends.
        while let Poll::Ready(Some(item)) = self.messages.poll_recv(cx) {
            // This client cannot reconnect, so it stays connected.
            if let CallOutputItem::Message(message) = item {
                return Poll::Ready(Some(mcp::sse::message(None, &message)));
            }
        }
        if self.work.is_some() {
            return Poll::Pending;
        }
        let answer = self.answer.take();
        Poll::Ready(answer.map(|answer| mcp::sse::message(None, &answer.message)))
    }
}

/// A body of frames, with a comment after each long silence.
pub(super) struct KeepAliveBody<S> {
    frames: Pin<Box<S>>,
    silence: Pin<Box<Sleep>>,
}

impl<S: Stream<Item = Bytes>> KeepAliveBody<S> {
    pub(super) fn new(frames: S) -> Self {
        Self {
            frames: Box::pin(frames),
            silence: Box::pin(sleep(KEEP_ALIVE)),
        }
    }
}

impl<S: Stream<Item = Bytes>> http_body::Body for KeepAliveBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Poll::Ready(frame) = self.frames.as_mut().poll_next(cx) {
            self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))));
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
            // Polled again at once, so that the timer's waker is in place.
            cx.waker().wake_by_ref();
            let comment = Bytes::from_static(mcp::sse::KEEP_ALIVE);
            return Poll::Ready(Some(Ok(Frame::data(comment))));
        }
        Poll::Pending
    }
}
