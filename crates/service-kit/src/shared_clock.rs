//! The clock of a store that processes share, by which all of them judge what they share: a process whose
//! own clock is wrong would mislead the others.
//!
//! A process measures how far its clock is ahead of the store's, corrects its own by that, and warns when
//! they differ much.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use model::{Clock, Timestamp};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tracing::{info, warn};

/// The gauge of a skew, in seconds.
pub type SkewGauge = Gauge<f64, AtomicU64>;

/// A measurement that takes longer is not used: the answer may be as old.
const MAX_MEASURE_TIME: Duration = Duration::from_secs(1);
/// If this process's clock has moved by so much more or less than the time that has passed, it was set, or the
/// machine was suspended.
const MAX_DRIFT: Duration = Duration::from_secs(1);
/// Beyond this difference the process warns.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// A store's clock, as far as this process knows it: its own until the first measurement.
pub struct SharedClock {
    own: Arc<dyn Clock>,
    /// The store, for the log.
    of: &'static str,
    /// Milliseconds by which this process's clock is ahead of the store's.
    ahead_millis: AtomicI64,
    /// The moment of the last measurement; `None` before the first.
    measured: Mutex<Option<OwnMoment>>,
    is_skewed: AtomicBool,
    gauge: SkewGauge,
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

impl SharedClock {
    /// The clock of the store `of` ("session store"), which `gauge` compares with this process's own.
    #[must_use]
    pub fn new(own: Arc<dyn Clock>, of: &'static str, gauge: SkewGauge) -> Self {
        Self {
            own,
            of,
            ahead_millis: AtomicI64::new(0),
            measured: Mutex::new(None),
            is_skewed: AtomicBool::new(false),
            gauge,
        }
    }

    /// Asks the store for its time, and measures by it. A store without a clock leaves this process its
    /// own.
    ///
    /// # Errors
    /// The store's error.
    pub async fn read<E>(
        &self,
        ask: impl Future<Output = Result<Option<Timestamp>, E>>,
    ) -> Result<Timestamp, E> {
        let before = OwnMoment::now(&*self.own);
        let Some(time) = ask.await? else {
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

    /// Whether the last measurement holds: this process's clock was not set since.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        let measured = *self.measured.lock();
        let now = OwnMoment::now(&*self.own);
        measured.is_some_and(|measured| !measured.was_set_before(now))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "a skew of centuries may be rounded"
    )]
    fn record(&self, ahead_millis: i64) {
        self.ahead_millis.store(ahead_millis, Ordering::Release);
        self.gauge.set(ahead_millis as f64 / 1000.0);
        let is_skewed = Duration::from_millis(ahead_millis.unsigned_abs()) > MAX_SKEW;
        if self.is_skewed.swap(is_skewed, Ordering::AcqRel) == is_skewed {
            return;
        }
        let (of, ahead_seconds) = (self.of, ahead_millis / 1000);
        if is_skewed {
            warn!(
                ahead_seconds,
                "the clock of this process differs from the {of}'s; check time synchronisation"
            );
        } else {
            info!(
                ahead_seconds,
                "the clock of this process agrees with the {of}'s again"
            );
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let own = self.own.now().unix_millis();
        let ahead = self.ahead_millis.load(Ordering::Acquire);
        Timestamp::from_unix_millis(own.saturating_sub(ahead))
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClock")
            .field("of", &self.of)
            .field("ahead_millis", &self.ahead_millis)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use model::ManualClock;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_measurement_that_took_too_long_is_not_used() {
        let own = Arc::new(ManualClock::at(Timestamp::default().plus(HOUR)));
        let gauge = SkewGauge::default();
        let clock = SharedClock::new(own.clone(), "store", gauge.clone());
        let slow = async {
            own.advance(MAX_MEASURE_TIME * 2);
            Ok::<_, Infallible>(Some(Timestamp::default()))
        };
        assert_eq!(clock.read(slow).await, Ok(Timestamp::default()));
        assert_eq!(clock.now(), own.now(), "nothing was learnt");
        let quick = async { Ok::<_, Infallible>(Some(Timestamp::default())) };
        assert_eq!(clock.read(quick).await, Ok(Timestamp::default()));
        assert_eq!(clock.now(), Timestamp::default());
        assert!((gauge.get() - 3602.0).abs() < f64::EPSILON);
    }

    #[tokio::test]
    async fn a_clock_that_was_set_is_measured_again() {
        let own = Arc::new(ManualClock::at(Timestamp::default().plus(HOUR)));
        let clock = SharedClock::new(own.clone(), "store", SkewGauge::default());
        assert!(!clock.is_measured());
        let ask = async || {
            clock
                .read(async { Ok::<_, Infallible>(Some(Timestamp::default())) })
                .await
        };
        assert_eq!(ask().await, Ok(Timestamp::default()));
        assert!(clock.is_measured());
        own.advance(HOUR);
        assert!(!clock.is_measured());
        assert_eq!(ask().await, Ok(Timestamp::default()));
        assert!(clock.is_measured());
    }

    #[tokio::test]
    async fn a_store_without_a_clock_leaves_the_process_its_own() {
        let own = Arc::new(ManualClock::at(Timestamp::default().plus(HOUR)));
        let clock = SharedClock::new(own.clone(), "store", SkewGauge::default());
        assert_eq!(
            clock.read(async { Ok::<_, Infallible>(None) }).await,
            Ok(own.now())
        );
        assert_eq!(clock.now(), own.now());
    }
}
