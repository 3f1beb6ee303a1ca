//! Messages to sessions: `POST /mcp/sse/send` and `POST /mcp/sse/broadcast`; and the number of
//! streams.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mcp::{
    Incoming,
    envelope::{self, MessageBody},
    lenient::null_as_default,
};
use model::{Session, SessionId, without_byte_order_mark};
use ports::MailboxLimits;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::authenticate::Authenticated;
use crate::{edge::Edge, error::EdgeError, session::SendOutcome};
use access::{Permission, Principal};

/// Sessions per read of the store.
const PAGE_SESSIONS: usize = 500;
/// Messages sent concurrently.
const CONCURRENT_MESSAGES: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendRequest<'a> {
    session_id: String,
    #[serde(borrow)]
    message: &'a RawValue,
    /// Whether to wait for the delivery report (default: true); without it the answer is "stored" at once.
    #[serde(default)]
    wait: Option<bool>,
}

/// Sends one notification to one session, which has to belong to the sender, unless it has the
/// permission `admin`.
pub(super) async fn send(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    request: Request,
) -> Result<Response, EdgeError> {
    let may_all = principal.require(Permission::Admin).is_ok();
    if !may_all {
        principal.require(Permission::Send)?;
    }
    let body = body(&edge, request).await?;
    let request: SendRequest<'_> = read(&body)?;
    let message = notification(request.message)?;
    let id = SessionId::new(&request.session_id).map_err(|_| EdgeError::NoSuchSession)?;
    if !may_all && edge.sessions.load(&id, &principal.id).await?.is_none() {
        return Err(EdgeError::NoSuchSession);
    }
    let sent = edge
        .sessions
        .send(&id, message, request.wait.unwrap_or(true))
        .await?;
    let sent = sent.ok_or(EdgeError::NoSuchSession)?;
    Ok(Json(json!({ "result": sent })).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BroadcastRequest<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default, deserialize_with = "null_as_default")]
    filter: BroadcastFilter,
}

/// All given fields have to match.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct BroadcastFilter {
    principal: Option<String>,
    protocol_version: Option<String>,
    client_name: Option<String>,
    /// Only sessions with (true) or without (false) a subscription to events.
    subscribed: Option<bool>,
}

impl BroadcastFilter {
    fn fits(&self, session: &Session) -> bool {
        let is =
            |asked: &Option<String>, is: &str| asked.as_deref().is_none_or(|asked| asked == is);
        let client_name = session.client_info["name"].as_str().unwrap_or_default();
        let subscribed = !session.subscriptions.is_empty();
        is(&self.principal, session.owner.as_str())
            && is(&self.protocol_version, &session.protocol_version)
            && is(&self.client_name, client_name)
            && self.subscribed.is_none_or(|asked| asked == subscribed)
    }
}

/// Sends one notification to every matching session; the counts cover all edges.
pub(super) async fn broadcast(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    request: Request,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Admin)?;
    let body = body(&edge, request).await?;
    let request: BroadcastRequest<'_> = read(&body)?;
    let message = notification(request.message)?;
    let (mut delivered, mut stored, mut failed) = (0_u64, 0_u64, 0_u64);
    let mut after: Option<SessionId> = None;
    loop {
        let page = edge.sessions.page(after.as_ref(), PAGE_SESSIONS).await?;
        let fitting = page.iter().filter(|session| request.filter.fits(session));
        let ids: Vec<SessionId> = fitting.map(|session| session.id.clone()).collect();
        let sending = stream::iter(ids).map(|id| {
            let (edge, message) = (Arc::clone(&edge), message.clone());
            async move { edge.sessions.send(&id, message, true).await }
        });
        let outcomes: Vec<_> = sending
            .buffer_unordered(CONCURRENT_MESSAGES)
            .collect()
            .await;
        for outcome in outcomes {
            match outcome {
                Ok(Some(SendOutcome::Delivered)) => delivered += 1,
                Ok(Some(SendOutcome::Stored)) => stored += 1,
                // Ended meanwhile.
                Ok(None) => {}
                Err(_) => failed += 1,
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE_SESSIONS => after = Some(last.id.clone()),
            _ => break,
        }
    }
    let counts = json!({ "delivered": delivered, "stored": stored, "failed": failed });
    Ok(Json(counts).into_response())
}

/// The number of streams that are open on this edge.
pub(super) async fn stats(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
) -> Result<Response, EdgeError> {
    require_operator(&principal)?;
    let streams = edge.hub.open_streams();
    let sessions = edge.hub.sessions().len();
    Ok(Json(json!({ "streams": streams, "sessionStreams": sessions })).into_response())
}

fn require_operator(principal: &Principal) -> Result<(), EdgeError> {
    Ok(principal.require(Permission::Admin)?)
}

/// The body, within the bounds of size and time that MCP requests have.
async fn body(edge: &Edge, request: Request) -> Result<Bytes, EdgeError> {
    let read = super::answers::read(request.into_body(), edge.max_body_bytes).await;
    read.map_err(|refusal| EdgeError::Parameter {
        field: "body".to_owned(),
        reason: refusal.error.message.into_owned(),
    })
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, EdgeError> {
    let json = without_byte_order_mark(body);
    serde_json::from_slice(json).map_err(|error| EdgeError::Parameter {
        field: "body".to_owned(),
        reason: error.to_string(),
    })
}

/// The message in the form in which it is sent. Only the server makes requests, so only a
/// notification may be sent.
fn notification(message: &RawValue) -> Result<Bytes, EdgeError> {
    let wrong = |reason: &str| EdgeError::Parameter {
        field: "message".to_owned(),
        reason: reason.to_owned(),
    };
    let json = message.get();
    if json.len() > MailboxLimits::MAX_PAYLOAD_BYTES {
        return Err(wrong("must be at most 1 MiB"));
    }
    let Ok(MessageBody::One(Incoming::Notification(_))) = envelope::parse(json.as_bytes()) else {
        return Err(wrong("must be one JSON-RPC notification"));
    };
    // On one line, as SSE frames require, whatever white space the sender used.
    let value: Value = serde_json::from_str(json).map_err(|_| wrong("is not JSON"))?;
    Ok(Bytes::from(value.to_string()))
}
