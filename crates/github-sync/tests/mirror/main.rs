//! The mirror against a GitHub: what it has, what that costs, and what no webhook told.

#![allow(clippy::unwrap_used, reason = "a test panics where something is wrong")]

mod carried;
mod derived;
mod failures;
mod first;
mod found;
mod gone_issues;
mod links;
mod projects;
mod pulls;
mod releases;
mod replicas;
mod world;
