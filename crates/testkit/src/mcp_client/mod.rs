//! A small MCP client for tests, of both eras, that can send each request to another edge.
//!
//! [`McpClient`] speaks the handshake era (2024-11-05 to 2025-11-25): it keeps its session id and
//! takes the edge per call, so that a test hops between edges. [`ModernClient`] speaks the
//! stateless era (2026-07-28). Neither retries, caches or hides anything: what the server said is
//! what a test sees. The wire is plain JSON; no type of the server is shared, so a wrong server
//! cannot agree with itself.

mod handshake;
mod modern;
mod wire;

pub use handshake::{HANDSHAKE_VERSION, McpClient};
pub use modern::{ListenStream, MODERN_VERSION, ModernClient};
pub use wire::{McpError, Notification, Reply};

/// Path of the MCP endpoint on every edge.
pub const MCP_PATH: &str = "/mcp";

#[cfg(test)]
mod tests;
