//! All instruments of the edge itself, in one place. Names are a contract with dashboards.

use prometheus_client::metrics::counter::Counter;
use service_kit::{metrics::MetricsRegistry, shared_clock::SkewGauge};

/// The metrics of sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SessionMetrics {
    refused_sessions: Counter,
}

impl SessionMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            refused_sessions: Counter::default(),
        };
        registry.register(
            "forgewire_edge_refused_sessions",
            "Sessions refused because edge.max_sessions or edge.max_sessions_per_principal was reached",
            metrics.refused_sessions.clone(),
        );
        metrics
    }

    pub(crate) fn session_refused(&self) {
        self.refused_sessions.inc();
    }
}

/// The metrics of clocks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ClockMetrics {
    pub(crate) skew_seconds: SkewGauge,
}

impl ClockMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            skew_seconds: SkewGauge::default(),
        };
        registry.register(
            "forgewire_edge_clock_skew_seconds",
            "Seconds by which the clock of this process is ahead of the session store's; negative if it is behind",
            metrics.skew_seconds.clone(),
        );
        metrics
    }
}
