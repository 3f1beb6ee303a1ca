//! Why a tool or prompt has no result.

use mcp::{Refusal, RpcError, mrtr::InputRequired, params::InputError};

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
