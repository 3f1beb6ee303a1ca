//! The answer to one POST as a stream that survives its connection (MCP 2025-11-25, Streamable HTTP,
//! "Resumability and Redelivery"): what the call says goes into the session's mailbox first and then to
//! the client, with an id that any edge can go on from.
//!
//! A call that answers soon and says nothing before is plain JSON and touches no mailbox.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fanout::limits::RETRY_MILLIS;
use futures_util::future::BoxFuture;
use mcp::{RequestId, RpcError, envelope, sse::SseField};
use mcp_server::output::CallOutputItem;
use model::{
    CursorScope, IdSource, LockName, PrincipalId, Sequence, SessionId, StreamCursor, StreamId,
};
use ports::LockToken;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval_at, sleep, timeout},
};
use tracing::warn;

use super::{CallAnswer, Calls};
use crate::{
    background::Background,
    error::EdgeError,
    limits::{CALL_DEADLINE, CALL_LEASE, STREAM_AFTER, WAITING_FRAMES},
    session::Sessions,
};

/// How a call begins to answer.
#[derive(Debug)]
pub(crate) enum FirstResponse {
    /// With the answer itself.
    Answer(CallAnswer),
    /// With a stream: frames of SSE.
    Stream(mpsc::Receiver<Bytes>),
    /// Not at all: the client does not want the answer any more.
    Cancelled,
}

/// What the names of our streams begin with; a position in anything else in the mailbox is not one of ours.
const CALL: &str = "call-";

/// Names a stream of a session, and writes the ids of its events.
#[derive(Debug, Clone)]
pub(crate) struct StreamName {
    pub(crate) session: SessionId,
    pub(crate) stream: StreamId,
    scope: CursorScope,
}

impl StreamName {
    /// Of a new call.
    pub(crate) fn of_call(
        principal: &PrincipalId,
        session: &SessionId,
        ids: &dyn IdSource,
    ) -> Self {
        let name = format!("{CALL}{}", ids.uuid());
        let stream = StreamId::new(&name).expect("a UUID fits a stream id");
        Self::new(principal, session, stream)
    }

    /// Of the call that a client goes on with; `None` if it names something else of its session.
    pub(crate) fn resumed(
        principal: &PrincipalId,
        session: &SessionId,
        stream: StreamId,
    ) -> Option<Self> {
        let is_call = stream.as_str().starts_with(CALL);
        is_call.then(|| Self::new(principal, session, stream))
    }

    fn new(principal: &PrincipalId, session: &SessionId, stream: StreamId) -> Self {
        Self {
            scope: CursorScope::stream(principal, session, &stream),
            session: session.clone(),
            stream,
        }
    }

    fn id(&self, sequence: Sequence) -> String {
        let cursor = StreamCursor {
            stream: self.stream.clone(),
            sequence,
        };
        cursor.encode(self.scope)
    }

    /// A message as an event with its id.
    pub(crate) fn frame(&self, sequence: Sequence, message: &[u8]) -> Bytes {
        let id = self.id(sequence);
        mcp::sse::message(SseField::new(&id).ok(), message)
    }

    /// The first event: an id to come back with, and no data (SEP-1699).
    fn priming(&self, sequence: Sequence) -> Bytes {
        let id = self.id(sequence);
        Bytes::from(format!("retry: {RETRY_MILLIS}\nid: {id}\ndata: \n\n"))
    }

    /// Who holds this writes the stream.
    pub(crate) fn lock(&self) -> LockName {
        let name = format!("call:{}:{}", self.session, self.stream);
        LockName::new(&name).unwrap_or_else(|_| {
            // Ids that were made longer than ours: still one lock a stream.
            LockName::new(self.stream.as_str()).expect("an id is visible ASCII")
        })
    }
}

/// Where calls are recorded.
#[derive(Debug, Clone)]
pub(crate) struct CallRecorder {
    pub(crate) calls: Arc<Calls>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) background: Background,
}

/// A call that is recorded.
pub(crate) struct RecordedCall {
    pub(crate) recorder: CallRecorder,
    pub(crate) name: StreamName,
    pub(crate) request: RequestId,
    pub(crate) messages: mpsc::Receiver<CallOutputItem>,
    /// `None` when it was cancelled.
    pub(crate) work: BoxFuture<'static, Option<CallAnswer>>,
}

/// Runs the call to its end, whoever listens.
pub(crate) async fn record(mut call: RecordedCall, begun: oneshot::Sender<FirstResponse>) {
    let first = tokio::select! {
        biased;
        said = call.messages.recv() => said,
        answer = &mut call.work => match (call.messages.try_recv().ok(), answer) {
            (None, Some(answer)) => return drop(begun.send(FirstResponse::Answer(answer))),
            (_, None) => return drop(begun.send(FirstResponse::Cancelled)),
            // CallOutputItem in the same breath as the answer.
            (said, answer) => {
                call.work = Box::pin(std::future::ready(answer));
                said
            }
        },
        () = sleep(STREAM_AFTER) => None,
    };
    let (frames, stream) = mpsc::channel(WAITING_FRAMES);
    let mut writer = Writer::open(
        call.recorder.clone(),
        call.name.clone(),
        &call.request,
        frames,
    )
    .await;
    let _ = begun.send(FirstResponse::Stream(stream));
    if let Some(said) = first {
        writer.say(said).await;
    }
    writer.run(call).await;
}

