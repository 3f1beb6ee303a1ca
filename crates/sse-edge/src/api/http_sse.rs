//! HTTP+SSE (MCP 2024-11-05): `GET /sse` opens the session, `POST /messages` may reach any edge.
//!
//! The edge that receives a POST handles it and stores the answer in the session's mailbox; the
//! edge that holds the stream reads it from there. Nothing can be resumed: the session ends with
//! its stream.
//!
//! A principal may have several tokens, and the one that POSTs may see more than the one that reads the
//! stream. So the session says what its reader may see, and an answer that was made under wider rights is
//! withheld before it is stored. That is as good as asking when it is delivered: a stream ends when the
//! rights of its token change, and its session with it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use edge_records::PostedCallName;
use fanout::inbox::{MailStream, lost_notice};
use http::{HeaderMap, Method, StatusCode};
use mcp::{
    ErrorCode, HttpRefusal, Incoming, ProtocolVersion, RequestId, RpcError,
    answer::VersionedResult,
    dispatch::InitializeRequest,
    envelope::{self, RpcRequest},
    handshake::initialize_result,
    headers::AcceptedTypes,
    legacy, method, mrtr,
};
use model::{Classified, PostedCallId, Session, SessionId, error_chain};
use ports::{MailboxError, MailboxLimits};
use serde::Deserialize;
use serde_json::Value;
use service_kit::{bodies::HeldBody, trace::Trace};
use tokio::{sync::oneshot, time::Instant};
use tracing::warn;

use super::{
    answers::{body_refusal, json_rpc, read, refuse, unavailable},
    authenticate::Authenticated,
    conversation::{Conversation, HandshakeCall},
    event_source::way_back,
    sse,
};
use crate::{
    calls::{
        posted::{PostedCall, posted_news_name},
        unanswered::lost_edge_answer,
        withheld::shown_to,
    },
    edge::Edge,
    error::EdgeError,
    limits::{CALL_OUTCOME_PATIENCE, CALL_STORE_PAUSE},
    methods::handshake,
    request_line::{RequestLine, RequestRoute},
    session::{HttpSseParts, NewSession, open_legacy_stream, stored_rights},
};
use access::{Permission, Principal, Visibility};
use mcp_server::offered_tools::OfferedTools;

/// The path to which clients POST; relative, because they refuse an endpoint of another origin.
const MESSAGES: &str = "/messages";

/// `GET /sse`: creates a session and opens its stream, whose first event names the URL for POSTs. HEAD gets the head of
/// that answer and creates nothing. A page whose session finds no room is told to come back, because its
/// EventSource would give up for good.
pub(super) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = principal.require(Permission::Read) {
        return json_rpc(denied);
    }
    if !AcceptedTypes::read(&headers).sse {
        return refuse(&HttpRefusal::not_acceptable());
    }
    if method == Method::HEAD {
        return sse::head();
    }
    let opened = open(&edge, principal).await;
    opened.unwrap_or_else(|error| match way_back(&edge, &headers, &error) {
        Some(way_back) => way_back,
        None => unavailable(error, None),
    })
}

async fn open(edge: &Arc<Edge>, principal: Arc<Principal>) -> Result<Response, EdgeError> {
    edge.admit(&principal)?;
    let new = NewSession {
        owner: principal.id.clone(),
        protocol_version: ProtocolVersion::V2024_11_05.as_str().to_owned(),
        client_info: Value::Null,
        client_capabilities: Value::Object(serde_json::Map::new()),
        ends_with_stream: true,
        is_connection: false,
        reader_sees: stored_rights(&principal.sees),
    };
    let session = edge.sessions.create(new).await?;
    let end = EndSessionOnDrop {
        edge: Arc::clone(edge),
        session: session.id.clone(),
        principal: Arc::clone(&principal),
    };
    let endpoint = format!("{}{MESSAGES}", edge.base_path);
    let legacy = HttpSseParts {
        endpoint: legacy::endpoint_event(&endpoint, &session.id),
        on_close: Box::new(end),
    };
    let (sessions, hub) = (&edge.sessions, &edge.hub);
    let feed = open_legacy_stream(sessions, hub, &principal, &session.id, legacy).await?;
    Ok(sse::stream(feed.ok_or(EdgeError::SessionGone)?))
}

/// Ends the session when its stream is dropped.
struct EndSessionOnDrop {
    edge: Arc<Edge>,
    session: SessionId,
    principal: Arc<Principal>,
}

impl Drop for EndSessionOnDrop {
    fn drop(&mut self) {
        let edge = Arc::clone(&self.edge);
        let (session, principal) = (self.session.clone(), Arc::clone(&self.principal));
        drop(self.edge.background.spawn(async move {
            if let Err(error) = edge.sessions.end(&session, &principal.id).await {
                warn!(%error, %session, "a session outlives its stream until its idle time is over");
            }
        }));
    }
}

