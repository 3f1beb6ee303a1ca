//! The sync role from its callers' side: in process and over a real socket.

#![allow(clippy::unwrap_used, reason = "a test panics where something is wrong")]

mod fresh;
mod grpc;
mod lists;
mod readers;
mod restart;
#[path = "../setup/mod.rs"]
mod setup;
mod world;
