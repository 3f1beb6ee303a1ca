//! Why a tool or prompt has no result.

use bytes::Bytes;
use mcp::{Refusal, RequestId, RpcError, mrtr::InputRequired, params::InputError};

use super::{Caller, rpc_error};
use crate::error::EdgeError;

/// Why a tool or prompt has no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The arguments do not fit.
    Input(InputError),
    /// The edge cannot.
    Edge(EdgeError),
    /// This JSON-RPC error.
    Rpc(RpcError),
    /// This, with an HTTP status of its own (stateless era).
    Refused(Refusal),
    /// The client has to answer something first, and calls again (stateless era).
    Asks(Box<InputRequired>),
}

impl CallError {
    /// What is answered in place of a result.
    ///
    /// # Errors
    /// A JSON-RPC error, unless the answer is a question to the client.
    pub(crate) fn answer(self, caller: &Caller, id: &RequestId) -> Result<Bytes, Refusal> {
        match self {
            Self::Asks(question) => {
                Ok(question.encode(caller.version, &caller.edge.profile.info, id))
            }
            Self::Refused(refusal) => Err(refusal),
            error => Err(error.into_rpc().into()),
        }
    }

    /// As the error of a task, which has no HTTP status, and asks in other ways.
    pub(crate) fn into_rpc(self) -> RpcError {
        match self {
            Self::Input(error) => error.into(),
            Self::Edge(error) => rpc_error(&error),
            Self::Rpc(error) => error,
            Self::Refused(refusal) => refusal.error,
            Self::Asks(_) => RpcError::internal(),
        }
    }
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

impl<E: Into<EdgeError>> From<E> for CallError {
    fn from(error: E) -> Self {
        Self::Edge(error.into())
    }
}
