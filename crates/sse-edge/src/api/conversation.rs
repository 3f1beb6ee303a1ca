//! Messages of a loaded session: how each is answered.

use std::{borrow::Cow, future::ready, sync::Arc};

use axum::response::Response;
use mcp::{
    Incoming, ProtocolVersion, RequestId, RpcError, capability::ClientCapabilities,
    envelope::RpcRequest, headers::AcceptedTypes, log::LogLevel, method, mrtr,
    tool::ToolDescriptor,
};
use mcp_server::{
    Caller,
    ask::Ask,
    caller::CallClient,
    item_queue::{QueueReceiver, item_queue},
    output::{CallOutput, CallOutputItem},
    repeatable::RepeatableCall,
};
use model::{Clock, CursorKeys, Session, SessionId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{sync::oneshot, time::Instant};

use super::{
    answers::{unavailable, within_budget},
    exchange::{self, ExchangeParts},
};
use crate::{
    calls::{
        CallAnswer,
        asking::AskOnStream,
        continuation::{GoOn, TakenCall},
        parked::{CallWork, WorkEnd},
        record::{RecordedCall, record, take_over},
        running::RunningCall,
        stream_name::StreamName,
    },
    edge::Edge,
    error::EdgeError,
    methods::{again::CallInHand, handshake},
    request_line::RequestLine,
    session::SessionLife,
};
use access::{PresentRights, Principal};
use mcp_server::offered_tools::OfferedTools;

/// A session and the principal that uses it.
pub(super) struct Conversation {
    pub(super) edge: Arc<Edge>,
    pub(super) principal: Arc<Principal>,
    pub(super) version: ProtocolVersion,
    pub(super) session: Arc<Session>,
    pub(super) line: RequestLine,
    /// The tools that the request asks for.
    pub(super) offered: OfferedTools,
}

impl Conversation {
    fn caller(&self, asking: Option<Arc<dyn Ask>>, output: CallOutput) -> Caller {
        let client = ClientCapabilities::from_value(self.session.client_capabilities.clone());
        let client = CallClient {
            session: Some(Arc::clone(&self.session)),
            capabilities: client.unwrap_or_default(),
            asking,
            ..CallClient::default()
        };
        let (principal, trace) = (&self.principal, self.line.trace);
        let caller = self
            .edge
            .caller(principal, self.version, client, trace, output);
        Caller {
            offered: self.offered.clone(),
            ..caller
        }
    }

    /// The caller of messages that send nothing before their answer.
    pub(super) fn silent(&self) -> Caller {
        self.caller(None, CallOutput::new(None, None).0)
    }

    /// Asks the client on the stream of its call; `None` on an edge that has just started and could not tell
    /// the answer from others.
    pub(super) fn on_stream(&self) -> Option<Arc<dyn Ask>> {
        Some(Arc::new(AskOnStream {
            calls: Arc::clone(&self.edge.calls),
            ids: Arc::clone(&self.edge.ids),
            keys: self.edge.hub.started_keys().ok()?,
            session: self.session.id.clone(),
        }))
    }

    /// Whether a request may be made again without a second effect.
    pub(super) fn changes_nothing(&self, request: &RpcRequest) -> bool {
        #[derive(Deserialize)]
        struct Call<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
        }
        if request.method != method::TOOLS_CALL {
            return true;
        }
        let params = request.params.as_deref().map_or("", RawValue::get);
        let tools = self.edge.registry.tools().descriptors();
        let called = serde_json::from_str::<Call<'_>>(params).ok();
        let called = called.and_then(|call| tools.iter().find(|tool| tool.name() == call.name));
        called.is_some_and(ToolDescriptor::is_read_only)
    }

    /// Answers a request. A call runs as a task of its own: the client may disconnect, and the call
    /// continues (MCP 2025-11-25, Streamable HTTP, "Sending Messages to the Server").
    pub(super) async fn request(
        &self,
        accepts: AcceptedTypes,
        request: RpcRequest,
    ) -> Result<Response, EdgeError> {
        let id = request.id.clone();
        if !mrtr::is_supported(&request.method) {
            let message = Incoming::Request(request);
            let answer = handshake::message(&self.edge, &self.silent(), message).await?;
            let answer = (Some(&id), answer.unwrap_or_default());
            let answer = within_budget(&self.edge, &self.principal.id, accepts, answer);
            return Ok(answer.await);
        }
        let asking = if accepts.sse { self.on_stream() } else { None };
        // Without ids until this edge follows the log: nobody could open them again.
        let has_ids = accepts.sse && self.version.has_priming();
        let keys = self.edge.hub.started_keys().ok().filter(|_| has_ids);
        // While a call waits, one that is recorded is with its session, and any other with its connection: once that is
        // gone, nobody could fetch its answer.
        let parks = accepts.sse;
        let adapted = |caller| Caller { parks, ..caller };
        let call = match self.begin(request, accepts.sse, asking, adapted) {
            Ok(call) => call,
            Err(error) => return Ok(unavailable(error, Some(&id))),
        };
        if let Some(keys) = keys {
            return Ok(self.recorded(accepts, id, (call, keys)).await);
        }
        let task = self.edge.background.spawn(call.work);
        let failed = CallAnswer::of(&id, Err(RpcError::internal().into()));
        let failed = WorkEnd::Answered(failed);
        let work = Box::pin(async move { task.await.unwrap_or(failed) });
        let parts = ExchangeParts {
            wheel: &self.edge.wheel,
            accepts,
            line: self.line,
        };
        Ok(exchange::answer(parts, work, call.messages).await)
    }

    async fn recorded(
        &self,
        accepts: AcceptedTypes,
        request: RequestId,
        (call, keys): (HandshakeCall, Arc<CursorKeys>),
    ) -> Response {
        let id = request.clone();
        let name = StreamName::of_call(keys, &self.principal.id, &call.session, &*self.edge.ids);
        let recorded = self.recorded_call(name, request, call);
        let (begun, beginning) = oneshot::channel();
        self.edge
            .background
            .start(self.line, record(recorded, begun));
        exchange::recorded_response(&self.edge.wheel, accepts, &id, beginning).await
    }

    fn recorded_call(
        &self,
        name: StreamName,
        request: RequestId,
        call: HandshakeCall,
    ) -> Box<RecordedCall> {
        Box::new(RecordedCall {
            recorder: self.edge.call_recorder(),
            name: Arc::new(name),
            session: SessionLife::from(&*self.session),
            rights: call.rights,
            request,
            messages: call.messages,
            work: call.work,
        })
    }

    /// A call that has not started; `waits_until` is the time at which its waits have to end, if there is one.
    ///
    /// # Errors
    /// Too many calls run already, or one with this id.
    pub(super) fn call(
        &self,
        request: RpcRequest,
        asking: Option<Arc<dyn Ask>>,
        waits_until: Option<Instant>,
    ) -> Result<HandshakeCall, EdgeError> {
        let with_end = |caller| Caller {
            waits_until,
            ..caller
        };
        self.begin(request, true, asking, with_end)
    }

    /// As [`Self::call`]; `shows_progress` says whether the client is shown anything before its answer.
    fn begin(
        &self,
        request: RpcRequest,
        shows_progress: bool,
        asking: Option<Arc<dyn Ask>>,
        adapted: impl FnOnce(Caller) -> Caller,
    ) -> Result<HandshakeCall, EdgeError> {
        // A wait is as long as its client can be shown that it goes on.
        let token = progress_token(request.params.as_deref()).filter(|_| shows_progress);
        let (output, messages) = CallOutput::new(token, Some(log_level(&self.session)));
        let caller = adapted(self.caller(asking, output));
        let running = &self.edge.calls.running;
        let bytes = kept_bytes(&self.session, &request);
        let running = running.begin(&self.session.id, &request.id, bytes)?;
        Ok(HandshakeCall {
            session: running.session.clone(),
            rights: caller.rights.clone(),
            work: Box::pin(run(self.in_hand(caller, &request, running), request)),
            messages,
        })
    }
}

