//! The three roles.

use clap::ValueEnum;

/// A role that a process can play.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Receives webhooks.
    Ingest,
    /// Keeps the state of resources.
    Sync,
    /// Serves clients.
    Edge,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Ingest, Self::Sync, Self::Edge];
}
