//! The answer to one POST as a stream that survives its connection (MCP 2025-11-25, Streamable
//! HTTP, "Resumability and Redelivery"): each message of the call is stored in the session's
//! mailbox first and then sent to the client, with an id from which any edge can continue.
//!
//! A call that answers soon, without a message before, is answered in plain JSON and uses no
//! mailbox.

use std::{sync::Arc, time::Duration};

use access::{PresentRights, Visibility};
use bytes::Bytes;
use fanout::limits::RETRY_MILLIS;
use futures_util::future::BoxFuture;
use mcp::{RequestId, RpcError, envelope, sse::SseField};
use mcp_server::output::CallOutputItem;
use model::{
    CursorKeys, CursorScope, IdSource, LeaseName, PrincipalId, Sequence, SessionId, StreamCursor,
    StreamId,
};
use ports::LeaseToken;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval_at, sleep, timeout},
};
use tracing::warn;

use super::{CallAnswer, Calls};
use crate::{
    answer_budget::AnswerBytes,
    background::Background,
    error::EdgeError,
    limits::{CALL_DEADLINE, CALL_LEASE, STREAM_AFTER, UNKEPT_CLIENT_WAIT, WAITING_FRAMES},
    session::Sessions,
};

/// The beginning of the response to a call.
#[derive(Debug)]
pub(crate) enum FirstResponse {
    /// The answer itself.
    Answer(CallAnswer),
    /// A stream of SSE frames.
    Stream(mpsc::Receiver<AnswerBytes>),
    /// Nothing: the client cancelled the call.
    Cancelled,
}

/// Prefix of the names of our streams; a position in any other stream of the mailbox is not one of
/// ours.
const CALL: &str = "call-";

/// The name of a stream of a session; it also makes the ids of its events.
#[derive(Debug, Clone)]
pub(crate) struct StreamName {
    pub(crate) session: SessionId,
    pub(crate) stream: StreamId,
    scope: CursorScope,
    keys: Arc<CursorKeys>,
}

impl StreamName {
    /// The name of the stream of a new call.
    pub(crate) fn of_call(
        keys: Arc<CursorKeys>,
        principal: &PrincipalId,
        session: &SessionId,
        ids: &dyn IdSource,
    ) -> Self {
        let name = format!("{CALL}{}", ids.uuid());
        let stream = StreamId::new(&name).expect("a UUID fits a stream id");
        Self::new(keys, principal, session, stream)
    }

    /// The name of the stream that a client resumes; `None` if it is another stream of its session.
    pub(crate) fn resumed(
        keys: Arc<CursorKeys>,
        principal: &PrincipalId,
        session: &SessionId,
        stream: StreamId,
    ) -> Option<Self> {
        let is_call = stream.as_str().starts_with(CALL);
        is_call.then(|| Self::new(keys, principal, session, stream))
    }

    fn new(
        keys: Arc<CursorKeys>,
        principal: &PrincipalId,
        session: &SessionId,
        stream: StreamId,
    ) -> Self {
        Self {
            keys,
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
        self.keys.seal_stream(&cursor, self.scope)
    }

    /// A message as an event with its id.
    pub(crate) fn frame(&self, sequence: Sequence, message: &[u8]) -> Bytes {
        let id = self.id(sequence);
        mcp::sse::message(SseField::new(&id).ok(), message)
    }

    /// The first event: an id with which to reconnect, and no data (SEP-1699).
    fn priming(&self, sequence: Sequence) -> Bytes {
        let id = self.id(sequence);
        Bytes::from(format!("retry: {RETRY_MILLIS}\nid: {id}\ndata: \n\n"))
    }

    /// The lock of the edge that writes the stream.
    pub(crate) fn lock(&self) -> LeaseName {
        let name = format!("call:{}:{}", self.session, self.stream);
        LeaseName::new(&name).unwrap_or_else(|_| {
            // For ids longer than ours: still one lock per stream.
            LeaseName::new(self.stream.as_str()).expect("an id is visible ASCII")
        })
    }
}

/// The dependencies of recording.
#[derive(Debug, Clone)]
pub(crate) struct CallRecorder {
    pub(crate) calls: Arc<Calls>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) background: Background,
}

/// A call whose answer is recorded.
pub(crate) struct RecordedCall {
    pub(crate) recorder: CallRecorder,
    pub(crate) name: StreamName,
    pub(crate) request: RequestId,
    /// What the call may see, and saw.
    pub(crate) rights: PresentRights,
    pub(crate) messages: mpsc::Receiver<CallOutputItem>,
    /// `None` when it was cancelled.
    pub(crate) work: BoxFuture<'static, Option<CallAnswer>>,
}

