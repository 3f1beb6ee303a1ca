//! The answer to one POST as a stream that survives its connection (MCP 2025-11-25, Streamable
//! HTTP, "Resumability and Redelivery"): each message of the call is stored in the session's
//! mailbox first and then sent to the client, with an id from which any edge can continue.
//!
//! A call that answers soon, without a message before, is answered in plain JSON and uses no
//! mailbox.

use std::{future::ready, sync::Arc};

use access::{PresentRights, Visibility};
use bytes::Bytes;
use fanout::limits::RETRY_MILLIS;
use mcp::RequestId;
use mcp_server::{
    item_queue::{QueueReceiver, QueueSender, item_queue},
    output::CallOutputItem,
    repeatable::RepeatableCall,
};
use model::Sequence;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::{
    CallAnswer, Calls,
    continuation::TakenCall,
    hidden::HiddenEntry,
    keeping::StreamKeeper,
    parked::{CallWork, ParkedCall, WorkEnd},
    parked_sessions::ParkedSessions,
    stream_name::StreamName,
    unanswered::stopped_answer,
    unstored::EntryKind,
};
use crate::{
    answer_budget::AnswerBytes,
    background::Background,
    limits::{
        CALL_REFRESH, CALL_STORE_PAUSE, PARKED_CHECK_INTERVAL, STREAM_AFTER, UNKEPT_CLIENT_WAIT,
        WAITING_FRAMES,
    },
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
    /// Where a call goes that waits.
    pub(crate) parked: ParkedSessions,
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
    pub(crate) work: CallWork,
}

/// Runs the call to its end, even if no client listens. What was needed for its beginning is not kept while it waits.
pub(crate) async fn record(call: Box<RecordedCall>, begun: oneshot::Sender<FirstResponse>) {
    if let Some((writer, call)) = Box::pin(begin(call, begun)).await {
        Box::pin(writer.run(call)).await;
    }
}

/// What a call began its stream with.
struct Beginning {
    first: Option<CallOutputItem>,
    repeatable: Option<Arc<RepeatableCall>>,
}

/// Waits until the answer begins; `None` if that is all of it.
async fn begin(
    mut call: Box<RecordedCall>,
    begun: oneshot::Sender<FirstResponse>,
) -> Option<(Box<CallWriter>, Box<RecordedCall>)> {
    let beginning = match beginning(&mut call).await {
        Ok(beginning) => beginning,
        Err(response) => {
            let _ = begun.send(response);
            return None;
        }
    };
    let (frames, stream) = item_queue(WAITING_FRAMES);
    let CallRecorder {
        calls, sessions, ..
    } = call.recorder.clone();
    let name = Arc::clone(&call.name);
    let keeper = StreamKeeper::new((calls, sessions), name, call.request.clone());
    let name = Arc::clone(&call.name);
    let opened = (frames, beginning.repeatable);
    let opening = CallWriter::open(keeper, name, call.rights.clone(), opened);
    let mut writer = opening.await;
    let _ = begun.send(FirstResponse::Stream(stream));
    if let Some(item) = beginning.first {
        writer.write_item(item).await;
    }
    Some((Box::new(writer), call))
}

/// The first item with which the answer begins as a stream, if not with silence; or the whole response.
async fn beginning(call: &mut RecordedCall) -> Result<Beginning, FirstResponse> {
    let silent_until = Instant::now() + STREAM_AFTER;
    let with = |first| Beginning {
        first,
        repeatable: None,
    };
    loop {
        tokio::select! {
            biased;
            item = call.messages.recv() => return Ok(with(item)),
            end = &mut call.work => match (call.messages.try_recv(), end) {
                (_, WorkEnd::Cancelled) => return Err(FirstResponse::Cancelled),
                (None, WorkEnd::Answered(answer)) => return Err(FirstResponse::Answer(answer)),
                // An item was sent immediately before the answer.
                (Some(item), end) => {
                    call.work = Box::pin(ready(end));
                    return Ok(with(Some(item)));
                }
                (None, WorkEnd::Waits(mut parked)) => {
                    // A client that does not ask for progress may have its answer without a stream.
                    if parked.reports() || timeout_at(silent_until, parked.due()).await.is_err() {
                        let repeatable = Some(parked.call());
                        call.work = Box::pin(ready(WorkEnd::Waits(parked)));
                        return Ok(Beginning { first: None, repeatable });
                    }
                    (call.work, call.messages) = parked.again();
                }
            },
            () = sleep_until(silent_until) => return Ok(with(None)),
        }
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
        is_handing_over: false,
        rights: call.rights.clone(),
        made_for: taken.made_for,
        repeatable: Some(Arc::from(taken.call)),
    };
    // What the other edge stored may be old.
    Box::pin(writer.refresh(call.session)).await;
    Box::pin(Box::new(writer).run(call)).await;
}

