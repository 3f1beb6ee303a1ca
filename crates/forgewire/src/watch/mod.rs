//! `forgewire watch`: a line or a command for each event of an edge.

mod args;
#[cfg(feature = "watch")]
mod start;

pub(crate) use args::WatchArgs;
#[cfg(feature = "watch")]
pub(crate) use start::run;
