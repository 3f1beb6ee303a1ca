//! `/mcp/sse`: a stream of named events for pages that know `EventSource` and `fetch` alone, and the messages that
//! they post beside it.
//!
//! A connection is a session. What is addressed to it goes into the inbox of its mailbox, from whichever edge, so it
//! is resumed as any session is: the id of an event names the connection and the place in it, and an `EventSource`
//! that reconnects to any edge within [`STREAM_SESSION_IDLE`](crate::limits::STREAM_SESSION_IDLE) misses nothing.
//! Later it gets another connection, and a notice.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fanout::{
    format::parse_connection_event_id,
    inbox::{MailStream, lost_notice},
};
use http::{HeaderMap, Method};
use mcp::{
    Incoming, ProtocolVersion, RequestId,
    connection::{self, ConnectionRequest, PostedMessage},
    dispatch::Resume,
    envelope, method, mrtr,
};
use model::{Clock, Session, SessionId, TraceContext};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{sync::oneshot, time::timeout};

use super::{
    authenticate::Authenticated,
    conversation::{Conversation, HandshakeCall},
    event_source::way_back,
    http_sse::{append, initialize, keep, post, relay, shown_to_reader, too_large_answer},
    sse,
};
use crate::{
    calls::{posted::PostedCall, unanswered::lost_edge_answer},
    edge::Edge,
    error::EdgeError,
    limits::SENT_WAIT,
    methods::handshake,
    request_line::{RequestLine, RequestRoute},
    session::{ConnectionParts, NewSession, open_connection_stream, stored_rights},
};
use access::{Permission, Principal, Visibility};
use mcp_server::offered_tools::OfferedTools;

/// The revision in whose form methods are answered: the newest with sessions.
const REVISION: ProtocolVersion = ProtocolVersion::V2025_11_25;

/// `GET /mcp/sse`: opens a connection, or continues one after `Last-Event-ID` (or `lastEventId`). HEAD gets the head
/// of that answer. A page whose connection finds no room is told to come back.
pub(super) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    method: Method,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    let last = last_event_id(&headers, &pairs, edge.has_query_tokens)?;
    if method == Method::HEAD {
        return Ok(sse::head());
    }
    let opened = open(&edge, &principal, last.as_deref()).await;
    opened.or_else(|error| way_back(&edge, &headers, &error).ok_or(error))
}

fn last_event_id(
    headers: &HeaderMap,
    pairs: &[(String, String)],
    has_query_tokens: bool,
) -> Result<Option<String>, EdgeError> {
    let mut of_query = None;
    let known: &[&str] = match has_query_tokens {
        true => &["token", "lastEventId"],
        false => &["lastEventId"],
    };
    for (name, value) in pairs {
        // The token is for the layer around all routes, which has refused it where nothing else came with it.
        if name != "token" && !known.contains(&name.as_str()) {
            return Err(EdgeError::Parameter {
                field: name.chars().take(64).collect(),
                reason: format!("unknown parameter; known: {}", known.join(", ")),
            });
        }
        if name == "lastEventId" {
            of_query = Some(value.as_str());
        }
    }
    Ok(match Resume::read_with_query(headers, of_query) {
        Resume::Fresh => None,
        Resume::After(id) => Some(id),
        Resume::Unreadable => Some("unreadable".to_owned()),
    })
}

