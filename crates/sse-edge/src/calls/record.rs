//! The answer to one POST as a stream that survives its connection (MCP 2025-11-25, Streamable
//! HTTP, "Resumability and Redelivery"): each message of the call is stored in the session's
//! mailbox first and then sent to the client, with an id from which any edge can continue.
//!
//! A call that answers soon, without a message before, is answered in plain JSON and uses no
//! mailbox.

use std::sync::Arc;

use access::{PresentRights, Visibility};
use bytes::Bytes;
use fanout::limits::RETRY_MILLIS;
use futures_util::{FutureExt, future::BoxFuture};
use mcp::RequestId;
use mcp_server::{
    item_queue::{QueueReceiver, QueueSender, item_queue},
    output::CallOutputItem,
    repeatable::RepeatableCall,
};
use model::Sequence;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    CallAnswer, Calls, continuation::TakenCall, hidden::HiddenEntry, keeping::StreamKeeper,
    stream_name::StreamName, unanswered::stopped_answer, unstored::EntryKind,
};
use crate::{
    answer_budget::AnswerBytes,
    background::Background,
    limits::{CALL_REFRESH, CALL_STORE_PAUSE, STREAM_AFTER, UNKEPT_CLIENT_WAIT, WAITING_FRAMES},
    session::{SessionLife, Sessions},
};

/// The beginning of the response to a call.
#[derive(Debug)]
pub(crate) enum FirstResponse {
    /// The answer itself.
    Answer(CallAnswer),
    /// A stream of SSE frames.
    Stream(QueueReceiver<AnswerBytes>),
    /// Nothing: the client cancelled the call.
    Cancelled,
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
    pub(crate) name: Arc<StreamName>,
    /// Until when its session lasts.
    pub(crate) session: SessionLife,
    pub(crate) request: RequestId,
    /// What the call may see, and saw.
    pub(crate) rights: PresentRights,
    pub(crate) messages: QueueReceiver<CallOutputItem>,
    /// `None` when it was cancelled.
    pub(crate) work: BoxFuture<'static, Option<CallAnswer>>,
}

/// Runs the call to its end, even if no client listens. What was needed for its beginning is not kept while it waits.
pub(crate) async fn record(call: Box<RecordedCall>, begun: oneshot::Sender<FirstResponse>) {
    if let Some((writer, call)) = Box::pin(begin(call, begun)).await {
        Box::pin(writer.run(call)).await;
    }
}

/// Waits until the answer begins; `None` if that is all of it.
async fn begin(
    mut call: Box<RecordedCall>,
    begun: oneshot::Sender<FirstResponse>,
) -> Option<(Box<CallWriter>, Box<RecordedCall>)> {
    let mut repeatable = None;
    let first = tokio::select! {
        biased;
        item = beginning(&mut call.messages, &mut repeatable) => item,
        answer = &mut call.work => {
            let item = beginning(&mut call.messages, &mut repeatable).now_or_never();
            match (item.flatten(), answer) {
                (None, Some(answer)) => {
                    let _ = begun.send(FirstResponse::Answer(answer));
                    return None;
                }
                (_, None) => {
                    let _ = begun.send(FirstResponse::Cancelled);
                    return None;
                }
                // An item was sent immediately before the answer.
                (item, answer) => {
                    call.work = Box::pin(std::future::ready(answer));
                    item
                }
            }
        },
        () = sleep(STREAM_AFTER) => None,
    };
    let (frames, stream) = item_queue(WAITING_FRAMES);
    let CallRecorder {
        calls, sessions, ..
    } = call.recorder.clone();
    let name = Arc::clone(&call.name);
    let keeper = StreamKeeper::new((calls, sessions), name, call.request.clone());
    let name = Arc::clone(&call.name);
    let opening = CallWriter::open(keeper, name, call.rights.clone(), (frames, repeatable));
    let mut writer = opening.await;
    let _ = begun.send(FirstResponse::Stream(stream));
    if let Some(item) = first
        && writer.write_item(item).await == CallPlace::Elsewhere
    {
        writer.keeper.release().await;
        return None;
    }
    Some((Box::new(writer), call))
}

/// The first item with which the answer begins as a stream; how the call can be made again is put aside.
async fn beginning(
    messages: &mut QueueReceiver<CallOutputItem>,
    repeatable: &mut Option<CallOutputItem>,
) -> Option<CallOutputItem> {
    loop {
        let item = messages.recv().await?;
        if item.begins_stream() {
            return Some(item);
        }
        *repeatable = Some(item);
    }
}

