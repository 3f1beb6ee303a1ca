//! The answer to one request: JSON, or a stream when something has to be said before the answer.
//!
//! In the stateless era the work belongs to the connection: a client that hangs up cancels it (MCP
//! 2026-07-28, Streamable HTTP, "Cancellation"). In the handshake era it does not (2025-11-25, "Sending
//! Messages to the Server"), so there the work is a task of the process and the stream only listens.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::Frame;
use mcp::headers::Accepts;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep},
};

use super::{mcp::json_or_sse, sse};

/// A comment this often keeps proxies from cutting a call that works in silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Waits for the answer, or for the first message before it, whichever comes first.
pub(super) async fn answer(
    accepts: Accepts,
    mut work: BoxFuture<'static, Bytes>,
    mut messages: mpsc::Receiver<Bytes>,
) -> Response {
    if !accepts.sse {
        // What cannot be streamed is not said; the answer is.
        let drained = async { while messages.recv().await.is_some() {} };
        let (answer, ()) = tokio::join!(work, drained);
        return json_or_sse(accepts, answer);
    }
    let first = tokio::select! {
        biased;
        first = messages.recv() => first,
        answer = &mut work => {
            // Said in the same breath as the answer.
            match messages.try_recv() {
                Ok(first) => {
                    let body = Exchange::new(first, messages, None, Some(answer));
                    return sse::answer(body);
                }
                Err(_) => return json_or_sse(accepts, answer),
            }
        }
    };
    match first {
        Some(first) => sse::answer(Exchange::new(first, messages, Some(work), None)),
        None => json_or_sse(accepts, work.await),
    }
}

/// The stream of one request: messages, then the answer, then the end.
struct Exchange {
    first: Option<Bytes>,
    messages: mpsc::Receiver<Bytes>,
    work: Option<BoxFuture<'static, Bytes>>,
    answer: Option<Bytes>,
    silence: Pin<Box<Sleep>>,
}

impl Exchange {
    fn new(
        first: Bytes,
        messages: mpsc::Receiver<Bytes>,
        work: Option<BoxFuture<'static, Bytes>>,
        answer: Option<Bytes>,
    ) -> Self {
        let silence = Box::pin(tokio::time::sleep(KEEP_ALIVE));
        Self {
            first: Some(first),
            messages,
            work,
            answer,
            silence,
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(mcp::sse::message(None, &first)));
        }
        if let Some(work) = &mut self.work
            && let Poll::Ready(answer) = work.as_mut().poll(cx)
        {
            self.answer = Some(answer);
            self.work = None;
        }
        // Messages are in the queue before the work that sent them ends.
        if let Poll::Ready(Some(message)) = self.messages.poll_recv(cx) {
            return Poll::Ready(Some(mcp::sse::message(None, &message)));
        }
        if self.work.is_none() {
            let answer = self.answer.take();
            return Poll::Ready(answer.map(|answer| mcp::sse::message(None, &answer)));
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
            // Polled again at once, so that the timer's waker is in place.
            cx.waker().wake_by_ref();
            return Poll::Ready(Some(Bytes::from_static(mcp::sse::KEEP_ALIVE)));
        }
        Poll::Pending
    }
}

impl http_body::Body for Exchange {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.next(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