impl Conversation {
    fn in_hand(&self, caller: Caller, request: &RpcRequest, running: RunningCall) -> CallInHand {
        CallInHand {
            edge: Arc::clone(&self.edge),
            caller,
            id: request.id.clone(),
            running: Some(running),
            line: self.line,
        }
    }
}

impl GoOn for Conversation {
    fn go_on(&self, taken: TakenCall) {
        let request = RpcRequest {
            id: taken.request.clone(),
            method: RepeatableCall::METHOD.to_owned(),
            params: Some(taken.call.params()),
        };
        self.edge.calls.metrics.taken_over.inc();
        let (since, began) = (taken.call.since, taken.call.began);
        let ran_before = self.edge.clock.now().since(began);
        let call = self.begin(request, true, None, |caller| Caller {
            since,
            began,
            ran_before,
            parks: true,
            ..caller
        });
        let call = call.unwrap_or_else(|error| HandshakeCall {
            session: self.session.id.clone(),
            rights: PresentRights::new(Arc::clone(&self.principal)),
            work: Box::pin(ready(WorkEnd::Answered(CallAnswer::of(
                &taken.request,
                Err(error.into()),
            )))),
            messages: item_queue(1).1,
        });
        let call = self.recorded_call(taken.name.clone(), taken.request.clone(), call);
        self.edge
            .background
            .start(self.line, take_over(call, taken));
    }
}

/// The work of a call, and the messages that it sends before it is done. It ends without an answer
/// only if the client cancels it.
pub(super) struct HandshakeCall {
    /// As its other calls have it.
    session: SessionId,
    /// What the call may see, and saw.
    pub(super) rights: PresentRights,
    pub(super) work: CallWork,
    pub(super) messages: QueueReceiver<CallOutputItem>,
}

/// The work of a call.
#[allow(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, for as long as a call waits that does not park"
)]
fn run(in_hand: CallInHand, request: RpcRequest) -> impl Future<Output = WorkEnd> + Send {
    async move {
        let CallInHand {
            edge,
            caller,
            running,
            ..
        } = &in_hand;
        let work = Box::pin(handshake::request(edge, caller, request));
        let came = match running {
            Some(running) => running.run(work).await,
            None => Ok(work.await),
        };
        Box::pin(in_hand.end(came)).await
    }
}

/// Bytes that a call keeps while it runs, as JSON.
fn kept_bytes(session: &Session, request: &RpcRequest) -> usize {
    let params = request
        .params
        .as_deref()
        .map_or(0, |params| params.get().len());
    let mut record = ByteCount(0);
    // A session is JSON in the store.
    let _ = serde_json::to_writer(&mut record, session);
    params + record.0
}

/// Counts what is written.
struct ByteCount(usize);

impl std::io::Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `_meta.progressToken` of the params.
fn progress_token(params: Option<&RawValue>) -> Option<RequestId> {
    #[derive(Default, Deserialize)]
    struct Params {
        #[serde(rename = "_meta", default)]
        meta: Meta,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        #[serde(default)]
        progress_token: Option<RequestId>,
    }
    let params: Params = serde_json::from_str(params?.get()).unwrap_or_default();
    params.meta.progress_token
}

/// The lowest log level that the session wants; all levels unless it set one.
fn log_level(session: &Session) -> LogLevel {
    let named = session.log_level.clone().map(serde_json::Value::String);
    named
        .and_then(|level| serde_json::from_value(level).ok())
        .unwrap_or(LogLevel::Debug)
}
