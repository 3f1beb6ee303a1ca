//! Fills the ring of an edge that has just begun with the newest events of the log, so that its clients do not
//! wait for the store until as many events have come.

use std::{sync::Arc, time::Duration};

use model::Sequence;
use ports::{EventLogError, EventsBefore, StoreFailure};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::{
    hub::Hub,
    limits::{CALL_DEADLINE, PREFILL_PAGE_EVENTS},
    ring::{RingBeginning, RingEntry},
};

/// Pause after a read that failed. The edge serves its clients from the log meanwhile.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Fills the ring whenever the edge begins to follow a log, until `stop` is cancelled.
pub async fn run(hub: Arc<Hub>, stop: CancellationToken) {
    let endless = async {
        loop {
            hub.ring_restarted.notified().await;
            while let Err(error) = hub.prefill().await {
                debug!(%error, "the newest events cannot be read yet, trying again");
                sleep(RETRY_PAUSE).await;
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

impl Hub {
    /// Adds events from before the ring, until half of it is full, or until one is missing.
    pub(crate) async fn prefill(&self) -> Result<(), EventLogError> {
        while let Some(beginning) = self.ring.beginning() {
            let limit = beginning.free_events.min(PREFILL_PAGE_EVENTS);
            let read = self.log.read_before(beginning.base.next(), limit);
            let page = timeout(CALL_DEADLINE, read).await;
            let page = page.unwrap_or_else(|elapsed| {
                Err(StoreFailure::unavailable("read backwards", elapsed).into())
            })?;
            if !self.add_before(beginning, page) {
                break;
            }
        }
        info!(base = %self.ring.base(), "the events after this position are in memory");
        Ok(())
    }

    /// Adds the entries before the ring's beginning; returns whether there may be more.
    fn add_before(&self, beginning: RingBeginning, page: EventsBefore) -> bool {
        let Some(lowest) = page.lowest() else {
            return false;
        };
        // A reader has to be informed of one that does not decode: the log does that.
        let gap = page.undecodable.first();
        let base = gap.map_or((lowest.previous(), None), |gap| {
            (gap.sequence, Some(gap.tag))
        });
        let generation = self.generation();
        let older = page.events.into_iter();
        let older = older.filter(|event| event.sequence > base.0);
        // Made here: digests are not to be computed while the ring is locked.
        let older: Vec<_> = older
            .map(|event| Arc::new(RingEntry::new(event, generation)))
            .collect();
        let is_added = self.ring.push_front(beginning, older, base);
        is_added && gap.is_none() && lowest > Sequence::START.next()
    }
}

#[cfg(test)]
mod tests;
