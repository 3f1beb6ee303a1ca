//! What the log holds, in numbers, for pages that anybody may ask for at any rate.

use std::sync::Arc;

use model::{StoredEvent, Timestamp};
use ports::{EventLog, EventLogError};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::limits::{STATISTICS_LIFETIME, STATISTICS_TIME};

/// The number of events and their range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatistics {
    /// Number of positions that the log holds. Some may have no event.
    pub total_events: u64,
    /// When the oldest event was received.
    pub oldest_event: Option<Timestamp>,
    /// When the newest event was received.
    pub newest_event: Option<Timestamp>,
}

impl LogStatistics {
    /// As JSON with the names that clients of earlier systems read, of a process that has this many of the events in
    /// memory. What a store takes on its disk is not known here.
    #[must_use]
    pub fn to_json(&self, in_memory: u64) -> Value {
        json!({
            "totalEvents": self.total_events,
            "eventsInMemory": in_memory,
            "eventsOnDisk": self.total_events,
            "oldestEvent": self.oldest_event,
            "newestEvent": self.newest_event,
            "storageSize": null,
        })
    }
}

/// Reads statistics of a log, at most once per second, however many ask.
#[derive(Debug)]
pub struct LogStatisticsReader {
    log: Arc<dyn EventLog>,
    last: Mutex<Option<(Instant, Option<LogStatistics>)>>,
}

impl LogStatisticsReader {
    /// Of a log.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            last: Mutex::new(None),
        }
    }

    /// The statistics; `None` while the log does not answer.
    pub async fn read(&self) -> Option<LogStatistics> {
        let mut last = self.last.lock().await;
        if let Some((read, statistics)) = *last
            && read.elapsed() < STATISTICS_LIFETIME
        {
            return statistics;
        }
        let statistics = timeout(STATISTICS_TIME, read(&*self.log)).await;
        let statistics = statistics.ok().and_then(Result::ok);
        *last = Some((Instant::now(), statistics));
        statistics
    }
}

async fn read(log: &dyn EventLog) -> Result<LogStatistics, EventLogError> {
    let head = log.head().await?;
    let oldest = log.read_after(head.trimmed_through, 1).await?.events;
    let newest = log.read_before(head.last.next(), 1).await?.events;
    let received = |event: &model::Sequenced<StoredEvent>| event.item.facts.received_at;
    Ok(LogStatistics {
        total_events: head.last.0.saturating_sub(head.trimmed_through.0),
        oldest_event: oldest.first().map(received),
        newest_event: newest.first().map(received),
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use model::RandomIds;
    use store_layers::StoredLog;
    use store_memory::MemoryLogStore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_are_those_of_the_log_a_second_ago_at_most() {
        let three = NonZeroUsize::new(3).unwrap();
        let log = Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, three)));
        let reader = LogStatisticsReader::new(Arc::<StoredLog<MemoryLogStore>>::clone(&log));
        let empty = reader.read().await.unwrap();
        assert_eq!((empty.total_events, empty.oldest_event), (0, None));
        for n in 1..=5 {
            log.append(contract::events(n, n + 1)).await.unwrap();
        }
        assert_eq!(reader.read().await, Some(empty), "not read again yet");
        tokio::time::advance(STATISTICS_LIFETIME).await;
        let received = |n| Some(contract::event(n).facts.received_at);
        let expected = LogStatistics {
            total_events: 3,
            oldest_event: received(3),
            newest_event: received(5),
        };
        assert_eq!(reader.read().await, Some(expected));
    }
}
