//! The ports with an observer in front: a latency and an error count for each call, and a span inside a
//! recorded trace. Services see the same ports.

mod log;
mod sessions;

use std::sync::Arc;

use instruments::store_calls::{StoreMetrics, StorePort};
use ports::{EventLog, Stores};

use crate::config::BackendKey;

use log::ObservedLog;
use sessions::{ObservedLeases, ObservedMailbox, ObservedRecords};

/// Observes a log that `system` serves.
pub(super) fn observe_log(
    log: Arc<dyn EventLog>,
    metrics: &StoreMetrics,
    system: &'static str,
) -> Arc<dyn EventLog> {
    Arc::new(ObservedLog {
        calls: metrics.port(StorePort::Log, system),
        log,
    })
}

/// Observes records, mailboxes and leases; `served_by` names the backend of a shape. The log is observed already.
pub(super) fn observe_state(
    stores: Stores,
    metrics: &StoreMetrics,
    served_by: impl Fn(BackendKey) -> &'static str,
) -> Stores {
    let calls = |port, key| metrics.port(port, served_by(key));
    Stores {
        mailboxes: Arc::new(ObservedMailbox {
            calls: calls(StorePort::Mailbox, BackendKey::Mailboxes),
            mailbox: stores.mailboxes,
        }),
        records: Arc::new(ObservedRecords {
            calls: calls(StorePort::Records, BackendKey::Records),
            records: stores.records,
        }),
        leases: Arc::new(ObservedLeases {
            calls: calls(StorePort::Leases, BackendKey::Leases),
            leases: stores.leases,
        }),
        ..stores
    }
}
