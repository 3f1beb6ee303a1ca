//! All instruments of the edge itself, in one place. Names are a contract with dashboards.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use service_kit::{metrics::MetricsRegistry, shared_clock::SkewGauge};

use crate::calls::question::DroppedAnswer;

/// The metrics of sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SessionMetrics {
    refused_sessions: Counter,
    unreadable_sessions: Counter,
}

impl SessionMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            refused_sessions: Counter::default(),
            unreadable_sessions: Counter::default(),
        };
        registry.register(
            "forgewire_edge_refused_sessions",
            "Sessions refused because edge.max_sessions or edge.max_sessions_per_principal was reached",
            metrics.refused_sessions.clone(),
        );
        registry.register(
            "forgewire_edge_unreadable_sessions",
            "Requests and checks of sessions whose records cannot be read: damaged, or written by another build",
            metrics.unreadable_sessions.clone(),
        );
        metrics
    }

    pub(crate) fn session_unreadable(&self) {
        self.unreadable_sessions.inc();
    }

    pub(crate) fn session_refused(&self) {
        self.refused_sessions.inc();
    }
}

/// The metrics of subscriptions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionMetrics {
    refused_subscriptions: Counter,
}

impl SubscriptionMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            refused_subscriptions: Counter::default(),
        };
        registry.register(
            "forgewire_edge_refused_subscriptions",
            "Subscriptions refused because the bound of their owner, or that of all, was reached",
            metrics.refused_subscriptions.clone(),
        );
        metrics
    }

    pub(crate) fn subscription_refused(&self) {
        self.refused_subscriptions.inc();
    }
}

impl EncodeLabelValue for DroppedAnswer {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct DropReason {
    reason: DroppedAnswer,
}

/// The metrics of calls: answers to our questions, and calls of other edges. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AnswerMetrics {
    dropped: [Counter; DroppedAnswer::ALL.len()],
    pub(crate) taken_over: Counter,
}

impl AnswerMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let dropped = Family::<DropReason, Counter>::default();
        let counters =
            DroppedAnswer::ALL.map(|reason| dropped.get_or_create_owned(&DropReason { reason }));
        registry.register(
            "forgewire_edge_dropped_answers",
            "Answers of clients to questions that were dropped: no edge asked (unknown), they are too large (too_large), or the question has an answer (repeated)",
            dropped,
        );
        let metrics = Self {
            dropped: counters,
            taken_over: Counter::default(),
        };
        registry.register(
            "forgewire_edge_calls_taken_over",
            "Calls that another edge began and this one goes on with, since the other one drained or is gone",
            metrics.taken_over.clone(),
        );
        metrics
    }

    pub(crate) fn answer_dropped(&self, reason: DroppedAnswer) {
        self.dropped[reason as usize].inc();
    }
}

/// The metrics of the budget of answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AnswerBudgetMetrics {
    bytes: Gauge,
    pub(crate) refused: Counter,
}

impl AnswerBudgetMetrics {
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            bytes: Gauge::default(),
            refused: Counter::default(),
        };
        registry.register(
            "forgewire_edge_answer_bytes",
            "Bytes of answers above 32 KiB that are being made or not yet taken by their clients; at most 268435456",
            metrics.bytes.clone(),
        );
        registry.register(
            "forgewire_edge_refused_answers",
            "Answers refused because their clients, or all clients together, have taken too little of earlier ones",
            metrics.refused.clone(),
        );
        metrics
    }

    pub(crate) fn record(&self, bytes: usize) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// The number of texts that were withheld.
pub(crate) fn withheld_texts(registry: &mut MetricsRegistry) -> Counter {
    let texts = Counter::default();
    registry.register(
        "forgewire_edge_withheld_texts",
        "Texts of strangers that edge.lockdown has withheld, counted whenever an event or a resource is read",
        texts.clone(),
    );
    texts
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
