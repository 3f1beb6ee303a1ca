//! The bodies of entries.

use std::time::Duration;

use async_trait::async_trait;
use model::{EventId, Sequence, Timestamp};
use ports::{
    AppendResult, EntryFault, EntryName, EntryPage, LogEntry, LogHead, LogStore, MAX_PAGE_BYTES,
    ReadEntry, SeekResult, StoreFailure,
};

use super::Layered;
use crate::{BodyLayer, BodyPlace};

impl<B: BodyLayer, S> Layered<B, S> {
    fn written(&self, mut entry: LogEntry) -> Result<LogEntry, StoreFailure> {
        let name = EntryName::Id(entry.id.clone());
        let body = self.layer.write(BodyPlace::Entry(&name), entry.body);
        entry.body = body.map_err(|error| StoreFailure::unavailable("append", error))?;
        Ok(entry)
    }

    fn read(&self, mut entry: ReadEntry) -> ReadEntry {
        let place = BodyPlace::Entry(&entry.name);
        entry.content = entry.content.and_then(|mut held| {
            let body = self.layer.read(place, held.body);
            held.body = body.map_err(|error| {
                let error = self.failed("an entry of the event log", error);
                EntryFault::Unreadable(error.into())
            })?;
            Ok(held)
        });
        entry
    }

    /// The entries up to the one with which a page ends; the stored ones may become larger.
    fn page(&self, stored: Vec<ReadEntry>) -> Vec<ReadEntry> {
        let (mut page, mut bytes) = (Vec::with_capacity(stored.len()), 0);
        for entry in stored {
            if bytes >= MAX_PAGE_BYTES {
                break;
            }
            let entry = self.read(entry);
            bytes += entry.content.as_ref().map_or(0, |held| held.body.len());
            page.push(entry);
        }
        page
    }
}

#[async_trait]
impl<B: BodyLayer, S: LogStore> LogStore for Layered<B, S> {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<Vec<AppendResult>, StoreFailure> {
        let entries = entries.into_iter().map(|entry| self.written(entry));
        let entries = entries.collect::<Result<_, _>>()?;
        self.store.append(entries).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EntryPage, StoreFailure> {
        let mut page = self.store.read_after(after, limit).await?;
        let stored = page.entries.len();
        page.entries = self.page(page.entries);
        if page.entries.len() < stored
            && let Some(last) = page.entries.last()
        {
            page.through = last.sequence;
            page.at_head = false;
        }
        Ok(page)
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, StoreFailure> {
        let stored = self.store.read_before(before, limit).await?;
        Ok(self.page(stored))
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, StoreFailure> {
        self.store.seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, StoreFailure> {
        self.store.position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, StoreFailure> {
        self.store.head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, StoreFailure> {
        self.store.trim(time).await
    }

    async fn check_append(&self) -> Result<(), StoreFailure> {
        self.store.check_append().await
    }

    async fn check_read(&self) -> Result<LogHead, StoreFailure> {
        self.store.check_read().await
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreFailure> {
        self.store.time().await
    }

    fn max_body_bytes(&self) -> usize {
        let most = self.store.max_body_bytes();
        most.saturating_sub(self.layer.added_bytes())
    }

    fn deadline(&self) -> Duration {
        self.store.deadline()
    }
}
