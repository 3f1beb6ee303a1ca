//! `POST /mcp/sse/send`: a message to a session, or one of a connection's client.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use mcp::{
    Incoming,
    envelope::{self, MessageBody},
    lenient::optional_flag,
    params::{self, InputError},
};
use model::{JsonFault, SessionId};
use ports::MailboxLimits;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use service_kit::trace::Trace;

use super::{authenticate::Authenticated, connection};
use crate::{edge::Edge, error::EdgeError, session::KeptBroadcasts};
use access::{Permission, Principal};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendRequest<'a> {
    /// The message is from the client of this connection.
    #[serde(default)]
    connection_id: Option<String>,
    /// The message is for the client of this session.
    #[serde(default)]
    session_id: Option<String>,
    #[serde(borrow)]
    message: &'a RawValue,
    /// Whether to wait for the delivery report (default: true); without it the answer is "stored" at once.
    #[serde(default, deserialize_with = "optional_flag")]
    wait: Option<bool>,
}

/// With `connectionId`, runs a message of a connection's client. With `sessionId`, sends one notification to one
/// session. Either has to belong to the sender, unless it has the permission `admin`.
pub(super) async fn send(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    trace: Option<Trace>,
    request: Request,
) -> Result<Response, EdgeError> {
    if !Permission::ALL
        .into_iter()
        .any(|permission| principal.permissions.has(permission))
    {
        // Before the body is read.
        return Err(principal.lacks(Permission::Send).into());
    }
    let (parts, body) = request.into_parts();
    let body = super::answers::read(&edge, &principal, &parts, body).await?;
    let request: SendRequest<'_> = params::parse_body(&body.bytes)?;
    match (&request.connection_id, &request.session_id) {
        (Some(connection), None) => {
            let trace = trace.map(|Trace(trace)| trace);
            connection::send(&edge, &principal, trace, (connection, request.message)).await
        }
        (None, Some(session)) => to_session(&edge, &principal, session, &request).await,
        _ => Err(EdgeError::Parameter {
            field: "body".to_owned(),
            reason: "name connectionId, to speak for a connection of /mcp/sse, or sessionId, to notify a session"
                .to_owned(),
        }),
    }
}

async fn to_session(
    edge: &Edge,
    principal: &Principal,
    session: &str,
    request: &SendRequest<'_>,
) -> Result<Response, EdgeError> {
    let may_all = principal.require(Permission::Admin).is_ok();
    if !may_all {
        principal.require(Permission::Send)?;
    }
    edge.admit(principal)?;
    let message = notification(request.message)?;
    let id = SessionId::new(session).map_err(|_| EdgeError::NoSuchSession)?;
    let is_theirs = may_all || edge.sessions.load(&id, &principal.id).await?.is_some();
    if !is_theirs || KeptBroadcasts::is_reserved(&id) {
        return Err(EdgeError::NoSuchSession);
    }
    let sent = edge
        .sessions
        .send(&id, message, request.wait.unwrap_or(true))
        .await?;
    let sent = sent.ok_or(EdgeError::NoSuchSession)?;
    Ok(Json(json!({ "result": sent })).into_response())
}

/// The refusal of a message to a session that is none.
const NO_NOTIFICATION: &str = "must be one JSON-RPC notification, with jsonrpc and method";

/// The message in the form in which it is sent. Only the server makes requests, so only a
/// notification may be sent.
fn notification(message: &RawValue) -> Result<Bytes, EdgeError> {
    let wrong = |reason: &str| InputError::new("message", reason);
    let json = message.get();
    if json.len() > MailboxLimits::MAX_PAYLOAD_BYTES {
        return Err(wrong("must be at most 1 MiB").into());
    }
    match envelope::parse(json.as_bytes()) {
        Ok(MessageBody::One(Incoming::Notification(_))) => {}
        Ok(_) => return Err(wrong(NO_NOTIFICATION).into()),
        Err(error) => return Err(wrong(&format!("{NO_NOTIFICATION}; {error}")).into()),
    }
    // On one line, as SSE frames require, whatever white space the sender used.
    let value: Value =
        serde_json::from_str(json).map_err(|error| wrong(JsonFault::of_text(&error).as_str()))?;
    Ok(Bytes::from(value.to_string()))
}
