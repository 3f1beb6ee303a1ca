//! The stores and the bus that the parts of one process share.

use std::sync::Arc;

use crate::{Bus, EventLog, Leases, Mailbox, Records};

/// A handle on each store and on the bus: what a process opens once and hands to its services.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// State of any kind with a revision: sessions and tasks.
    pub records: Arc<dyn Records>,
    /// Messages that sessions have yet to read.
    pub mailboxes: Arc<dyn Mailbox>,
    /// Leases: one holder at a time changes what has no revision.
    pub leases: Arc<dyn Leases>,
    /// Hints between processes.
    pub bus: Arc<dyn Bus>,
}

impl Stores {
    /// Bundles a log and a bus with one store of everything else.
    #[must_use]
    pub fn new<S>(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>, store: Arc<S>) -> Self
    where
        S: Records + Mailbox + Leases,
    {
        Self {
            log,
            records: store.clone(),
            mailboxes: store.clone(),
            leases: store,
            bus,
        }
    }
}
