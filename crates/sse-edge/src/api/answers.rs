//! Reading bodies and building answers, for all routes.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use mcp::{HttpRefusal, RequestId, RpcError, envelope, headers::AcceptedTypes};
use model::{Classified, ErrorClass, PublicError};
use service_kit::problem::Problem;
use tokio::time::timeout;
use tracing::warn;

use super::{authenticate::json_rpc, sse};
use crate::{error::EdgeError, limits::BODY_DEADLINE};

/// Seconds after which a client may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Reads a body within its bounds of size and time.
pub(super) async fn read(body: Body, max_body_bytes: usize) -> Result<Bytes, HttpRefusal> {
    let limited = Limited::new(body, max_body_bytes).collect();
    match timeout(BODY_DEADLINE, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(HttpRefusal::too_large())
        }
        Ok(Err(_)) => Err(HttpRefusal::invalid_request("the body ended early")),
        Err(_) => {
            let error = RpcError::new(
                envelope::ErrorCode::InvalidRequest,
                "the body took too long",
            );
            Err(HttpRefusal::new(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

pub(super) fn json(message: Bytes) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], message).into_response()
}

/// JSON if the client accepts it; a client that accepts only SSE gets a stream of one message.
pub(super) fn json_or_sse(accepts: AcceptedTypes, message: Bytes) -> Response {
    if accepts.json {
        json(message)
    } else {
        sse::whole(mcp::sse::message(None, &message))
    }
}

pub(super) fn refuse(refusal: &HttpRefusal) -> Response {
    let mut response = json(refusal.body());
    *response.status_mut() = refusal.status;
    if let Some(allow) = refusal.allow {
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// A component of the server does not answer, or a bound is reached: 503 with a JSON-RPC body and
/// Retry-After.
pub(super) fn unavailable(error: EdgeError, id: Option<&RequestId>) -> Response {
    match error {
        EdgeError::Denied(denied) => return json_rpc(denied),
        EdgeError::SessionGone => return refuse(&HttpRefusal::session_not_found()),
        _ => {}
    }
    let class = error.class();
    let error = RpcError::from(error);
    let mut response = json(envelope::error(id, &error));
    *response.status_mut() = match class {
        class if class.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Caller => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if class.is_retryable() {
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Outside MCP an error is a problem document (RFC 9457).
impl IntoResponse for EdgeError {
    fn into_response(self) -> Response {
        let class = self.class();
        if !matches!(class, ErrorClass::Caller | ErrorClass::Unauthorized) {
            let source = std::error::Error::source(&self).map(ToString::to_string);
            warn!(error = %self, source, code = self.code(), "request refused");
        }
        let problem = Problem::new(class, self.code(), "The request cannot be served")
            .detail(self.public_text());
        match self {
            Self::Origin | Self::Host => problem.status(StatusCode::FORBIDDEN).into_response(),
            Self::Denied(denied) => {
                let mut response = problem.status(denied.status()).into_response();
                let challenge = denied.challenge();
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            _ => problem.into_response(),
        }
    }
}