/// Goes on with a call that another edge has begun; its client reads the stream.
pub(crate) async fn take_over(call: Box<RecordedCall>, taken: TakenCall) {
    let CallRecorder {
        calls, sessions, ..
    } = call.recorder.clone();
    let name = Arc::clone(&call.name);
    let keeper = StreamKeeper::new((calls, sessions), name, taken.request.clone());
    let mut writer = CallWriter {
        keeper: keeper.taken(taken.lease, taken.through),
        name: Arc::clone(&call.name),
        live: None,
        has_id: true,
        rights: call.rights.clone(),
        made_for: taken.made_for,
        repeatable: Some(taken.call),
    };
    // What the other edge stored may be old.
    Box::pin(writer.refresh(call.session)).await;
    Box::pin(Box::new(writer).run(call)).await;
}

/// Where a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallPlace {
    Here,
    /// On whichever edge its client comes back to.
    Elsewhere,
}

struct CallWriter {
    keeper: StreamKeeper,
    name: Arc<StreamName>,
    /// The client that is connected to this edge, while it is.
    live: Option<QueueSender<AnswerBytes>>,
    /// The client has been sent an id with which it can come back.
    has_id: bool,
    /// What the call may see, and saw.
    rights: PresentRights,
    /// What the entries so far say of the messages after them.
    made_for: Visibility,
    /// How another edge can go on with the call.
    repeatable: Option<Box<RepeatableCall>>,
}

impl CallWriter {
    async fn open(
        keeper: StreamKeeper,
        name: Arc<StreamName>,
        rights: PresentRights,
        (frames, repeatable): (QueueSender<AnswerBytes>, Option<CallOutputItem>),
    ) -> Self {
        let mut writer = Self {
            keeper: keeper.opened().await,
            name,
            live: Some(frames),
            has_id: false,
            rights,
            made_for: Visibility::all(),
            repeatable: None,
        };
        let id = writer.keeper.is_kept().then(|| writer.keeper.through());
        if id.is_some() {
            writer.keep_rights(false).await;
        }
        // Before the client has an id: with it, another edge makes the call again if this one is killed.
        if let Some(item) = repeatable {
            writer.write_item(item).await;
        }
        if let Some(id) = id {
            writer.send_id(id).await;
        }
        writer
    }

    async fn run(mut self: Box<Self>, mut call: Box<RecordedCall>) {
        let background = &call.recorder.background;
        let (draining, closed) = (background.draining(), background.closed());
        let mut edge_names = self.keeper.edge_names();
        // It may have changed before.
        Box::pin(self.keeper.claim_again()).await;
        // One timer for both.
        let mut refreshes_at = Instant::now() + CALL_REFRESH;
        let mut stores_at = Instant::now();
        let mut timer = Box::pin(sleep_until(refreshes_at));
        let (mut is_open, mut is_draining) = (true, false);
        let answer = loop {
            let wakes_at = match self.keeper.is_waiting() {
                true => stores_at.min(refreshes_at),
                false => refreshes_at,
            };
            if timer.deadline() != wakes_at {
                timer.as_mut().reset(wakes_at);
            }
            tokio::select! {
                biased;
                item = call.messages.recv(), if is_open => match item {
                    Some(item) => if Box::pin(self.write_item(item)).await == CallPlace::Elsewhere {
                        return Box::pin(self.keeper.release()).await;
                    },
                    None => is_open = false,
                },
                answer = &mut call.work => break answer,
                () = closed.cancelled() => break Some(stopped_answer(&call.request)),
                () = draining.cancelled(), if !is_draining => {
                    is_draining = true;
                    Box::pin(self.disconnect()).await;
                }
                Ok(()) = edge_names.changed() => Box::pin(self.keeper.claim_again()).await,
                () = &mut timer => if Instant::now() >= refreshes_at {
                    Box::pin(self.refresh(call.session)).await;
                    refreshes_at = Instant::now() + CALL_REFRESH;
                } else {
                    Box::pin(self.store_waiting()).await;
                    stores_at = Instant::now() + CALL_STORE_PAUSE;
                    if is_draining {
                        Box::pin(self.disconnect()).await;
                    }
                }
            }
            if self.keeper.is_elsewhere && self.repeatable.is_some() {
                // Another edge goes on with the call: this one did not run for a while.
                return;
            }
        };
        while let Some(item) = call.messages.try_recv() {
            if let Some(message) = item.into_message() {
                Box::pin(self.keep_and_send(message.into(), EntryKind::Message)).await;
            }
        }
        if let Some(answer) = answer {
            // Once more: a reader may begin after the earlier entry.
            Box::pin(self.keep_rights(true)).await;
            Box::pin(self.keep_and_send(answer.message, EntryKind::Answer)).await;
        }
        let Self { keeper, live, .. } = *self;
        Box::pin(keeper.finish(live, closed)).await;
    }