struct Writer {
    recorder: CallRecorder,
    name: StreamName,
    /// The client that listens on this edge, while it does.
    live: Option<mpsc::Sender<Bytes>>,
    /// Whether the mailbox took everything so far; without it the stream has no ids any more, so that
    /// nobody goes on from a place after which something is missing.
    is_kept: bool,
    lease: Option<LockToken>,
}

impl Writer {
    async fn open(
        recorder: CallRecorder,
        name: StreamName,
        request: &RequestId,
        frames: mpsc::Sender<Bytes>,
    ) -> Self {
        let calls = Arc::clone(&recorder.calls);
        let mut writer = Self {
            recorder,
            name: name.clone(),
            live: Some(frames),
            is_kept: true,
            lease: None,
        };
        let lock = name.lock();
        let take = calls.locks.acquire(&lock, CALL_LEASE, Duration::ZERO);
        match timeout(CALL_DEADLINE, take).await {
            Ok(Ok(Some(lease))) => writer.lease = Some(lease.token),
            // Without the lease a reader elsewhere would take this edge for gone.
            _ => {
                writer.cannot_keep(&EdgeError::Busy);
                return writer;
            }
        }
        // For whoever has to answer in the place of an edge that is gone.
        let request = super::resume::head(request);
        match calls.append(&name.session, &name.stream, request).await {
            Ok(sequence) => writer.show(name.priming(sequence)),
            Err(error) => writer.cannot_keep(&error),
        }
        writer
    }

    async fn run(mut self, mut call: RecordedCall) {
        let background = &self.recorder.background;
        let (draining, closed) = (background.draining(), background.closed());
        let mut extend = interval_at(Instant::now() + CALL_LEASE / 3, CALL_LEASE / 3);
        let (mut is_open, mut is_draining) = (true, false);
        let answer = loop {
            tokio::select! {
                biased;
                said = call.messages.recv(), if is_open => match said {
                    Some(said) => self.say(said).await,
                    None => is_open = false,
                },
                answer = &mut call.work => break answer,
                () = closed.cancelled() => break Some(stopped(&call.request)),
                () = draining.cancelled(), if !is_draining => {
                    is_draining = true;
                    self.disconnect();
                }
                _ = extend.tick() => self.extend_lease().await,
            }
        };
        while let Ok(said) = call.messages.try_recv() {
            self.say(said).await;
        }
        if let Some(answer) = answer {
            self.keep_and_show(&answer.message).await;
        }
        self.close().await;
    }

    async fn say(&mut self, said: CallOutputItem) {
        match said {
            CallOutputItem::Message(message) => self.keep_and_show(&message).await,
            CallOutputItem::Disconnect => self.disconnect(),
        }
    }

    /// Stored first, then shown.
    async fn keep_and_show(&mut self, message: &Bytes) {
        let frame = match self.keep(message).await {
            Some(sequence) => self.name.frame(sequence, message),
            None => mcp::sse::message(None, message),
        };
        self.show(frame);
    }

    async fn keep(&mut self, message: &Bytes) -> Option<Sequence> {
        if !self.is_kept {
            return None;
        }
        let (calls, name) = (&self.recorder.calls, &self.name);
        let appended = calls.append(&name.session, &name.stream, message.clone());
        match appended.await {
            Ok(sequence) => {
                self.tell().await;
                Some(sequence)
            }
            Err(error) => {
                self.cannot_keep(&error);
                None
            }
        }
    }

    fn cannot_keep(&mut self, error: &EdgeError) {
        warn!(%error, session = %self.name.session, "the stream of a call cannot be resumed");
        self.is_kept = false;
    }

    /// Only while the reader is elsewhere somebody needs to be told.
    async fn tell(&self) {
        if self.live.is_none() {
            let (session, stream) = (&self.name.session, &self.name.stream);
            self.recorder.sessions.tell_mail(session, stream).await;
        }
    }

    /// A client that reads too slowly is cut off; it comes back with the last id that it got.
    fn show(&mut self, frame: Bytes) {
        if let Some(live) = &self.live
            && live.try_send(frame).is_err()
        {
            self.live = None;
        }
    }

    /// Closes the connection and not the stream: the client comes back, to any edge. A stream that
    /// cannot be resumed stays.
    fn disconnect(&mut self) {
        if self.is_kept {
            self.show(Bytes::from(format!("retry: {RETRY_MILLIS}\n\n")));
            self.live = None;
        }
    }

    async fn extend_lease(&self) {
        if let Some(lease) = &self.lease {
            let locks = &self.recorder.calls.locks;
            let name = self.name.lock();
            let _ = timeout(CALL_DEADLINE, locks.extend(&name, lease, CALL_LEASE)).await;
        }
    }

    async fn close(self) {
        let (calls, name): (&Calls, _) = (&self.recorder.calls, &self.name);
        if self.is_kept && calls.close(&name.session, &name.stream).await.is_ok() {
            self.tell().await;
        }
        if let Some(lease) = &self.lease {
            let lock = name.lock();
            let _ = timeout(CALL_DEADLINE, calls.locks.release(&lock, lease)).await;
        }
    }
}

/// The answer of an edge that has to stop before the call is done.
pub(super) fn stopped(request: &RequestId) -> CallAnswer {
    let error = RpcError::new(
        envelope::ErrorCode::Internal,
        "the server that ran this call stopped before it was done; call again",
    );
    CallAnswer::of(request, Err(error.into()))
}
