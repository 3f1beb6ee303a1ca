//! The stored form of a task.

use std::collections::BTreeMap;

use access::Visibility;
use bytes::Bytes;
use edge_records::TaskLimits;
use mcp::{ErrorCode, RpcError, task::Task};
use model::Timestamp;
use ports::RecordBound;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    error::{EdgeError, rights_changed},
    limits::TASK_WORK_TIME,
};

/// A task with the data that the edges need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredTask {
    /// The state that the client sees.
    pub(crate) task: Task,
    /// Answers to its questions, whether its work has taken them or not.
    pub(super) answers: BTreeMap<String, Box<RawValue>>,
    /// Until then the edge that works on it counts as alive.
    pub(super) lease_until: Timestamp,
    /// What could be seen when its outcome was made; earlier versions did not store it.
    #[serde(default)]
    pub(super) made_for: Option<Visibility>,
}

impl StoredTask {
    pub(super) fn decode(state: &[u8]) -> Result<Self, EdgeError> {
        serde_json::from_slice(state).map_err(|source| EdgeError::TaskRecord { source })
    }

    pub(super) fn encode(&self) -> Result<Bytes, EdgeError> {
        let json = serde_json::to_vec(self).map_err(|source| EdgeError::TaskRecord { source })?;
        Ok(json.into())
    }

    /// The task as a reader with these present rights may see it. An outcome that was made under wider
    /// rights is withheld.
    pub(crate) fn shown_to(&self, sees: &Visibility) -> Task {
        let made_for = self.made_for.as_ref();
        match made_for.map_or(sees.is_all(), |made_for| sees.covers(made_for)) {
            true => self.task.clone(),
            false => self.task.without_result(&rights_changed()),
        }
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

/// The error of a task for whose outcome there is no room.
pub(super) fn no_room_error(bound: RecordBound) -> RpcError {
    let text = format!(
        "there is no room for the result of the task: {bound} has reached its limit; wait until other tasks have \
         ended, or ask for less at once"
    );
    RpcError::new(ErrorCode::Internal, text)
}

/// The error of a task that is gone while a stream follows it.
pub(super) fn gone_error() -> RpcError {
    let text = "the task is no longer kept, and its outcome is not known; call again";
    RpcError::new(ErrorCode::Internal, text)
}

/// The error of a task whose lease has expired: its edge was killed at any moment, or could store no outcome.
pub(super) fn abandoned_error() -> RpcError {
    let text = "the server that worked on the task has left no outcome, and whether the work was done is not known; \
                see what it has changed before you call again";
    RpcError::new(ErrorCode::Internal, text)
}

/// The error of a task whose edge stops.
pub(super) fn stopped_error() -> RpcError {
    let text = "the server that worked on the task stopped before it was done; call again";
    RpcError::new(ErrorCode::Internal, text)
}

/// The error of a task that was worked on for [`TASK_WORK_TIME`].
pub(super) fn overdue_error() -> RpcError {
    let hours = TASK_WORK_TIME.as_secs() / 3600;
    let text = format!("the task was not done within {hours} hours and was given up");
    RpcError::new(ErrorCode::Internal, text)
}
