//! The fake GitHub on a port of this machine.

mod asked;
mod channel;
mod courier;
pub(crate) mod faults;
pub(crate) mod github;
pub(crate) mod limits;
mod listener;
mod routes;
mod versions;

pub use faults::FakeFault;
pub use github::{FakeCounts, Github};
pub use limits::{FakeBudget, FakeLimits};
pub use listener::GithubServer;

pub(crate) use asked::sees;