/// The writer of the stream of one call.
pub(super) struct CallWriter {
    keeper: StreamKeeper,
    name: Arc<StreamName>,
    /// The client that is connected to this edge, while it is.
    live: Option<QueueSender<AnswerBytes>>,
    /// The client has been sent an id with which it can come back.
    has_id: bool,
    /// The stream says, or is about to say, that the call can be made again: whoever has an id from here on has the answer.
    is_handing_over: bool,
    /// What the call may see, and saw.
    rights: PresentRights,
    /// What the entries so far say of the messages after them.
    made_for: Visibility,
    /// How another edge can go on with the call.
    repeatable: Option<Arc<RepeatableCall>>,
}

impl CallWriter {
    async fn open(
        keeper: StreamKeeper,
        name: Arc<StreamName>,
        rights: PresentRights,
        (frames, repeatable): (QueueSender<AnswerBytes>, Option<Arc<RepeatableCall>>),
    ) -> Self {
        let mut writer = Self {
            keeper: keeper.opened().await,
            name,
            live: Some(frames),
            has_id: false,
            is_handing_over: false,
            rights,
            made_for: Visibility::all(),
            repeatable: None,
        };
        let id = writer.keeper.is_kept().then(|| writer.keeper.through());
        if id.is_some() {
            writer.keep_rights(false).await;
        }
        // Before the client has an id: with it, another edge makes the call again if this one is killed.
        if let Some(call) = repeatable {
            writer.keep_repeatable(&call).await;
            writer.repeatable = Some(call);
        }
        if let Some(id) = id {
            writer.send_id(id).await;
        }
        writer
    }

