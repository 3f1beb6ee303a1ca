//! A GitHub for tests and the demo: a world that changes, webhooks that tell, and APIs that answer.
//!
//! | module | content |
//! | --- | --- |
//! | [`world`] | what exists, and the operations that change it; no I/O |
//! | [`hooks`] | webhooks, deliveries and what became of them |
//! | [`ledger`] | what happened |
//! | [`auth`] | tokens, the app's claims |
//! | `render` | objects as REST and payloads show them |
//! | [`graphql`] | documents, their cost, and what they see |
//! | [`story`] | the life of a busy organization |
//! | [`server`] | all of it on a port, with limits and faults |
//!
//! Everything that a test compares with is in the [`ledger`]: what the fake GitHub *did*, not what it sent.

pub mod auth;
mod budgets;
pub mod graphql;
pub mod hooks;
mod keys;
pub mod ledger;
mod render;
pub mod server;
pub mod story;
pub mod world;
