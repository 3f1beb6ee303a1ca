//! `/mcp`: every revision on one URL. HTTP in, a decision of the crate `mcp`, HTTP out.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use mcp::{
    Decision, Incoming, ProtocolVersion, Refusal, RequestId, RpcError,
    answer::Answer,
    classify,
    dispatch::{
        HandshakeBody, HandshakeMessage, InitializeRequest, LogLevel, ModernRequest, Resume,
    },
    envelope,
    handshake::initialize_result,
    headers::Accepts,
    method,
};
use model::{Session, SessionId, TraceContext};
use ports::Classified;
use serde::Deserialize;
use serde_json::value::RawValue;
use service_kit::trace::Trace;
use tokio::time::timeout;

use super::{
    authenticate::{Authenticated, json_rpc},
    exchange, sse,
};
use crate::{
    auth::{Permission, Principal},
    error::EdgeError,
    limits::BODY_DEADLINE,
    protocol::{
        Caller, call, handshake,
        listen::{Listening, NotListening, listen},
        outlet::Outlet,
        rpc_error,
    },
    service::Edge,
    session::{NewSession, open_stream},
};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Seconds after which a client may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Serves the MCP endpoint.
pub(crate) async fn endpoint(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    trace: Option<Trace>,
    request: Request,
) -> Response {
    if let Err(denied) = principal.require(Permission::Read) {
        return json_rpc(denied);
    }
    let (parts, body) = request.into_parts();
    let body = match parts.method {
        Method::POST => match read(body, edge.max_body_bytes).await {
            Ok(body) => Some(body),
            Err(refusal) => return refuse(&refusal),
        },
        _ => None,
    };
    let trace = trace.map(|Trace(trace)| trace);
    let (method, headers) = (&parts.method, &parts.headers);
    serve(&edge, principal, trace, method, headers, body.as_deref()).await
}

/// Answers what is known to come from `principal`; also for messages that came another way.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    principal: Arc<Principal>,
    trace: Option<TraceContext>,
    method: &Method,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Response {
    let decision = classify(&edge.surface, method, headers, body);
    let serving = Serving {
        edge,
        principal,
        trace,
    };
    let answer = match decision {
        Decision::Modern(request) => Ok(serving.modern(request).await),
        Decision::Initialize(request) => serving.initialize(request).await,
        Decision::Handshake(message) => serving.message(message).await,
        Decision::OpenStream { session, resume } => serving.stream(&session, &resume).await,
        Decision::EndSession { session } => serving.end(&session).await,
        Decision::Accepted => Ok(StatusCode::ACCEPTED.into_response()),
        Decision::Refuse(refusal) => Ok(refuse(&refusal)),
    };
    answer.unwrap_or_else(|error| unavailable(&error, None))
}

/// Reads a body within its bounds of size and time.
async fn read(body: Body, max_body_bytes: usize) -> Result<Bytes, Refusal> {
    let limited = Limited::new(body, max_body_bytes).collect();
    match timeout(BODY_DEADLINE, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::too_large())
        }
        Ok(Err(_)) => Err(Refusal::invalid_request("the body broke off")),
        Err(_) => {
            let error = RpcError::new(
                envelope::ErrorCode::InvalidRequest,
                "the body took too long",
            );
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

struct Serving<'a> {
    edge: &'a Arc<Edge>,
    principal: Arc<Principal>,
    trace: Option<TraceContext>,
}

