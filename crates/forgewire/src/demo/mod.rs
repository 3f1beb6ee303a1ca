//! `forgewire demo`: the real roles in one process, a fake GitHub that posts to them over HTTP, and a
//! real MCP client that prints what arrives. There are no shortcuts: an event takes the same path as
//! in production.

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
