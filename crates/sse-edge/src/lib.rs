//! MCP over HTTP and SSE: sessions, calls, tasks, and the routes to all of it.
//!
//! The edge forgets: nothing here is needed by another edge. What must survive is in the event log and
//! the session store; a client that reconnects to any edge, with the last id that it saw, continues exactly
//! there.
//!
//! | module | idea |
//! | --- | --- |
//! | `service` | build and start |
//! | `edge` | what the routes share |
//! | `api` | routes, extraction, answers: the only place that knows axum |
//! | `methods` | methods that only the edge can answer: one era's own, calls that become tasks |
//! | `session` | sessions of the handshake era, usable on any edge |
//! | `calls` | asking the client, cancelling, and answers that survive their connection |
//! | `tasks` | work that continues after its answer |
//! | `news` | bus messages to sessions, calls, tasks and streams |
//! | `origins` | the web pages that may use the edge |
//!
//! The streams are the crate `fanout`, the offers come from toolsets (`mcp-server`, `event-tools`). What is
//! deliberately absent: a queue, channel, task or timer per stream; sticky sessions; local disk.

mod api;
mod background;
mod calls;
mod config;
mod edge;
mod error;
mod limits;
mod methods;
mod metrics;
mod news;
mod origins;
mod profile;
mod service;
mod session;
mod tasks;

pub use config::Config;
pub use error::BuildError;
pub use mcp_server::RateLimits;
pub use service::{Deps, Service, Serving};
