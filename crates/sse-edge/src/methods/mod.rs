//! Methods that only the edge can answer: those of one era, and calls that become tasks.

pub(crate) mod again;
pub(crate) mod handshake;
pub(crate) mod listen;
pub(crate) mod tasks;

use mcp::{HttpRefusal, RequestId, method};
use mcp_server::{Caller, OfferRegistry, tool::ToolCall, waiting::CallReply};
use serde_json::value::RawValue;

use crate::edge::Edge;

/// Answers a method that both eras have, and `server/discover`. Drops the params when they are read: a call
/// may wait for long, and a body has up to 4 MiB.
///
/// # Errors
/// The JSON-RPC error to answer with, and its HTTP status if no stream has begun.
pub(crate) async fn call(
    edge: &Edge,
    caller: &Caller,
    id: &RequestId,
    name: &str,
    params: Option<Box<RawValue>>,
) -> Result<CallReply, HttpRefusal> {
    if name != method::TOOLS_CALL {
        // In memory of its own while it runs: a tool that waits for long has no part in it.
        let message = Box::pin(edge.registry.call(caller, id, name, params)).await;
        return message.map(CallReply::Message);
    }
    match edge.registry.tools().call(caller, params).await? {
        ToolCall::Done(outcome) => {
            OfferRegistry::tool_answer(caller, id, outcome).map(CallReply::Message)
        }
        ToolCall::Waits(waiting) => Ok(CallReply::Waits(waiting)),
        ToolCall::Task(tool, call) => {
            let started = Box::pin(edge.tasks.start(caller, id, tool, call)).await;
            started.map(CallReply::Message)
        }
    }
}
