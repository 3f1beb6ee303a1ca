//! `POST /mcp/stream`: messages as lines, in both directions, on one connection.
//!
//! An adapter to [`mcp`](super::mcp): each line gets the headers that it would have as a POST of
//! its own, and the response, JSON or SSE, becomes lines. The connection keeps the state that an
//! HTTP client would keep: the session of its `initialize`, and the stream of that session. It ends
//! when the client closes it, when its token is revoked and when the edge drains. A session that it
//! opened ends with it, because no other client knows its id.

use std::{collections::HashMap, sync::Arc};

use ::mcp::{
    HttpRefusal, Incoming, RequestId, RpcError,
    envelope::{self, ErrorCode, MessageBody},
    headers::{self, content_type, is_json},
    line::{
        LineContext, LineHeaders, LineKind, LineSession, OpenRequests, ServerMessageKind, compact,
    },
    method,
    ndjson::{JsonLine, line},
    sse::{SseBlock, SseStreamParser},
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use mcp_server::{RateClass, cpu_turns::in_turns};
use model::TraceContext;
use parking_lot::Mutex;
use service_kit::{
    bodies::{BodyRefusal, BodySender, HeldBody},
    trace::Trace,
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    answers::{body_error, json_rpc, refuse, sender, unavailable},
    authenticate::Authenticated,
    mcp::serve,
    sse::STREAM_CACHE_CONTROL,
};
use crate::{
    answer_budget::AnswerBytes,
    edge::Edge,
    error::EdgeError,
    limits::{LAST_WORDS_WAIT, LINE_CONNECTIONS, LINES_IN_FLIGHT},
};
use access::{Permission, Principal, SharedPlace, SharedPlaces};

mod body;
mod call;
mod input;
mod queue;
mod running;
mod stream;

use call::LineCall;
use input::{HeldLine, LineInput};

/// Media types accepted for lines, beside those of JSON.
const LINES: [&str; 8] = [
    "application/x-ndjson",
    "application/ndjson",
    "text/x-ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/jsonlines",
    "application/json-lines",
    "application/stream+json",
];

/// The limit on concurrent NDJSON connections.
#[derive(Clone)]
pub(crate) struct LineConnectionLimit(Arc<SharedPlaces>);

/// A limit that admits the maximum number of connections of an edge.
pub(crate) fn connection_limit() -> Extension<LineConnectionLimit> {
    Extension(LineConnectionLimit(SharedPlaces::new(LINE_CONNECTIONS)))
}

/// Serves a connection of lines.
pub(crate) async fn endpoint(
    State(edge): State<Arc<Edge>>,
    Extension(LineConnectionLimit(room)): Extension<LineConnectionLimit>,
    Authenticated(principal): Authenticated,
    trace: Option<Trace>,
    request: Request,
) -> Response {
    if let Err(denied) = principal.require(Permission::Read) {
        return json_rpc(denied);
    }
    let (parts, input) = request.into_parts();
    if parts.method != Method::POST {
        let error = RpcError::new(ErrorCode::InvalidRequest, "lines are sent with POST");
        let mut refusal = HttpRefusal::new(StatusCode::METHOD_NOT_ALLOWED, error);
        refusal.allow = Some("POST");
        return refuse(&refusal);
    }
    if !has_lines(&parts.headers) {
        let text = "the body has to be application/x-ndjson";
        let error = RpcError::new(ErrorCode::InvalidRequest, text);
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return refuse(&HttpRefusal::new(status, error));
    }
    if let Err(limited) = edge.admit(&principal) {
        return unavailable(limited.into(), None);
    }
    let place = match room.take(&principal.id) {
        Ok(place) => place,
        Err(refused) => return unavailable(EdgeError::TooManyLineConnections(refused), None),
    };
    let (out, queue) = queue::line_queue(edge.lines.hold(&principal.id));
    let mut known = LineContext::default();
    let session = parts
        .headers
        .get(headers::SESSION_ID)
        .map(|id| LineSession {
            id: Some(id.clone()),
            version: parts.headers.get(headers::PROTOCOL_VERSION).cloned(),
        });
    let is_open = session.is_some();
    known.set_session(session);
    for tool in edge.registry.tools().descriptors() {
        known.learn_tool(tool.name(), tool.param_headers().to_vec());
    }
    let sender = sender(&principal, &parts);
    let shared = ConnectionState {
        edge: Arc::clone(&edge),
        sender,
        principal,
        trace: trace.map(|Trace(trace)| trace),
        known: Mutex::new(known),
        own: Mutex::default(),
        running: Mutex::default(),
        revoked: CancellationToken::new(),
        out,
    };
    // Not awaited: it watches the drain, the token and the client itself.
    drop(
        edge.background
            .spawn(LineConnection::new(shared, is_open, place).run(input)),
    );
    let mut response = Response::new(Body::new(body::LineBody::new(queue)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES[0]));
    headers.insert(header::CACHE_CONTROL, STREAM_CACHE_CONTROL);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn has_lines(headers: &HeaderMap) -> bool {
    let is_lines = |kind: String| LINES.contains(&kind.as_str());
    content_type(headers).is_some_and(is_lines) || is_json(headers)
}

/// The state shared by the lines of a connection.
struct ConnectionState {
    edge: Arc<Edge>,
    principal: Arc<Principal>,
    trace: Option<TraceContext>,
    sender: BodySender,
    known: Mutex<LineContext>,
    /// The session that this connection opened.
    own: Mutex<Option<LineSession>>,
    running: Mutex<HashMap<RequestId, (LineKind, CancellationToken)>>,
    /// The token is no longer valid: what is owed is answered with that.
    revoked: CancellationToken,
    out: queue::LineSender,
}

struct LineConnection {
    shared: Arc<ConnectionState>,
    exchanges: JoinSet<()>,
    /// The stream of the session.
    stream: JoinSet<()>,
    _place: SharedPlace,
}

impl LineConnection {
    fn new(shared: ConnectionState, is_open: bool, place: SharedPlace) -> Self {
        let mut connection = Self {
            shared: Arc::new(shared),
            exchanges: JoinSet::new(),
            stream: JoinSet::new(),
            _place: place,
        };
        if is_open {
            connection.open_stream();
        }
        connection
    }

    async fn run(mut self, input: Body) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            () = self.lines(input) => {}
            () = shared.out.closed() => debug!("the client closed its NDJSON connection"),
            () = shared.token_revoked() => {
                debug!("the token of an NDJSON connection was revoked");
                self.fail_running().await;
            }
        }
        self.exchanges.shutdown().await;
        self.stream.shutdown().await;
        let own = shared.own.lock().take();
        if let Some(own) = own {
            shared.serve(&Method::DELETE, own.headers(), None).await;
        }
    }

    /// Gives the requests that run an answer, for as long as the client reads.
    async fn fail_running(&mut self) {
        let (shared, exchanges) = (Arc::clone(&self.shared), &mut self.exchanges);
        shared.revoked.cancel();
        let answered = async { while exchanges.join_next().await.is_some() {} };
        tokio::select! {
            () = answered => {}
            () = shared.out.closed() => {}
            () = sleep(LAST_WORDS_WAIT) => {}
        }
    }

    /// Reads lines until the input ends, then waits for the requests that still run.
    async fn lines(&mut self, mut body: Body) {
        let edge = &self.shared.edge;
        let draining = edge.background.draining();
        let mut input = LineInput::new(Arc::clone(&edge.bodies), self.shared.sender.clone());
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = draining.cancelled() => break,
                refusal = input.given_up() => return self.refuse_line(refusal).await,
            };
            let Some(Ok(frame)) = frame else {
                break;
            };
            let bytes = frame.data_ref().cloned().unwrap_or_default();
            match input.feed(&bytes).await {
                Ok(lines) => {
                    for line in lines {
                        self.handle_line(line).await;
                    }
                }
                Err(refusal) => return self.refuse_line(refusal).await,
            }
        }
        if !draining.is_cancelled()
            && let Some(line) = input.finish()
        {
            self.handle_line(line).await;
        }
        self.finish_requests().await;
    }

    /// The rest of the input cannot be read; the requests before it are answered.
    async fn refuse_line(&mut self, refusal: BodyRefusal) {
        self.shared.edge.bodies.count_refusal(refusal);
        let error = match refusal {
            BodyRefusal::TimedOut { .. } => {
                RpcError::new(ErrorCode::InvalidRequest, "the line took too long")
            }
            refusal => body_error(refusal),
        };
        self.shared.error(None, &error).await;
        self.finish_requests().await;
    }

    async fn finish_requests(&mut self) {
        while self.exchanges.join_next().await.is_some() {}
    }

    /// Requests run concurrently; a message that has to keep its place in the order is awaited.
    async fn handle_line(&mut self, (line, memory): HeldLine) {
        let shared = &self.shared;
        let line = match line {
            Ok(line) => line,
            Err(rejected) => return shared.error(rejected.id(), &rejected.error()).await,
        };
        if shared.cancel(&line.body) {
            return;
        }
        let head = {
            let mut known = shared.known.lock();
            let head = LineHeaders::of(&line.body, &known);
            known.remember_version(&head);
            head
        };
        let owed = OpenRequests::of(&line.body);
        let cancel = CancellationToken::new();
        if !shared.register_call(&owed, head.kind, &cancel) {
            let error = RpcError::new(
                ErrorCode::InvalidRequest,
                "a request with this id is running already",
            );
            return shared.error(owed.ids().first(), &error).await;
        }
        let JsonLine { text, body } = line;
        let is_initialized = matches!(&body,
            MessageBody::One(Incoming::Notification(n)) if n.method == method::INITIALIZED);
        let lists_tools = matches!(&body,
            MessageBody::One(Incoming::Request(request)) if request.method == method::TOOLS_LIST);
        // The text is read again; neither of the two lives as long as the call.
        drop(body);
        // A message that opens a session or needs no answer is handled before the next line.
        let in_order = head.kind == LineKind::Initialize || owed.is_empty();
        let call = LineCall {
            body: Some(HeldBody {
                bytes: text,
                share: memory,
            }),
            lists_tools,
            head,
            owed,
        };
        if !in_order {
            while self.exchanges.len() >= LINES_IN_FLIGHT {
                self.exchanges.join_next().await;
            }
            let shared = Arc::clone(&self.shared);
            self.exchanges
                .spawn(in_turns(shared.exchange(call, cancel)));
            while self.exchanges.try_join_next().is_some() {}
            return;
        }
        let accepted = Arc::clone(shared).exchange(call, cancel);
        accepted.await;
        if is_initialized {
            self.open_stream();
        }
    }

    /// Opens the stream of the current session, in place of an older one.
    fn open_stream(&mut self) {
        let Some(session) = self.shared.known.lock().session().cloned() else {
            return;
        };
        self.stream.abort_all();
        let shared = Arc::clone(&self.shared);
        // Not in turns: what it brings are events.
        self.stream.spawn(async move {
            shared.follow(&session).await;
        });
    }
}

