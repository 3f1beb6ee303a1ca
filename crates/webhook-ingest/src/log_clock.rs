//! The clock of the event log's server, by which deliveries are stamped: with several ingests, a wrong clock
//! of one of them would mislead every replay from a time.

use std::{sync::Arc, time::Duration};

use ports::EventLog;
use service_kit::shared_clock::SharedClock;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Interval between two measurements; each costs the server a few messages.
const MEASURE_INTERVAL: Duration = Duration::from_secs(30);

/// Measures how far the clock of this process is from the log's. Runs until `stop`.
pub(crate) async fn measure(
    clock: Arc<SharedClock>,
    log: Arc<dyn EventLog>,
    stop: CancellationToken,
) {
    let mut ticks = interval(MEASURE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            ticks.tick().await;
            match timeout(log.deadline(), clock.read(log.time())).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => debug!(%error, "the event log does not tell the time now"),
                Err(elapsed) => debug!(%elapsed, "the event log does not tell the time now"),
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}
