//! The clock of the session store, by which all edges judge what they share: leases of tasks, lifetimes of
//! sessions, the validity of sealed states. An edge whose own clock is wrong would end the sessions and
//! tasks of others.
//!
//! Each edge measures how far its clock is ahead of the store's. A judgement that is stored, and so holds
//! for all edges, is made by the store's own answer ([`StoreClock::read`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use model::{Clock, Timestamp};
use parking_lot::Mutex;
use ports::SessionStore;
use service_kit::lifecycle::Latch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{error::EdgeError, limits::CALL_DEADLINE, metrics::ClockMetrics};

/// Interval between two measurements.
const MEASURE_INTERVAL: Duration = Duration::from_secs(5);
/// A measurement that takes longer is not used: the answer may be as old.
const MAX_MEASURE_TIME: Duration = Duration::from_secs(1);
/// If this process's clock has moved by so much more or less than the time that has passed, it was set, or the
/// machine was suspended.
const MAX_DRIFT: Duration = Duration::from_secs(1);
/// Beyond this difference the edge warns.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// The store's clock, as far as this process knows it.
#[derive(Debug)]
pub(crate) struct StoreClock {
    own: Arc<dyn Clock>,
    store: Arc<dyn SessionStore>,
    /// Milliseconds by which this process's clock is ahead of the store's.
    ahead_millis: AtomicI64,
    /// The moment of the last measurement; `None` before the first.
    measured: Mutex<Option<OwnMoment>>,
    is_skewed: AtomicBool,
    metrics: ClockMetrics,
}

/// A moment, by this process's clock and by the time that passes.
#[derive(Debug, Clone, Copy)]
struct OwnMoment {
    clock: Timestamp,
    instant: Instant,
}

impl OwnMoment {
    fn now(own: &dyn Clock) -> Self {
        Self {
            clock: own.now(),
            instant: Instant::now(),
        }
    }

    /// Whether the clock was set between this moment and a later one.
    fn was_set_before(self, later: Self) -> bool {
        let passed = later.instant.duration_since(self.instant);
        let expected = self.clock.plus(passed);
        let drift = expected.since(later.clock).max(later.clock.since(expected));
        drift > MAX_DRIFT
    }
}

impl StoreClock {
    /// A clock that is this process's own until the first measurement.
    pub(crate) fn new(
        own: Arc<dyn Clock>,
        store: Arc<dyn SessionStore>,
        metrics: ClockMetrics,
    ) -> Self {
        Self {
            own,
            store,
            ahead_millis: AtomicI64::new(0),
            measured: Mutex::new(None),
            is_skewed: AtomicBool::new(false),
            metrics,
        }
    }

    /// Asks the store for its time. A store without a clock leaves this process its own.
    pub(crate) async fn read(&self) -> Result<Timestamp, EdgeError> {
        let before = OwnMoment::now(&*self.own);
        let Some(time) = timeout(CALL_DEADLINE, self.store.time()).await?? else {
            return Ok(self.own.now());
        };
        let after = OwnMoment::now(&*self.own);
        let took = after.instant.duration_since(before.instant);
        if took <= MAX_MEASURE_TIME && !before.was_set_before(after) {
            let middle = before.clock.plus(took / 2);
            self.record(middle.unix_millis().saturating_sub(time.unix_millis()));
            *self.measured.lock() = Some(after);
        }
        Ok(time)
    }

    /// The store's time for what is stored for all edges: the store is asked if this process's clock was set
    /// since the last measurement.
    pub(crate) async fn current(&self) -> Result<Timestamp, EdgeError> {
        let measured = *self.measured.lock();
        let now = OwnMoment::now(&*self.own);
        match measured {
            Some(measured) if !measured.was_set_before(now) => Ok(self.now()),
            _ => self.read().await,
        }
    }

    fn record(&self, ahead_millis: i64) {
        self.ahead_millis.store(ahead_millis, Ordering::Release);
        self.metrics.record_skew(ahead_millis);
        let is_skewed = Duration::from_millis(ahead_millis.unsigned_abs()) > MAX_SKEW;
        if self.is_skewed.swap(is_skewed, Ordering::AcqRel) == is_skewed {
            return;
        }
        let ahead_seconds = ahead_millis / 1000;
        if is_skewed {
            warn!(
                ahead_seconds,
                "the clock of this process differs from the session store's; check time synchronisation"
            );
        } else {
            info!(
                ahead_seconds,
                "the clock of this process agrees with the session store's again"
            );
        }
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let own = self.own.now().unix_millis();
        let ahead = self.ahead_millis.load(Ordering::Acquire);
        Timestamp::from_unix_millis(own.saturating_sub(ahead))
    }
}

/// Measures the difference between the clocks; `latch` is ready after the first answer. Runs until `stop`.
pub(crate) async fn measure(clock: Arc<StoreClock>, latch: Latch, stop: CancellationToken) {
    let mut ticks = interval(MEASURE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            ticks.tick().await;
            match clock.read().await {
                Ok(_) => latch.ready(),
                Err(error) => debug!(%error, "the session store does not tell the time now"),
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

#[cfg(test)]
mod tests {
    use model::ManualClock;
    use service_kit::metrics::{MetricsRegistry, encode};
    use store_memory::MemorySessionStore;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_clock_that_is_ahead_or_behind_tells_the_stores_time() {
        let store_time = Arc::new(ManualClock::at(
            Timestamp::from_unix_millis(0).plus(HOUR * 2),
        ));
        let store = Arc::new(MemorySessionStore::new(store_time.clone(), 1));
        for (own, skew) in [(HOUR, "-3600.0"), (HOUR * 2, "0.0"), (HOUR * 10, "28800.0")] {
            let own = Arc::new(ManualClock::at(Timestamp::default().plus(own)));
            let mut registry = MetricsRegistry::default();
            let metrics = ClockMetrics::new(&mut registry);
            let clock = StoreClock::new(own.clone(), store.clone(), metrics);
            assert_eq!(clock.read().await.unwrap(), store_time.now());
            assert_eq!(clock.now(), store_time.now());
            own.advance(HOUR);
            assert_eq!(clock.now(), store_time.now().plus(HOUR), "it goes on");
            let text = encode(&registry).unwrap();
            let line = format!("forgewire_edge_clock_skew_seconds {skew}\n");
            assert!(text.contains(&line), "{line} is missing in:\n{text}");
        }
    }
}
