//! The sync role: keeps the last known state of each GitHub resource and serves it.
//!
//! It reads the event log from its start and keeps, for each resource, the newest object in an
//! event. It has no store of its own: after a restart it reads the log again. Callers query it as
//! [`ports::ResourceReader`], in the same process ([`RunningSync::reader`]) or over gRPC
//! ([`client::connect`]).
//!
//! With credentials for GitHub it also finds what no ingest stored, in GitHub's lists of deliveries, and stores it (`gaps`).
//!
//! Deliberately absent: connections from agents (they connect to an edge).

mod api;
pub mod client;
mod compare;
mod config;
mod deps;
mod derived_kind;
mod details;
mod error;
mod gaps;
mod held_lease;
mod limits;
mod listed;
mod lists;
mod metrics;
mod mirror;
mod reader;
mod service;
mod sweep_marks;
mod webhook_place;
mod wire;

pub use config::SyncConfig;
pub use deps::{SyncDeps, SyncGithub};
pub use error::{ConnectError, ServeError, SyncBuildError};
pub use service::{RunningSync, SyncService};
