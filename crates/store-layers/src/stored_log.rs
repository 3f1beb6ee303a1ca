//! The event log over a store of bytes.

use std::time::Duration;

use async_trait::async_trait;
use model::{EntryTag, EventId, Sequence, Sequenced, StoredEvent, Timestamp};
use ports::{
    AppendResult, EntryFault, EntryPage, EventLog, EventLogError, EventPage, EventsBefore,
    LogEntry, LogHead, LogStore, ReadEntry, SeekResult, UndecodableEntry,
};
use proto::EVENT_FACTS_BYTES;
use tracing::warn;

use crate::undecodable::{PageEntries, UndecodableEntries};

/// The event log on a store of bytes: encodes events, decodes entries, and skips and counts those that are no
/// event of a version that this build reads (EL-15), for every store alike.
#[derive(Clone, Debug)]
pub struct StoredLog<L> {
    store: L,
    undecodable: UndecodableEntries,
}

impl<L: LogStore> StoredLog<L> {
    /// The log on a store.
    #[must_use]
    pub fn new(store: L) -> Self {
        Self {
            store,
            undecodable: UndecodableEntries::default(),
        }
    }

    /// The same log through another handle on its store. An entry that both skip counts once.
    #[must_use]
    pub fn over(&self, store: L) -> Self {
        Self {
            store,
            undecodable: self.undecodable.clone(),
        }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &L {
        &self.store
    }

    /// The event of an entry; its tag, counted and told in a line of the log, if it is no event.
    fn event(&self, entry: ReadEntry) -> Result<StoredEvent, EntryTag> {
        let ReadEntry {
            sequence,
            name,
            content,
        } = entry;
        let error = match content.map(|content| proto::decode_event(content.body)) {
            Ok(Ok(event)) => return Ok(event),
            Ok(Err(error)) => error.into(),
            Err(EntryFault::Unreadable(error)) => error,
            // There is nothing to be counted.
            Err(EntryFault::Lost) => return Err(name.tag()),
        };
        if let Some(count) = self.undecodable.record(sequence) {
            warn!(%sequence, %error, count, "an entry of the event log does not decode and is skipped");
        }
        Err(name.tag())
    }

    fn page(&self, after: Sequence, page: EntryPage) -> EventPage {
        let EntryPage {
            entries,
            mut through,
            mut at_head,
            resumes_after,
        } = page;
        let mut read = PageEntries::with_capacity(entries.len());
        for entry in entries {
            let sequence = entry.sequence;
            if !read.push(sequence, self.event(entry)) {
                through = read.last().or(resumes_after).unwrap_or(after);
                at_head = false;
                break;
            }
        }
        EventPage {
            through,
            at_head,
            resumes_after: read.undecodable_through().or(resumes_after),
            undecodable: read.undecodable,
            events: read.events,
        }
    }

    /// The positions of another log have other entries.
    fn told(&self, head: LogHead) -> LogHead {
        self.undecodable.are_of(head.epoch);
        head
    }
}

#[async_trait]
impl<L: LogStore> EventLog for StoredLog<L> {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        let entry = |event: StoredEvent| LogEntry {
            body: proto::encode_event(&event),
            received_at: event.facts.received_at,
            id: event.facts.id.clone(),
        };
        let entries = events.into_iter().map(entry).collect();
        Ok(self.store.append(entries).await?)
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let page = self.store.read_after(after, limit).await?;
        Ok(self.page(after, page))
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let entries = self.store.read_before(before, limit).await?;
        let mut read = EventsBefore {
            events: Vec::with_capacity(entries.len()),
            undecodable: Vec::new(),
        };
        for entry in entries {
            let sequence = entry.sequence;
            match self.event(entry) {
                Ok(item) => read.events.push(Sequenced { sequence, item }),
                Err(tag) => read.undecodable.push(UndecodableEntry { sequence, tag }),
            }
        }
        Ok(read)
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        Ok(self.store.seek(time).await?)
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        Ok(self.store.position_of(id).await?)
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        Ok(self.told(self.store.head().await?))
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        Ok(self.store.trim(time).await?)
    }

    async fn check_append(&self) -> Result<(), EventLogError> {
        Ok(self.store.check_append().await?)
    }

    async fn check_read(&self) -> Result<LogHead, EventLogError> {
        Ok(self.told(self.store.check_read().await?))
    }

    async fn time(&self) -> Result<Option<Timestamp>, EventLogError> {
        Ok(self.store.time().await?)
    }

    fn undecodable_entries(&self) -> u64 {
        self.undecodable.count()
    }

    fn max_event_bytes(&self) -> usize {
        self.store
            .max_body_bytes()
            .saturating_sub(EVENT_FACTS_BYTES)
    }

    fn deadline(&self) -> Duration {
        self.store.deadline()
    }
}

#[cfg(test)]
#[path = "stored_log_tests.rs"]
mod tests;
