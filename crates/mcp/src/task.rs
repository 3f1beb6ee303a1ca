//! Work that goes on after the answer: the tasks extension (SEP-2663; stateless era).
//!
//! The server decides: a `tools/call` of a client that declares the extension may be answered with
//! a task ([`create_result`]), once the task is stored so that any edge finds it. The client asks
//! how it is with `tasks/get`, answers questions with `tasks/update`, ends it with `tasks/cancel`,
//! or listens. [`Task`] is the state machine; what is stored, and whose it is, is the caller's.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    answer::{Answer, Empty, ResultType},
    capability::ClientCapabilities,
    envelope::{RequestId, RpcError},
    limits::MAX_INPUT_RESPONSES,
    method,
    params::{self, InputError},
    profile::ServerInfo,
    refusal::Refusal,
    tagged::Tagged,
    version::ProtocolVersion,
};

mod machine;

pub use machine::{IllegalChange, Task, TaskState, TaskStatus};
pub use model::TaskId;

/// The extension's id.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Checks that the request declares the extension. Also for a tool that cannot answer without a
/// task.
///
/// # Errors
/// 400 with -32021 and the extension as what is required.
pub fn require_extension(client: &ClientCapabilities) -> Result<(), Refusal> {
    const PATH: [&str; 2] = ["extensions", EXTENSION];
    if client.declares(&PATH) {
        Ok(())
    } else {
        Err(Refusal::missing_capability(ClientCapabilities::only(&PATH)))
    }
}

/// -32602: there is no such task, or not for this principal, or it has expired.
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
/// -32602: there is no `taskId`, or it cannot be one of ours.
pub fn parse_id(params: Option<&RawValue>) -> Result<TaskId, RpcError> {
    let Wire { task_id } = params::parse(params)?;
    TaskId::new(&task_id).map_err(|_| unknown_task())
}

/// Params of `tasks/update`.
#[derive(Clone, Debug)]
pub struct UpdateParams {
    /// Which task.
    pub id: TaskId,
    /// Bare results under the keys of their questions; at most 64, not looked at yet.
    pub responses: BTreeMap<String, Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateWire {
    task_id: String,
    input_responses: BTreeMap<String, Box<RawValue>>,
}

impl UpdateParams {
    /// Reads the params.
    ///
    /// # Errors
    /// -32602: a member is missing or of the wrong shape, there are more than 64 answers, or the id
    /// cannot be one of ours.
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

/// `CreateTaskResult`, as the answer to the request that became a task. Only after the task is
/// stored, and only where [`require_extension`] agrees.
#[must_use]
pub fn create_result(
    version: ProtocolVersion,
    server: &ServerInfo,
    id: &RequestId,
    task: &Task,
) -> Bytes {
    Answer::new(version, server, &task.describe_bare())
        .of_type(ResultType::Task)
        .encode(id)
}

/// The answer to `tasks/get`: the task with its outcome or its open questions.
#[must_use]
pub fn get_result(
    version: ProtocolVersion,
    server: &ServerInfo,
    id: &RequestId,
    task: &Task,
) -> Bytes {
    Answer::new(version, server, &task.describe()).encode(id)
}

/// The answer to `tasks/update` and `tasks/cancel`: received, no more.
#[must_use]
pub fn acknowledgement(version: ProtocolVersion, server: &ServerInfo, id: &RequestId) -> Bytes {
    Answer::new(version, server, &Empty).encode(id)
}

/// `notifications/tasks` for listen streams: the same as `tasks/get` at this moment.
#[must_use]
pub fn changed(task: &Task) -> Tagged {
    Tagged::new(method::TASKS_CHANGED, &task.describe())
}

#[cfg(test)]
mod tests;