    /// Writes the stream until the call is over, waits, or goes on elsewhere.
    pub(super) async fn run(mut self: Box<Self>, mut call: Box<RecordedCall>) {
        let background = &call.recorder.background;
        let (draining, closed) = (background.draining(), background.closed());
        let mut edge_names = self.keeper.edge_names();
        // It may have changed before.
        Box::pin(self.keeper.claim_again()).await;
        if self.is_elsewhere() {
            return;
        }
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
                    Some(item) => Box::pin(self.write_item(item)).await,
                    None => is_open = false,
                },
                end = &mut call.work => match end {
                    WorkEnd::Answered(answer) => break Some(answer),
                    WorkEnd::Cancelled => break None,
                    WorkEnd::Waits(parked) => match Box::pin(self.parks(&parked)).await {
                        true => {
                            let (parked_sessions, session) = (call.recorder.parked.clone(), call.session);
                            drop(call);
                            return parked_sessions.park(self, parked, session);
                        }
                        // The stores take nothing now: what is to be stored waits here, and so does the call.
                        false => {
                            let (work, messages) = within_the_call(parked);
                            (call.work, call.messages, is_open) = (work, messages, true);
                        }
                    },
                },
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
            if self.is_elsewhere() {
                return;
            }
        };
        while let Some(item) = call.messages.try_recv() {
            if let Some(message) = item.into_message() {
                Box::pin(self.keep_and_send(message.into(), EntryKind::Message)).await;
            }
        }
        if let Some(answer) = answer {
            let is_draining = draining.is_cancelled();
            let Some(answer) = Box::pin(self.hand_out(answer, is_draining)).await else {
                return;
            };
            // Once more: a reader may begin after the earlier entry.
            Box::pin(self.keep_rights(true)).await;
            Box::pin(self.keep_and_send(answer.message, EntryKind::Answer)).await;
        }
        let Self { keeper, live, .. } = *self;
        Box::pin(keeper.finish(live, closed)).await;
    }

    /// Whether another edge goes on with the call: this one did not run for a while.
    fn is_elsewhere(&self) -> bool {
        self.keeper.is_elsewhere && self.repeatable.is_some()
    }

    /// Gives the answer to the client that is connected, where it needs no store: who does not get it comes back, and
    /// the call is made again. Returns the answer if it has to be stored.
    async fn hand_out(&mut self, answer: CallAnswer, is_draining: bool) -> Option<CallAnswer> {
        let is_connected = self.live.as_ref().is_some_and(|live| !live.is_closed());
        let can_come_back = self.repeatable.is_some() && self.has_id && self.keeper.is_kept();
        // The answer of an edge that stops says how far the call was.
        if !is_connected || !can_come_back || is_draining {
            return Some(answer);
        }
        self.is_handing_over = true;
        let entry = HiddenEntry::handed_over();
        let kept = self.keeper.keep(entry.into(), EntryKind::Hidden).await;
        let Some(sequence) = kept else {
            return Some(answer);
        };
        // A client that comes back with this id has its answer.
        let frame = answer
            .message
            .map(|message| self.name.frame(sequence, message));
        self.send_frame(frame).await;
        self.let_go();
        self.keeper.announce().await;
        self.keeper.release().await;
        None
    }

    /// Whether nothing is left to do for a call but to wait. What another edge needs is stored first.
    async fn parks(&mut self, parked: &ParkedCall) -> bool {
        if self.repeatable.is_none() {
            let call = parked.call();
            self.keep_repeatable(&call).await;
            self.repeatable = Some(call);
        }
        self.keeper.is_kept()
    }

    async fn write_item(&mut self, item: CallOutputItem) {
        match item {
            CallOutputItem::Message(message) => {
                self.keep_and_send(message.into(), EntryKind::Message).await;
            }
            // Who reads the stream elsewhere is told by the edge there.
            CallOutputItem::Progress(message) => {
                let frame = mcp::sse::message(None, &message);
                self.send_frame(frame.into()).await;
            }
            CallOutputItem::Disconnect => self.disconnect().await,
        }
    }

    /// Tells the client that is connected how far the call is. One that does not read is let go.
    pub(super) fn report(&mut self, progress: impl FnOnce() -> Option<Bytes>) {
        if let Some(live) = &self.live
            && let Some(frame) = progress()
            && live.try_send(frame.into()).is_err()
        {
            self.let_go();
        }
    }

    pub(super) fn name(&self) -> &Arc<StreamName> {
        &self.name
    }

    /// Whether the client has gone: neither the connection that began the call is open, nor does one read its stream on
    /// this edge. One that reads it on another edge has the call made again there.
    pub(super) fn is_left(&self) -> bool {
        let is_connected = |live: &QueueSender<AnswerBytes>| !live.is_closed();
        !self.live.as_ref().is_some_and(is_connected) && !self.keeper.is_read()
    }

    /// Says again that this edge runs the call, whose lease is another one; false if another edge runs it.
    pub(super) async fn claim_again(&mut self) -> bool {
        self.keeper.claim_again().await;
        !self.keeper.is_elsewhere
    }

    async fn keep_repeatable(&mut self, call: &RepeatableCall) {
        let entry = HiddenEntry::repeatable(call);
        self.keeper.keep(entry.into(), EntryKind::Hidden).await;
    }

    /// Lets go of the client and of the call, if the store has all that another edge needs.
    pub(super) async fn hand_over(&mut self) -> bool {
        if self.repeatable.is_none() || !self.has_id || !self.keeper.is_kept() {
            return false;
        }
        self.keeper.announces = true;
        self.is_handing_over = true;
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
        self.keeper.release().await;
        true
    }

    /// Mailboxes keep a message for an hour and a session has a time without use, and a call may last for longer.
    pub(super) async fn refresh(&mut self, session: SessionLife) {
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
        if self.is_handing_over {
            return;
        }
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

/// The work of a call that waits in its own task, because the stores do not have what another edge needs.
fn within_the_call(mut parked: Box<ParkedCall>) -> (CallWork, QueueReceiver<CallOutputItem>) {
    let (reports, messages) = item_queue(1);
    let work = async move {
        while timeout(PARKED_CHECK_INTERVAL, parked.due()).await.is_err() {
            let progress = parked.progress_message();
            progress.map(|message| reports.try_send(CallOutputItem::Progress(message)));
        }
        parked.again().0.await
    };
    (Box::pin(work), messages)
}
