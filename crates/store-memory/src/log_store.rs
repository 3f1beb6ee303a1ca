//! An in-memory log: a ring of entries and an index of their ids.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use model::{Clock, Epoch, EventId, IdSource, Sequence, SystemClock, Timestamp};
use parking_lot::RwLock;
use ports::{
    AppendResult, EntryContent, EntryName, EntryPage, LogEntry, LogHead, LogStore, MAX_PAGE_BYTES,
    ReadEntry, SeekResult, StoreFailure,
};

/// A receive time that is further ahead of the log's clock is not believed: the clock by which the
/// entry was received was wrong.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// A log that keeps the last `capacity` entries. Beyond that the oldest are trimmed, and a reader
/// that had not read them yet learns this from `resumes_after`.
pub struct MemoryLogStore {
    epoch: Epoch,
    capacity: usize,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
}

/// Sequences are dense, so the index of an entry in `entries` follows from its sequence.
#[derive(Default)]
struct State {
    entries: VecDeque<LogEntry>,
    by_id: HashMap<EventId, Sequence>,
    trimmed_through: Sequence,
    /// The latest time at which a removed entry was received; `None` if nothing was removed.
    newest_trimmed: Option<Timestamp>,
}

impl fmt::Debug for MemoryLogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLogStore")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl MemoryLogStore {
    /// Creates an empty log that holds up to `capacity` entries; its epoch comes from `ids`.
    #[must_use]
    pub fn new(ids: &dyn IdSource, capacity: NonZeroUsize) -> Self {
        Self::with_clock(ids, capacity, Arc::new(SystemClock))
    }

    /// As [`MemoryLogStore::new`], with a clock other than the machine's.
    #[must_use]
    pub fn with_clock(ids: &dyn IdSource, capacity: NonZeroUsize, clock: Arc<dyn Clock>) -> Self {
        Self {
            epoch: Epoch(ids.random_u64()),
            capacity: capacity.get(),
            clock,
            state: RwLock::default(),
        }
    }

    /// Puts the log back to the state in which it had its entry at `last` and none after it, and returns
    /// those that it loses. For tests of readers: their positions are given out again (EL-16).
    pub fn put_back(&self, last: Sequence) -> Vec<LogEntry> {
        let mut state = self.state.write();
        let held = state.held_through(last);
        let lost: Vec<_> = state.entries.drain(held..).collect();
        for entry in &lost {
            state.by_id.remove(&entry.id);
        }
        lost
    }
}

