//! The layers of `[layers]`, and the bound of every call.

use std::{sync::Arc, time::Duration};

use model::IdSource;
use ports::{EventLog, Leases, LogStore, Records};
use store_layers::{Compressed, Deadline, LayerFailures, Layered, Sealed};

use crate::config::Config;

/// The bound of a call that its own deadline does not end: somewhat more than the adapters', which know the reason.
const CALL_LIMIT: Duration = Duration::from_secs(6);

/// What lies over each store. Both layers are always there: off, they read what was written while they were on.
#[derive(Clone, Debug)]
pub(super) struct StoreLayers {
    compressed: Compressed,
    sealed: Sealed,
    failures: LayerFailures,
}

impl StoreLayers {
    /// The layers that the configuration chooses.
    ///
    /// # Errors
    /// A key is refused; the text names it.
    pub(super) fn new(config: &Config, ids: Arc<dyn IdSource>) -> anyhow::Result<Self> {
        let layers = &config.layers;
        Ok(Self {
            compressed: match layers.compress {
                true => Compressed::on(),
                false => Compressed::reading(),
            },
            sealed: Sealed::new(layers.keys()?, ids, layers.accept_unsealed),
            failures: LayerFailures::default(),
        })
    }

    /// Bodies that cannot be read.
    pub(super) fn failures(&self) -> LayerFailures {
        self.failures.clone()
    }

    /// What is sealed does not become smaller, so compression comes first.
    fn body_layers(&self) -> (Compressed, Sealed) {
        (self.compressed, self.sealed.clone())
    }

    pub(super) fn over_log<S: LogStore>(&self, store: S) -> Layered<(Compressed, Sealed), S> {
        Layered::new(self.body_layers(), store, self.failures())
    }

    pub(super) fn over_records(&self, store: Arc<dyn Records>) -> Arc<dyn Records> {
        Arc::new(Layered::new(self.body_layers(), store, self.failures()))
    }
}

/// The log with a bound of its calls.
pub(super) fn bounded_log(log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
    let limit = CALL_LIMIT.max(log.deadline() + Duration::from_secs(1));
    Arc::new(Deadline::new(log, limit))
}

/// Records with a bound of their calls.
pub(super) fn bounded_records(records: Arc<dyn Records>) -> Arc<dyn Records> {
    Arc::new(Deadline::new(records, CALL_LIMIT))
}

/// Leases with a bound of their calls.
pub(super) fn bounded_leases(leases: Arc<dyn Leases>) -> Arc<dyn Leases> {
    Arc::new(Deadline::new(leases, CALL_LIMIT))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use model::{RandomIds, Sequence};
    use service_kit::config::Secret;
    use store_layers::StoredLog;
    use store_memory::MemoryLogStore;

    use super::*;

    fn layers(change: impl FnOnce(&mut Config)) -> StoreLayers {
        let mut config = Config::default();
        change(&mut config);
        StoreLayers::new(&config, Arc::new(RandomIds)).unwrap()
    }

    #[tokio::test]
    async fn what_is_configured_is_over_the_store_and_off_it_still_reads() {
        let many = NonZeroUsize::new(100).unwrap();
        let store = Arc::new(MemoryLogStore::new(&RandomIds, many));
        let over = |layers: &StoreLayers| StoredLog::new(layers.over_log(store.clone()));
        let sealing = |config: &mut Config| {
            config.layers.seal_keys = vec![Secret::new("k".repeat(32))];
        };
        let events = || contract::events(0, 30);
        let (off, compressing) = (
            layers(|_| ()),
            layers(|config| config.layers.compress = true),
        );
        over(&off).append(contract::events(0, 10)).await.unwrap();
        over(&compressing)
            .append(contract::events(10, 20))
            .await
            .unwrap();
        over(&layers(sealing))
            .append(contract::events(20, 30))
            .await
            .unwrap();
        let stored = store.read_after(Sequence::START, 100).await.unwrap();
        let first = |n: usize| stored.entries[n].content.as_ref().unwrap().body[0];
        assert_eq!((first(0), first(19), first(29)), (1, 0xc1, 0xc3));
        let page = over(&layers(sealing))
            .read_after(Sequence::START, 100)
            .await
            .unwrap();
        let read: Vec<_> = page.events.into_iter().map(|event| event.item).collect();
        assert_eq!(read, events());
        let page = over(&off).read_before(Sequence(31), 100).await.unwrap();
        assert_eq!((page.events.len(), page.undecodable.len()), (20, 10));
        assert_eq!(off.failures().count(), 10, "the missing key is counted");
    }

    #[tokio::test]
    async fn records_are_sealed_as_well() {
        use model::{PrincipalId, RecordId, SystemClock};
        use ports::{Collection, NewRecord, RecordKey, RecordLimits};

        let store: Arc<dyn Records> = Arc::new(store_memory::MemorySessionStore::new(
            Arc::new(SystemClock),
            10,
        ));
        let layers = layers(|config| {
            config.layers.seal_keys = vec![Secret::new("k".repeat(32))];
            config.layers.accept_unsealed = false;
        });
        let records = bounded_records(layers.over_records(store.clone()));
        let record = NewRecord {
            key: RecordKey {
                collection: Collection::new("things"),
                id: RecordId::new("one").unwrap(),
            },
            owner: PrincipalId::anonymous(),
            state: "state".into(),
            ttl: Duration::from_secs(60),
        };
        records
            .create(&record, RecordLimits::default())
            .await
            .unwrap();
        let stored = store.load(&record.key).await.unwrap().unwrap();
        assert_eq!(stored.state[0], 0xc3);
        assert_eq!(
            records.load(&record.key).await.unwrap().unwrap().state,
            "state"
        );
    }
}
