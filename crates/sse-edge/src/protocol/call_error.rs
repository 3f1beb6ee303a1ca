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
            Self::Input(error) => Err(RpcError::from(error).into()),
            Self::Edge(error) => Err(rpc_error(&error).into()),
            Self::Rpc(error) => Err(error.into()),
            Self::Refused(refusal) => Err(refusal),
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
