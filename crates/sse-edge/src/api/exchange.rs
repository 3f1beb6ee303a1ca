//! The answer to one request: JSON, or a stream if messages are sent before the answer.
//!
//! In the stateless era the work belongs to the connection: a client that disconnects cancels it
//! (MCP 2026-07-28, Streamable HTTP, "Cancellation"). In the handshake era it does not (2025-11-25,
//! "Sending Messages to the Server"), so there the work is a task of the process, and the stream
//! only forwards its messages.

use std::{
    future::ready,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use mcp::{RequestId, headers::AcceptedTypes};
use mcp_server::{
    cpu_turns::{again_in_turns, in_turns},
    item_queue::QueueReceiver,
    output::CallOutputItem,
};
use stream_driver::{FillResult, OutgoingFrames, SendProgress, StreamSource};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    answers::{json_or_sse, retry_later},
    sse,
};
use crate::{
    answer_budget::AnswerBytes,
    calls::{
        CallAnswer,
        parked::{CallWork, ParkedCall, WorkEnd},
        record::FirstResponse,
        unanswered::stopped_answer,
    },
    limits::{STREAM_AFTER, UNKEPT_CLIENT_WAIT},
    request_line::{InRequestLine, RequestLine},
    wake_wheel::{WakeWheel, WheelPlace, WheelTick},
};

/// Interval of the comments that keep proxies from cutting a call that sends nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What an answer needs of the edge.
pub(super) struct ExchangeParts<'a> {
    pub(super) wheel: &'a Arc<WakeWheel>,
    pub(super) accepts: AcceptedTypes,
    pub(super) line: RequestLine,
}

/// Waits for the answer, for the first message before it, or until the silence has lasted too long,
/// whichever is first.
pub(super) async fn answer(
    parts: ExchangeParts<'_>,
    mut work: CallWork,
    mut messages: QueueReceiver<CallOutputItem>,
) -> Response {
    let accepts = parts.accepts;
    if !accepts.sse {
        // Messages that cannot be streamed are dropped; the answer is sent.
        let drained = async { while messages.recv().await.is_some() {} };
        let (end, ()) = tokio::join!(work, drained);
        return whole(accepts, end.into_answer());
    }
    let silent = sleep(STREAM_AFTER);
    tokio::pin!(silent);
    // A call whose work is a task of its own sends nothing more once it waits or has its answer.
    let mut is_open = true;
    let first = loop {
        tokio::select! {
            biased;
            first = messages.recv(), if is_open => match first {
                Some(first) => break Some(first),
                None => is_open = false,
            },
            end = &mut work => match (messages.try_recv(), end) {
                // An item was sent immediately before the answer.
                (Some(first), end) => {
                    work = Box::pin(ready(end));
                    break Some(first);
                }
                (None, WorkEnd::Waits(mut parked)) => {
                    let is_due = !parked.reports() && tokio::select! {
                        biased;
                        () = parked.due() => true,
                        () = &mut silent => false,
                    };
                    if !is_due {
                        return parked_stream(&parts, parked);
                    }
                    (work, messages) = parked.again();
                    is_open = true;
                }
                (None, end) => return whole(accepts, end.into_answer()),
            },
            () = &mut silent => break None,
        }
    };
    let first = first.and_then(CallOutputItem::into_message);
    let exchange = MessagesThenAnswer {
        frame: first.map(|message| mcp::sse::message(None, &message).into()),
        messages: Some(messages),
        // Not within the body, which nobody polls while the client does not read, and others need the turn.
        work: AnswerWork::Runs(spawn(in_turns(InRequestLine::new(parts.line, work)))),
    };
    sse::answer(AnswerSource::new(exchange, parts.wheel))
}

/// The answer of a call that waits and whose client has to hear of it: at once, since it gives up where no answer begins.
fn parked_stream(parts: &ExchangeParts<'_>, parked: Box<ParkedCall>) -> Response {
    let exchange = MessagesThenAnswer {
        frame: parked.progress().map(AnswerBytes::from),
        messages: None,
        work: AnswerWork::Waits(parked),
    };
    sse::answer(AnswerSource::new(exchange, parts.wheel))
}

fn spawn(work: impl Future<Output = WorkEnd> + Send + 'static) -> AbortOnDropHandle<WorkEnd> {
    AbortOnDropHandle::new(tokio::spawn(work))
}

