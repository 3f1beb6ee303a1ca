//! The answers in place of one that a call does not have.

use mcp::{RequestId, RpcError, envelope};

use super::CallAnswer;
use crate::error::EdgeError;

/// The answer of an edge that stops before the call is done.
pub(crate) fn stopped_answer(request: &RequestId) -> CallAnswer {
    failed(
        request,
        "the server that ran this call stopped before it was done; call again",
    )
}

/// The answer in place of one that the edge that ran the call could not store.
pub(super) fn unkept_answer(request: &RequestId) -> CallAnswer {
    failed(
        request,
        "this call was done, but its answer could not be stored and is lost; \
         see what it has changed before you call again",
    )
}

/// The answer in place of an edge that has left none. It may have been killed at any moment, or could store nothing.
pub(super) fn no_answer(request: &RequestId) -> CallAnswer {
    failed(
        request,
        "the server that ran this call has left no answer, and whether the call was done is not known; \
         see what it has changed before you call again",
    )
}

/// As [`no_answer`], of a call that may change something or does not.
pub(crate) fn lost_edge_answer(request: &RequestId, changes_nothing: bool) -> CallAnswer {
    match changes_nothing {
        true => failed(
            request,
            "the server that ran this call is gone and has left no answer; the call changes nothing, so call again",
        ),
        false => no_answer(request),
    }
}

/// The answer to a request whose answer cannot be given any more.
pub(super) fn lost_answer(request: &RequestId) -> CallAnswer {
    failed(
        request,
        "this call ended without an answer, or its answer is no longer kept; \
         see what it has changed before you call again",
    )
}

fn failed(request: &RequestId, text: &'static str) -> CallAnswer {
    let error = RpcError::new(envelope::ErrorCode::Internal, text);
    CallAnswer::of(request, Err(error.into()))
}

/// The answer to a request whose session has ended.
pub(super) fn session_gone_answer(request: &RequestId) -> CallAnswer {
    CallAnswer::of(request, Err(EdgeError::SessionGone.into()))
}
