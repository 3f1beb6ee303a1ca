//! The event log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{EventId, Sequence, StoredEvent, Timestamp};
use ports::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult};

use super::Deadline;

/// A trim is not bounded: it is many short calls.
#[async_trait]
impl EventLog for Deadline<Arc<dyn EventLog>> {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.bounded("append", self.port.append(events)).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let call = self.port.read_after(after, limit);
        self.bounded("read", call).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let call = self.port.read_before(before, limit);
        self.bounded("read backwards", call).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.bounded("seek", self.port.seek(time)).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        let call = self.port.position_of(id);
        self.bounded("find an event", call).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.bounded("read the head", self.port.head()).await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.port.trim(time).await
    }

    async fn check_append(&self) -> Result<(), EventLogError> {
        self.bounded("append", self.port.check_append()).await
    }

    async fn check_read(&self) -> Result<LogHead, EventLogError> {
        self.bounded("be read", self.port.check_read()).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, EventLogError> {
        self.bounded("tell the time", self.port.time()).await
    }

    fn undecodable_entries(&self) -> u64 {
        self.port.undecodable_entries()
    }

    fn max_event_bytes(&self) -> usize {
        self.port.max_event_bytes()
    }

    fn deadline(&self) -> Duration {
        self.port.deadline().min(self.limit)
    }
}
