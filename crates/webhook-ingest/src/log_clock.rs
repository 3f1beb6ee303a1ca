//! The clock of the event log's server, by which deliveries are stamped: with several ingests, a wrong clock
//! of one of them would mislead every replay from a time.

use std::{sync::Arc, time::Duration};

use model::{Clock, Timestamp};
use ports::EventLog;
use service_kit::shared_clock::{SharedClock, SkewGauge};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Interval between two measurements; each costs the server a few messages.
const MEASURE_INTERVAL: Duration = Duration::from_secs(30);

/// The log's clock, as far as this process knows it.
#[derive(Debug)]
pub(crate) struct LogClock {
    clock: SharedClock,
    log: Arc<dyn EventLog>,
}

impl LogClock {
    /// A clock that is this process's own until the first measurement.
    pub(crate) fn new(own: Arc<dyn Clock>, log: Arc<dyn EventLog>, skew: SkewGauge) -> Self {
        Self {
            clock: SharedClock::new(own, "event log", skew),
            log,
        }
    }

    /// The log's time for what is stored for good: the log is asked first if this process's clock was set
    /// since the last measurement. A log that does not answer takes no event either.
    pub(crate) async fn current(&self) -> Timestamp {
        if !self.clock.is_measured() {
            self.measure().await;
        }
        self.clock.now()
    }

    async fn measure(&self) {
        let log = &self.log;
        match timeout(log.deadline(), self.clock.read(log.time())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "the event log does not tell the time now"),
            Err(elapsed) => debug!(%elapsed, "the event log does not tell the time now"),
        }
    }
}

/// Measures how far the clock of this process is from the log's. Runs until `stop`.
pub(crate) async fn measure(clock: Arc<LogClock>, stop: CancellationToken) {
    let mut ticks = interval(MEASURE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            ticks.tick().await;
            clock.measure().await;
        }
    };
    stop.run_until_cancelled(endless).await;
}
