//! Methods that only the handshake era has: messages of a session.

use bytes::Bytes;
use mcp::{
    HttpRefusal, Incoming, RequestId, RpcError,
    envelope::{self, RpcNotification, RpcRequest, RpcResponse},
    handshake::{CancelledParams, SetLevelParams},
    method, params,
    resource::UriParams,
};
use mcp_server::{Caller, RateLimited, waiting::CallReply};
use model::{ResourceUri, SessionId};
use serde_json::value::RawValue;
use tracing::debug;

use super::call;
use crate::{edge::Edge, error::EdgeError};

/// Answers one message; `None` if it needs no answer.
///
/// # Errors
/// The store does not answer: then the whole request gets 503, because only that tells the client
/// to try again.
pub(crate) async fn message(
    edge: &Edge,
    caller: &Caller,
    message: Incoming,
) -> Result<Option<Bytes>, EdgeError> {
    match message {
        Incoming::Request(request) => {
            let id = request.id.clone();
            let error = match self::request(edge, caller, request).await {
                Ok(CallReply::Message(message)) => return Ok(Some(message)),
                // Nothing that is answered here parks.
                Ok(CallReply::Waits(_)) => RpcError::internal(),
                Err(refusal) => refusal.error,
            };
            Ok(Some(envelope::error(Some(&id), &error)))
        }
        Incoming::Notification(notification) => {
            notice(edge, caller, notification).await?;
            Ok(None)
        }
        Incoming::Response(response) => {
            if let Some(session) = caller.session() {
                take_answer(edge, &session.id, &response).await?;
            }
            Ok(None)
        }
    }
}

async fn take_answer(
    edge: &Edge,
    session: &SessionId,
    response: &RpcResponse,
) -> Result<(), EdgeError> {
    // An edge that has just started may not have the key of the log, and would know no question.
    let keys = edge.hub.started_keys()?;
    let stored = edge.calls.take_answer(&keys, session, response).await?;
    if let Some(stream) = stored {
        edge.sessions.announce_mail(session, &stream).await;
    }
    Ok(())
}

/// Unknown and late notifications are accepted and ignored.
async fn notice(
    edge: &Edge,
    caller: &Caller,
    notification: RpcNotification,
) -> Result<(), EdgeError> {
    match notification.method.as_str() {
        method::INITIALIZED => update(edge, caller, |session| session.initialized = true).await,
        method::CANCELLED => {
            let params = params::parse::<CancelledParams>(notification.params.as_deref());
            drop(notification);
            if let (Ok(params), Some(session)) = (params, caller.session()) {
                let request = params.request_id;
                debug!(session = %session.id, %request, reason = params.reason, "cancelled");
                if !edge.calls.running.cancel(&session.id, &request) {
                    edge.sessions
                        .announce_cancellation(&session.id, &request)
                        .await;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Works on one request. Neither this nor what it calls is an `async fn`, which would hold the request twice for as long
/// as a call waits that does not park.
pub(crate) fn request<'a>(
    edge: &'a Edge,
    caller: &'a Caller,
    request: RpcRequest,
) -> impl Future<Output = Result<CallReply, HttpRefusal>> + Send + 'a {
    let metrics = &edge.call_metrics;
    let observed = metrics.begin(&request.method, caller.version, caller.trace, None);
    Box::new(observed).observe(dispatch(edge, caller, request))
}

#[allow(
    clippy::manual_async_fn,
    reason = "an async fn would hold the request twice"
)]
fn dispatch<'a>(
    edge: &'a Edge,
    caller: &'a Caller,
    request: RpcRequest,
) -> impl Future<Output = Result<CallReply, HttpRefusal>> + Send + 'a {
    async move {
        let (id, params) = (&request.id, request.params);
        match request.method.as_str() {
            method::PING => Ok(CallReply::Message(caller.done(id))),
            method::SET_LEVEL | method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                let changed = Box::pin(change(edge, caller, (id, &request.method), params));
                Ok(CallReply::Message(changed.await?))
            }
            // Methods of the stateless era alone. The tasks of 2025-11-25 were another, experimental protocol, which
            // this server does not offer.
            name if name == method::DISCOVER || method::TASKS.contains(&name) => {
                Err(RpcError::method_not_found(name).into())
            }
            name => call(edge, caller, id, name, params).await,
        }
    }
}

/// Methods that change the session in the store.
async fn change(
    edge: &Edge,
    caller: &Caller,
    (id, method): (&RequestId, &str),
    params: Option<Box<RawValue>>,
) -> Result<Bytes, RpcError> {
    edge.admit(&caller.principal)
        .map_err(RateLimited::into_rpc)?;
    match method {
        method::SET_LEVEL => set_level(edge, caller, id, params).await,
        method::RESOURCES_SUBSCRIBE => subscribe(edge, caller, id, params).await,
        _ => unsubscribe(edge, caller, id, params).await,
    }
}

/// Changes the caller's session. If the session ended meanwhile, returns
/// [`EdgeError::SessionGone`].
pub(crate) async fn update<T>(
    edge: &Edge,
    caller: &Caller,
    change: impl FnMut(&mut model::Session) -> T,
) -> Result<T, EdgeError> {
    let session = caller.session().ok_or(EdgeError::SessionGone)?;
    let updated = edge
        .sessions
        .update(&session.id, &caller.principal.id, change)
        .await?;
    updated.ok_or(EdgeError::SessionGone)
}

async fn set_level(
    edge: &Edge,
    caller: &Caller,
    id: &RequestId,
    params: Option<Box<RawValue>>,
) -> Result<Bytes, RpcError> {
    let SetLevelParams { level } = params::parse(params.as_deref())?;
    drop(params);
    let level = serde_json::to_value(level).ok();
    let level = level
        .as_ref()
        .and_then(|level| level.as_str())
        .map(ToOwned::to_owned);
    let updated = update(edge, caller, |session| session.log_level.clone_from(&level)).await;
    updated?;
    Ok(caller.done(id))
}

/// Of a resource whose form is right.
const HIDDEN_RESOURCE: &str = "it is nothing that this token may see";

async fn subscribe(
    edge: &Edge,
    caller: &Caller,
    id: &RequestId,
    params: Option<Box<RawValue>>,
) -> Result<Bytes, RpcError> {
    let UriParams { uri } = params::parse(params.as_deref())?;
    drop(params);
    if !edge
        .registry
        .resources()
        .is_subscribable(&caller.principal, &uri)
    {
        // The same for what exists and what does not.
        let reason = match ResourceUri::parse(&uri) {
            Ok(_) => HIDDEN_RESOURCE.to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(RpcError::invalid_params(format!("uri: {reason}")));
    }
    let since = edge.hub.started_position().map_err(EdgeError::from)?;
    let now = edge.sessions.now().await?;
    let subscribed = update(edge, caller, |session| {
        session.subscribe_to_resource(&uri, since, now)
    });
    match subscribed.await? {
        Ok(()) => Ok(caller.done(id)),
        Err(bound) => Err(RpcError::invalid_params(format!("uri: {bound}"))),
    }
}

async fn unsubscribe(
    edge: &Edge,
    caller: &Caller,
    id: &RequestId,
    params: Option<Box<RawValue>>,
) -> Result<Bytes, RpcError> {
    let UriParams { uri } = params::parse(params.as_deref())?;
    drop(params);
    let removed = update(edge, caller, |session| {
        session.unsubscribe_from_resource(&uri);
    });
    removed.await?;
    Ok(caller.done(id))
}
