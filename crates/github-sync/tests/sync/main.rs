//! The sync role from its callers' side: in process and over a real socket.

#![allow(clippy::unwrap_used, reason = "a test panics where something is wrong")]

mod grpc;
mod readers;
mod restart;
mod world;