/// Runs the call to its end, even if no client listens.
pub(crate) async fn record(mut call: RecordedCall, begun: oneshot::Sender<FirstResponse>) {
    let first = tokio::select! {
        biased;
        item = call.messages.recv() => item,
        answer = &mut call.work => match (call.messages.try_recv().ok(), answer) {
            (None, Some(answer)) => return drop(begun.send(FirstResponse::Answer(answer))),
            (_, None) => return drop(begun.send(FirstResponse::Cancelled)),
            // An item was sent immediately before the answer.
            (item, answer) => {
                call.work = Box::pin(std::future::ready(answer));
                item
            }
        },
        () = sleep(STREAM_AFTER) => None,
    };
    let (frames, stream) = mpsc::channel(WAITING_FRAMES);
    let writer = CallWriter::new(&call, frames);
    let mut writer = writer.open(&call.request).await;
    let _ = begun.send(FirstResponse::Stream(stream));
    if let Some(item) = first {
        writer.write_item(item).await;
    }
    writer.run(call).await;
}

struct CallWriter {
    recorder: CallRecorder,
    name: StreamName,
    /// The client that is connected to this edge, while it is.
    live: Option<mpsc::Sender<AnswerBytes>>,
    /// Whether the mailbox has stored everything so far. If not, the stream has no further ids, so
    /// that no client resumes at a position after which messages are missing.
    is_kept: bool,
    lease: Option<LeaseToken>,
    /// What the call may see, and saw.
    rights: PresentRights,
    /// What the entries so far say of the messages after them.
    made_for: Visibility,
}

impl CallWriter {
    fn new(call: &RecordedCall, frames: mpsc::Sender<AnswerBytes>) -> Self {
        Self {
            recorder: call.recorder.clone(),
            name: call.name.clone(),
            live: Some(frames),
            is_kept: true,
            lease: None,
            rights: call.rights.clone(),
            made_for: Visibility::all(),
        }
    }

    async fn open(mut self, request: &RequestId) -> Self {
        let (name, calls) = (self.name.clone(), Arc::clone(&self.recorder.calls));
        let lock = name.lock();
        let take = calls.locks.acquire(&lock, CALL_LEASE, Duration::ZERO);
        match timeout(CALL_DEADLINE, take).await {
            Ok(Ok(Some(lease))) => self.lease = Some(lease.token),
            // Without the lease a reader on another edge would consider this edge gone.
            _ => {
                self.cannot_keep(&EdgeError::Busy);
                return self;
            }
        }
        // For the edge that has to answer if this edge is gone.
        let request = super::resume::head(request);
        match calls.append(&name.session, &name.stream, request).await {
            Ok(sequence) => {
                self.keep_rights(false).await;
                self.send_frame(name.priming(sequence).into()).await;
            }
            Err(error) => self.cannot_keep(&error),
        }
        self
    }

    async fn run(mut self, mut call: RecordedCall) {
        let background = &self.recorder.background;
        let (draining, closed) = (background.draining(), background.closed());
        let mut extend = interval_at(Instant::now() + CALL_LEASE / 3, CALL_LEASE / 3);
        let (mut is_open, mut is_draining) = (true, false);
        let answer = loop {
            tokio::select! {
                biased;
                item = call.messages.recv(), if is_open => match item {
                    Some(item) => self.write_item(item).await,
                    None => is_open = false,
                },
                answer = &mut call.work => break answer,
                () = closed.cancelled() => break Some(stopped_answer(&call.request)),
                () = draining.cancelled(), if !is_draining => {
                    is_draining = true;
                    self.disconnect().await;
                }
                _ = extend.tick() => self.extend_lease().await,
            }
        };
        while let Ok(item) = call.messages.try_recv() {
            self.write_item(item).await;
        }
        if let Some(answer) = answer {
            // Once more: a reader may begin after the earlier entry.
            self.keep_rights(true).await;
            self.keep_and_send(answer.message).await;
        }
        self.close().await;
    }

    async fn write_item(&mut self, item: CallOutputItem) {
        match item {
            CallOutputItem::Message(message) => self.keep_and_send(message.into()).await,
            CallOutputItem::Disconnect => self.disconnect().await,
        }
    }

