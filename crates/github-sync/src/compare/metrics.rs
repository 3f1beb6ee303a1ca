//! Metrics of the comparison with GitHub.

use std::time::Duration;

use event_flow::record::RecordObserver;
use model::EventFacts;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
};
use service_kit::metrics::{MetricsRegistry, counters};

/// How the comparison of a place ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum CompareEnd {
    /// Every list was read to its end.
    whole,
    /// Some changes are too new: their webhooks may still arrive.
    waiting,
    /// The time limit ended it; the next one goes on.
    time_limit,
    /// What is left of GitHub's limit is left to others.
    budget,
    /// Something failed.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CompareLabel {
    end: CompareEnd,
}

/// The metrics of the comparison. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompareMetrics {
    ends: Family<CompareLabel, Counter>,
    /// Objects that lists showed.
    pub(crate) listed: Counter,
    /// Requests that GitHub answered with "not modified".
    pub(crate) unmodified: Counter,
    /// Items of lists that make no sense.
    pub(crate) unreadable_items: Counter,
    /// Events of changes that no webhook told.
    pub(crate) events: Counter,
    /// Changes of which no event could be made.
    pub(crate) eventless: Counter,
    /// States that were stored.
    pub(crate) saved: Counter,
    /// Stored states that cannot be read.
    pub(crate) unreadable: Counter,
    hints_failed: Counter,
}

impl CompareMetrics {
    pub(crate) fn register(registry: &mut MetricsRegistry) -> Self {
        let ends = [
            CompareEnd::whole,
            CompareEnd::waiting,
            CompareEnd::time_limit,
            CompareEnd::budget,
            CompareEnd::failed,
        ];
        let metrics = Self {
            ends: counters(ends.map(|end| CompareLabel { end })),
            ..Self::default()
        };
        registry.register(
            "forgewire_sync_comparisons",
            "Comparisons of a place with GitHub: whole, with changes whose webhooks may still arrive, ended at the time limit, ended to leave GitHub's limit to others, failed",
            metrics.ends.clone(),
        );
        registry.register(
            "forgewire_sync_compared_objects",
            "Objects in GitHub's lists that were compared with the mirror",
            metrics.listed.clone(),
        );
        registry.register(
            "forgewire_sync_unmodified_pages",
            "Pages of GitHub's lists that had not changed, which cost nothing of the primary limit",
            metrics.unmodified.clone(),
        );
        registry.register(
            "forgewire_sync_unreadable_items",
            "Items of GitHub's lists that have no number or no id and are left out, at each look",
            metrics.unreadable_items.clone(),
        );
        registry.register(
            "forgewire_sync_found_events",
            "Events of changes that no webhook told, found by comparison",
            metrics.events.clone(),
        );
        registry.register(
            "forgewire_sync_found_changes_without_event",
            "Changes found by comparison of which no event could be made",
            metrics.eventless.clone(),
        );
        registry.register(
            "forgewire_sync_saved_states",
            "States of the mirror that were stored",
            metrics.saved.clone(),
        );
        registry.register(
            "forgewire_sync_unreadable_states",
            "Stored states of the mirror that cannot be read, at each look; they are read from GitHub again",
            metrics.unreadable.clone(),
        );
        registry.register(
            "forgewire_sync_found_hints_failed",
            "Events of a comparison that the bus did not announce; readers find them when they next poll the log",
            metrics.hints_failed.clone(),
        );
        metrics
    }

    pub(crate) fn end(&self, end: CompareEnd) {
        self.ends.get_or_create(&CompareLabel { end }).inc();
    }
}

impl RecordObserver for CompareMetrics {
    fn appended(&self, _took: Duration) {}

    fn recorded(&self, _event: &EventFacts) {
        self.events.inc();
    }

    fn hint_failed(&self) {
        self.hints_failed.inc();
    }
}
