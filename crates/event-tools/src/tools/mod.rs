//! The tools, one file each.

mod filter_input;
mod filters;
mod get_recent_events;
mod manage_events;
mod replay_events;
mod subscribe_to_events;
mod wait_for_events;

use mcp::tool::CallToolResult;
use serde::Serialize;

pub(crate) use get_recent_events::GetRecentEvents;
pub(crate) use manage_events::ManageEvents;
pub(crate) use replay_events::ReplayEvents;
pub(crate) use subscribe_to_events::SubscribeToEvents;
pub(crate) use wait_for_events::WaitForEvents;

/// A result that fits the tool's output schema.
fn structured(data: &impl Serialize) -> CallToolResult {
    CallToolResult::structured(data)
        .unwrap_or_else(|_| CallToolResult::failed("events: an event cannot be encoded"))
}
