//! Reads a little of what the other roles write, so that an ingest whose key of the roles is not theirs
//! notices it: it would be ready, acknowledge deliveries, and no edge would believe one of its events.
//!
//! Nothing is done with what is read. The adapters check the stamps of messages and entries; what they refuse
//! is counted, logged, and shown in `/health`. Both cost an ingest next to nothing: it reads the topic of trial
//! messages, not the events of the broadcast.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use model::{Epoch, Sequence};
use ports::{Bus, EventLog, EventLogError, Topic};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::IngestDeps;

/// Interval between two reads of the newest entries.
const READ_INTERVAL: Duration = Duration::from_secs(60);
/// Number of entries of one read; an entry may have some MiB.
const READ_ENTRIES: usize = 4;
/// Pause before a subscription that failed or ended is tried again.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(5);

/// What it reads from.
#[derive(Debug)]
pub(crate) struct RolesReader {
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
}

impl RolesReader {
    pub(crate) fn new(deps: &IngestDeps) -> Self {
        Self {
            log: Arc::clone(&deps.log),
            bus: Arc::clone(&deps.bus),
        }
    }

    /// Reads until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let reading = async { tokio::join!(self.read_entries(), self.read_messages()) };
        stop.run_until_cancelled(reading).await;
    }

    async fn read_entries(&self) {
        let mut ticks = interval(READ_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = None;
        loop {
            ticks.tick().await;
            match timeout(self.log.deadline(), self.read_newest(seen)).await {
                Ok(Ok(newest)) => seen = Some(newest),
                Ok(Err(error)) => debug!(%error, "the newest entries cannot be read now"),
                Err(elapsed) => debug!(%elapsed, "the newest entries cannot be read now"),
            }
        }
    }

    /// Reads the newest entries after those that were read: one that is refused counts once. Returns the
    /// log's end.
    async fn read_newest(
        &self,
        seen: Option<(Epoch, Sequence)>,
    ) -> Result<(Epoch, Sequence), EventLogError> {
        let head = self.log.head().await?;
        let before = seen.filter(|(epoch, _)| *epoch == head.epoch);
        let new = head
            .last
            .0
            .saturating_sub(before.map_or(0, |(_, last)| last.0));
        let entries = usize::try_from(new)
            .unwrap_or(READ_ENTRIES)
            .min(READ_ENTRIES);
        if entries > 0 {
            self.log.read_before(head.last.next(), entries).await?;
        }
        Ok((head.epoch, head.last))
    }

    async fn read_messages(&self) {
        loop {
            match self.bus.subscribe(&Topic::trial()).await {
                Ok(mut messages) => while messages.0.next().await.is_some() {},
                Err(error) => debug!(%error, "the bus takes no subscription now"),
            }
            sleep(SUBSCRIBE_PAUSE).await;
        }
    }
}
