//! What the cache holds, and how often it answers.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
};

use instruments::{depth::register_depth, registry::MetricsRegistry};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
};
use service_kit::metrics::counters;

/// What a cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CacheSizes {
    /// Bytes of all entries together, as they count for the bound.
    pub bytes: u64,
    /// Their number, those included that are no longer valid.
    pub entries: u64,
    /// Seconds since the oldest one was read.
    pub oldest_seconds: u64,
}

/// One of the sizes.
type SizeOf = fn(CacheSizes) -> u64;

/// A cache whose sizes are shown.
pub(crate) trait ShownCache: fmt::Debug + Send + Sync {
    fn sizes(&self) -> CacheSizes;
}

/// What a look into the cache found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum LookupOutcome {
    /// A state or a page.
    hit,
    /// That there is nothing.
    none_hit,
    /// No entry.
    miss,
    /// An entry that an event or a comparison may have changed.
    changed,
    /// An entry that was read too long ago.
    too_old,
    /// The edge has not followed the log to its end.
    behind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    outcome: LookupOutcome,
}

const HITS: [LookupOutcome; 2] = [LookupOutcome::hit, LookupOutcome::none_hit];
const MISSES: [LookupOutcome; 4] = [
    LookupOutcome::miss,
    LookupOutcome::changed,
    LookupOutcome::too_old,
    LookupOutcome::behind,
];

/// The instruments of a cache. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MirrorCacheMetrics {
    lookups: Family<LookupLabels, Counter>,
    shown: Arc<OnceLock<Weak<dyn ShownCache>>>,
}

impl MirrorCacheMetrics {
    /// Registers them, whether there will be a cache or not.
    pub fn register(registry: &mut MetricsRegistry) -> Self {
        let outcomes = HITS.into_iter().chain(MISSES);
        let metrics = Self {
            lookups: counters(outcomes.map(|outcome| LookupLabels { outcome })),
            shown: Arc::default(),
        };
        registry.register(
            "forgewire_edge_mirror_cache_lookups",
            "Looks into the cache of the sync role's answers",
            metrics.lookups.clone(),
        );
        let sizes: [(_, _, SizeOf); 3] = [
            (
                "forgewire_edge_mirror_cache_bytes",
                "Bytes of the sync role's answers that the edge keeps",
                |sizes| sizes.bytes,
            ),
            (
                "forgewire_edge_mirror_cache_entries",
                "Answers of the sync role that the edge keeps",
                |sizes| sizes.entries,
            ),
            (
                "forgewire_edge_mirror_cache_oldest_seconds",
                "Seconds since the oldest of the answers was read that the edge keeps; 0 without any",
                |sizes| sizes.oldest_seconds,
            ),
        ];
        for (name, help, of) in sizes {
            let shown = Arc::clone(&metrics.shown);
            register_depth(registry, name, help, move || {
                let cache = shown.get().and_then(Weak::upgrade);
                let size = cache.map_or(0, |cache| of(cache.sizes()));
                usize::try_from(size).unwrap_or(usize::MAX)
            });
        }
        metrics
    }

    /// Shows the sizes of this cache, the first one.
    pub(crate) fn show(&self, cache: Weak<dyn ShownCache>) {
        // A process has one edge, and that one cache.
        let _ = self.shown.set(cache);
    }

    pub(crate) fn count(&self, outcome: LookupOutcome) {
        self.lookups.get_or_create(&LookupLabels { outcome }).inc();
    }

    /// The number of hits, and of all looks.
    pub(crate) fn hits_of_lookups(&self) -> (u64, u64) {
        let sum = |outcomes: &[LookupOutcome]| -> u64 {
            let counts = outcomes.iter().map(|outcome| {
                let labels = LookupLabels { outcome: *outcome };
                self.lookups.get_or_create(&labels).get()
            });
            counts.sum()
        };
        let hits = sum(&HITS);
        (hits, hits + sum(&MISSES))
    }
}
