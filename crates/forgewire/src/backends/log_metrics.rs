//! The metrics of the event log itself, whichever roles use it.

use std::{fmt, sync::Arc};

use ports::EventLog;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use service_kit::metrics::MetricsRegistry;

/// Registers `forgewire_log_undecodable_entries_total`.
pub(crate) fn register_log_metrics(registry: &mut MetricsRegistry, log: &Arc<dyn EventLog>) {
    registry.register_collector(Box::new(LogMetrics(Arc::clone(log))));
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
