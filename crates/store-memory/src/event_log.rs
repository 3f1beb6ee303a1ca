//! An in-memory event log: a ring of events and an index of their ids.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use model::{
    Clock, Epoch, EventId, IdSource, Sequence, Sequenced, StoredEvent, SystemClock, Timestamp,
};
use parking_lot::RwLock;
use ports::{
    AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, MAX_PAGE_BYTES,
    SeekResult,
};

/// A receive time that is further ahead of the log's clock is not believed: the clock by which the
/// event was received was wrong.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// A log that keeps the last `capacity` events. Beyond that the oldest are trimmed, and a reader
/// that had not read them yet learns this from `resumes_after`.
pub struct MemoryEventLog {
    epoch: Epoch,
    capacity: usize,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
}

/// Sequences are dense, so the index of an event in `events` follows from its sequence.
#[derive(Default)]
struct State {
    events: VecDeque<StoredEvent>,
    by_id: HashMap<EventId, Sequence>,
    trimmed_through: Sequence,
    /// The latest time at which a removed event was received; `None` if nothing was removed.
    newest_trimmed: Option<Timestamp>,
}

impl fmt::Debug for MemoryEventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEventLog")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl MemoryEventLog {
    /// Creates an empty log that holds up to `capacity` events; its epoch comes from `ids`.
    #[must_use]
    pub fn new(ids: &dyn IdSource, capacity: NonZeroUsize) -> Self {
        Self::with_clock(ids, capacity, Arc::new(SystemClock))
    }

    /// As [`MemoryEventLog::new`], with a clock other than the machine's.
    #[must_use]
    pub fn with_clock(ids: &dyn IdSource, capacity: NonZeroUsize, clock: Arc<dyn Clock>) -> Self {
        Self {
            epoch: Epoch(ids.random_u64()),
            capacity: capacity.get(),
            clock,
            state: RwLock::default(),
        }
    }

    /// Puts the log back to the state in which it had its event at `last` and none after it, and returns
    /// those that it loses. For tests of readers: their positions are given out again (EL-16).
    pub fn put_back(&self, last: Sequence) -> Vec<StoredEvent> {
        let mut state = self.state.write();
        let held = state.held_through(last);
        let lost: Vec<_> = state.events.drain(held..).collect();
        for event in &lost {
            state.by_id.remove(&event.facts.id);
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
        Sequence(self.trimmed_through.0 + distance(self.events.len()))
    }

    /// The number of events that the log holds up to and including a position.
    fn held_through(&self, position: Sequence) -> usize {
        let held = position.0.saturating_sub(self.trimmed_through.0);
        usize::try_from(held)
            .unwrap_or(usize::MAX)
            .min(self.events.len())
    }

    fn place(&self, index: usize) -> Sequence {
        Sequence(self.trimmed_through.0 + distance(index) + 1)
    }

    fn append(&mut self, event: StoredEvent) -> AppendResult {
        let (id, next) = (event.facts.id.clone(), self.last().next());
        match self.by_id.entry(id.clone()) {
            Entry::Occupied(known) => AppendResult {
                id,
                sequence: *known.get(),
                duplicate: true,
            },
            Entry::Vacant(free) => {
                free.insert(next);
                self.events.push_back(event);
                AppendResult {
                    id,
                    sequence: next,
                    duplicate: false,
                }
            }
        }
    }

    fn trim_front(&mut self, count: usize) {
        for event in self.events.drain(..count) {
            self.by_id.remove(&event.facts.id);
            self.newest_trimmed = self.newest_trimmed.max(Some(event.facts.received_at));
        }
        self.trimmed_through.0 += distance(count);
    }

    /// The number of events at the front that were received before a time, as far as receive times are
    /// believed: events from the future go with the event that follows them.
    fn older_front(&self, time: Timestamp, now: Timestamp) -> usize {
        let latest = now.plus(MAX_AHEAD);
        let received = || self.events.iter().map(|event| event.facts.received_at);
        let young = received().position(|at| at >= time && at <= latest);
        let front = young.unwrap_or(self.events.len());
        let last_old = received().take(front).rposition(|at| at < time);
        last_old.map_or(0, |last| last + 1)
    }
}