async fn open(
    edge: &Arc<Edge>,
    principal: &Arc<Principal>,
    last: Option<&str>,
) -> Result<Response, EdgeError> {
    edge.admit(principal)?;
    if let Some((id, cursor)) = last.and_then(parse_connection_event_id)
        && let Some(session) = resumable(edge, principal, &id).await?
    {
        let parts = parts(edge, principal, &session.id, true);
        let (sessions, hub) = (&edge.sessions, &edge.hub);
        let feed =
            open_connection_stream(sessions, hub, principal, &id, Some(cursor), parts).await?;
        if let Some(feed) = feed {
            // Of edges that are gone, perhaps.
            edge.posted_watch().look_after(&id);
            return Ok(sse::stream(feed));
        }
    }
    let new = NewSession {
        owner: principal.id.clone(),
        protocol_version: REVISION.as_str().to_owned(),
        client_info: Value::Null,
        client_capabilities: Value::Object(serde_json::Map::new()),
        ends_with_stream: false,
        is_connection: true,
        reader_sees: stored_rights(&principal.sees),
    };
    let session = edge.sessions.create(new).await?;
    if last.is_some() {
        // The one that it had is gone, with what it missed.
        append(edge, &session, MailStream::Inbox, lost_notice()).await?;
    }
    let parts = parts(edge, principal, &session.id, false);
    let (sessions, hub) = (&edge.sessions, &edge.hub);
    let feed = open_connection_stream(sessions, hub, principal, &session.id, None, parts).await?;
    Ok(sse::stream(feed.ok_or(EdgeError::SessionGone)?))
}

/// The connection, if the principal may continue it: a token that sees less than the one before gets none of what
/// waits there.
async fn resumable(
    edge: &Edge,
    principal: &Principal,
    id: &SessionId,
) -> Result<Option<Session>, EdgeError> {
    // Rights that cannot be read, of a later version perhaps, count as all.
    let before = |session: &Session| {
        let stored = session.reader_sees.as_ref();
        let read = stored.and_then(|stored| Visibility::deserialize(stored).ok());
        read.unwrap_or_else(Visibility::all)
    };
    let found = edge.sessions.load(id, &principal.id).await?;
    let session = found.map(|found| found.session);
    Ok(session.filter(|session| session.is_connection && principal.sees.covers(&before(session))))
}

fn parts(edge: &Edge, principal: &Principal, id: &SessionId, is_resumed: bool) -> ConnectionParts {
    let profile = edge.registry.profile();
    ConnectionParts {
        status: json!({
            "type": "connection-status", "status": "connected", "connectionId": id, "resumed": is_resumed,
        }),
        welcome: json!({
            "type": "mcp-notification",
            "result": {
                "message": "SSE connection established",
                "connectionId": id,
                "serverInfo": profile.info.describe(REVISION),
                "capabilities": profile.capabilities.describe(REVISION),
            },
            "metadata": { "tokenType": principal.permissions.token_type().as_str() },
        }),
    }
}

/// A message that was posted for a connection: a method is run, on this edge, and answered on the connection's
/// stream, wherever that is.
pub(super) async fn send(
    edge: &Arc<Edge>,
    principal: &Arc<Principal>,
    trace: Option<TraceContext>,
    (connection, message): (&str, &RawValue),
) -> Result<Response, EdgeError> {
    let id = SessionId::new(connection).map_err(|_| EdgeError::NoSuchSession)?;
    edge.admit_message(principal, &id)?;
    let found = edge.sessions.peek(&id).await?;
    let session = found.map(|found| found.session);
    let may_all = principal.require(Permission::Admin).is_ok();
    // A connection of another principal is as one that never was.
    let session = session
        .filter(|session| session.is_connection && (may_all || session.owner == principal.id));
    let session = session.ok_or(EdgeError::NoSuchSession)?;
    let now = edge.sessions.now().await?;
    let message = PostedMessage::read(message, &edge.ids.uuid(), now);
    let message = message.map_err(|error| EdgeError::Parameter {
        field: "message".to_owned(),
        reason: error.to_string(),
    })?;
    if matches!(message, PostedMessage::Direct(_)) {
        let permission = if may_all {
            Permission::Admin
        } else {
            Permission::Send
        };
        principal.require(permission)?;
    } else {
        principal.require(Permission::Read)?;
    }
    if !edge.sessions.touch_served(&session.id, &session).await? {
        return Err(EdgeError::NoSuchSession);
    }
    let version = ProtocolVersion::parse(&session.protocol_version);
    let conversation = Conversation {
        edge: Arc::clone(edge),
        principal: Arc::clone(principal),
        version: version.unwrap_or(REVISION),
        session: Arc::new(session),
        line: RequestLine {
            route: RequestRoute::Send,
            trace,
        },
        offered: OfferedTools::default(),
    };
    let outcome = match message {
        PostedMessage::Direct(message) => {
            append(edge, &conversation.session, MailStream::Inbox, message).await?;
            json!({ "success": true, "sent": true })
        }
        PostedMessage::OneWay(message) => {
            if let Incoming::Response(response) = &message {
                edge.calls.refuse_unasked(response)?;
            }
            handshake::message(edge, &conversation.silent(), message).await?;
            json!({ "success": true, "sent": true })
        }
        PostedMessage::Request(request, about) => {
            let id = about.id.clone();
            let (begins, has_begun) = oneshot::channel();
            // Not in the request: if its client goes away, the call has to end in the store all the same.
            let running = edge.background.spawn(async move {
                let begun = begin(&conversation, request, &about).await;
                let _ = begins.send(());
                run(conversation, begun, about).await
            });
            let _ = has_begun.await;
            match timeout(SENT_WAIT, running).await {
                Ok(Ok(is_error)) => {
                    let mut told = json!({ "success": true, "sent": true, "requestId": id });
                    if is_error {
                        told["error"] = true.into();
                    }
                    told
                }
                // It goes on, and its answer comes on the stream.
                _ => json!({ "success": true, "sent": false, "pending": true, "requestId": id }),
            }
        }
    };
    Ok(Json(outcome).into_response())
}

