//! Clocks and ids of a history: the true clock is that of the stores, those of nodes may be wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use model::{Clock, IdSource, Timestamp};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

/// The true time at which a history begins.
const BEGIN: Timestamp = Timestamp::from_unix_millis(1_790_000_000_000);

/// The true time, which follows the runtime's simulated one.
#[derive(Debug)]
pub(crate) struct TrueClock(Instant);

impl TrueClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        BEGIN.plus(self.0.elapsed())
    }
}

/// The clock of a node, which may be set at any moment.
#[derive(Debug)]
pub(crate) struct NodeClock {
    truth: Arc<TrueClock>,
    ahead_millis: AtomicI64,
}

impl NodeClock {
    pub(crate) fn new(truth: &Arc<TrueClock>) -> Self {
        Self {
            truth: Arc::clone(truth),
            ahead_millis: AtomicI64::new(0),
        }
    }

    /// Sets the clock ahead of the true time, or behind it.
    pub(crate) fn set(&self, ahead_millis: i64) {
        self.ahead_millis.store(ahead_millis, Ordering::SeqCst);
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_millis.load(Ordering::SeqCst);
        let by = Duration::from_millis(ahead.unsigned_abs());
        match ahead < 0 {
            true => self.truth.now().minus(by),
            false => self.truth.now().plus(by),
        }
    }
}

/// Ids that are the same in every run of a history.
#[derive(Debug)]
pub(crate) struct SeededIds(Mutex<StdRng>);

impl SeededIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl IdSource for SeededIds {
    fn random_u64(&self) -> u64 {
        self.0.lock().random()
    }

    fn uuid(&self) -> String {
        let bytes = self.0.lock().random();
        let uuid = uuid::Builder::from_random_bytes(bytes);
        uuid.into_uuid().to_string()
    }
}