    async fn write_item(&mut self, item: CallOutputItem) -> CallPlace {
        match item {
            CallOutputItem::Message(message) => {
                self.keep_and_send(message.into(), EntryKind::Message).await;
            }
            // Who reads the stream elsewhere is told by the edge there.
            CallOutputItem::Progress(message) => {
                let frame = mcp::sse::message(None, &message);
                self.send_frame(frame.into()).await;
            }
            CallOutputItem::Repeatable(call) => {
                if self.repeatable.is_none() {
                    self.keep_repeatable(&call).await;
                    self.repeatable = Some(call);
                }
            }
            CallOutputItem::HandOver(refused) => {
                if self.hand_over().await {
                    return CallPlace::Elsewhere;
                }
                drop(refused);
            }
            CallOutputItem::Disconnect => self.disconnect().await,
        }
        CallPlace::Here
    }

    async fn keep_repeatable(&mut self, call: &RepeatableCall) {
        let entry = HiddenEntry::repeatable(call);
        self.keeper.keep(entry.into(), EntryKind::Hidden).await;
    }

    /// Lets go of the client and of the call, if the store has all that another edge needs.
    async fn hand_over(&mut self) -> bool {
        if self.repeatable.is_none() || !self.has_id || !self.keeper.is_kept() {
            return false;
        }
        self.keeper.announces = true;
        let entry = HiddenEntry::handed_over();
        if self
            .keeper
            .keep(entry.into(), EntryKind::Hidden)
            .await
            .is_none()
        {
            return false;
        }
        self.disconnect().await;
        true
    }

    /// Mailboxes keep a message for an hour and a session has a time without use, and a call may last for longer.
    async fn refresh(&mut self, session: SessionLife) {
        // An edge that finds the session gone cancels the call.
        let id = &self.name.session;
        let _ = self.keeper.sessions().touch_served(id, session).await;
        let Some(call) = self.repeatable.clone() else {
            return;
        };
        self.keeper.keep_head().await;
        self.keep_rights(true).await;
        self.keep_repeatable(&call).await;
        if self.keeper.is_kept() {
            self.send_id(self.keeper.through()).await;
        }
    }

    /// Stores under which rights the following messages are made, for the edge that resumes the stream.
    /// Without this entry, they may show everything.
    async fn keep_rights(&mut self, again: bool) {
        let made_for = self.rights.last();
        let is_told = made_for == self.made_for && (!again || made_for.is_all());
        if !is_told {
            let entry = HiddenEntry::rights(&made_for);
            self.made_for = made_for;
            self.keeper.keep(entry.into(), EntryKind::Hidden).await;
        }
    }

    /// Stored first, then sent. What cannot be stored now is sent without an id.
    async fn keep_and_send(&mut self, message: AnswerBytes, kind: EntryKind) {
        self.keep_rights(false).await;
        let frame = match self.keeper.keep(message.clone(), kind).await {
            Some(sequence) => message.map(|message| self.name.frame(sequence, message)),
            None => message.map(|message| mcp::sse::message(None, message)),
        };
        self.send_frame(frame).await;
    }

    /// Stores what waits; a client that is connected learns from where on it can come back.
    async fn store_waiting(&mut self) {
        self.keeper.store_waiting().await;
        if self.keeper.is_kept() {
            self.send_id(self.keeper.through()).await;
        }
    }

    async fn send_id(&mut self, sequence: Sequence) {
        self.has_id = true;
        self.send_frame(self.name.priming(sequence).into()).await;
    }

    /// A client that reads too slowly is disconnected; it reconnects with the last id that it
    /// received. The call waits for one that cannot come back for the rest.
    async fn send_frame(&mut self, frame: AnswerBytes) {
        let Some(live) = &self.live else {
            return;
        };
        let comes_back = self.keeper.is_kept() || (self.has_id && self.keeper.is_waiting());
        let sent = match comes_back {
            true => live.try_send(frame).is_ok(),
            false => matches!(
                timeout(UNKEPT_CLIENT_WAIT, live.send(frame)).await,
                Ok(Ok(()))
            ),
        };
        if !sent {
            self.let_go();
        }
    }

    /// Closes the connection and not the stream: the client reconnects, to any edge. A stream that
    /// cannot be resumed stays connected.
    async fn disconnect(&mut self) {
        if self.keeper.is_kept() {
            let retry = Bytes::from(format!("retry: {RETRY_MILLIS}\n\n"));
            self.send_frame(retry.into()).await;
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        self.live = None;
        self.keeper.announces = true;
    }
}
