//! The plumbing that every service of Forgewire needs around its own work.
//!
//! | module | gives |
//! | --- | --- |
//! | [`config`] | one struct from files, environment and flags; errors name key and origin |
//! | [`dependency`] | probes of what a role needs, which decide on its readiness |
//! | [`lifecycle`] | readiness latches, tracked tasks, drain, hard stop, outcome |
//! | [`http`] | listeners and an accept loop for axum routers that drains and has bounds |
//! | [`hosts`] | the names under which a listener on loopback may be reached |
//! | [`grpc`] | servers and channels with deadlines, trace context, codes of error classes |
//! | [`bodies`] | one budget of memory for the bodies of all requests, with shares |
//! | [`body_encoding`] | compressed bodies, which no listener decodes |
//! | [`proxies`], [`ip_network`] | the proxies whose word about a client's address counts |
//! | [`openapi`] | the OpenAPI document of a listener, from its table of routes |
//! | [`audit`] | lines about refusals for reasons of security, bounded in number |
//! | [`problem`] | problem+json, the one mapping of error classes to HTTP |
//! | [`trace`] | W3C trace context in and out of requests |
//! | [`http_metrics`] | latencies of requests by route, method and status |
//! | [`metrics`] | the registry, latency buckets, OpenMetrics text |
//! | [`admin`] | `/livez`, `/readyz`, `/health`, `/metrics` |
//! | [`shared_clock`] | the clock of a store that processes share, and how far this one's differs |
//! | [`descriptors`] | the limit of file descriptors, raised at start and divided |
//! | [`telemetry`] | log lines on stderr, panics among them |
//! | [`request_threads`] | threads for requests, which give way to events and probes |
//! | [`line_allowance`] | how many lines of one kind the log takes in a second |
//! | [`line_queue`] | lines for a pipe that may not be read: bounded, written by a thread of their own |
//!
//! The binary combines them: load the configuration, start telemetry, make a [`lifecycle::Lifecycle`],
//! build services (they take their latches and spawn their tasks), serve, and
//! `run_until(stop_signals())`. Nothing here depends on a service or an adapter.

pub mod admin;
pub mod audit;
pub mod bodies;
pub mod body_encoding;
pub mod config;
pub mod dependency;
mod dependency_status;
pub mod descriptors;
pub mod grpc;
pub mod hosts;
pub mod http;
pub mod http_metrics;
pub mod ip_network;
pub mod lifecycle;
pub mod limits;
pub mod line_allowance;
pub mod line_queue;
mod listener;
pub mod metrics;
pub mod openapi;
pub mod problem;
mod prometheus_text;
pub mod proxies;
pub mod public_health;
pub mod request_threads;
pub mod shared_clock;
pub mod telemetry;
mod telemetry_config;
pub mod trace;
