//! The metrics of the connections to NATS.

use std::fmt;

use nats::NatsConnection;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use service_kit::metrics::MetricsRegistry;

/// Name and meaning of the only one.
pub(super) const SLOW_CONSUMERS: (&str, &str) = (
    "forgewire_nats_slow_consumers",
    "Reports of the NATS driver that it dropped a message, because a subscription had as many waiting as it may",
);

/// Registers `forgewire_nats_slow_consumers_total`.
pub(super) fn register(registry: &mut MetricsRegistry, connections: &[NatsConnection]) {
    registry.register_collector(Box::new(NatsMetrics(connections.to_vec())));
}

#[derive(Debug)]
struct NatsMetrics(Vec<NatsConnection>);

impl Collector for NatsMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let reports = self.0.iter().map(NatsConnection::slow_consumers);
        let reports = ConstCounter::new(reports.sum::<u64>());
        let encoder = encoder.encode_descriptor(
            SLOW_CONSUMERS.0,
            SLOW_CONSUMERS.1,
            None,
            reports.metric_type(),
        )?;
        reports.encode(encoder)
    }
}