impl Serving<'_> {
    async fn modern(&self, request: ModernRequest) -> Response {
        if request.method == method::LISTEN {
            let params = request.params.as_deref();
            return self.listen(request.version, &request.id, params).await;
        }
        let (outlet, messages) =
            Outlet::new(request.meta.progress_token.clone(), request.meta.log_level);
        let caller = Caller {
            edge: Arc::clone(self.edge),
            principal: Arc::clone(&self.principal),
            version: request.version,
            session: None,
            trace: request.meta.trace.or(self.trace),
            outlet,
        };
        let accepts = request.accepts;
        let work = async move {
            let params = request.params.as_deref();
            match call(&caller, &request.id, &request.method, params).await {
                Ok(message) => message,
                Err(error) => envelope::error(Some(&request.id), &error),
            }
        };
        exchange::answer(accepts, Box::pin(work), messages).await
    }

    async fn listen(
        &self,
        version: ProtocolVersion,
        id: &RequestId,
        params: Option<&RawValue>,
    ) -> Response {
        match listen(self.edge, &self.principal, version, id, params).await {
            Ok(Listening::Stream(body)) => sse::answer(body),
            Ok(Listening::Nothing(frames)) => sse::whole(frames),
            Err(NotListening::Params(error)) => json(envelope::error(Some(id), &error)),
            Err(NotListening::Edge(error)) => unavailable(&error, Some(id)),
        }
    }

    /// The session is in the store before its id is in the answer.
    async fn initialize(&self, request: InitializeRequest) -> Result<Response, EdgeError> {
        let new = NewSession {
            owner: self.principal.id.clone(),
            protocol_version: request.version.as_str().to_owned(),
            client_info: request.client_info,
            client_capabilities: request.capabilities.into_value(),
        };
        let session = match self.edge.sessions.create(new).await {
            Ok(session) => session,
            Err(error) => return Ok(unavailable(&error, Some(&request.id))),
        };
        let body = initialize_result(request.version, &self.edge.profile);
        let message =
            Answer::new(request.version, &self.edge.profile.info, &body).encode(&request.id);
        let mut response = json_or_sse(request.accepts, message);
        let id = HeaderValue::from_str(session.id.as_str()).expect("a session id is a token");
        response.headers_mut().insert(SESSION_ID, id);
        Ok(response)
    }

    async fn message(&self, message: HandshakeMessage) -> Result<Response, EdgeError> {
        let loaded = self
            .edge
            .sessions
            .load(&message.session, &self.principal.id)
            .await?;
        let Some(session) = loaded.map(|found| found.session) else {
            return Ok(refuse(&Refusal::session_not_found()));
        };
        let Some(version) = ProtocolVersion::parse(&session.protocol_version) else {
            return Ok(refuse(&Refusal::session_not_found()));
        };
        if let Err(refusal) = message.admit(version) {
            return Ok(refuse(&refusal));
        }
        let caller = |outlet| Caller {
            edge: Arc::clone(self.edge),
            principal: Arc::clone(&self.principal),
            version,
            session: Some(Arc::new(session.clone())),
            trace: self.trace,
            outlet,
        };
        let quiet = message.wants_no_answer();
        let accepts = message.accepts;
        let silent = || caller(Outlet::new(None, None).0);
        let answer = match message.body {
            HandshakeBody::One(Incoming::Request(request)) => {
                return self.request(accepts, &session, request, caller).await;
            }
            HandshakeBody::One(one) => handshake::message(&silent(), one).await?,
            HandshakeBody::Batch(batch) => batch_answer(&silent(), batch).await?,
        };
        Ok(match answer {
            Some(answer) if !quiet => json_or_sse(accepts, answer),
            _ => StatusCode::ACCEPTED.into_response(),
        })
    }

    /// A request of a session. A tool's work is a task of its own: the client may hang up, and the work
    /// goes on (MCP 2025-11-25, Streamable HTTP, "Sending Messages to the Server").
    async fn request(
        &self,
        accepts: Accepts,
        session: &Session,
        request: envelope::Request,
        caller: impl FnOnce(Outlet) -> Caller,
    ) -> Result<Response, EdgeError> {
        let token = progress_token(request.params.as_deref());
        let (outlet, messages) = Outlet::new(token, Some(log_level(session)));
        let caller = caller(outlet);
        let works_long = request.method == method::TOOLS_CALL;
        let id = request.id.clone();
        let work = async move {
            match handshake::message(&caller, Incoming::Request(request)).await {
                Ok(message) => Ok(message.unwrap_or_default()),
                Err(error) => Err(error),
            }
        };
        if !works_long {
            return Ok(json_or_sse(accepts, work.await?));
        }
        let failed = envelope::error(Some(&id), &RpcError::internal());
        let work = async move {
            match work.await {
                Ok(message) => message,
                Err(error) => envelope::error(Some(&id), &rpc_error(&error)),
            }
        };
        let task = self.edge.spawn(work);
        let work = Box::pin(async move { task.await.unwrap_or(failed) });
        Ok(exchange::answer(accepts, work, messages).await)
    }

    async fn stream(&self, session: &SessionId, resume: &Resume) -> Result<Response, EdgeError> {
        let last = match resume {
            Resume::Fresh => None,
            Resume::After(id) => Some(id.as_str()),
            Resume::Unreadable => Some("unreadable"),
        };
        let (sessions, hub) = (&self.edge.sessions, &self.edge.hub);
        let body = open_stream(sessions, hub, &self.principal, session, last).await?;
        Ok(match body {
            Some(body) => sse::answer(body),
            None => refuse(&Refusal::session_not_found()),
        })
    }

    async fn end(&self, session: &SessionId) -> Result<Response, EdgeError> {
        let ended = self.edge.sessions.end(session, &self.principal.id).await?;
        Ok(match ended {
            true => StatusCode::NO_CONTENT.into_response(),
            false => refuse(&Refusal::session_not_found()),
        })
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

/// The lowest level that the session wants; it gets everything unless it said otherwise.
fn log_level(session: &Session) -> LogLevel {
    let named = session.log_level.clone().map(serde_json::Value::String);
    named
        .and_then(|level| serde_json::from_value(level).ok())
        .unwrap_or(LogLevel::Debug)
}

/// Batches exist in 2025-03-26 only; each message is answered as if it came alone.
async fn batch_answer(
    caller: &Caller,
    batch: Vec<Result<mcp::Incoming, envelope::Rejected>>,
) -> Result<Option<Bytes>, EdgeError> {
    let mut answers = BytesMut::new();
    for message in batch {
        let answer = match message {
            Ok(message) => handshake::message(caller, message).await?,
            Err(rejected) => Some(envelope::error(rejected.id(), &rejected.error())),
        };
        if let Some(answer) = answer {
            answers.put_u8(if answers.is_empty() { b'[' } else { b',' });
            answers.put_slice(&answer);
        }
    }
    if answers.is_empty() {
        return Ok(None);
    }
    answers.put_u8(b']');
    Ok(Some(answers.freeze()))
}

fn json(message: Bytes) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], message).into_response()
}

/// JSON where the client takes it; a client that takes SSE only gets a stream of one message.
pub(super) fn json_or_sse(accepts: Accepts, message: Bytes) -> Response {
    if accepts.json {
        json(message)
    } else {
        sse::whole(mcp::sse::message(None, &message))
    }
}

pub(super) fn refuse(refusal: &Refusal) -> Response {
    let mut response = json(refusal.body());
    *response.status_mut() = refusal.status;
    if let Some(allow) = refusal.allow {
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// A part of us does not answer, or a bound is reached: 503 with a JSON-RPC body and Retry-After.
pub(super) fn unavailable(error: &EdgeError, id: Option<&RequestId>) -> Response {
    if let EdgeError::Denied(denied) = error {
        return json_rpc(*denied);
    }
    if matches!(error, EdgeError::SessionGone) {
        return refuse(&Refusal::session_not_found());
    }
    let mut response = json(envelope::error(id, &rpc_error(error)));
    *response.status_mut() = if error.class().is_retryable() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    if error.class().is_retryable() {
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