#[async_trait]
impl EventLog for MemoryEventLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        if events.len() > self.capacity {
            // If they were stored, the first of them would be trimmed before any reader could read
            // them.
            return Err(EventLogError::Overloaded {
                what: "one append has more events than the log can hold",
            });
        }
        let mut state = self.state.write();
        let appended = events
            .into_iter()
            .map(|event| state.append(event))
            .collect();
        let surplus = state.events.len().saturating_sub(self.capacity);
        state.trim_front(surplus);
        Ok(appended)
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let state = self.state.read();
        let resumes_after = (after < state.trimmed_through).then_some(state.trimmed_through);
        let start = state.held_through(after);
        let end = start.saturating_add(limit).min(state.events.len());
        let event = |(index, item): (usize, &StoredEvent)| Sequenced {
            sequence: state.place(start + index),
            item: item.clone(),
        };
        let held = state.events.range(start..end).enumerate();
        let events: Vec<_> = first_page(held.map(event)).collect();
        let end = start + events.len();
        let from = after.max(state.trimmed_through);
        let through = events.last().map_or(from, |last| last.sequence);
        Ok(EventPage {
            events,
            through,
            at_head: end == state.events.len(),
            resumes_after,
            undecodable: Vec::new(),
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let state = self.state.read();
        let end = state.held_through(Sequence(before.0.saturating_sub(1)));
        let start = end.saturating_sub(limit);
        let newest_first = (start..end).rev();
        let event = |index| Sequenced {
            sequence: state.place(index),
            item: state.events[index].clone(),
        };
        Ok(EventsBefore {
            events: first_page(newest_first.map(event)).collect(),
            undecodable: Vec::new(),
        })
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        let state = self.state.read();
        Ok(SeekResult {
            position: Sequence(
                state.trimmed_through.0 + distance(state.older_front(time, self.clock.now())),
            ),
            truncated: state.newest_trimmed.is_some_and(|newest| newest >= time),
        })
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        let state = self.state.read();
        let (trimmed_through, last) = (state.trimmed_through, state.last());
        Ok(LogHead {
            epoch: self.epoch,
            trimmed_through,
            last,
        })
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        let mut state = self.state.write();
        let count = state.older_front(time, self.clock.now());
        state.trim_front(count);
        Ok(distance(count))
    }
}

/// The events up to the one with which a page ends.
fn first_page(
    events: impl Iterator<Item = Sequenced<StoredEvent>>,
) -> impl Iterator<Item = Sequenced<StoredEvent>> {
    let mut bytes = 0;
    events.take_while(move |event| {
        let fits = bytes < MAX_PAGE_BYTES;
        bytes += event.item.json.len();
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ManualClock;

    fn log(capacity: usize) -> MemoryEventLog {
        MemoryEventLog::new(
            &ManualClock::default(),
            NonZeroUsize::new(capacity).unwrap(),
        )
    }

    #[tokio::test]
    async fn at_the_bound_the_oldest_go_and_their_readers_are_told() {
        let log = log(10);
        for n in 0..25 {
            log.append(vec![contract::event(n)]).await.unwrap();
        }
        let page = log.read_after(Sequence(3), 100).await.unwrap();
        assert_eq!(page.resumes_after, Some(Sequence(15)));
        assert_eq!(page.events.len(), 10);
        assert_eq!(page.events[0].item, contract::event(15));
        assert_eq!(page.through, Sequence(25));
        assert_eq!(
            log.state.read().by_id.len(),
            10,
            "ids of trimmed events are forgotten"
        );
    }

    #[tokio::test]
    async fn an_append_that_cannot_be_held_is_refused_whole() {
        let log = log(10);
        let refused = log.append(contract::events(0, 11)).await;
        assert!(
            matches!(refused, Err(EventLogError::Overloaded { .. })),
            "{refused:?}"
        );
        assert_eq!(log.head().await.unwrap().last, Sequence::START);
        assert_eq!(log.append(contract::events(0, 10)).await.unwrap().len(), 10);
    }
}
