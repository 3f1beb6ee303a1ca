//! Metrics of gap repair.

use std::time::Duration;

use event_flow::record::RecordObserver;
use model::EventFacts;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
};
use service_kit::metrics::{MetricsRegistry, counters};

/// What became of a missing delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum GapOutcome {
    /// Its event is in the log now.
    repaired,
    /// It came by itself in the meantime.
    arrived,
    /// No event comes of it.
    no_event,
    /// GitHub gives it no longer.
    gone,
    /// What GitHub gives of it cannot be read.
    unreadable,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum SweepEnd {
    /// Every list was read and every gap settled, but for deliveries that GitHub fails to give again and again.
    whole,
    /// A bound ended it; the next one goes on.
    bound,
    /// What is left of GitHub's limit is left to others.
    budget,
    /// Something failed.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GapLabel {
    outcome: GapOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabel {
    end: SweepEnd,
}

/// The metrics of gap repair. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct GapMetrics {
    /// Deliveries that GitHub lists and the log does not have.
    pub(crate) found: Counter,
    gaps: Family<GapLabel, Counter>,
    sweeps: Family<SweepLabel, Counter>,
    /// Entries of lists that cannot be read.
    pub(crate) unreadable: Counter,
    hints_failed: Counter,
}

impl GapMetrics {
    pub(crate) fn register(registry: &mut MetricsRegistry) -> Self {
        let outcomes = [
            GapOutcome::repaired,
            GapOutcome::arrived,
            GapOutcome::no_event,
            GapOutcome::gone,
            GapOutcome::unreadable,
        ];
        let ends = [
            SweepEnd::whole,
            SweepEnd::bound,
            SweepEnd::budget,
            SweepEnd::failed,
        ];
        let metrics = Self {
            gaps: counters(outcomes.map(|outcome| GapLabel { outcome })),
            sweeps: counters(ends.map(|end| SweepLabel { end })),
            ..Self::default()
        };
        registry.register(
            "forgewire_sync_gaps_found",
            "Deliveries that GitHub lists and the event log does not have",
            metrics.found.clone(),
        );
        registry.register(
            "forgewire_sync_gaps",
            "What became of them: repaired, arrived by themselves, without an event, gone at GitHub, unreadable",
            metrics.gaps.clone(),
        );
        registry.register(
            "forgewire_sync_sweeps",
            "Sweeps of GitHub's lists of deliveries: whole, ended at a bound, ended to leave GitHub's limit to others, failed",
            metrics.sweeps.clone(),
        );
        registry.register(
            "forgewire_sync_sweep_unreadable_entries",
            "Entries of GitHub's lists of deliveries that could not be read, at each look",
            metrics.unreadable.clone(),
        );
        registry.register(
            "forgewire_sync_gap_hints_failed",
            "Repaired events that the bus did not announce; readers find them when they next poll the log",
            metrics.hints_failed.clone(),
        );
        metrics
    }

    pub(crate) fn gap(&self, outcome: GapOutcome) {
        self.gaps.get_or_create(&GapLabel { outcome }).inc();
    }

    pub(crate) fn sweep(&self, end: SweepEnd) {
        self.sweeps.get_or_create(&SweepLabel { end }).inc();
    }
}

impl RecordObserver for GapMetrics {
    fn appended(&self, _took: Duration) {}

    fn recorded(&self, _event: &EventFacts) {}

    fn hint_failed(&self) {
        self.hints_failed.inc();
    }
}
