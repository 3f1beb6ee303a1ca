//! The instruments of admission. Names are a contract with dashboards.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
};
use service_kit::metrics::MetricsRegistry;

use crate::policy::RateClass;

impl EncodeLabelValue for RateClass {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ClassLabel {
    class: RateClass,
}

/// Counts refused calls, by class.
#[derive(Clone, Debug)]
pub(crate) struct RateMetrics([Counter; RateClass::ALL.len()]);

impl RateMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let refused = Family::<ClassLabel, Counter>::default();
        let counters =
            RateClass::ALL.map(|class| refused.get_or_create_owned(&ClassLabel { class }));
        registry.register(
            "forgewire_edge_calls_refused",
            "Calls refused because their principal reached a limit of edge.rates",
            refused,
        );
        Self(counters)
    }

    pub(crate) fn call_refused(&self, class: RateClass) {
        self.0[class as usize].inc();
    }
}
