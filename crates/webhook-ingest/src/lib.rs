//! Receives GitHub's webhooks: verifies, normalises, appends durably, then answers.
//!
//! The path of a delivery: `api` reads the body within its bounds, `examine` verifies the signature
//! over the raw bytes and only then parses, [`normalise`] makes resource events (pure, one file per
//! kind of webhook), `record` appends them and publishes the hint, and `delivery` runs these steps
//! in a task that a disconnecting sender cannot interrupt.
//!
//! Deliberately absent: calls of GitHub's API (a job of the sync role) and everything for clients
//! (a job of the edge). The role keeps no state: every replica accepts every delivery, and the
//! event log recognises duplicates.

mod api;
mod config;
mod delivery;
mod error;
mod examine;
pub mod limits;
mod metrics;
pub mod normalise;
mod record;
mod service;
pub mod signature;

pub use api::WEBHOOK_PATH;
pub use config::Config;
pub use error::{BuildError, Refusal};
pub use service::{Deps, Service};