/// `POST /messages?sessionId=…`: one message, answered on the stream.
pub(super) async fn messages(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    trace: Option<Trace>,
    request: Request,
) -> Response {
    if let Err(denied) = principal.require(Permission::Read) {
        return json_rpc(denied);
    }
    let Some(id) = legacy::session_of(request.uri().query()) else {
        return refuse(&HttpRefusal::stream_session_not_found());
    };
    let (parts, body) = request.into_parts();
    let HeldBody { bytes, share } = match read(&edge, &principal, &parts, body).await {
        Ok(body) => body,
        Err(refusal) => return refuse(&body_refusal(refusal)),
    };
    let message = legacy::parse_message(&bytes);
    drop((bytes, share));
    let message = match message {
        Ok(message) => message,
        Err(rejected) => return refuse(&HttpRefusal::from_invalid_message(&rejected)),
    };
    if let Err(limited) = edge.admit_message(&principal, &id) {
        return unavailable(limited.into(), None);
    }
    let session = match edge.sessions.find(&id, &principal.id).await {
        Ok(found) => found.map(|found| found.session),
        Err(error) => return unavailable(error, None),
    };
    let Some(session) = session.filter(|session| session.ends_with_stream) else {
        return refuse(&HttpRefusal::stream_session_not_found());
    };
    match edge.sessions.touch_served(&session.id, &session).await {
        Ok(true) => {}
        Ok(false) => return refuse(&HttpRefusal::stream_session_not_found()),
        Err(error) => return unavailable(error, None),
    }
    let version = ProtocolVersion::parse(&session.protocol_version);
    let conversation = Conversation {
        edge,
        principal,
        version: version.unwrap_or(ProtocolVersion::V2024_11_05),
        session: Arc::new(session),
        line: RequestLine {
            route: RequestRoute::Messages,
            trace: trace.map(|Trace(trace)| trace),
        },
        offered: OfferedTools::default(),
    };
    match handle_message(&conversation, message).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(error) => unavailable(error, None),
    }
}

async fn handle_message(conversation: &Conversation, message: Incoming) -> Result<(), EdgeError> {
    let (edge, session) = (&conversation.edge, &conversation.session);
    match message {
        Incoming::Request(request) if request.method == method::INITIALIZE => {
            let answer = initialize(conversation, request).await?;
            append(edge, session, MailStream::Answers, answer).await
        }
        Incoming::Request(request) if mrtr::is_supported(&request.method) => {
            let id = request.id.clone();
            let lost = lost_edge_answer(&id, conversation.changes_nothing(&request));
            let call = conversation.call(request, conversation.on_stream(), None)?;
            let to = MailStream::Answers;
            let (edge, session) = (Arc::clone(edge), Arc::clone(session));
            let (begins, has_begun) = oneshot::channel();
            // Not in the request: if its client goes away, the call has to end in the store all the same.
            let relaying = async move {
                let posted = post(&edge, &session, to, lost.message.bytes().clone()).await;
                let _ = begins.send(());
                relay(&edge, &session, to, &id, (call, posted), Bytes::clone).await
            };
            drop(conversation.edge.background.spawn(relaying));
            let _ = has_begun.await;
            Ok(())
        }
        message => {
            let caller = conversation.silent();
            let answer = handshake::message(edge, &caller, message).await?;
            let made_for = caller.rights.last();
            match answer.and_then(|answer| shown_to_reader(session, &made_for, &answer)) {
                Some(answer) => append(edge, session, MailStream::Answers, answer).await,
                None => Ok(()),
            }
        }
    }
}

/// A message as the token that reads the session's stream may see it; `None` if nothing is left of it.
pub(super) fn shown_to_reader(
    session: &Session,
    made_for: &Visibility,
    message: &Bytes,
) -> Option<Bytes> {
    let reader = match &session.reader_sees {
        None => Visibility::all(),
        // What cannot be read, of a later version perhaps, allows nothing.
        Some(stored) => Visibility::deserialize(stored).unwrap_or_else(|_| Visibility::none()),
    };
    shown_to(&reader, made_for, message)
}

/// The session exists already; the client's description of itself is added.
pub(super) async fn initialize(
    conversation: &Conversation,
    request: RpcRequest,
) -> Result<Bytes, EdgeError> {
    let edge = &conversation.edge;
    let id = request.id.clone();
    let everything = AcceptedTypes {
        json: true,
        sse: true,
    };
    let asked = match InitializeRequest::read(request, everything) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(envelope::error(Some(&id), &refusal.error)),
    };
    let version = asked.version;
    let capabilities = asked.capabilities.into_value();
    let caller = conversation.silent();
    let changed = handshake::update(edge, &caller, |session| {
        version.as_str().clone_into(&mut session.protocol_version);
        session.client_info.clone_from(&asked.client_info);
        session.client_capabilities.clone_from(&capabilities);
    });
    changed.await?;
    let body = initialize_result(version, edge.registry.profile());
    Ok(VersionedResult::new(version, &edge.server_info, &body).encode(&id))
}

