//! Refusals of requests: HTTP status, JSON-RPC error and id.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::{
    capability::ClientCapabilities,
    envelope::{self, ErrorCode, InvalidMessage, RequestId, RpcError},
    version::ProtocolVersion,
};

/// A refusal. Its body is always a JSON-RPC error, even for plain HTTP faults: the body tells a
/// client of the stateless era that this is an MCP endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpRefusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The id of the request that it answers, if the id could be read.
    pub id: Option<RequestId>,
    /// The error.
    pub error: RpcError,
    /// The `Allow` header of a 405.
    pub allow: Option<&'static str>,
}

/// An error that a method returns is no HTTP fault: 200 (MCP 2026-07-28, Streamable HTTP).
impl From<RpcError> for HttpRefusal {
    fn from(error: RpcError) -> Self {
        Self::new(StatusCode::OK, error)
    }
}

impl HttpRefusal {
    /// A refusal without an id.
    #[must_use]
    pub const fn new(status: StatusCode, error: RpcError) -> Self {
        Self {
            status,
            id: None,
            error,
            allow: None,
        }
    }

    /// The same refusal as the answer to this request.
    #[must_use]
    pub fn for_request(mut self, id: &RequestId) -> Self {
        self.id = Some(id.clone());
        self
    }

    /// The body, `application/json`.
    #[must_use]
    pub fn body(&self) -> Bytes {
        envelope::error(self.id.as_ref(), &self.error)
    }

    fn plain(status: StatusCode, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, RpcError::new(code, message))
    }

    /// 413 for a body that is too large, 400 for a body that is not a valid message.
    #[must_use]
    pub fn from_invalid_message(rejected: &InvalidMessage) -> Self {
        let status = match rejected {
            InvalidMessage::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            id: rejected.id().cloned(),
            ..Self::new(status, rejected.error())
        }
    }

    /// 413: the body is larger than [`crate::limits::MAX_BODY_BYTES`].
    #[must_use]
    pub fn too_large() -> Self {
        Self::from_invalid_message(&InvalidMessage::TooLarge)
    }

    /// 400 with -32600.
    #[must_use]
    pub fn invalid_request(message: &'static str) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, message)
    }

    /// 415.
    pub(crate) fn not_json() -> Self {
        Self::plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::InvalidRequest,
            "Content-Type has to be application/json",
        )
    }

    /// 406, in the handshake era: the client accepts neither content type. (In the stateless era it
    /// is [`HttpRefusal::header_mismatch`].)
    #[must_use]
    pub fn not_acceptable() -> Self {
        Self::plain(
            StatusCode::NOT_ACCEPTABLE,
            ErrorCode::InvalidRequest,
            "Accept has to list application/json and text/event-stream",
        )
    }

    /// 405, with the methods that are allowed.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self {
            allow: Some("POST, GET, DELETE"),
            ..Self::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::InvalidRequest,
                "only POST; GET and DELETE need a session (Mcp-Session-Id)",
            )
        }
    }

    /// 404 with -32001: the session is unknown, ended, expired, or belongs to another principal.
    #[must_use]
    pub fn session_not_found() -> Self {
        Self::plain(
            StatusCode::NOT_FOUND,
            ErrorCode::SessionNotFound,
            "no such session; start a new one with initialize",
        )
    }

    /// As [`Self::session_not_found`], for a session that its HTTP+SSE stream opens (2024-11-05).
    #[must_use]
    pub fn stream_session_not_found() -> Self {
        Self::plain(
            StatusCode::NOT_FOUND,
            ErrorCode::SessionNotFound,
            "no such session; open a new stream, whose event `endpoint` names the URL for messages",
        )
    }

    /// 400: traffic of the handshake era without a session.
    pub(crate) fn session_missing() -> Self {
        Self::invalid_request(
            "Mcp-Session-Id is missing; start a session with initialize, or send everything in \
             _meta (2026-07-28)",
        )
    }

    /// 400 with -32020: a header is missing, illegal, or disagrees with the body.
    #[must_use]
    pub fn header_mismatch(message: impl Into<Cow<'static, str>>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, ErrorCode::HeaderMismatch, message)
    }

    /// 400 with -32021: the request needs client capabilities that the client did not declare.
    /// `required` is a capabilities object such as `{"sampling":{}}`.
    #[must_use]
    pub fn missing_capability(required: ClientCapabilities) -> Self {
        let error = RpcError::new(
            ErrorCode::MissingCapability,
            "the request needs a client capability that it does not declare",
        );
        let data = json!({"requiredCapabilities": required.into_value()});
        Self::new(StatusCode::BAD_REQUEST, error.with_data(data))
    }

    /// 400 with -32022 and the supported revisions.
    #[must_use]
    pub fn unsupported_version(requested: &str) -> Self {
        let supported = ProtocolVersion::STATELESS.map(ProtocolVersion::as_str);
        let error = RpcError::new(
            ErrorCode::UnsupportedVersion,
            "this server does not speak the requested revision",
        );
        let data = json!({"supported": supported, "requested": requested});
        Self::new(StatusCode::BAD_REQUEST, error.with_data(data))
    }

    /// 404 with -32601: the answer of the stateless era to an unknown method. (Within a session it
    /// is an ordinary error on HTTP 200: [`RpcError::method_not_found`].)
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, RpcError::method_not_found(method))
    }
}
