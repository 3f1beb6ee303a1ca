//! `forgewire stdio`: the bridge between a client's pipes and an edge.

mod args;
#[cfg(feature = "stdio")]
mod bridge;

pub(crate) use args::StdioArgs;
#[cfg(feature = "stdio")]
pub(crate) use bridge::run;
