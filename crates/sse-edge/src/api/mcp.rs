//! `/mcp`: all revisions on one URL. Turns HTTP into a decision of the crate `mcp`, and the
//! decision into HTTP.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use mcp::{
    Decision, HttpRefusal, Incoming, ProtocolVersion,
    answer::VersionedResult,
    classify,
    dispatch::{HandshakeBody, HandshakeMessage, InitializeRequest, ModernRequest, Resume},
    envelope,
    handshake::initialize_result,
    method, mrtr,
};
use mcp_server::{
    Caller,
    ask::Ask,
    call_metrics::CallOutcome,
    caller::CallClient,
    offered_tools::{OfferedTools, ToolChoice},
    output::CallOutput,
};
use model::{Sequence, Session, SessionId};
use service_kit::{bodies::HeldBody, trace::Trace};

use super::{
    answers::{body_refusal, json, json_or_sse, json_rpc, read, refuse, unavailable},
    authenticate::Authenticated,
    batch,
    conversation::Conversation,
    exchange::{self, AnswerSource, ExchangeParts, StreamedFrames},
    sse,
};
use crate::{
    calls::{asking::AskByRetry, resume::follow, stream_name::StreamName},
    edge::Edge,
    error::EdgeError,
    methods::{
        again::CallInHand,
        call, handshake,
        listen::{ListenError, ListenResponse, listen},
    },
    request_line::{RequestLine, RequestRoute},
    session::{NewSession, open_stream},
};
use access::{Permission, PresentRights, Principal};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

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
        Method::POST => match read(&edge, &principal, &parts, body).await {
            Ok(body) => Some(body),
            Err(refusal) => return refuse(&body_refusal(refusal)),
        },
        _ => None,
    };
    let (method, headers) = (&parts.method, &parts.headers);
    let line = RequestLine {
        route: match *method {
            Method::POST => RequestRoute::McpPost,
            _ => RequestRoute::McpGet,
        },
        trace: trace.map(|Trace(trace)| trace),
    };
    serve(&edge, principal, line, method, headers, body).await
}

/// Answers a request of `principal`; also for messages that arrived on another route. The body is dropped
/// before the answer is worked on.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    principal: Arc<Principal>,
    line: RequestLine,
    method: &Method,
    headers: &HeaderMap,
    body: Option<HeldBody>,
) -> Response {
    let choice = ToolChoice::of(headers).filter(|_| *method == Method::POST);
    let offered = choice.map(|choice| edge.registry.tools().offered(&choice));
    let offered = match offered.transpose() {
        Ok(offered) => offered.unwrap_or_default(),
        Err(unknown) => {
            let refusal = HttpRefusal::new(StatusCode::BAD_REQUEST, unknown.into());
            return refuse(&refusal);
        }
    };
    let bytes = body.as_ref().map(|body| &*body.bytes);
    let decision = classify(&edge.surface, method, headers, bytes);
    // What a call keeps of it has bounds of its own.
    drop(body);
    let context = McpRequest {
        edge,
        principal,
        line,
        offered,
    };
    let answer = match decision {
        Decision::Modern(request) => Ok(context.modern(request).await),
        Decision::Initialize(request) => context.initialize(request).await,
        Decision::Handshake(message) => Ok(context.message(message).await),
        Decision::OpenStream { session, resume } => context.stream(&session, &resume).await,
        Decision::EndSession { session } => context.end(&session).await,
        Decision::Accepted => Ok(StatusCode::ACCEPTED.into_response()),
        Decision::Refuse(refusal) => Ok(refuse(&refusal)),
    };
    answer.unwrap_or_else(|error| unavailable(error, None))
}

struct McpRequest<'a> {
    edge: &'a Arc<Edge>,
    principal: Arc<Principal>,
    line: RequestLine,
    offered: OfferedTools,
}

