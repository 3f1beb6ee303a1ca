//! The ports with an observer in front: a latency and an error count for each call, and a span inside a
//! recorded trace. Services see the same ports.

mod log;
mod sessions;

use std::sync::Arc;

use instruments::store_calls::{StoreMetrics, StorePort};
use ports::{EventLog, Stores};

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

/// Observes records, mailboxes and leases, which `system` serves. The log is observed already.
pub(super) fn observe_sessions(
    stores: Stores,
    metrics: &StoreMetrics,
    system: &'static str,
) -> Stores {
    let calls = |port| metrics.port(port, system);
    Stores {
        mailboxes: Arc::new(ObservedMailbox {
            calls: calls(StorePort::Mailbox),
            mailbox: stores.mailboxes,
        }),
        records: Arc::new(ObservedRecords {
            calls: calls(StorePort::Records),
            records: stores.records,
        }),
        leases: Arc::new(ObservedLeases {
            calls: calls(StorePort::Leases),
            leases: stores.leases,
        }),
        ..stores
    }
}
