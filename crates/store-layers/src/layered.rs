//! A layer over a store.

mod log;
mod records;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tracing::error;

use crate::LayerError;

/// Number of bodies that layers could not give back. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LayerFailures(Arc<AtomicU64>);

impl LayerFailures {
    /// The number so far. A body that is read again counts again.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn record(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A store behind a layer. What the layer writes is stored, and what it cannot read is a fault of that entry or
/// record alone.
#[derive(Debug)]
pub struct Layered<B, S> {
    layer: B,
    store: S,
    failures: LayerFailures,
}

impl<B, S> Layered<B, S> {
    /// Puts a layer over a store; counts in `failures` what it cannot read.
    #[must_use]
    pub const fn new(layer: B, store: S, failures: LayerFailures) -> Self {
        Self {
            layer,
            store,
            failures,
        }
    }

    /// Counts a body that cannot be read, and tells of it in a line of the log: of the first, and then of every
    /// power of two, so that a wrong key is loud and no flood.
    fn failed(&self, what: &str, error: LayerError) -> LayerError {
        let count = self.failures.record();
        if count.is_power_of_two() {
            let error = model::error_chain(&error);
            error!(what, error, count, "a stored body cannot be read");
        }
        error
    }
}