/// The answer of a call that is recorded.
pub(super) async fn recorded_response(
    wheel: &Arc<WakeWheel>,
    accepts: AcceptedTypes,
    request: &RequestId,
    begun: oneshot::Receiver<FirstResponse>,
) -> Response {
    match begun.await {
        Ok(FirstResponse::Answer(answer)) => whole(accepts, Some(answer)),
        Ok(FirstResponse::Stream(frames)) => {
            sse::answer(AnswerSource::new(ReceivedFrames(frames), wheel))
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
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        retry_later(&mut response);
    }
    response
}

/// The frames of an answer.
pub(super) trait AnswerFrames: Send + Unpin {
    /// The next frame.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>>;

    /// What is said after a long silence, so that proxies do not cut a call that sends nothing.
    fn after_silence(&mut self) -> AnswerBytes {
        Bytes::from_static(mcp::sse::KEEP_ALIVE).into()
    }

    /// The time at which the frames have to be polled again, whatever has happened.
    fn looks_at(&self) -> Option<Instant> {
        None
    }
}

/// Frames that are made elsewhere.
struct ReceivedFrames(QueueReceiver<AnswerBytes>);

impl AnswerFrames for ReceivedFrames {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
        self.0.poll_recv(cx)
    }
}

/// The frames of a stream.
pub(super) struct StreamedFrames<S>(pub(super) S);

impl<S: Stream<Item = AnswerBytes> + Send + Unpin> AnswerFrames for StreamedFrames<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

/// The stream of one request: messages, then the answer, then the end. While the call waits, this is where it is.
struct MessagesThenAnswer {
    /// The first frame; once the work has ended, that of its answer.
    frame: Option<AnswerBytes>,
    messages: Option<QueueReceiver<CallOutputItem>>,
    work: AnswerWork,
}

/// The work of an answer; it ends with the stream.
enum AnswerWork {
    Runs(AbortOnDropHandle<WorkEnd>),
    Waits(Box<ParkedCall>),
    Done,
}

impl MessagesThenAnswer {
    /// Makes the call again.
    fn go_on(&mut self) {
        let AnswerWork::Waits(parked) = std::mem::replace(&mut self.work, AnswerWork::Done) else {
            return;
        };
        let (account, line) = (parked.account.clone(), parked.line);
        let (work, messages) = parked.again();
        self.messages = Some(messages);
        let work = again_in_turns(account.as_ref(), InRequestLine::new(line, work));
        self.work = AnswerWork::Runs(spawn(work));
    }

    /// Takes note of the end of the work.
    fn poll_work(&mut self, cx: &mut Context<'_>) {
        let AnswerWork::Runs(work) = &mut self.work else {
            return;
        };
        let Poll::Ready(end) = Pin::new(work).poll(cx) else {
            return;
        };
        self.work = match end {
            Ok(WorkEnd::Waits(parked)) => AnswerWork::Waits(parked),
            Ok(WorkEnd::Answered(answer)) => {
                let frame = |message: &Bytes| mcp::sse::message(None, message);
                self.frame = Some(answer.message.map(frame));
                AnswerWork::Done
            }
            // An error is a panic, which is in the log.
            Ok(WorkEnd::Cancelled) | Err(_) => AnswerWork::Done,
        };
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Option<AnswerBytes> {
        let messages = self.messages.as_mut()?;
        while let Poll::Ready(Some(item)) = messages.poll_recv(cx) {
            // This client cannot reconnect, so it stays connected.
            if let Some(message) = item.into_message() {
                return Some(mcp::sse::message(None, &message).into());
            }
        }
        None
    }
}

impl AnswerFrames for MessagesThenAnswer {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
        if !matches!(self.work, AnswerWork::Done)
            && let Some(first) = self.frame.take()
        {
            return Poll::Ready(Some(first));
        }
        loop {
            self.poll_work(cx);
            // Messages are in the queue before the work that sent them ends.
            if let Some(message) = self.poll_message(cx) {
                return Poll::Ready(Some(message));
            }
            match &mut self.work {
                AnswerWork::Done => return Poll::Ready(self.frame.take()),
                AnswerWork::Runs(_) => return Poll::Pending,
                AnswerWork::Waits(parked) => {
                    self.messages = None;
                    if parked.poll_due(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.go_on();
                }
            }
        }
    }

    fn after_silence(&mut self) -> AnswerBytes {
        let progress = match &self.work {
            AnswerWork::Waits(parked) => parked.progress(),
            _ => None,
        };
        let comment = || Bytes::from_static(mcp::sse::KEEP_ALIVE);
        progress.unwrap_or_else(comment).into()
    }

