//! The clock of the event log's server, by which deliveries are stamped: with several ingests, a wrong clock
//! of one of them would mislead every replay from a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use model::{Clock, Timestamp};
use ports::{EventLog, EventLogError};
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
    /// Whether the log had a clock when it was last asked.
    has_clock: AtomicBool,
}

impl LogClock {
    /// A clock that is this process's own until the first measurement.
    pub(crate) fn new(own: Arc<dyn Clock>, log: Arc<dyn EventLog>, skew: SkewGauge) -> Self {
        Self {
            clock: SharedClock::new(own, "event log", skew),
            log,
            has_clock: AtomicBool::new(true),
        }
    }

    /// The log's time for what is stored for good: the log is asked first if this process's clock was set
    /// since the last measurement, unless it has no clock. A log that does not answer takes no event either.
    pub(crate) async fn current(&self) -> Timestamp {
        if self.has_clock.load(Ordering::Relaxed) && !self.clock.is_measured() {
            self.measure().await;
        }
        self.clock.now()
    }

    async fn measure(&self) {
        let log = &self.log;
        let ask = async {
            let time = log.time().await?;
            self.has_clock.store(time.is_some(), Ordering::Relaxed);
            Ok::<_, EventLogError>(time)
        };
        match timeout(log.deadline(), self.clock.read(ask)).await {
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
