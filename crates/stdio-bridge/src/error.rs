//! Errors: of the bridge as a whole, and of one request.

use http::StatusCode;
use http_client::{BearerError, ServerUrlError};
use mcp::{ErrorCode, RpcError};
use model::{Classified, ErrorClass};
use serde_json::json;

/// The reason why the bridge does not start, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The URL does not name an endpoint for POSTs.
    #[error("--url: {reason}")]
    Url {
        /// The problem, and the fix.
        reason: ServerUrlError,
    },
    /// The token cannot be sent in a header.
    #[error(transparent)]
    Token(#[from] BearerError),
    /// The system has no certificates to verify the server's certificate with.
    #[error("cannot read the system's certificates, which https needs")]
    Certificates(#[source] std::io::Error),
    /// Reading stdin failed.
    #[error("cannot read stdin")]
    Input(#[source] std::io::Error),
}

impl Classified for BridgeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Url { .. } | Self::Token(_) => ErrorClass::Caller,
            Self::Certificates(_) | Self::Input(_) => ErrorClass::Permanent,
        }
    }
}

/// The reason why a request has no response from the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the server cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("the connection broke before the response; the request may have been carried out")]
    Broken,
    #[error("no response in time; the request may have been carried out")]
    TimedOut,
    #[error("the server answered with HTTP {0} and no JSON-RPC response")]
    Http(StatusCode),
    #[error(
        "the response is larger than {} bytes",
        crate::limits::MAX_ANSWER_BYTES
    )]
    TooLarge,
    #[error("the session was lost, and no new one could be opened")]
    SessionLost,
    #[error("the session was lost while the request ran; it may have been carried out")]
    LostWithSession,
    #[error(
        "the input ended, and no response arrived in time; the request may have been carried out"
    )]
    InputEnded,
}

impl Classified for ExchangeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable(_) | Self::Broken | Self::TimedOut | Self::InputEnded => {
                ErrorClass::Transient
            }
            Self::SessionLost | Self::LostWithSession => ErrorClass::Missing,
            Self::Http(_) | Self::TooLarge => ErrorClass::Permanent,
        }
    }
}

impl ExchangeError {
    /// The stable code, for programs.
    const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Broken => "connection-broken",
            Self::TimedOut => "no-answer-in-time",
            Self::Http(_) => "http-error",
            Self::TooLarge => "answer-too-large",
            Self::SessionLost | Self::LostWithSession => "session-lost",
            Self::InputEnded => "input-ended",
        }
    }

    /// The error that the client receives in place of a response.
    pub(crate) fn rpc(&self) -> RpcError {
        RpcError::new(ErrorCode::Internal, self.to_string())
            .with_data(json!({ "code": self.code() }))
    }
}
