//! Removes old events from a log that does not do so itself.

use std::{sync::Arc, time::Duration};

use model::Clock;
use ports::EventLog;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often old events are removed.
const TRIM_INTERVAL: Duration = Duration::from_secs(600);

/// Removes events that are older than `keep`, until `stop`.
pub(crate) async fn trim(
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    keep: Duration,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let before = clock.now().minus(keep);
        match stop.run_until_cancelled(log.trim(before)).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(events)) => info!(events, "removed events that are past their retention"),
            Some(Err(error)) => warn!(%error, "old events cannot be removed, trying again later"),
        }
    }
}