/// A method that was posted.
enum BegunMethod {
    /// It may take long, so another edge answers if this one is killed.
    Call(Box<(HandshakeCall, PostedCall)>),
    Refused(EdgeError),
    Other(envelope::RpcRequest),
}

async fn begin(
    conversation: &Conversation,
    request: envelope::RpcRequest,
    about: &ConnectionRequest,
) -> BegunMethod {
    if !mrtr::is_supported(&request.method) {
        return BegunMethod::Other(request);
    }
    let (edge, session) = (&conversation.edge, &conversation.session);
    let lost = lost_edge_answer(&about.id, conversation.changes_nothing(&request));
    let lost = connection::answer(about, lost.message.bytes(), edge.clock.now());
    let call = match conversation.call(request, conversation.on_stream(), None) {
        Ok(call) => call,
        Err(error) => return BegunMethod::Refused(error),
    };
    let posted = post(edge, session, MailStream::Inbox, lost).await;
    BegunMethod::Call(Box::new((call, posted)))
}

/// Runs a method and puts its answer on the way; returns whether that is an error.
async fn run(conversation: Conversation, begun: BegunMethod, about: ConnectionRequest) -> bool {
    let (edge, session) = (&conversation.edge, &conversation.session);
    let id = &about.id;
    let form = |answered: &Bytes| connection::answer(&about, answered, edge.clock.now());
    let answered = match begun {
        BegunMethod::Call(call) => {
            let relayed = relay(edge, session, MailStream::Inbox, id, *call, form).await;
            // A call that was cancelled has no answer.
            return relayed.is_some_and(|answered| connection::is_error(&answered));
        }
        BegunMethod::Refused(error) => envelope::error(Some(id), &error.into()),
        BegunMethod::Other(request) => {
            let answered = of_method(&conversation, request, id).await;
            answered.unwrap_or_else(|error| envelope::error(Some(id), &error.into()))
        }
    };
    let answered = form(&answered);
    let is_error = connection::is_error(&answered);
    let too_large = || form(&too_large_answer(id));
    keep(edge, session, MailStream::Inbox, answered, too_large).await;
    is_error
}

/// The answer of a method that is no call of a tool, prompt or resource, as the reader may see it.
async fn of_method(
    conversation: &Conversation,
    request: envelope::RpcRequest,
    id: &RequestId,
) -> Result<Bytes, EdgeError> {
    if request.method == method::INITIALIZE {
        return initialize(conversation, request).await;
    }
    let caller = conversation.silent();
    let message = Incoming::Request(request);
    let answered = handshake::message(&conversation.edge, &caller, message).await?;
    let made_for = caller.rights.last();
    let shown =
        answered.and_then(|answered| shown_to_reader(&conversation.session, &made_for, &answered));
    Ok(shown.unwrap_or_else(|| envelope::error(Some(id), &crate::error::rights_changed())))
}
