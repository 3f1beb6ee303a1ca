//! What only the handshake era has: messages of a session.

use bytes::Bytes;
use mcp::{
    ErrorCode, Incoming, Refusal, RequestId, RpcError,
    envelope::{self, Notification, Request},
    handshake::{CancelledParams, SetLevelParams},
    method, params,
    resource::UriParams,
};
use model::ResourceUriError;
use serde_json::value::RawValue;
use tracing::debug;

use super::{Caller, call, resources, rpc_error};
use crate::{calls::asking::take_answer, error::EdgeError};

/// Resources that one session may subscribe to.
const MAX_RESOURCE_URIS: usize = 256;

/// Answers one message; `None` where none is due.
///
/// # Errors
/// A store that does not answer: then the whole request gets 503, because only that tells the client
/// that trying again helps.
pub(crate) async fn message(
    caller: &Caller,
    message: Incoming,
) -> Result<Option<Bytes>, EdgeError> {
    match message {
        Incoming::Request(request) => Ok(Some(match answer(caller, &request).await {
            Ok(bytes) => bytes,
            Err(refusal) => envelope::error(Some(&request.id), &refusal.error),
        })),
        Incoming::Notification(notification) => {
            notice(caller, &notification).await?;
            Ok(None)
        }
        Incoming::Response(response) => {
            if let Some(session) = &caller.session {
                take_answer(&caller.edge, &session.id, &response).await?;
            }
            Ok(None)
        }
    }
}

/// Notifications that mean nothing to us, or come too late, are accepted all the same.
async fn notice(caller: &Caller, notification: &Notification) -> Result<(), EdgeError> {
    match notification.method.as_str() {
        method::INITIALIZED => update(caller, |session| session.initialized = true).await,
        method::CANCELLED => {
            let params = params::parse::<CancelledParams>(notification.params.as_deref());
            if let (Ok(params), Some(session)) = (params, &caller.session) {
                let request = params.request_id;
                debug!(session = %session.id, %request, reason = params.reason, "cancelled");
                if !caller.edge.calls.running.cancel(&session.id, &request) {
                    caller
                        .edge
                        .sessions
                        .tell_cancelled(&session.id, &request)
                        .await;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn answer(caller: &Caller, request: &Request) -> Result<Bytes, Refusal> {
    let (id, params) = (&request.id, request.params.as_deref());
    match request.method.as_str() {
        method::PING => Ok(caller.done(id)),
        method::SET_LEVEL => Ok(set_level(caller, id, params).await?),
        method::RESOURCES_SUBSCRIBE => Ok(subscribe(caller, id, params).await?),
        method::RESOURCES_UNSUBSCRIBE => Ok(unsubscribe(caller, id, params).await?),
        // The stateless era's own method does not exist here.
        method::DISCOVER => Err(RpcError::method_not_found(method::DISCOVER).into()),
        name => call(caller, id, name, params).await,
    }
}

/// Changes the caller's session. A session that ended meanwhile is an error of its own.
pub(crate) async fn update<T>(
    caller: &Caller,
    change: impl FnMut(&mut model::Session) -> T,
) -> Result<T, EdgeError> {
    let session = caller.session.as_deref().ok_or(EdgeError::SessionGone)?;
    let updated = caller
        .edge
        .sessions
        .update(&session.id, &caller.principal.id, change)
        .await?;
    updated.ok_or(EdgeError::SessionGone)
}

async fn set_level(
    caller: &Caller,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<Bytes, RpcError> {
    let SetLevelParams { level } = params::parse(params)?;
    let level = serde_json::to_value(level).ok();
    let level = level
        .as_ref()
        .and_then(|level| level.as_str())
        .map(ToOwned::to_owned);
    let updated = update(caller, |session| session.log_level.clone_from(&level)).await;
    updated.map_err(|error| rpc_error(&error))?;
    Ok(caller.done(id))
}

async fn subscribe(
    caller: &Caller,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<Bytes, RpcError> {
    let UriParams { uri } = params::parse(params)?;
    if !resources::is_subscribable(&caller.principal, &uri) {
        return Err(RpcError::invalid_params(format!("uri: {ResourceUriError}")));
    }
    let since = caller.edge.hub.position();
    let fits = update(caller, |session| {
        if !session.resource_uris.contains_key(&uri) {
            if session.resource_uris.len() >= MAX_RESOURCE_URIS {
                return false;
            }
            session.resource_uris.insert(uri.clone(), since);
            let wish = session.next_wish();
            session.resource_wishes.insert(uri.clone(), wish);
        }
        true
    });
    if fits.await.map_err(|error| rpc_error(&error))? {
        return Ok(caller.done(id));
    }
    let text = format!("a session subscribes to at most {MAX_RESOURCE_URIS} resources");
    Err(RpcError::new(ErrorCode::InvalidParams, text))
}

async fn unsubscribe(
    caller: &Caller,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<Bytes, RpcError> {
    let UriParams { uri } = params::parse(params)?;
    let removed = update(caller, |session| {
        session.resource_wishes.remove(&uri);
        session.resource_uris.remove(&uri)
    });
    removed.await.map_err(|error| rpc_error(&error))?;
    Ok(caller.done(id))
}
