//! MCP over HTTP and SSE: sessions, fan-out, resume.
//!
//! The edge forgets: nothing here is needed by another edge. What must survive is in the event log and
//! the session store; a client that comes back on any edge, with the last id that it saw, goes on exactly
//! there.
//!
//! | folder | idea |
//! | --- | --- |
//! | `api` | routes, extraction, answers: the only place that knows axum |
//! | `fanout` | one event to every stream that wants it: ring, streams, body |
//! | `session` | sessions of the handshake era, usable on any edge |
//! | `calls` | asking the client, cancelling, and answers that survive their connection |
//! | `protocol` | what MCP methods answer, resources among them |
//! | `tasks` | work that goes on after its answer |
//! | `policy` | what a call needs before it may run: a permission, room under a rate limit |
//! | `prompts` | what MCP clients can be filled with, one file each |
//! | `tools` | what MCP clients can call, one file each |
//!
//! What is deliberately absent: a queue, channel, task or timer per stream; sticky sessions; local disk.

mod api;
mod calls;
mod config;
#[cfg(feature = "conformance")]
mod conformance;
mod error;
mod fanout;
mod limits;
mod metrics;
mod policy;
mod prompts;
mod protocol;
mod service;
mod session;
mod tasks;
mod tools;

pub use config::{Config, RateLimits};
pub use service::{BuildError, Deps, Service};
