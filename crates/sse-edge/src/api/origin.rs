//! Applies the rule of [`Origins`] to every request, and CORS with it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use mcp::{HttpRefusal, RpcError, envelope::ErrorCode};
use model::PublicError;

use service_kit::audit::AuditLog;

use super::{audited, authenticate::speaks_json_rpc};
use crate::{error::EdgeError, origins::Origins};

/// Headers that a page may send.
const ALLOWED_HEADERS: &str = "content-type, accept, authorization, last-event-id, mcp-session-id, \
                               mcp-protocol-version, mcp-method, mcp-name, traceparent, x-mcp-toolsets, \
                               x-mcp-tools, x-mcp-exclude-tools, x-mcp-readonly, cache-control, pragma";
/// Headers of answers that a page may read, beside those that it always may (the type, the length, the cache).
const EXPOSED_HEADERS: &str =
    "accept-encoding, allow, location, mcp-session-id, retry-after, traceparent, www-authenticate";

/// What the host and the origin of a request have to pass.
#[derive(Debug, Clone)]
pub(crate) struct OriginGate {
    pub(crate) origins: Origins,
    pub(crate) audit: Arc<AuditLog>,
}

impl OriginGate {
    /// Counts the refusal, and answers it.
    fn refuse(&self, request: &Request, error: EdgeError) -> Response {
        audited::note(&self.audit, request, &error);
        refused(request.uri(), error)
    }
}

/// 403 in the format that clients of the path expect.
fn refused(uri: &Uri, error: EdgeError) -> Response {
    if !speaks_json_rpc(uri) {
        return error.into_response();
    }
    let said = RpcError::new(ErrorCode::InvalidRequest, error.public_text());
    let said = said.with_data(serde_json::json!({ "code": error.code() }));
    let refusal = HttpRefusal::new(StatusCode::FORBIDDEN, said);
    let json = HeaderValue::from_static("application/json");
    (
        refusal.status,
        [(header::CONTENT_TYPE, json)],
        refusal.body(),
    )
        .into_response()
}

/// Refuses foreign hosts and origins with 403, answers preflights, and adds the CORS headers for allowed ones.
pub(crate) async fn check(
    State(gate): State<OriginGate>,
    request: Request,
    next: Next,
) -> Response {
    let origins = &gate.origins;
    if !origins.allows_host(request.uri(), request.headers()) {
        return gate.refuse(&request, EdgeError::Host);
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    if !origin.to_str().is_ok_and(|origin| origins.allows(origin)) {
        return gate.refuse(&request, EdgeError::Origin);
    }
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED_HEADERS),
    );
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static(ALLOWED_HEADERS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    response
}
