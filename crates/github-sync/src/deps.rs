//! What the sync role is built with.

use std::sync::Arc;

use github::GithubClient;
use model::{Clock, IdSource};
use ports::{Bus, EventLog, Leases, Records};
use role_keys::RoleTrust;

/// The dependencies of the sync role.
#[derive(Debug, Clone)]
pub struct SyncDeps {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Announces new events.
    pub bus: Arc<dyn Bus>,
    /// Span ids for callers' traces.
    pub ids: Arc<dyn IdSource>,
    /// The rule by which calls over gRPC are answered: with keys, only those of other roles.
    pub trust: RoleTrust,
    /// GitHub, for gap repair and the mirror; `None` without credentials.
    pub github: Option<SyncGithub>,
    /// Where the mirror is stored; `None` if it is not compared with GitHub.
    pub records: Option<Arc<dyn Records>>,
}

/// GitHub, as gap repair and the mirror use it.
#[derive(Debug, Clone)]
pub struct SyncGithub {
    /// GitHub, with credentials.
    pub client: GithubClient,
    /// Leases that all replicas share; `None` if this process is the only one.
    pub leases: Option<Arc<dyn Leases>>,
    /// The time, where the log has no clock.
    pub clock: Arc<dyn Clock>,
}
