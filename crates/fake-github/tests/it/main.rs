//! The promises of the fake GitHub, kept over real HTTP and held against what GitHub publishes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod app;
mod deliveries;
mod graphql;
mod harness;
mod ledger;
mod limits;
mod published;
mod rest;
mod schema;
