//! What can go wrong: before anything runs, and with one request.

use http::StatusCode;
use mcp::{ErrorCode, RpcError};
use model::{Classified, ErrorClass};
use serde_json::json;

/// Why the bridge does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The URL is not one that can be posted to.
    #[error("--url: {reason}")]
    Url {
        /// What is wrong and what fits.
        reason: &'static str,
    },
    /// The token cannot be a header.
    #[error("the token is empty, too long, or has characters that no token has")]
    Token,
    /// The system has no certificates to check the server's with.
    #[error("cannot read the system's certificates, which https needs")]
    Certificates(#[source] std::io::Error),
    /// Stdin broke.
    #[error("cannot read stdin")]
    Input(#[source] std::io::Error),
}

impl Classified for BridgeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Url { .. } | Self::Token => ErrorClass::Caller,
            Self::Certificates(_) | Self::Input(_) => ErrorClass::Permanent,
        }
    }
}

/// Why a request has no answer from the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the server cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("the connection broke before the answer; the request may have been carried out")]
    Broken,
    #[error("no answer in time; the request may have been carried out")]
    Late,
    #[error("the server answered HTTP {0} without a JSON-RPC answer")]
    Http(StatusCode),
    #[error("the answer is larger than {} bytes", crate::limits::MAX_ANSWER_BYTES)]
    TooLarge,
    #[error("the session was lost, and no new one could be opened")]
    SessionLost,
    #[error("the session was lost while the request ran; it may have been carried out")]
    LostWithSession,
    #[error("the input ended, and no answer came in time; the request may have been carried out")]
    InputEnded,
}

impl Classified for Failure {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable(_) | Self::Broken | Self::Late | Self::InputEnded => {
                ErrorClass::Transient
            }
            Self::SessionLost | Self::LostWithSession => ErrorClass::Missing,
            Self::Http(_) | Self::TooLarge => ErrorClass::Permanent,
        }
    }
}

impl Failure {
    /// The stable name, for programs.
    const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Broken => "connection-broken",
            Self::Late => "no-answer-in-time",
            Self::Http(_) => "http-error",
            Self::TooLarge => "answer-too-large",
            Self::SessionLost | Self::LostWithSession => "session-lost",
            Self::InputEnded => "input-ended",
        }
    }

    /// What the client gets instead of an answer.
    pub(crate) fn rpc(&self) -> RpcError {
        RpcError::new(ErrorCode::Internal, self.to_string())
            .with_data(json!({ "code": self.code() }))
    }
}

/// An error with everything that led to it, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
