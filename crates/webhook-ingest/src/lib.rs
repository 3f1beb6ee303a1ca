//! Receives GitHub's webhooks: verifies, normalises, appends durably, then answers.
//!
//! The path of a delivery: `api` reads the body within its bounds, `examine` verifies the signature
//! over the raw bytes and only then parses, [`github_events`] makes resource events of it,
//! [`event_flow`] appends them and sends the hint, `delivery` holds these steps together, and a disconnect of the
//! sender does not interrupt them.
//!
//! Deliberately absent: calls of GitHub's API (a job of the sync role) and everything for clients
//! (a job of the edge). The role keeps no state: every replica accepts every delivery, and the
//! event log recognises duplicates.

mod api;
mod config;
mod delivery;
mod delivery_lines;
mod error;
mod examine;
mod form;
mod item_contents;
mod large_bodies;
pub mod limits;
mod log_clock;
mod metrics;
mod order;
mod parse_turns;
mod repeats;
mod roles_reader;
mod service;
pub mod signature;
mod sources;
mod uninterrupted;

pub use api::{WEBHOOK_PATH, openapi_document};
pub use config::IngestConfig;
pub use error::{DeliveryRefusal, IngestBuildError};
pub use service::{IngestDeps, IngestService, RunningIngest};
