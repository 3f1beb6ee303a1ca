//! `forgewire demo`: the real roles in one process, a fake GitHub that posts to them over HTTP, and a
//! real MCP client that prints what arrives. Nothing here is short-cut: the way of an event is the
//! way that it has in production.

mod args;
#[cfg(feature = "demo")]
mod client;
#[cfg(feature = "demo")]
mod progress;
#[cfg(feature = "demo")]
mod show;
#[cfg(feature = "demo")]
mod state;

pub(crate) use args::DemoArgs;
#[cfg(feature = "demo")]
pub(crate) use show::run;
