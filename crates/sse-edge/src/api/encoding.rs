//! Refuses compressed bodies by their name.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri, header};
use mcp::{HttpRefusal, RpcError, envelope::ErrorCode};
use model::ErrorClass;
use service_kit::{
    body_encoding::{ACCEPTED_ENCODING, is_encoded},
    problem::Problem,
};

use super::{answers::refuse, authenticate::speaks_json_rpc};

const REASON: &str = "the body has a Content-Encoding; send it uncompressed, without that header";

/// 415 for a request whose body is compressed.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    if !is_encoded(request.headers()) {
        return next.run(request).await;
    }
    let mut response = refused(request.uri());
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_ENCODING, ACCEPTED_ENCODING);
    response
}

fn refused(uri: &Uri) -> Response {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    if speaks_json_rpc(uri) {
        let error = RpcError::new(ErrorCode::InvalidRequest, REASON);
        return refuse(&HttpRefusal::new(status, error));
    }
    Problem::new(ErrorClass::Caller, "body-encoded", "The body is compressed")
        .status(status)
        .detail(REASON)
        .into_response()
}
