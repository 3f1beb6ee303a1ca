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
    envelope::{self, ErrorCode, InvalidMessage, MessageBody},
    headers::{self, content_type, is_json},
    line::{
        LineContext, LineHeaders, LineKind, LineSession, OpenRequests, ServerMessageKind, compact,
    },
    method,
    ndjson::{JsonLine, LineReader, line},
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
use model::TraceContext;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use service_kit::trace::Trace;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    answers::{refuse, unavailable},
    authenticate::{Authenticated, json_rpc},
    mcp::serve,
    sse::STREAM_CACHE_CONTROL,
};
use crate::{
    edge::Edge,
    error::EdgeError,
    limits::{BODY_DEADLINE, LINE_CONNECTIONS, LINES_IN_FLIGHT, LINES_QUEUED},
};
use access::{Permission, Principal, SharedPlace, SharedPlaces};

mod body;
mod stream;

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
    let place = match room.take(&principal.id) {
        Ok(place) => place,
        Err(refused) => return unavailable(EdgeError::TooManyLineConnections(refused), None),
    };
    let (out, queue) = mpsc::channel(LINES_QUEUED);
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
    let shared = ConnectionState {
        edge: Arc::clone(&edge),
        principal,
        trace: trace.map(|Trace(trace)| trace),
        known: Mutex::new(known),
        own: Mutex::default(),
        running: Mutex::default(),
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
    known: Mutex<LineContext>,
    /// The session that this connection opened.
    own: Mutex<Option<LineSession>>,
    running: Mutex<HashMap<RequestId, (LineKind, CancellationToken)>>,
    out: mpsc::Sender<Bytes>,
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
            () = shared.token_revoked() => debug!("the token of an NDJSON connection was revoked"),
        }
        self.exchanges.shutdown().await;
        self.stream.shutdown().await;
        let own = shared.own.lock().take();
        if let Some(own) = own {
            shared.serve(&Method::DELETE, own.headers(), None).await;
        }
    }

    /// Reads lines until the input ends, then waits for the requests that still run.
    async fn lines(&mut self, mut input: Body) {
        let draining = self.shared.edge.background.draining();
        let mut reader = LineReader::default();
        let mut begun: Option<Instant> = None;
        loop {
            let too_slow = async {
                match begun {
                    Some(begun) => sleep_until(begun + BODY_DEADLINE).await,
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                frame = input.frame() => frame,
                () = draining.cancelled() => None,
                () = too_slow => {
                    let text = "the line took too long";
                    let error = RpcError::new(ErrorCode::InvalidRequest, text);
                    self.shared.error(None, &error).await;
                    reader = LineReader::default();
                    None
                }
            };
            let Some(Ok(frame)) = frame else {
                break;
            };
            let bytes = frame.data_ref().cloned().unwrap_or_default();
            for line in reader.feed(&bytes) {
                self.handle_line(line).await;
                begun = None;
            }
            begun = match reader.is_within_line() {
                true => begun.or_else(|| Some(Instant::now())),
                false => None,
            };
        }
        if !draining.is_cancelled()
            && let Some(line) = reader.finish()
        {
            self.handle_line(line).await;
        }
        while self.exchanges.join_next().await.is_some() {}
    }

    /// Requests run concurrently; a message that has to keep its place in the order is awaited.
    async fn handle_line(&mut self, line: Result<JsonLine, InvalidMessage>) {
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
        let is_initialized = matches!(&line.body,
            MessageBody::One(Incoming::Notification(n)) if n.method == method::INITIALIZED);
        // A message that opens a session or needs no answer is handled before the next line.
        let in_order = head.kind == LineKind::Initialize || owed.is_empty();
        let call = LineCall { line, head, owed };
        if !in_order {
            while self.exchanges.len() >= LINES_IN_FLIGHT {
                self.exchanges.join_next().await;
            }
            let shared = Arc::clone(&self.shared);
            self.exchanges.spawn(shared.exchange(call, cancel));
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
        self.stream.spawn(async move {
            shared.follow(&session).await;
        });
    }
}

/// A registered line.
struct LineCall {
    line: JsonLine,
    head: LineHeaders,
    owed: OpenRequests,
}

impl LineCall {
    /// No request: all messages are only forwarded.
    fn none() -> Self {
        Self {
            line: JsonLine {
                text: Bytes::new(),
                body: MessageBody::Batch(Vec::new()),
            },
            head: LineHeaders {
                kind: LineKind::Session,
                headers: HeaderMap::new(),
            },
            owed: OpenRequests::default(),
        }
    }
}

impl ConnectionState {
    async fn serve(
        &self,
        method: &Method,
        mut headers: HeaderMap,
        body: Option<&[u8]>,
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
            let headers = call.head.headers.clone();
            let text = call.line.text.clone();
            let response = self.serve(&Method::POST, headers, Some(&text)).await;
            self.forward(response, &mut call).await;
            for message in call.owed.fail(&RpcError::internal()) {
                self.write_line(&message).await;
            }
        };
        cancel.run_until_cancelled(work).await;
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
        if let Some(answer) = call.owed.register_json(&answer) {
            self.remember_answer(call, opened, &answer).await;
            self.write_line(&answer).await;
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
                if call.owed.register(&message) != ServerMessageKind::Other {
                    self.remember_answer(call, opened, &message).await;
                }
                self.write_line(&message).await;
            }
        }
    }

    /// Remembers the parts of an answer that later lines need, before the client can send those
    /// lines.
    async fn remember_answer(&self, call: &LineCall, opened: Option<&HeaderValue>, answer: &[u8]) {
        match (&call.line.body, call.head.kind) {
            (_, LineKind::Initialize) => {
                let Some(session) = LineSession::opened(opened, answer) else {
                    return;
                };
                self.known.lock().set_session(Some(session.clone()));
                let before = self.own.lock().replace(session);
                if let Some(before) = before {
                    self.serve(&Method::DELETE, before.headers(), None).await;
                }
            }
            (MessageBody::One(Incoming::Request(request)), LineKind::Stateless)
                if request.method == method::TOOLS_LIST =>
            {
                self.known.lock().learn_tools(answer);
            }
            _ => {}
        }
    }

    /// Registers requests as running; `false` if one of their ids is in use.
    fn register_call(
        &self,
        owed: &OpenRequests,
        kind: LineKind,
        cancel: &CancellationToken,
    ) -> bool {
        let mut running = self.running.lock();
        if owed.ids().iter().any(|id| running.contains_key(id)) {
            return false;
        }
        for id in owed.ids() {
            running.insert(id.clone(), (kind, cancel.clone()));
        }
        true
    }

    /// In the stateless era the end of a request's stream cancels it. A line has no stream of its
    /// own, so `notifications/cancelled` does that. `true` if the message was one.
    fn cancel(&self, message: &MessageBody) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            request_id: &'a RawValue,
        }
        let MessageBody::One(Incoming::Notification(notification)) = message else {
            return false;
        };
        let params = notification.params.as_deref().map_or("", RawValue::get);
        let named: Option<Params<'_>> = serde_json::from_str(params).ok();
        let id = named.and_then(|params| RequestId::from_raw(params.request_id));
        let (true, Some(id)) = (notification.method == method::CANCELLED, id) else {
            return false;
        };
        match self.running.lock().get(&id) {
            Some((LineKind::Stateless, cancel)) => {
                cancel.cancel();
                true
            }
            _ => false,
        }
    }

    async fn error(&self, id: Option<&RequestId>, error: &RpcError) {
        self.write_line(&envelope::error(id, error)).await;
    }

    /// Waits while the client does not read; once the client has gone, the line is dropped.
    async fn write_line(&self, message: &[u8]) {
        let _ = self.out.send(line(message)).await;
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
