//! A sync role on a log that tests hold back.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use contract::HeldLog;
use github_sync::{RunningSync, SyncConfig, SyncDeps, SyncService};
use model::RandomIds;
use service_kit::{lifecycle::Lifecycle, metrics::MetricsRegistry};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore};

pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Starts the role on an empty log, and waits until it has found the log.
pub(crate) async fn start() -> (Arc<HeldLog>, RunningSync, Lifecycle) {
    let log = HeldLog::new(Arc::new(StoredLog::new(MemoryLogStore::new(
        &RandomIds, CAPACITY,
    ))));
    let deps = SyncDeps {
        log: log.clone(),
        bus: Arc::new(InProcessBus::new(CAPACITY)),
        ids: Arc::new(RandomIds),
        trust: role_keys::RoleTrust::none(),
        github: None,
        records: None,
    };
    let config = SyncConfig {
        deadline_seconds: DEADLINE.as_secs(),
        ..SyncConfig::default()
    };
    let mut registry = MetricsRegistry::default();
    let service = SyncService::build(&config, deps, &mut registry).expect("the defaults");
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let running = service.spawn(&lifecycle);
    let reader = running.reader();
    while !reader.status(None).await.expect("in process").caught_up {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (log, running, lifecycle)
}