impl McpRequest<'_> {
    async fn modern(&self, request: ModernRequest) -> Response {
        if request.method == method::LISTEN {
            return self.listen(&request).await;
        }
        let (method, params) = (request.method.as_str(), request.params.as_deref());
        let asking: Option<Arc<dyn Ask>> = if mrtr::is_supported(method) {
            let keys = &self.edge.retry_keys;
            match AskByRetry::new(keys, &self.principal.id, method, params) {
                Ok(asking) => Some(Arc::new(asking)),
                Err(error) => return json(envelope::error(Some(&request.id), &error)),
            }
        } else {
            None
        };
        let meta = request.meta;
        let accepts = request.accepts;
        // A client that takes JSON alone is shown nothing before its answer, whatever it asks for.
        let token = meta.progress_token.filter(|_| accepts.sse);
        let (output, messages) = CallOutput::new(token, meta.log_level);
        let metrics = &self.edge.call_metrics;
        let observed =
            Box::new(metrics.begin(method, request.version, self.line.trace, meta.trace));
        let trace = observed.trace();
        let client = CallClient {
            session: None,
            capabilities: meta.capabilities,
            param_headers: request.param_headers,
            asking,
        };
        let caller = self
            .edge
            .caller(&self.principal, request.version, client, trace, output);
        let (method, params) = (request.method, request.params);
        let in_hand = CallInHand {
            caller: Caller {
                // What is left of it then is with the connection, which has to be a stream.
                parks: accepts.sse,
                offered: self.offered.clone(),
                ..caller
            },
            edge: Arc::clone(self.edge),
            id: request.id,
            running: None,
            line: self.line,
        };
        let work = async move {
            let CallInHand {
                edge, caller, id, ..
            } = &in_hand;
            let call = call(edge, caller, id, &method, params);
            let came = observed.observe(call).await;
            // A wait has no room for that.
            Box::pin(in_hand.end(Ok(came))).await
        };
        let parts = ExchangeParts {
            wheel: &self.edge.wheel,
            accepts,
            line: self.line,
        };
        exchange::answer(parts, Box::pin(work), messages).await
    }

    async fn listen(&self, request: &ModernRequest) -> Response {
        let (id, params) = (&request.id, request.params.as_deref());
        let client = (&request.meta.capabilities, request.meta.has_channels);
        let metrics = &self.edge.call_metrics;
        let meta = request.meta.trace;
        let observed = metrics.begin(method::LISTEN, request.version, self.line.trace, meta);
        let listening = listen(
            self.edge,
            &self.principal,
            client,
            request.version,
            id,
            params,
        );
        let (outcome, response) = match observed.within(listening).await {
            Ok(ListenResponse::Stream(feed)) => (CallOutcome::Answered, sse::stream(*feed)),
            Ok(ListenResponse::Empty(frames)) => (CallOutcome::Answered, sse::whole(frames)),
            Err(ListenError::Refused(refusal)) => {
                (CallOutcome::Refused, refuse(&refusal.for_request(id)))
            }
            Err(ListenError::Edge(error)) => {
                let outcome = match error.is_refusal() {
                    true => CallOutcome::Refused,
                    false => CallOutcome::Failed,
                };
                (outcome, unavailable(error, Some(id)))
            }
        };
        observed.finish(outcome);
        response
    }

    /// The session is in the store before its id is in the answer.
    async fn initialize(&self, request: InitializeRequest) -> Result<Response, EdgeError> {
        let metrics = &self.edge.call_metrics;
        let observed = metrics.begin(method::INITIALIZE, request.version, self.line.trace, None);
        let response = observed.within(self.create_session(request)).await;
        observed.finish(match &response {
            Ok(response) if response.status().is_success() => CallOutcome::Answered,
            Ok(response) if response.status().is_client_error() => CallOutcome::Refused,
            _ => CallOutcome::Failed,
        });
        response
    }

    async fn create_session(&self, request: InitializeRequest) -> Result<Response, EdgeError> {
        if let Err(limited) = self.edge.admit(&self.principal) {
            return Ok(unavailable(limited.into(), Some(&request.id)));
        }
        let new = NewSession {
            owner: self.principal.id.clone(),
            protocol_version: request.version.as_str().to_owned(),
            client_info: request.client_info,
            client_capabilities: request.capabilities.into_value(),
            ends_with_stream: false,
            is_connection: false,
            reader_sees: None,
        };
        let session = match self.edge.sessions.create(new).await {
            Ok(session) => session,
            Err(error) => return Ok(unavailable(error, Some(&request.id))),
        };
        let body = initialize_result(request.version, self.edge.registry.profile());
        let message = VersionedResult::new(request.version, &self.edge.server_info, &body)
            .encode(&request.id);
        let mut response = json_or_sse(request.accepts, message);
        let id = HeaderValue::from_str(session.id.as_str()).expect("a session id is a token");
        response.headers_mut().insert(SESSION_ID, id);
        Ok(response)
    }

    async fn message(&self, message: HandshakeMessage) -> Response {
        let id = match &message.body {
            HandshakeBody::One(Incoming::Request(request)) => Some(request.id.clone()),
            _ => None,
        };
        let answer = self.answer_message(message).await;
        answer.unwrap_or_else(|error| unavailable(error, id.as_ref()))
    }

    async fn answer_message(&self, message: HandshakeMessage) -> Result<Response, EdgeError> {
        self.edge.admit_message(&self.principal, &message.session)?;
        let loaded = self
            .edge
            .sessions
            .find(&message.session, &self.principal.id)
            .await?;
        let Some(session) = loaded.map(|found| found.session) else {
            return Ok(refuse(&HttpRefusal::session_not_found()));
        };
        let Some(conversation) = self.conversation(Arc::new(session)) else {
            return Ok(refuse(&HttpRefusal::session_not_found()));
        };
        if let Err(refusal) = message.admit(conversation.version) {
            return Ok(refuse(&refusal));
        }
        let sessions = &self.edge.sessions;
        let session = &*conversation.session;
        if !sessions.touch_served(&session.id, session).await? {
            return Ok(refuse(&HttpRefusal::session_not_found()));
        }
        let accepts = message.accepts;
        match message.body {
            HandshakeBody::One(Incoming::Request(request)) => {
                conversation.request(accepts, request).await
            }
            HandshakeBody::One(one) => {
                handshake::message(self.edge, &conversation.silent(), one).await?;
                Ok(StatusCode::ACCEPTED.into_response())
            }
            HandshakeBody::Batch(batch) => batch::answer(&conversation, accepts, batch).await,
        }
    }

    /// The session with who uses it now; `None` if this version does not speak its revision.
    fn conversation(&self, session: Arc<Session>) -> Option<Conversation> {
        Some(Conversation {
            edge: Arc::clone(self.edge),
            principal: Arc::clone(&self.principal),
            version: ProtocolVersion::parse(&session.protocol_version)?,
            session,
            line: self.line,
            offered: self.offered.clone(),
        })
    }

    async fn stream(&self, session: &SessionId, resume: &Resume) -> Result<Response, EdgeError> {
        self.edge.admit(&self.principal)?;
        if let Resume::After(id) = resume
            && let keys = self.edge.hub.started_keys()?
            && let Ok(cursor) = keys.open_stream(id, &self.principal.id, session)
            && let Some(name) =
                StreamName::resumed(keys, &self.principal.id, session, cursor.stream)
        {
            return self.resume_call(name, cursor.sequence).await;
        }
        let last = match resume {
            Resume::Fresh => None,
            Resume::After(id) => Some(id.as_str()),
            Resume::Unreadable => Some("unreadable"),
        };
        let (sessions, hub) = (&self.edge.sessions, &self.edge.hub);
        let feed = open_stream(sessions, hub, &self.principal, session, last).await?;
        Ok(match feed {
            Some(feed) => sse::stream(feed),
            None => refuse(&HttpRefusal::session_not_found()),
        })
    }

    /// Resumes the answer to a POST, on whichever edge its call runs.
    async fn resume_call(&self, name: StreamName, after: Sequence) -> Result<Response, EdgeError> {
        let (edge, principal) = (self.edge, &self.principal.id);
        let found = edge.sessions.load(&name.session, principal).await?;
        let session = found.map(|found| Arc::new(found.session));
        let Some(conversation) = session.and_then(|session| self.conversation(session)) else {
            return Ok(refuse(&HttpRefusal::session_not_found()));
        };
        let place = edge.hub.take_stream_place(principal)?;
        let frames = follow(
            (&edge.calls, &edge.hub, &edge.answers),
            Arc::clone(&edge.clock),
            (edge.background.draining(), place),
            name,
            PresentRights::new(Arc::clone(&self.principal)),
            after,
            Box::new(conversation),
        );
        Ok(match frames.await {
            Some(frames) => {
                let frames = StreamedFrames(Box::pin(frames));
                sse::answer(AnswerSource::new(frames, &edge.wheel))
            }
            None => refuse(&HttpRefusal::session_not_found()),
        })
    }

    async fn end(&self, session: &SessionId) -> Result<Response, EdgeError> {
        self.edge.admit_message(&self.principal, session)?;
        let ended = self.edge.sessions.end(session, &self.principal.id).await?;
        Ok(match ended {
            true => StatusCode::NO_CONTENT.into_response(),
            false => refuse(&HttpRefusal::session_not_found()),
        })
    }
}
