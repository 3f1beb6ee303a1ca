//! The client against a GitHub that answers as a test says, with real connections, and real Redis for the budget.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod apps;
mod described;
mod graphql;
mod limits;
mod replicas;
mod rest;
mod secrets;
mod server;