impl ConnectionState {
    async fn serve(
        &self,
        method: &Method,
        mut headers: HeaderMap,
        body: Option<HeldBody>,
    ) -> Response {
        const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, BOTH);
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let principal = Arc::clone(&self.principal);
        serve(&self.edge, principal, self.trace, method, &headers, body).await
    }

    async fn exchange(self: Arc<Self>, mut call: LineCall, cancel: CancellationToken) {
        let ids = call.owed.ids().to_vec();
        let work = async {
            let admitted = self.edge.rates.admit(&self.principal.id, RateClass::Memory);
            if let Err(limited) = admitted {
                for message in call.owed.fail(&limited.into_rpc()) {
                    self.write_line(&message).await;
                }
                return;
            }
            let headers = call.head.headers.clone();
            let body = call.body.take();
            let response = self.serve(&Method::POST, headers, body).await;
            self.forward(response, &mut call).await;
        };
        let is_cancelled = tokio::select! {
            () = work => false,
            () = self.revoked.cancelled() => false,
            () = cancel.cancelled() => true,
        };
        if !is_cancelled {
            let error = match self.principal.is_valid() {
                true => RpcError::internal(),
                false => {
                    let text = "the token is no longer valid";
                    RpcError::new(ErrorCode::InvalidRequest, text)
                }
            };
            for message in call.owed.fail(&error) {
                self.write_line(&message).await;
            }
        }
        let mut running = self.running.lock();
        for id in &ids {
            running.remove(id);
        }
    }

    /// Turns an answer into lines.
    async fn forward(&self, response: Response, call: &mut LineCall) {
        let (parts, body) = response.into_parts();
        let opened = parts.headers.get(headers::SESSION_ID);
        let kind = parts.headers.get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            return self.events(body, opened, call).await;
        }
        // Our own answers are bounded, and their content is in memory already.
        let Ok(answer) = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
        else {
            return;
        };
        if parts.status == StatusCode::ACCEPTED || answer.is_empty() {
            return;
        }
        let mut answered = call.owed.ids().to_vec();
        if let Some(answer) = call.owed.register_json(&answer) {
            answered.retain(|id| !call.owed.ids().contains(id));
            self.remember_answer(call, opened, &answer).await;
            self.write_answer(&answered, answer).await;
        }
    }

    async fn events(&self, mut body: Body, opened: Option<&HeaderValue>, call: &mut LineCall) {
        let mut parser = SseStreamParser::default();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let Ok(blocks) = parser.feed(&chunk) else {
                return;
            };
            for block in blocks {
                let SseBlock::Frame(frame) = block else {
                    continue;
                };
                let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                    continue;
                };
                let message = compact(&data);
                match call.owed.register(&message) {
                    ServerMessageKind::Answer(id) => {
                        self.remember_answer(call, opened, &message).await;
                        self.write_answer(&[id], message).await;
                    }
                    ServerMessageKind::Other => {
                        if self.write_message(&message).await.is_err() {
                            // Without its messages the call could wait for an answer to one of them.
                            return self.fail_for_room(call).await;
                        }
                    }
                }
            }
        }
    }

    /// Remembers the parts of an answer that later lines need, before the client can send those
    /// lines.
    async fn remember_answer(&self, call: &LineCall, opened: Option<&HeaderValue>, answer: &[u8]) {
        match call.head.kind {
            LineKind::Initialize => {
                let Some(session) = LineSession::opened(opened, answer) else {
                    return;
                };
                self.known.lock().set_session(Some(session.clone()));
                let before = self.own.lock().replace(session);
                if let Some(before) = before {
                    self.serve(&Method::DELETE, before.headers(), None).await;
                }
            }
            LineKind::Stateless if call.lists_tools => {
                self.known.lock().learn_tools(answer);
            }
            _ => {}
        }
    }

    async fn error(&self, id: Option<&RequestId>, error: &RpcError) {
        self.write_line(&envelope::error(id, error)).await;
    }

    /// Writes an error or a notice. Waits while the client does not read; once the client has gone, the line
    /// is dropped.
    async fn write_line(&self, message: &[u8]) {
        self.out.send_notice(line(message).into()).await;
    }

    /// As [`Self::write_line`], for messages of any size.
    ///
    /// # Errors
    /// There is no room for what clients do not read.
    async fn write_message(&self, message: &[u8]) -> Result<(), queue::NoLineRoom> {
        self.out.send(line(message).into()).await
    }

    async fn fail_for_room(&self, call: &mut LineCall) {
        let error = RpcError::from(EdgeError::AnswersFull);
        for message in call.owed.fail(&error) {
            self.write_line(&message).await;
        }
    }

    /// Writes the answer to these requests, or an error for each if there is no room in the budget of answers:
    /// the answer waits here as long as the client does not read.
    async fn write_answer(&self, ids: &[RequestId], answer: Bytes) {
        let admitted = self.edge.answers.admit(&self.principal.id, answer.len());
        let written = match admitted.await {
            Ok(permit) => {
                let answer = AnswerBytes::new(answer, permit);
                let sent = self.out.send(answer.map(|answer| line(answer))).await;
                sent.map_err(|_| EdgeError::AnswersFull)
            }
            Err(full) => Err(full),
        };
        if let Err(full) = written {
            let error = RpcError::from(full);
            for id in ids {
                self.error(Some(id), &error).await;
            }
        }
    }

    async fn token_revoked(&self) {
        let mut revoked = self.edge.auth.revoked();
        while self.principal.is_valid() {
            if revoked.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
