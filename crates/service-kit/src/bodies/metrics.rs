//! Metrics and log lines about bodies.

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use tokio::time::Instant;
use tracing::warn;

use super::BodyRefusal;
use crate::{
    limits::BODY_LOG_INTERVAL,
    metrics::{MetricsRegistry, counters},
};

/// `size`: small or large.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SizeLabel {
    size: &'static str,
}

/// `reason`: a [`BodyRefusal::reason`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The instruments of a budget.
#[derive(Debug)]
pub(super) struct BodyMetrics {
    small: Gauge,
    large: Gauge,
    given_up: Family<ReasonLabel, Counter>,
    log: Mutex<GivenUpLog>,
}

/// Bodies that were given up since the last line about them.
#[derive(Debug, Default)]
struct GivenUpLog {
    last: Option<Instant>,
    count: u64,
}

impl BodyMetrics {
    pub(super) fn new(registry: &mut MetricsRegistry) -> Self {
        let held: Family<SizeLabel, Gauge> = Family::default();
        let gauge = |size| held.get_or_create(&SizeLabel { size }).clone();
        let metrics = Self {
            small: gauge("small"),
            large: gauge("large"),
            given_up: counters(BodyRefusal::ALL.map(|refusal| ReasonLabel {
                reason: refusal.reason(),
            })),
            log: Mutex::default(),
        };
        registry.register(
            "forgewire_body_bytes",
            "Bytes that bodies of requests hold, from their first byte until the work on them has ended",
            held,
        );
        registry.register(
            "forgewire_bodies_given_up",
            "Bodies of requests that were not read to their end, by reason",
            metrics.given_up.clone(),
        );
        metrics
    }

    pub(super) fn held(&self, small: usize, large: usize) {
        self.small.set(i64::try_from(small).unwrap_or(i64::MAX));
        self.large.set(i64::try_from(large).unwrap_or(i64::MAX));
    }

    pub(super) fn refused(&self, refusal: BodyRefusal, held_bytes: impl FnOnce() -> usize) {
        let reason = refusal.reason();
        self.given_up.get_or_create(&ReasonLabel { reason }).inc();
        let is_for_room = refusal.is_overload() || refusal == BodyRefusal::Stalled;
        if !is_for_room {
            return;
        }
        let mut log = self.log.lock();
        log.count += 1;
        let now = Instant::now();
        if log
            .last
            .is_some_and(|last| now.duration_since(last) < BODY_LOG_INTERVAL)
        {
            return;
        }
        log.last = Some(now);
        let count = std::mem::take(&mut log.count);
        drop(log);
        warn!(
            count,
            reason,
            held_bytes = held_bytes(),
            "bodies were given up: those that arrive hold all memory that there is for them; \
             forgewire_bodies_given_up_total counts the reasons"
        );
    }
}
