//! The `[edge]` section.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BuildError, limits};

/// The edge: MCP over HTTP and SSE, REST and SSE for browsers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Origins of web pages that may use this edge, for instance `https://app.example.com`. Pages from
    /// this machine (localhost) may when the edge listens on loopback. Requests without `Origin` (agents,
    /// curl) are not concerned.
    pub allowed_origins: Vec<String>,
    /// Seconds between heartbeat comments on an idle stream; at least 1.
    pub heartbeat_seconds: u64,
    /// Most streams that are open at once; more get 503 with Retry-After. 0 refuses every stream.
    pub max_streams: usize,
    /// Seconds over which streams are ended when the process drains.
    pub drain_seconds: u64,
    /// Seconds after which a session that nobody used is gone.
    pub session_idle_seconds: u64,
    /// Largest body of a POST, in bytes.
    pub max_body_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            allowed_origins: Vec::new(),
            heartbeat_seconds: limits::HEARTBEAT_SECONDS,
            max_streams: limits::MAX_STREAMS,
            drain_seconds: limits::DRAIN_SECONDS,
            session_idle_seconds: limits::SESSION_IDLE_SECONDS,
            max_body_bytes: limits::MAX_BODY_BYTES,
        }
    }
}

impl Config {
    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// A value out of bounds; the text names the key.
    pub fn check(&self) -> Result<(), BuildError> {
        let positive = |key, value: u64| match value {
            0 => Err(BuildError::Value {
                key,
                reason: "must be at least 1".to_owned(),
            }),
            _ => Ok(()),
        };
        positive("edge.heartbeat_seconds", self.heartbeat_seconds)?;
        positive("edge.session_idle_seconds", self.session_idle_seconds)?;
        positive("edge.max_body_bytes", self.max_body_bytes as u64)
    }
}
