//! The relay between two fakes over real HTTP: GitHub's API or a channel on one side, which answer as the test says,
//! and an ingest on the other. The whole-system scenarios cover the behaviour of a real ingest.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod channel;
mod list;
mod list_access;
mod list_refusals;
mod world;
