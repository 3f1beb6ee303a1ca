//! The tools, one file each.

mod answer_input;
mod arguments;
mod filter_input;
mod filters;
mod get_event;
mod get_recent_events;
mod get_subscribed_events;
mod manage_events;
mod range_input;
mod replay_events;
mod shown_events;
mod subscribe_to_events;
mod wait_for_events;

use mcp::tool::CallToolResult;
use serde::Serialize;

use crate::limits::MAX_RESULT_BYTES;

pub use filters::FilterList;
pub(crate) use get_event::GetEvent;
pub(crate) use get_recent_events::GetRecentEvents;
pub(crate) use get_subscribed_events::GetSubscribedEvents;
pub(crate) use manage_events::ManageEvents;
pub(crate) use replay_events::ReplayEvents;
pub(crate) use subscribe_to_events::SubscribeToEvents;
pub(crate) use wait_for_events::WaitForEvents;

/// Tells Claude Code that a caller who asks for a larger answer means it: without the hint it refuses results above
/// 25,000 tokens. A character has a byte at least.
const RESULT_SIZE_HINT: (&str, u64) = ("anthropic/maxResultSizeChars", MAX_RESULT_BYTES as u64);

/// A result that fits the tool's output schema.
fn structured(data: &impl Serialize) -> CallToolResult {
    CallToolResult::structured(data)
        .unwrap_or_else(|_| CallToolResult::failed("events: an event cannot be encoded"))
}
