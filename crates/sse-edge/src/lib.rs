//! MCP over HTTP and SSE: sessions, calls, tasks, and the routes to them.
//!
//! An edge keeps no state that another edge needs. Everything that must survive is in the event log
//! and the session store; a client that reconnects to any edge, with the last id that it received,
//! continues exactly there.
//!
//! | module | idea |
//! | --- | --- |
//! | `service` | build and start |
//! | `edge` | the state shared by all routes |
//! | `api` | routes, extraction, answers: the only place that knows axum |
//! | `methods` | methods that only the edge can answer: those of one era, and calls that become tasks |
//! | `session` | sessions of the handshake era, usable on any edge |
//! | `calls` | questions to the client, cancellation, and answers that survive their connection |
//! | `subscriptions` | subscriptions that live beyond sessions, and the streams that follow them |
//! | `tasks` | work that continues after its answer |
//! | `news` | dispatches bus messages to sessions, calls, tasks, subscriptions and streams |
//! | `peers`, `broadcast` | questions to all edges; messages to many clients, and their numbers |
//! | `names` | loads and stores which name is which id |
//! | `parameters` | query parameters of the REST routes |
//! | `lockdown` | events and resources without the texts of strangers |
//! | `compression` | whole answers in gzip |
//! | `wake_wheel` | when answers that are waited for have to say something |
//! | `request_line` | log lines of work that outlives its request |
//! | `origins` | the web pages that may use the edge |
//!
//! Streams are in the crate `fanout`; tools, prompts and resources come from toolsets
//! (`mcp-server`, `event-tools`). What is deliberately absent: a queue, channel, task or timer per
//! stream; sticky sessions; local disk.

mod answer_budget;
mod api;
mod background;
mod broadcast;
mod broadcast_filter;
mod calls;
mod compression;
mod config;
mod edge;
mod edge_keys;
mod error;
mod health;
mod limits;
mod lockdown;
mod methods;
mod metrics;
mod names;
mod news;
mod origins;
pub mod parameters;
mod peers;
mod profile;
mod request_line;
mod service;
mod session;
mod shared_bytes;
mod store_clock;
mod subscriptions;
mod tasks;
mod wake_wheel;

pub use api::openapi_document;
pub use config::{DemoPage, EdgeConfig};
pub use error::EdgeBuildError;
pub use mcp_server::RateLimits;
pub use service::{EdgeDeps, EdgeService, ServingEdge};