/// Converts a count to a distance between sequences.
fn distance(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl State {
    fn last(&self) -> Sequence {
        Sequence(self.trimmed_through.0 + distance(self.entries.len()))
    }

    /// The number of entries that the log holds up to and including a position.
    fn held_through(&self, position: Sequence) -> usize {
        let held = position.0.saturating_sub(self.trimmed_through.0);
        usize::try_from(held)
            .unwrap_or(usize::MAX)
            .min(self.entries.len())
    }

    fn place(&self, index: usize) -> Sequence {
        Sequence(self.trimmed_through.0 + distance(index) + 1)
    }

    fn append(&mut self, entry: LogEntry) -> AppendResult {
        let (id, next) = (entry.id.clone(), self.last().next());
        match self.by_id.entry(id.clone()) {
            Entry::Occupied(known) => AppendResult {
                id,
                sequence: *known.get(),
                duplicate: true,
            },
            Entry::Vacant(free) => {
                free.insert(next);
                self.entries.push_back(entry);
                AppendResult {
                    id,
                    sequence: next,
                    duplicate: false,
                }
            }
        }
    }

    fn trim_front(&mut self, count: usize) {
        for entry in self.entries.drain(..count) {
            self.by_id.remove(&entry.id);
            self.newest_trimmed = self.newest_trimmed.max(Some(entry.received_at));
        }
        self.trimmed_through.0 += distance(count);
    }

    /// The number of entries at the front that were received before a time, as far as receive times are
    /// believed: entries from the future go with the one that follows them.
    fn older_front(&self, time: Timestamp, now: Timestamp) -> usize {
        let latest = now.plus(MAX_AHEAD);
        let received = || self.entries.iter().map(|entry| entry.received_at);
        let young = received().position(|at| at >= time && at <= latest);
        let front = young.unwrap_or(self.entries.len());
        let last_old = received().take(front).rposition(|at| at < time);
        last_old.map_or(0, |last| last + 1)
    }

    fn read(&self, index: usize) -> ReadEntry {
        let entry = &self.entries[index];
        ReadEntry {
            sequence: self.place(index),
            name: EntryName::Id(entry.id.clone()),
            content: Ok(EntryContent {
                received_at: entry.received_at,
                body: entry.body.clone(),
            }),
        }
    }

    /// The entries at these places up to the one with which a page ends.
    fn first_page(&self, places: impl Iterator<Item = usize>) -> Vec<ReadEntry> {
        let (mut bytes, mut page) = (0, Vec::with_capacity(places.size_hint().0));
        for index in places {
            if bytes >= MAX_PAGE_BYTES {
                break;
            }
            bytes += self.entries[index].body.len();
            page.push(self.read(index));
        }
        page
    }
}

#[async_trait]
impl LogStore for MemoryLogStore {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<Vec<AppendResult>, StoreFailure> {
        if entries.len() > self.capacity {
            // If they were stored, the first of them would be trimmed before any reader could read
            // them.
            let what = "one append has more events than the log can hold";
            return Err(StoreFailure::full(what));
        }
        let mut state = self.state.write();
        let appended = entries
            .into_iter()
            .map(|entry| state.append(entry))
            .collect();
        let surplus = state.entries.len().saturating_sub(self.capacity);
        state.trim_front(surplus);
        Ok(appended)
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EntryPage, StoreFailure> {
        let state = self.state.read();
        let resumes_after = (after < state.trimmed_through).then_some(state.trimmed_through);
        let start = state.held_through(after);
        let end = start.saturating_add(limit).min(state.entries.len());
        let entries = state.first_page(start..end);
        let end = start + entries.len();
        let from = after.max(state.trimmed_through);
        Ok(EntryPage {
            through: entries.last().map_or(from, |last| last.sequence),
            entries,
            at_head: end == state.entries.len(),
            resumes_after,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, StoreFailure> {
        let state = self.state.read();
        let end = state.held_through(Sequence(before.0.saturating_sub(1)));
        let start = end.saturating_sub(limit);
        Ok(state.first_page((start..end).rev()))
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, StoreFailure> {
        let state = self.state.read();
        Ok(SeekResult {
            position: Sequence(
                state.trimmed_through.0 + distance(state.older_front(time, self.clock.now())),
            ),
            truncated: state.newest_trimmed.is_some_and(|newest| newest >= time),
            read_bytes: 0,
        })
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, StoreFailure> {
        Ok(self.state.read().by_id.get(id).copied())
    }

    async fn head(&self) -> Result<LogHead, StoreFailure> {
        let state = self.state.read();
        let (trimmed_through, last) = (state.trimmed_through, state.last());
        Ok(LogHead {
            epoch: self.epoch,
            trimmed_through,
            last,
        })
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, StoreFailure> {
        let mut state = self.state.write();
        let count = state.older_front(time, self.clock.now());
        state.trim_front(count);
        Ok(distance(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ManualClock;

    fn log(capacity: usize) -> MemoryLogStore {
        MemoryLogStore::new(
            &ManualClock::default(),
            NonZeroUsize::new(capacity).unwrap(),
        )
    }

    fn entries(from: u64, to: u64) -> Vec<LogEntry> {
        (from..to).map(contract::entry).collect()
    }

    #[tokio::test]
    async fn at_the_bound_the_oldest_go_and_their_readers_are_told() {
        let log = log(10);
        for n in 0..25 {
            log.append(entries(n, n + 1)).await.unwrap();
        }
        let page = log.read_after(Sequence(3), 100).await.unwrap();
        assert_eq!(page.resumes_after, Some(Sequence(15)));
        assert_eq!(page.entries.len(), 10);
        let first = page.entries[0].content.as_ref().unwrap();
        assert_eq!(first.body, contract::entry(15).body);
        assert_eq!(page.through, Sequence(25));
        assert_eq!(
            log.state.read().by_id.len(),
            10,
            "ids of trimmed entries are forgotten"
        );
    }

    #[tokio::test]
    async fn an_append_that_cannot_be_held_is_refused_whole() {
        let log = log(10);
        let refused = log.append(entries(0, 11)).await;
        assert!(
            matches!(refused, Err(StoreFailure::Overloaded { .. })),
            "{refused:?}"
        );
        assert_eq!(log.head().await.unwrap().last, Sequence::START);
        assert_eq!(log.append(entries(0, 10)).await.unwrap().len(), 10);
    }
}
