//! The stores and the bus that the parts of one process share.

use std::sync::Arc;

use crate::{Bus, EventLog, Leases, Mailbox, Records, SessionStore};

/// A handle on each store and on the bus: what a process opens once and hands to its services.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Sessions of the handshake era.
    pub sessions: Arc<dyn SessionStore>,
    /// Messages that sessions have yet to read.
    pub mailbox: Arc<dyn Mailbox>,
    /// State of any kind with a revision: tasks.
    pub records: Arc<dyn Records>,
    /// Leases: one holder at a time changes what has no revision.
    pub locks: Arc<dyn Leases>,
    /// Hints between processes.
    pub bus: Arc<dyn Bus>,
}

impl Stores {
    /// Bundles a log and a bus with one store that implements the four ports of sessions.
    #[must_use]
    pub fn new<S>(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>, store: Arc<S>) -> Self
    where
        S: SessionStore + Mailbox + Records + Leases,
    {
        Self {
            log,
            sessions: store.clone(),
            mailbox: store.clone(),
            records: store.clone(),
            locks: store,
            bus,
        }
    }
}
