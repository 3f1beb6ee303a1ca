//! The event log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use instruments::store_calls::{StoreCalls, StoreOperation};
use model::{EventId, Sequence, StoredEvent, Timestamp};
use ports::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult};

/// Observes every call of a log.
#[derive(Debug)]
pub(super) struct ObservedLog {
    pub(super) calls: StoreCalls,
    pub(super) log: Arc<dyn EventLog>,
}

#[async_trait]
impl EventLog for ObservedLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        let call = self.log.append(events);
        self.calls.observe(StoreOperation::Append, call).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let call = self.log.read_after(after, limit);
        self.calls.observe(StoreOperation::ReadAfter, call).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let call = self.log.read_before(before, limit);
        self.calls.observe(StoreOperation::ReadBefore, call).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        let call = self.log.seek(time);
        self.calls.observe(StoreOperation::Seek, call).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        let call = self.log.position_of(id);
        self.calls.observe(StoreOperation::PositionOf, call).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        let call = self.log.head();
        self.calls.observe(StoreOperation::Head, call).await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        let call = self.log.trim(time);
        self.calls.observe(StoreOperation::Trim, call).await
    }

    async fn check_append(&self) -> Result<(), EventLogError> {
        let call = self.log.check_append();
        self.calls.observe(StoreOperation::Check, call).await
    }

    async fn check_read(&self) -> Result<LogHead, EventLogError> {
        let call = self.log.check_read();
        self.calls.observe(StoreOperation::Check, call).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, EventLogError> {
        let call = self.log.time();
        self.calls.observe(StoreOperation::Time, call).await
    }

    fn undecodable_entries(&self) -> u64 {
        self.log.undecodable_entries()
    }

    fn max_event_bytes(&self) -> usize {
        self.log.max_event_bytes()
    }

    fn deadline(&self) -> Duration {
        self.log.deadline()
    }
}
