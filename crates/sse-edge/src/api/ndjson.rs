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
    envelope::{ErrorCode, MessageBody},
    headers::{self, content_type, is_json},
    line::{LineContext, LineHeaders, LineKind, LineSession, OpenRequests},
    method,
    ndjson::JsonLine,
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use mcp_server::cpu_turns::in_turns;
use model::TraceContext;
use parking_lot::Mutex;
use service_kit::{
    bodies::{BodyRefusal, BodySender, HeldBody},
    http::StreamingAnswer,
    trace::Trace,
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    answers::{body_error, json_rpc, refuse, sender, unavailable},
    authenticate::Authenticated,
    sse::STREAM_CACHE_CONTROL,
};
use crate::{
    edge::Edge,
    error::EdgeError,
    limits::{LAST_WORDS_WAIT, LINE_CONNECTIONS, LINES_IN_FLIGHT},
};
use access::{AuthError, Permission, Principal, SharedPlace, SharedPlaces};

mod body;
mod call;
mod exchange;
mod input;
mod queue;
mod running;
mod stream;

use call::LineCall;
use input::{HeldLine, LineInput};
use running::RunningLine;

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
    response.extensions_mut().insert(StreamingAnswer);
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
    /// Of the token as it was when the connection opened. What is sent later acts with its present rights.
    principal: Arc<Principal>,
    trace: Option<TraceContext>,
    sender: BodySender,
    known: Mutex<LineContext>,
    /// The session that this connection opened.
    own: Mutex<Option<LineSession>>,
    running: Mutex<HashMap<RequestId, RunningLine>>,
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
                .spawn(in_turns(Box::pin(shared.exchange(call, cancel))));
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
    /// The principal with the rights that its token has now.
    fn present(&self) -> Result<Arc<Principal>, AuthError> {
        let present = self.principal.present()?;
        present.require(Permission::Read)?;
        Ok(present)
    }

    async fn token_revoked(&self) {
        let mut revoked = self.edge.auth.revoked();
        while self.present().is_ok() {
            if revoked.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
