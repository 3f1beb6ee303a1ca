//! The stored form of a task.

use std::collections::BTreeMap;

use bytes::Bytes;
use mcp::{ErrorCode, RpcError, task::Task};
use model::Timestamp;
use ports::TaskLimits;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::EdgeError;

/// A task with the data that the edges need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredTask {
    /// The state that the client sees.
    pub(crate) task: Task,
    /// Answers to its questions, whether its work has taken them or not.
    pub(super) answers: BTreeMap<String, Box<RawValue>>,
    /// Until then the edge that works on it counts as alive.
    pub(super) lease_until: Timestamp,
}

impl StoredTask {
    pub(super) fn decode(state: &[u8]) -> Result<Self, EdgeError> {
        serde_json::from_slice(state).map_err(|source| EdgeError::TaskRecord { source })
    }

    pub(super) fn encode(&self) -> Result<Bytes, EdgeError> {
        let json = serde_json::to_vec(self).map_err(|source| EdgeError::TaskRecord { source })?;
        Ok(json.into())
    }

    /// Whether the edge that works on it is gone.
    pub(super) fn is_abandoned(&self, now: Timestamp) -> bool {
        !self.task.status().is_terminal() && self.lease_until < now
    }
}

/// The error of a task whose outcome cannot be stored.
pub(super) fn too_large_error(bytes: usize) -> RpcError {
    let text = format!(
        "the result of the task has {bytes} bytes, and a task carries up to {}; ask for less at once",
        TaskLimits::MAX_STATE_BYTES
    );
    RpcError::new(ErrorCode::Internal, text)
}

/// The error of a task whose edge is gone.
pub(super) fn abandoned_error() -> RpcError {
    let text = "the server that worked on the task is gone; call again";
    RpcError::new(ErrorCode::Internal, text)
}
