//! A hint names the log that has its events, also after another process has replaced the log.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use model::{RandomIds, Sequence, Timestamp};
use ports::{EventPage, EventsBefore, LogHead};
use store_memory::{InProcessBus, MemoryEventLog};

use super::*;

/// A log that another process replaces: no call fails because of it.
#[derive(Debug)]
struct ReplaceableLog(Mutex<Arc<MemoryEventLog>>);

impl ReplaceableLog {
    fn empty() -> Arc<MemoryEventLog> {
        let events = NonZeroUsize::new(100).expect("not zero");
        Arc::new(MemoryEventLog::new(&RandomIds, events))
    }

    fn now(&self) -> Arc<MemoryEventLog> {
        Arc::clone(&self.0.lock())
    }
}

#[async_trait]
impl EventLog for ReplaceableLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.now().append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.now().read_after(after, limit).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.now().read_before(before, limit).await
    }

    async fn seek(&self, time: Timestamp) -> Result<Sequence, EventLogError> {
        self.now().seek(time).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.now().head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.now().trim(time).await
    }
}

#[derive(Debug)]
struct NoMetrics;

impl RecordObserver for NoMetrics {
    fn appended(&self, _: Duration) {}
    fn recorded(&self, _: &EventFacts) {}
    fn hint_failed(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_hint_names_a_log_that_was_replaced_without_an_error() {
    let log = Arc::new(ReplaceableLog(Mutex::new(ReplaceableLog::empty())));
    let bus = Arc::new(InProcessBus::new(NonZeroUsize::MIN));
    let timeout = Duration::from_secs(1);
    let recorder = Recorder::new(log.clone(), bus, Arc::new(NoMetrics), timeout);
    let epoch = async |n| {
        let appended = recorder.append(vec![contract::event(n)]).await.unwrap();
        appended.hint.expect("a new event").epoch
    };
    let first = epoch(0).await;
    assert_eq!(first, log.head().await.unwrap().epoch);
    *log.0.lock() = ReplaceableLog::empty();
    tokio::time::advance(EPOCH_LIFETIME).await;
    let second = epoch(1).await;
    assert_ne!(first, second);
    assert_eq!(second, log.head().await.unwrap().epoch);
}