    /// Stores under which rights the following messages are made, for the edge that resumes the stream.
    /// Without this entry, they may show everything.
    async fn keep_rights(&mut self, again: bool) {
        let made_for = self.rights.last();
        let is_told = made_for == self.made_for && (!again || made_for.is_all());
        if self.is_kept && !is_told {
            let entry = super::resume::rights(&made_for);
            self.made_for = made_for;
            let (calls, name) = (&self.recorder.calls, &self.name);
            let appended = calls.append(&name.session, &name.stream, entry).await;
            if let Err(error) = appended {
                self.cannot_keep(&error);
            }
        }
    }

    /// Stored first, then sent.
    async fn keep_and_send(&mut self, message: AnswerBytes) {
        let frame = match self.keep(message.bytes()).await {
            Some(sequence) => message.map(|message| self.name.frame(sequence, message)),
            None => message.map(|message| mcp::sse::message(None, message)),
        };
        self.send_frame(frame).await;
    }

    async fn keep(&mut self, message: &Bytes) -> Option<Sequence> {
        self.keep_rights(false).await;
        if !self.is_kept {
            return None;
        }
        let (calls, name) = (&self.recorder.calls, &self.name);
        let appended = calls.append(&name.session, &name.stream, message.clone());
        match appended.await {
            Ok(sequence) => {
                self.announce().await;
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

    /// An announcement is needed only while the reader is on another edge.
    async fn announce(&self) {
        if self.live.is_none() {
            let (session, stream) = (&self.name.session, &self.name.stream);
            self.recorder.sessions.announce_mail(session, stream).await;
        }
    }

    /// A client that reads too slowly is disconnected; it reconnects with the last id that it
    /// received. The call waits for one that cannot come back for the rest.
    async fn send_frame(&mut self, frame: AnswerBytes) {
        let Some(live) = &self.live else {
            return;
        };
        let sent = match self.is_kept {
            true => live.try_send(frame).is_ok(),
            false => matches!(
                timeout(UNKEPT_CLIENT_WAIT, live.send(frame)).await,
                Ok(Ok(()))
            ),
        };
        if !sent {
            self.live = None;
        }
    }

    /// Closes the connection and not the stream: the client reconnects, to any edge. A stream that
    /// cannot be resumed stays connected.
    async fn disconnect(&mut self) {
        if self.is_kept {
            let retry = Bytes::from(format!("retry: {RETRY_MILLIS}\n\n"));
            self.send_frame(retry.into()).await;
            self.live = None;
        }
    }

    /// Extends the lease. If the store has lost it, takes it again: a reader of the stream would otherwise
    /// answer in place of this edge.
    async fn extend_lease(&mut self) {
        let Some(lease) = &self.lease else {
            return;
        };
        let (locks, name) = (&self.recorder.calls.locks, self.name.lock());
        let extend = locks.extend(&name, lease, CALL_LEASE);
        if !matches!(timeout(CALL_DEADLINE, extend).await, Ok(Ok(false))) {
            return;
        }
        let acquire = locks.acquire(&name, CALL_LEASE, Duration::ZERO);
        if let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await {
            self.lease = Some(lease.token);
        }
    }

    async fn close(self) {
        let (calls, name): (&Calls, _) = (&self.recorder.calls, &self.name);
        if self.is_kept && calls.close(&name.session, &name.stream).await.is_ok() {
            self.announce().await;
        }
        if let Some(lease) = &self.lease {
            let lock = name.lock();
            let _ = timeout(CALL_DEADLINE, calls.locks.release(&lock, lease)).await;
        }
    }
}

/// The answer of an edge that stops before the call is done.
pub(crate) fn stopped_answer(request: &RequestId) -> CallAnswer {
    let error = RpcError::new(
        envelope::ErrorCode::Internal,
        "the server that ran this call stopped before it was done; call again",
    );
    CallAnswer::of(request, Err(error.into()))
}

/// The answer to a request whose answer cannot be given any more.
pub(super) fn lost_answer(request: &RequestId) -> CallAnswer {
    let error = RpcError::new(
        envelope::ErrorCode::Internal,
        "this call ended without an answer, or its answer is no longer kept; call again",
    );
    CallAnswer::of(request, Err(error.into()))
}

/// The answer to a request whose session has ended.
pub(super) fn session_gone_answer(request: &RequestId) -> CallAnswer {
    CallAnswer::of(request, Err(EdgeError::SessionGone.into()))
}
