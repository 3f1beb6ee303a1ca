//! The metric of everything that was refused because no role of this installation sent it.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter},
};
use role_keys::RoleTrust;
use service_kit::metrics::MetricsRegistry;

/// Registers `forgewire_roles_refused_total`; it has no value without keys.
pub(crate) fn register_role_metrics(registry: &mut MetricsRegistry, trust: &RoleTrust) {
    registry.register_collector(Box::new(RoleMetrics(trust.clone())));
}

#[derive(Debug)]
struct RoleMetrics(RoleTrust);

impl Collector for RoleMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "forgewire_roles_refused",
            "Messages, calls and reads of log entries that were refused because they carry no valid stamp \
             of the roles",
            None,
            MetricType::Counter,
        )?;
        for (channel, refusal, count) in self.0.refusals() {
            let labels = [("channel", channel.label()), ("reason", refusal.label())];
            let sample: MetricEncoder<'_> = family.encode_family(&labels)?;
            ConstCounter::new(count).encode(sample)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{RandomIds, SystemClock};
    use role_keys::{RoleKeys, StampMemory, StampedChannel};

    use super::*;

    #[test]
    fn refusals_are_counted_by_channel_and_reason() {
        let keys = RoleKeys::read(["a key that is as long as a key has to be"], &[]);
        let keys = keys.unwrap().unwrap();
        let trust = RoleTrust::keyed(keys, None, Arc::new(SystemClock), &RandomIds);
        let mut registry = MetricsRegistry::default();
        register_role_metrics(&mut registry, &trust);
        let refused = trust.verify(StampedChannel::Bus, &[], None, &StampMemory::default());
        assert!(refused.is_err());
        let text = service_kit::metrics::encode(&registry).unwrap();
        for line in [
            "forgewire_roles_refused_total{channel=\"bus\",reason=\"unsigned\"} 1",
            "forgewire_roles_refused_total{channel=\"grpc\",reason=\"stale\"} 0",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
