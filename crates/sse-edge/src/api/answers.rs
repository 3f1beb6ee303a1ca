//! Reading bodies and building answers, for all routes.

use access::{AuthError, Principal};
use axum::{
    Extension,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header, request::Parts};
use mcp::{ErrorCode, HttpRefusal, RequestId, RpcError, envelope, headers::AcceptedTypes};
use mcp_server::RateLimited;
use model::{Classified, ErrorClass, PrincipalId, PublicError, error_chain};
use service_kit::{
    bodies::{BodyBounds, BodyRefusal, BodySender, HeldBody},
    limits::MIN_BODY_BYTES,
    problem::{DEFAULT_RETRY_AFTER_SECONDS, Problem},
};
use tracing::warn;

use super::{answer_body, gzip::CompressibleAnswer, sse};
use crate::{answer_budget::AnswerBytes, edge::Edge, error::EdgeError, limits::BODY_DEADLINE};

/// Reads a body within its bounds of size, time and memory.
pub(super) async fn read(
    edge: &Edge,
    principal: &Principal,
    parts: &Parts,
    body: Body,
) -> Result<HeldBody, BodyRefusal> {
    let bounds = BodyBounds {
        max_bytes: edge.max_body_bytes,
        min_bytes: MIN_BODY_BYTES,
        timeout: BODY_DEADLINE,
    };
    let sender = sender(principal, parts);
    edge.bodies
        .read(&parts.headers, body, sender, &bounds)
        .await
}

/// The sender of a body, for its share of the memory. Without authentication all clients are one principal, so their
/// addresses tell them apart.
pub(super) fn sender(principal: &Principal, parts: &Parts) -> BodySender {
    match principal.id == PrincipalId::anonymous() {
        true => BodySender::of_address(&parts.extensions),
        false => BodySender::Principal(principal.id.clone()),
    }
}

/// The refusal of a body as JSON-RPC.
pub(super) fn body_refusal(refusal: BodyRefusal) -> HttpRefusal {
    match refusal {
        BodyRefusal::TooLarge { .. } => HttpRefusal::too_large(),
        refusal => {
            let error = body_error(refusal);
            HttpRefusal::new(body_status(refusal), error)
        }
    }
}

/// The error of a body, or of a line in place of one.
pub(super) fn body_error(refusal: BodyRefusal) -> RpcError {
    let code = match refusal.is_overload() {
        true => ErrorCode::Internal,
        false => ErrorCode::InvalidRequest,
    };
    RpcError::new(code, refusal.to_string())
}

/// The status of a body that was not read to its end.
fn body_status(refusal: BodyRefusal) -> StatusCode {
    match refusal {
        BodyRefusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyRefusal::Incomplete => StatusCode::BAD_REQUEST,
        BodyRefusal::TimedOut { .. } | BodyRefusal::TooSlow | BodyRefusal::Stalled => {
            StatusCode::REQUEST_TIMEOUT
        }
        BodyRefusal::Share | BodyRefusal::Full => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) fn json(message: impl Into<AnswerBytes>) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    let message = message.into();
    let mark = Extension(CompressibleAnswer(message.clone()));
    let body = answer_body::body(message);
    (mark, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// JSON if the client accepts it; a client that accepts only SSE gets a stream of one message.
pub(super) fn json_or_sse(accepts: AcceptedTypes, message: impl Into<AnswerBytes>) -> Response {
    let message = message.into();
    if accepts.json {
        json(message)
    } else {
        sse::whole(message.map(|message| mcp::sse::message(None, message)))
    }
}

/// An answer that was made, within the budget of its principal.
pub(super) async fn within_budget(
    edge: &Edge,
    principal: &PrincipalId,
    accepts: AcceptedTypes,
    (id, message): (Option<&RequestId>, Bytes),
) -> Response {
    match edge.answers.admit(principal, message.len()).await {
        Ok(permit) => json_or_sse(accepts, AnswerBytes::new(message, permit)),
        Err(full) => unavailable(full, id),
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
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        retry_later(&mut response);
    }
    if is_about_the_body(refusal.status) {
        close(&mut response);
    }
    response
}

/// A refusal as JSON-RPC, without an id, because the request was not read.
pub(super) fn json_rpc(denied: AuthError) -> Response {
    let error = RpcError::new(envelope::ErrorCode::InvalidRequest, denied.to_string());
    let error = error.with_data(serde_json::json!({ "code": denied.code() }));
    let body = HttpRefusal::new(denied.status(), error).body();
    let json = HeaderValue::from_static("application/json");
    let head = [(header::CONTENT_TYPE, json)];
    challenged(denied, (denied.status(), head, body).into_response())
}

/// The refusal with the challenge, where a token would help.
fn challenged(denied: AuthError, mut response: Response) -> Response {
    if let Some(challenge) = denied.challenge() {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Whether a refusal leaves a part of the body unread.
fn is_about_the_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn close(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// A component of the server does not answer, or a bound is reached: 503, at a rate limit 429, with a
/// JSON-RPC body and Retry-After.
pub(super) fn unavailable(error: EdgeError, id: Option<&RequestId>) -> Response {
    match error {
        EdgeError::Denied(denied) => return json_rpc(denied),
        EdgeError::SessionGone => return refuse(&HttpRefusal::session_not_found()),
        _ => {}
    }
    let class = error.class();
    let limited = limited(&error);
    let error = RpcError::from(error);
    let mut response = json(envelope::error(id, &error));
    *response.status_mut() = match class {
        _ if limited.is_some() => StatusCode::TOO_MANY_REQUESTS,
        class if class.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Caller => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if class.is_retryable() {
        let seconds = limited.map_or(
            DEFAULT_RETRY_AFTER_SECONDS,
            RateLimited::retry_after_seconds,
        );
        retry_after(&mut response, seconds);
    }
    response
}

/// The client may try again.
pub(super) fn retry_later(response: &mut Response) {
    retry_after(response, DEFAULT_RETRY_AFTER_SECONDS);
}

fn retry_after(response: &mut Response, seconds: u32) {
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
}

/// The rate limit that was reached, if the error is one.
fn limited(error: &EdgeError) -> Option<RateLimited> {
    match error {
        EdgeError::Limited(limited) => Some(*limited),
        _ => None,
    }
}

/// Outside MCP an error is a problem document (RFC 9457).
impl IntoResponse for EdgeError {
    fn into_response(self) -> Response {
        let class = self.class();
        // A client that calls too often must not fill the log: the refusals are counted.
        let is_quiet = matches!(class, ErrorClass::Caller | ErrorClass::Unauthorized)
            || matches!(
                self,
                Self::NoSuchSubscription | Self::TooManySubscriptions { .. }
            )
            || limited(&self).is_some();
        if !is_quiet {
            let causes = std::error::Error::source(&self).map(error_chain);
            warn!(error = %self, causes, code = self.code(), "request refused");
        }
        let problem = Problem::new(class, self.code(), "The request cannot be served")
            .detail(self.public_text());
        match self {
            Self::Body(refusal) => {
                let status = body_status(refusal);
                let mut response = problem.status(status).into_response();
                if is_about_the_body(status) {
                    close(&mut response);
                }
                response
            }
            Self::Origin | Self::Host => problem.status(StatusCode::FORBIDDEN).into_response(),
            Self::Limited(limited) => problem
                .status(StatusCode::TOO_MANY_REQUESTS)
                .retry_after_seconds(limited.retry_after_seconds())
                .into_response(),
            Self::Denied(denied) => {
                challenged(denied, problem.status(denied.status()).into_response())
            }
            _ => problem.into_response(),
        }
    }
}
