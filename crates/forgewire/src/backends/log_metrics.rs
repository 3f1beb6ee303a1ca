//! The metrics of the event log itself, whichever roles use it.

use std::{fmt, sync::Arc};

use ports::EventLog;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use service_kit::metrics::MetricsRegistry;
use store_layers::LayerFailures;

/// Registers `forgewire_log_undecodable_entries_total`.
pub(crate) fn register_log_metrics(registry: &mut MetricsRegistry, log: &Arc<dyn EventLog>) {
    registry.register_collector(Box::new(LogMetrics(Arc::clone(log))));
}

/// Registers `forgewire_store_unreadable_bodies_total`.
pub(crate) fn register_layer_metrics(registry: &mut MetricsRegistry, failures: &LayerFailures) {
    registry.register_collector(Box::new(LayerMetrics(failures.clone())));
}

#[derive(Debug)]
struct LayerMetrics(LayerFailures);

impl Collector for LayerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let bodies = ConstCounter::new(self.0.count());
        let encoder = encoder.encode_descriptor(
            "forgewire_store_unreadable_bodies",
            "Reads of stored events and records that are sealed with a key that this process does not have, or \
             that are damaged in a layer",
            None,
            bodies.metric_type(),
        )?;
        bodies.encode(encoder)
    }
}

#[derive(Debug)]
struct LogMetrics(Arc<dyn EventLog>);

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let entries = ConstCounter::new(self.0.undecodable_entries());
        let encoder = encoder.encode_descriptor(
            "forgewire_log_undecodable_entries",
            "Entries of the event log that this process skipped because they do not decode",
            None,
            entries.metric_type(),
        )?;
        entries.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use model::RandomIds;
    use store_layers::StoredLog;
    use store_memory::MemoryLogStore;

    use super::*;

    #[test]
    fn the_undecodable_entries_are_a_counter() {
        let log = StoredLog::new(MemoryLogStore::new(&RandomIds, NonZeroUsize::MIN));
        let log: Arc<dyn EventLog> = Arc::new(log);
        let mut registry = MetricsRegistry::default();
        register_log_metrics(&mut registry, &log);
        let text = service_kit::metrics::encode(&registry).unwrap();
        assert!(
            text.contains("forgewire_log_undecodable_entries_total 0"),
            "{text}"
        );
    }
}
