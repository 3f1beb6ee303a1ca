//! A small MCP client for tests, of both eras, that can send each request to a different edge.
//!
//! [`McpClient`] implements the handshake era (2024-11-05 to 2025-11-25): it keeps its session id
//! and takes the edge per call, so that a test can switch edges at any time. [`ModernClient`]
//! implements the stateless era (2026-07-28). Neither client retries, caches or hides anything: a
//! test sees exactly what the server sent. Messages are plain JSON and no type is shared with the
//! server, so an error in the server's types cannot hide itself.

mod handshake;
mod modern;
mod wire;

pub use handshake::{HANDSHAKE_VERSION, McpClient};
pub use modern::{ListenStream, MODERN_VERSION, ModernClient};
pub use wire::{McpError, McpReply, ServerMessage};

/// Path of the MCP endpoint on every edge.
pub const MCP_PATH: &str = "/mcp";

#[cfg(test)]
mod tests;
