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
    lenient::{null_as_default, optional_flag},
};
use model::{Session, SessionId, without_byte_order_mark};
use ports::MailboxLimits;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::time::Instant;

use super::authenticate::Authenticated;
use crate::{
    edge::Edge,
    error::EdgeError,
    limits::{AWAITED_REPORTS, DELIVERY_WAIT},
    session::{SendOutcome, StoredMessage},
};
use access::{Permission, Principal};

/// Sessions per read of the store.
const PAGE_SESSIONS: usize = 500;
/// Messages sent concurrently.
const CONCURRENT_MESSAGES: usize = 64;

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with sessionId and message"
)]
struct SendRequest<'a> {
    session_id: String,
    #[serde(borrow)]
    message: &'a RawValue,
    /// Whether to wait for the delivery report (default: true); without it the answer is "stored" at once.
    #[serde(default, deserialize_with = "optional_flag")]
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
    edge.admit(&principal)?;
    let (parts, body) = request.into_parts();
    let body = super::answers::read(&edge, &principal, &parts, body).await?;
    let request: SendRequest<'_> = read(&body.bytes)?;
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
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with message"
)]
struct BroadcastRequest<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default, deserialize_with = "null_as_default")]
    filter: BroadcastFilter,
}

/// All given fields have to match.
#[derive(Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
struct BroadcastFilter {
    principal: Option<String>,
    protocol_version: Option<String>,
    client_name: Option<String>,
    /// Only sessions with (true) or without (false) a subscription to events.
    #[serde(deserialize_with = "optional_flag")]
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
    edge.admit(&principal)?;
    let (parts, body) = request.into_parts();
    let body = super::answers::read(&edge, &principal, &parts, body).await?;
    let request: BroadcastRequest<'_> = read(&body.bytes)?;
    let message = notification(request.message)?;
    let mut sent = BroadcastReports::default();
    let mut after: Option<SessionId> = None;
    loop {
        let page = edge.sessions.page(after.as_ref(), PAGE_SESSIONS).await?;
        // Whether one of these fits the filter cannot be told.
        sent.failed += page.unreadable as u64;
        let sessions = page.sessions.iter().map(|found| &found.session);
        let fitting = sessions.filter(|session| request.filter.fits(session));
        let ids: Vec<SessionId> = fitting.map(|session| session.id.clone()).collect();
        let mut storing = stream::iter(ids)
            .map(|id| {
                let (edge, message) = (Arc::clone(&edge), message.clone());
                async move { edge.sessions.store_message(&id, message).await }
            })
            .buffer_unordered(CONCURRENT_MESSAGES);
        while let Some(stored) = storing.next().await {
            match stored {
                Ok(Some(stored)) => sent.awaited.push(stored),
                // Ended meanwhile.
                Ok(None) => {}
                Err(_) => sent.failed += 1,
            }
        }
        drop(storing);
        if sent.awaited.len() >= AWAITED_REPORTS {
            sent.await_reports().await;
        }
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    sent.await_reports().await;
    let BroadcastReports {
        delivered,
        stored,
        failed,
        awaited: _,
    } = sent;
    let counts = json!({ "delivered": delivered, "stored": stored, "failed": failed });
    Ok(Json(counts).into_response())
}

/// The messages of a broadcast: those whose delivery may still be reported, and the counts of the others.
#[derive(Default)]
struct BroadcastReports {
    awaited: Vec<StoredMessage>,
    delivered: u64,
    stored: u64,
    failed: u64,
}

impl BroadcastReports {
    /// Waits for the reports of all messages together, so that sessions without a stream cost the wait
    /// once.
    async fn await_reports(&mut self) {
        let until = Instant::now() + DELIVERY_WAIT;
        for message in self.awaited.drain(..) {
            match message.outcome(until).await {
                SendOutcome::Delivered => self.delivered += 1,
                SendOutcome::Stored => self.stored += 1,
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broadcast_waits_once_however_many_sessions_are_away() {
        let began = Instant::now();
        let mut sent = BroadcastReports::default();
        for through in (0..10_000).map(|n| n % 2 * 5) {
            sent.awaited.push(StoredMessage::delivered_through(through));
        }
        sent.await_reports().await;
        assert_eq!((sent.delivered, sent.stored), (5_000, 5_000));
        assert!(began.elapsed() < DELIVERY_WAIT * 2, "{:?}", began.elapsed());
    }
}
