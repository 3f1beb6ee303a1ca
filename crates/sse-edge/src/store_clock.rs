//! The clock of the store of records, by which all edges judge what they share: leases of tasks, lifetimes of
//! sessions, the validity of sealed states. An edge whose own clock is wrong would end the sessions and
//! tasks of others.
//!
//! Each edge measures how far its clock is ahead of the store's. A judgement that is stored, and so holds
//! for all edges, is made by the store's own answer ([`StoreClock::read`]).

use std::{sync::Arc, time::Duration};

use edge_records::SessionRecordsError;
use model::{Clock, Timestamp};
use ports::Records;
use service_kit::{lifecycle::Latch, shared_clock::SharedClock};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{error::EdgeError, limits::CALL_DEADLINE, metrics::ClockMetrics};

/// Interval between two measurements.
const MEASURE_INTERVAL: Duration = Duration::from_secs(5);

/// The store's clock, as far as this process knows it.
#[derive(Debug)]
pub(crate) struct StoreClock {
    clock: SharedClock,
    store: Arc<dyn Records>,
}

impl StoreClock {
    /// A clock that is this process's own until the first measurement.
    pub(crate) fn new(own: Arc<dyn Clock>, store: Arc<dyn Records>, metrics: ClockMetrics) -> Self {
        let clock = SharedClock::new(own, "session store", metrics.skew_seconds);
        Self { clock, store }
    }

    /// Asks the store for its time.
    pub(crate) async fn read(&self) -> Result<Timestamp, EdgeError> {
        let asking = async {
            let told = timeout(CALL_DEADLINE, self.store.time()).await?;
            Ok(Some(told.map_err(SessionRecordsError::from)?))
        };
        self.clock.read(asking).await
    }

    /// The store's time for what is stored for all edges: the store is asked if this process's clock was set
    /// since the last measurement.
    pub(crate) async fn current(&self) -> Result<Timestamp, EdgeError> {
        match self.known() {
            Some(now) => Ok(now),
            None => self.read().await,
        }
    }

    /// The store's time, without asking; `None` if this process's clock was set since the last measurement.
    pub(crate) fn known(&self) -> Option<Timestamp> {
        self.clock.is_measured().then(|| self.now())
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
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
