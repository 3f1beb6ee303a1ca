//! The reason for which a call has no result.

use access::AuthError;
use mcp::{ErrorCode, HttpRefusal, RpcError, mrtr::InputRequired, params::InputError};
use model::{ErrorClass, PublicError, error_chain};
use tracing::warn;

use crate::{
    rates::{RateLimited, SESSION_GONE},
    waiting::CallWait,
};

/// The reason for which a call has no result.
#[derive(Debug)]
pub enum CallError {
    /// The arguments do not fit.
    Input(InputError),
    /// The principal lacks the permission.
    Denied(AuthError),
    /// The principal has reached a rate limit.
    Limited(RateLimited),
    /// The session ended during the call.
    SessionGone,
    /// A component of the server failed or reached a bound of its own.
    Failed(Box<dyn PublicError + Send + Sync>),
    /// This JSON-RPC error.
    Rpc(RpcError),
    /// A JSON-RPC error with its own HTTP status (stateless era).
    Refused(HttpRefusal),
    /// The client has to answer a question, and then calls again (stateless era).
    InputRequired(Box<InputRequired>),
    /// Nothing has happened yet: the call is made again when its wait is over.
    Waits(Box<dyn CallWait>),
}

/// Logs the failure in full, unless it is the caller's own mistake.
pub(crate) fn log_failure(failure: &dyn PublicError) {
    if failure.class() != ErrorClass::Caller {
        let causes = failure.source().map(error_chain);
        warn!(error = %failure, causes, code = failure.code(), "a request failed");
    }
}

fn failure_as_rpc(failure: &dyn PublicError) -> RpcError {
    log_failure(failure);
    let text = failure.public_text();
    if failure.class() == ErrorClass::Caller {
        return RpcError::invalid_params(text);
    }
    let data = serde_json::json!({ "code": failure.code(), "detail": text });
    RpcError::new(ErrorCode::Internal, text).with_data(data)
}

impl CallError {
    /// The failure of a component on which the call depends.
    pub fn failed(error: impl PublicError + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }

    /// The error as JSON-RPC, for instance of a task, which has no HTTP status and asks its
    /// questions in another way.
    #[must_use]
    pub fn into_rpc(self) -> RpcError {
        match self {
            Self::Input(error) => error.into(),
            Self::Denied(denied) => {
                let data = serde_json::json!({ "code": denied.code() });
                RpcError::new(ErrorCode::InvalidRequest, denied.to_string()).with_data(data)
            }
            Self::Limited(limited) => limited.into_rpc(),
            Self::SessionGone => session_gone(),
            Self::Failed(failure) => failure_as_rpc(&*failure),
            Self::Rpc(error) => error,
            Self::Refused(refusal) => refusal.error,
            Self::InputRequired(_) | Self::Waits(_) => RpcError::internal(),
        }
    }
}

fn session_gone() -> RpcError {
    warn!(
        error = "the session has ended",
        code = SESSION_GONE,
        "a request failed"
    );
    let detail = "the session has ended; initialize a new one and call again";
    let data = serde_json::json!({ "code": SESSION_GONE, "detail": detail });
    RpcError::new(ErrorCode::Internal, detail).with_data(data)
}

impl From<InputError> for CallError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<RpcError> for CallError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<AuthError> for CallError {
    fn from(denied: AuthError) -> Self {
        Self::Denied(denied)
    }
}

impl From<RateLimited> for CallError {
    fn from(limited: RateLimited) -> Self {
        Self::Limited(limited)
    }
}

#[cfg(test)]
mod tests {
    use access::{Permission, Principal};

    use super::*;

    #[test]
    fn a_session_that_has_ended_is_told_in_the_message_which_is_all_that_many_clients_show() {
        let error = CallError::SessionGone.into_rpc();
        assert!(error.message.contains("initialize a new one"), "{error}");
        assert_eq!(error.data.unwrap()["code"], "session-gone");
    }

    #[test]
    fn a_permission_that_is_missing_is_named_to_models_and_programs() {
        let denied = Principal::anonymous().require(Permission::Admin);
        let error = CallError::from(denied.unwrap_err()).into_rpc();
        assert!(error.message.contains("\"admin\""), "{error}");
        assert_eq!(error.data.unwrap()["code"], "permission-missing");
    }
}
