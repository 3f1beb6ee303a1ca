//! Applies the rule of [`Origins`] to every request, and CORS with it.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use mcp::{HttpRefusal, RpcError, envelope::ErrorCode};
use model::PublicError;

use super::authenticate::speaks_json_rpc;
use crate::{error::EdgeError, origins::Origins};

/// Headers that a page may send.
const ALLOWED_HEADERS: &str = "content-type, accept, authorization, last-event-id, mcp-session-id, \
                               mcp-protocol-version, mcp-method, mcp-name, traceparent";
/// Headers that a page may read.
const EXPOSED_HEADERS: &str = "mcp-session-id, retry-after, traceparent, www-authenticate";

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
    State(origins): State<Origins>,
    request: Request,
    next: Next,
) -> Response {
    if !origins.allows_host(request.uri(), request.headers()) {
        return refused(request.uri(), EdgeError::Host);
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    if !origin.to_str().is_ok_and(|origin| origins.allows(origin)) {
        return refused(request.uri(), EdgeError::Origin);
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
