//! Adds the principal to every request, or refuses the request.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Uri, header, request::Parts};
use mcp::{HttpRefusal, RpcError, envelope::ErrorCode};

use crate::error::EdgeError;
use access::{AuthError, Authenticator, Principal};

/// Paths on which a client expects JSON-RPC, also in refusals.
const JSON_RPC: [&str; 4] = ["/mcp", "/mcp/stream", "/sse", "/messages"];

/// Whether the clients of this path expect JSON-RPC.
pub(super) fn speaks_json_rpc(uri: &Uri) -> bool {
    JSON_RPC.contains(&uri.path())
}

/// The principal of the request: an extractor of every handler.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated(pub(crate) Arc<Principal>);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = EdgeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, EdgeError> {
        // A route outside the layer has no principal, so it is refused.
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or(EdgeError::Denied(AuthError::NoToken))
    }
}

/// The layer around all routes, including unknown ones. The body of a refused request is not read.
pub(crate) async fn check(
    State(authenticator): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    match authenticator.authenticate(request.headers()) {
        Ok(principal) => {
            request.extensions_mut().insert(Authenticated(principal));
            next.run(request).await
        }
        Err(denied) if speaks_json_rpc(request.uri()) => json_rpc(denied),
        Err(denied) => EdgeError::Denied(denied).into_response(),
    }
}

/// A refusal as JSON-RPC, without an id, because the request was not read.
pub(crate) fn json_rpc(denied: AuthError) -> Response {
    let error = RpcError::new(ErrorCode::InvalidRequest, denied.to_string());
    let error = error.with_data(serde_json::json!({ "code": denied.code() }));
    let body = HttpRefusal::new(denied.status(), error).body();
    let json = HeaderValue::from_static("application/json");
    let headers = [
        (header::CONTENT_TYPE, json),
        (header::WWW_AUTHENTICATE, denied.challenge()),
    ];
    (denied.status(), headers, body).into_response()
}

#[cfg(test)]
mod tests;