/// Says that this edge runs a call, whose answer goes to `to`; `lost` is what is stored there if this edge is killed.
pub(super) async fn post(
    edge: &Edge,
    session: &Session,
    to: MailStream,
    lost: Bytes,
) -> PostedCall {
    let name = PostedCallName {
        owner: session.owner.clone(),
        session: session.id.clone(),
        id: PostedCallId::new(&edge.ids.uuid()).expect("a UUID fits an id"),
    };
    let posted = PostedCall::begin(&edge.calls, name, (to, lost)).await;
    if !edge.hub.has_session(&session.id) {
        // The edge with the stream looks after the call.
        let name = posted_news_name();
        edge.sessions.announce_mail(&session.id, &name).await;
    }
    posted
}

/// Stores the messages of a call, and its answer in the form that `form` gives it, in a stream of the mailbox as
/// they arrive; returns the answer in that form, if it has one.
pub(super) async fn relay(
    edge: &Edge,
    session: &Session,
    to: MailStream,
    id: &RequestId,
    (mut call, mut posted): (HandshakeCall, PostedCall),
    form: impl Fn(&Bytes) -> Bytes,
) -> Option<Bytes> {
    let rights = call.rights.clone();
    let shown = |message: &Bytes| shown_to_reader(session, &rights.last(), message);
    let mut is_open = true;
    let answer = loop {
        tokio::select! {
            biased;
            item = call.messages.recv(), if is_open => match item {
                // The session would end with its stream, so the stream stays open.
                Some(item) => {
                    if let Some(message) = item.into_message().and_then(|message| shown(&message)) {
                        keep(edge, session, to, message, lost_notice).await;
                    }
                }
                None => is_open = false,
            },
            end = &mut call.work => break end.into_answer(),
            () = posted.is_due() => posted.say().await,
        }
    };
    while let Some(item) = call.messages.try_recv() {
        if let Some(message) = item.into_message().and_then(|message| shown(&message)) {
            keep(edge, session, to, message, lost_notice).await;
        }
    }
    let closed = edge.background.closed();
    if !posted.may_answer(&closed).await {
        return None;
    }
    let answer = answer.and_then(|answer| shown(answer.message.bytes()));
    let answer = answer.map(|answer| form(&answer));
    if let Some(answer) = &answer {
        let too_large = || form(&too_large_answer(id));
        let to = (session, to);
        keep_answer(edge, to, answer.clone(), too_large, Some(&mut posted)).await;
    }
    posted.end(&closed).await;
    answer
}

/// Stores a message for the client, or `instead` if it is too large for the mailbox. A client whose message
/// cannot be stored would wait for it for ever, so the session ends: its stream says so.
pub(super) async fn keep(
    edge: &Edge,
    session: &Session,
    to: MailStream,
    message: Bytes,
    instead: impl Fn() -> Bytes,
) {
    keep_answer(edge, (session, to), message, instead, None).await;
}

/// As [`keep`], until another edge has answered the call.
async fn keep_answer(
    edge: &Edge,
    (session, to): (&Session, MailStream),
    mut message: Bytes,
    instead: impl Fn() -> Bytes,
    mut posted: Option<&mut PostedCall>,
) {
    let (until, closed) = (
        Instant::now() + CALL_OUTCOME_PATIENCE,
        edge.background.closed(),
    );
    loop {
        match append(edge, session, to, message.clone()).await {
            Ok(()) => return,
            // Its stream has ended too.
            Err(EdgeError::SessionGone) => return,
            Err(EdgeError::Mailbox(MailboxError::TooLarge { .. })) => {
                message = instead();
                continue;
            }
            Err(error) => {
                let is_over = Instant::now() >= until || closed.is_cancelled();
                let is_worth_another_try = error.class().is_retryable() && !is_over;
                let error = error_chain(&error);
                warn!(error, session = %session.id, "an answer cannot be stored yet");
                if !is_worth_another_try {
                    break;
                }
            }
        }
        tokio::select! {
            biased;
            () = closed.cancelled() => {}
            () = tokio::time::sleep(CALL_STORE_PAUSE) => {}
        }
        if let Some(posted) = &mut posted
            && !posted.may_answer(&closed).await
        {
            return;
        }
    }
    warn!(session = %session.id, "an answer cannot be stored; ending the session");
    if let Err(error) = edge.sessions.end(&session.id, &session.owner).await {
        warn!(%error, session = %session.id, "the session cannot be ended in the store");
        edge.hub.end_session(&session.id);
    }
}

/// The answer in place of one that the mailbox does not take.
pub(super) fn too_large_answer(id: &RequestId) -> Bytes {
    let most = MailboxLimits::MAX_PAYLOAD_BYTES;
    let text = format!(
        "the answer is larger than {most} bytes, which this transport can carry; ask for less"
    );
    envelope::error(Some(id), &RpcError::new(ErrorCode::Internal, text))
}

pub(super) async fn append(
    edge: &Edge,
    session: &Session,
    to: MailStream,
    message: Bytes,
) -> Result<(), EdgeError> {
    let name = to.name();
    edge.calls.append(&session.id, &name, message).await?;
    if !edge.hub.notify_mail(&session.id, to) {
        // The stream of the session is on another edge.
        edge.sessions.announce_mail(&session.id, &name).await;
    }
    Ok(())
}