    fn looks_at(&self) -> Option<Instant> {
        match &self.work {
            AnswerWork::Waits(parked) => Some(parked.ends_at()),
            _ => None,
        }
    }
}

/// Frames for the driver of their connection, with a comment after each long silence. Large frames are handed over in
/// parts. While nothing happens, an answer that is waited for costs what a stream costs: its connection leaves hyper.
pub(super) struct AnswerSource<F> {
    frames: F,
    /// The rest of a frame.
    rest: AnswerBytes,
    wheel: Arc<WakeWheel>,
    speaks_at: WheelTick,
    place: WheelPlace,
}

impl<F: AnswerFrames> AnswerSource<F> {
    pub(super) fn new(frames: F, wheel: &Arc<WakeWheel>) -> Self {
        Self {
            frames,
            rest: AnswerBytes::default(),
            speaks_at: wheel.after(KEEP_ALIVE),
            wheel: Arc::clone(wheel),
            place: WheelPlace::default(),
        }
    }

    /// The next frame, or what is said after a silence; `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
        loop {
            if let Poll::Ready(frame) = self.frames.poll_frame(cx) {
                return Poll::Ready(frame);
            }
            let looks_at = self.frames.looks_at();
            let looks_at = looks_at.map(|moment| self.wheel.tick_at(moment));
            let wakes_at = looks_at.map_or(self.speaks_at, |tick| tick.min(self.speaks_at));
            if !self.place.poll(&self.wheel, wakes_at, cx) {
                return Poll::Pending;
            }
            if self.wheel.now() >= self.speaks_at {
                return Poll::Ready(Some(self.frames.after_silence()));
            }
        }
    }
}

impl<F: AnswerFrames> StreamSource for AnswerSource<F> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        if self.rest.is_empty() {
            match self.poll_next(cx) {
                Poll::Ready(Some(frame)) => self.rest = frame,
                Poll::Ready(None) => return Poll::Ready(FillResult::Last),
                Poll::Pending => return Poll::Pending,
            }
            self.speaks_at = self.wheel.after(KEEP_ALIVE);
        }
        let part = self.rest.next_part();
        out.push_unrepeatable(|out| out.extend_from_slice(&part));
        Poll::Ready(FillResult::Frames)
    }

    fn record_progress(&mut self, _: SendProgress) {}

    fn should_give_up(&self, behind: Duration) -> bool {
        behind >= UNKEPT_CLIENT_WAIT
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Says nothing by itself.
    struct SilentFrames {
        looks_at: Option<Instant>,
        spoken: usize,
    }

    impl AnswerFrames for SilentFrames {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<AnswerBytes>> {
            match self.looks_at {
                Some(at) if Instant::now() >= at => Poll::Ready(None),
                _ => Poll::Pending,
            }
        }

        fn after_silence(&mut self) -> AnswerBytes {
            self.spoken += 1;
            Bytes::from_static(b"progress").into()
        }

        fn looks_at(&self) -> Option<Instant> {
            self.looks_at
        }
    }

    fn fill(source: &mut AnswerSource<SilentFrames>) -> Poll<FillResult> {
        let mut out = OutgoingFrames::plain();
        source.poll_fill(&mut Context::from_waker(Waker::noop()), &mut out)
    }

    async fn pass(wheel: &WakeWheel, time: Duration) {
        tokio::time::advance(time).await;
        wheel.turn();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_waited_for_speaks_after_each_silence_and_ends_in_time() {
        let wheel = WakeWheel::new();
        let ends_at = Instant::now() + KEEP_ALIVE * 2 + Duration::from_secs(5);
        let frames = SilentFrames {
            looks_at: Some(ends_at),
            spoken: 0,
        };
        let mut source = AnswerSource::new(frames, &wheel);
        for _ in 0..2 {
            assert_eq!(fill(&mut source), Poll::Pending);
            pass(&wheel, KEEP_ALIVE).await;
            assert_eq!(fill(&mut source), Poll::Ready(FillResult::Frames));
        }
        assert_eq!(source.frames.spoken, 2);
        pass(&wheel, Duration::from_secs(4)).await;
        assert_eq!(fill(&mut source), Poll::Pending);
        pass(&wheel, Duration::from_secs(1)).await;
        assert_eq!(fill(&mut source), Poll::Ready(FillResult::Last));
        assert_eq!(source.frames.spoken, 2);
    }

    /// Ten thousand of them are ten thousand times this.
    #[test]
    fn what_a_connection_has_of_an_answer_is_small() {
        let size = size_of::<AnswerSource<MessagesThenAnswer>>();
        assert!(size <= 184, "{size}");
    }
}
