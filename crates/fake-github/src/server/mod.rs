//! The fake GitHub on a port of this machine.

mod asked;
mod channel;
mod courier;
mod faults;
mod github;
mod listener;
mod outgoing;
mod routes;
mod shared;
mod state;
mod versions;

pub use faults::FakeFault;
pub use listener::GithubServer;
pub use state::{FakeCounts, Github};

pub use crate::budgets::{FakeBudget, FakeLimits};
