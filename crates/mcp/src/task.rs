//! Work that continues after the response: the tasks extension (SEP-2663; stateless era).
//!
//! The server decides: a `tools/call` of a client that declares the extension may be answered with
//! a task ([`create_result`]), once the task is stored so that any edge finds it. The client reads
//! its state with `tasks/get`, answers questions with `tasks/update`, cancels it with
//! `tasks/cancel`, or listens. [`Task`] is the state machine; storage and ownership are left to the
//! caller.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    answer::{EmptyResult, ResultType, VersionedResult},
    capability::ClientCapabilities,
    envelope::{RequestId, RpcError},
    limits::MAX_INPUT_RESPONSES,
    method,
    params::{self, InputError},
    profile::ServerInfo,
    refusal::HttpRefusal,
    tagged::TaggedNotification,
    version::ProtocolVersion,
};

mod machine;

pub use machine::{IllegalChange, Task, TaskState, TaskStatus};
pub use model::TaskId;

/// The extension's id.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Checks that the request declares the extension. Also for a tool that can only answer with a
/// task.
///
/// # Errors
/// 400 with -32021 and the extension as the required capability.
pub fn require_extension(client: &ClientCapabilities) -> Result<(), HttpRefusal> {
    const PATH: [&str; 2] = ["extensions", EXTENSION];
    if client.declares(&PATH) {
        Ok(())
    } else {
        Err(HttpRefusal::missing_capability(ClientCapabilities::only(
            &PATH,
        )))
    }
}

/// -32602: the task does not exist, belongs to another principal, or has expired.
#[must_use]
pub fn unknown_task() -> RpcError {
    RpcError::invalid_params("no such task")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    task_id: String,
}

/// Reads the params of `tasks/get` and `tasks/cancel`.
///
/// # Errors
/// -32602: there is no `taskId`, or this server cannot have issued it.
pub fn parse_id(params: Option<&RawValue>) -> Result<TaskId, RpcError> {
    let Wire { task_id } = params::parse(params)?;
    TaskId::new(&task_id).map_err(|_| unknown_task())
}

/// Params of `tasks/update`.
#[derive(Clone, Debug)]
pub struct UpdateTaskParams {
    /// The id of the task.
    pub id: TaskId,
    /// Bare results, under the keys of their questions; up to 64, not parsed yet.
    pub responses: BTreeMap<String, Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateWire {
    task_id: String,
    input_responses: BTreeMap<String, Box<RawValue>>,
}

impl UpdateTaskParams {
    /// Reads the params.
    ///
    /// # Errors
    /// -32602: a member is missing or has the wrong shape, there are more than 64 answers, or this
    /// server cannot have issued the id.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let wire: UpdateWire = params::parse(params)?;
        if wire.input_responses.len() > MAX_INPUT_RESPONSES {
            return Err(InputError::new("inputResponses", "at most 64 answers").into());
        }
        Ok(Self {
            id: TaskId::new(&wire.task_id).map_err(|_| unknown_task())?,
            responses: wire.input_responses,
        })
    }
}

/// `CreateTaskResult`, the response to the request that became a task. Only after the task is
/// stored, and only if [`require_extension`] succeeds.
#[must_use]
pub fn create_result(
    version: ProtocolVersion,
    server: &ServerInfo,
    id: &RequestId,
    task: &Task,
) -> Bytes {
    VersionedResult::new(version, server, &task.describe_bare())
        .of_type(ResultType::Task)
        .encode(id)
}

/// The response to `tasks/get`: the task with its outcome or its open questions.
#[must_use]
pub fn get_result(
    version: ProtocolVersion,
    server: &ServerInfo,
    id: &RequestId,
    task: &Task,
) -> Bytes {
    VersionedResult::new(version, server, &task.describe()).encode(id)
}

/// The response to `tasks/update` and `tasks/cancel`: an acknowledgement only.
#[must_use]
pub fn acknowledgement(version: ProtocolVersion, server: &ServerInfo, id: &RequestId) -> Bytes {
    VersionedResult::new(version, server, &EmptyResult).encode(id)
}

/// `notifications/tasks` for listen streams: the same content as a `tasks/get` at this moment.
#[must_use]
pub fn changed(task: &Task) -> TaggedNotification {
    TaggedNotification::new(method::TASKS_CHANGED, &task.describe())
}

#[cfg(test)]
mod tests;
