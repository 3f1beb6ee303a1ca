//! The size of a tool's answer, in bytes of text.

use mcp::tool::CallToolResult;
use serde::Serialize;

/// Maximum text of one result, in bytes; what does not fit follows on the next page. A result carries it twice, as
/// structured content and as text, and with that still fits into a task and a mailbox (1 MiB each).
pub const MAX_RESULT_BYTES: usize = 256 << 10;
/// Text of a result whose caller asks for no other size, in bytes. That is about 10,000 tokens: the best-known agent
/// warns there, and refuses a result above 25,000.
pub const DEFAULT_RESULT_BYTES: usize = 40_000;
/// Least text of a result that a caller may ask for, in bytes: the cursors, the notes, and one item of a list.
pub const MIN_RESULT_BYTES: usize = 4096;

/// Tells Claude Code that a caller who asks for a larger answer means it: without the hint it refuses results above
/// 25,000 tokens. A character has a byte at least.
pub const RESULT_SIZE_HINT: (&str, u64) = ("anthropic/maxResultSizeChars", MAX_RESULT_BYTES as u64);

/// A result that fits the tool's output schema.
#[must_use]
pub fn structured_result(data: &impl Serialize) -> CallToolResult {
    CallToolResult::structured(data)
        .unwrap_or_else(|_| CallToolResult::failed("the answer cannot be encoded"))
}
