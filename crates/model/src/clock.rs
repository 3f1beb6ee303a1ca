//! Time and randomness are injected, so that tests control both.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

use crate::Timestamp;

/// A source of the current time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// A source of ids and random numbers.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// 64 unguessable bits.
    fn random_u64(&self) -> u64;

    /// An unguessable UUID (version 4 in production).
    fn uuid(&self) -> String;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::default().plus(since_epoch)
    }
}

/// Unguessable ids, from a generator in each thread that the operating system seeds: a call of the system for each
/// id would cost more than the rest of a short request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn random_u64(&self) -> u64 {
        // Rotated so that the bits fixed by version and variant do not overlap.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        high ^ low.rotate_left(20)
    }

    fn uuid(&self) -> String {
        Uuid::new_v4().to_string()
    }
}

/// A clock and an id source that a test controls.
#[derive(Debug, Default)]
pub struct ManualClock {
    millis: AtomicI64,
    counter: AtomicU64,
}

impl ManualClock {
    /// Starts at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            millis: AtomicI64::new(now.unix_millis()),
            counter: AtomicU64::new(0),
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.millis.load(Ordering::SeqCst))
    }
}

impl IdSource for ManualClock {
    fn random_u64(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.random_u64())
    }
}
