//! What MCP clients can call: one file a tool.

mod filters;
mod get_recent_events;
mod manage_events;
mod replay_events;
mod subscribe_to_events;

use std::sync::LazyLock;

use bytes::Bytes;
use mcp::{
    RequestId, RpcError,
    params::InputError,
    tool::{CallParams, CallResult, ToolDescriptor, input_failure},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    error::EdgeError,
    protocol::{Caller, rpc_error},
};

/// Sorted by name: a stable order keeps clients' prompt caches warm.
static TOOLS: LazyLock<Vec<ToolDescriptor>> = LazyLock::new(|| {
    let mut tools = vec![
        get_recent_events::descriptor(),
        manage_events::descriptor(),
        replay_events::descriptor(),
        subscribe_to_events::descriptor(),
    ];
    tools.sort_by_key(ToolDescriptor::name);
    tools
});

/// All tools, sorted by name.
pub(crate) fn descriptors() -> &'static [ToolDescriptor] {
    &TOOLS
}

/// Why a tool has no result.
#[derive(Debug)]
pub(crate) enum ToolError {
    /// The arguments do not fit.
    Input(InputError),
    /// The edge cannot.
    Edge(EdgeError),
}

impl From<InputError> for ToolError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl<E: Into<EdgeError>> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self::Edge(error.into())
    }
}

/// `tools/call`.
///
/// # Errors
/// No such tool, or (before 2025-11-25) arguments that do not fit.
pub(crate) async fn call(
    caller: &Caller<'_>,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<Bytes, RpcError> {
    let call = CallParams::parse(params)?;
    let result = match call.name.as_str() {
        get_recent_events::NAME => get_recent_events::call(caller, &call).await,
        replay_events::NAME => replay_events::call(caller, &call).await,
        subscribe_to_events::NAME => subscribe_to_events::call(caller, &call).await,
        manage_events::NAME => manage_events::call(caller, &call).await,
        _ => return Err(call.unknown_tool()),
    };
    let result = match result {
        Ok(result) => result,
        Err(ToolError::Input(error)) => input_failure(caller.version, error)?,
        // The session ended under the call: no tool result can say that.
        Err(ToolError::Edge(error @ EdgeError::SessionGone)) => return Err(rpc_error(&error)),
        Err(ToolError::Edge(error)) => {
            let logged = rpc_error(&error);
            CallResult::failed(format!("{}: {}", logged.message, error.public_text()))
        }
    };
    Ok(caller.answer(id, &result.for_version(caller.version)))
}

/// A result that fits the tool's output schema.
fn done(data: &impl Serialize) -> Result<CallResult, ToolError> {
    CallResult::structured(data).map_err(|_| {
        let reason = "an event cannot be encoded".to_owned();
        ToolError::Edge(EdgeError::Parameter {
            field: "events".to_owned(),
            reason,
        })
    })
}
