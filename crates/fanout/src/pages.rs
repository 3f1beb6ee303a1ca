//! Pages of the log, shared by many readers.
//!
//! Clients that reconnect at the same time read the same range of the log: one read serves them
//! all. A reader's position is aligned down, so that readers at slightly different positions ask
//! for the same page. While a page is being read, all readers that ask for it wait for that read.
//! Afterwards the page stays for a short time in a cache that is bounded in bytes.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use model::{EntryTag, Sequence};
use moka::{policy::EvictionPolicy, sync::Cache};
use parking_lot::Mutex;
use ports::{EventLog, EventLogError, EventPage};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::ring::{RingEntry, RingRead};
use crate::{
    limits::{
        CALL_DEADLINE, CATCH_UP_EVENTS, CATCH_UP_PAGE_BYTES, CATCH_UP_PAGE_LIFETIME, CATCH_UP_READS,
    },
    metrics::{FanoutMetrics, GapReason},
};

/// A page, or the error of its read. All readers that waited for one read get the same result.
pub(crate) type PageResult = Result<Arc<LogPage>, Arc<EventLogError>>;

/// A part of the log. It does not change; the frames that its readers encode are shared.
#[derive(Debug)]
pub(crate) struct LogPage {
    entries: Box<[RingEntry]>,
    /// It was read after this position.
    from: Sequence,
    through: Sequence,
    at_head: bool,
    /// Everything between `from` and this position is trimmed or does not decode.
    resumes_after: Option<Sequence>,
    /// Whether some of it does not decode.
    is_undecodable: bool,
}

impl LogPage {
    /// The page as it was read; of the part after `followed` only that there is more.
    fn new(from: Sequence, page: EventPage, generation: u32, followed: Sequence) -> Self {
        let events = page.events.into_iter();
        let events = events.filter(|event| event.sequence <= followed);
        let known = followed.max(page.resumes_after.unwrap_or(from));
        Self {
            entries: events
                .map(|event| RingEntry::new(event, generation))
                .collect(),
            from,
            through: page.through.min(known),
            at_head: page.at_head || page.through > known,
            resumes_after: page.resumes_after,
            is_undecodable: page.undecodable > 0,
        }
    }

    /// The page is complete up to here: a reader at or after this position finds nothing in it.
    pub(crate) fn through(&self) -> Sequence {
        self.through
    }

    /// The position up to which everything is gone, if a reader at `position` misses events because
    /// of that. The reader has to be told, and continues from there.
    pub(crate) fn gap_after(&self, position: Sequence) -> Option<Sequence> {
        self.resumes_after.filter(|gone| *gone > position)
    }

    /// The tag of the entry at a position, if the page has it.
    pub(crate) fn tag_at(&self, sequence: Sequence) -> Option<EntryTag> {
        let found = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence);
        found.ok().map(|found| self.entries[found].tag)
    }

    /// The reason for the gap, if there is one.
    pub(crate) fn gap_reason(&self) -> GapReason {
        match self.is_undecodable {
            true => GapReason::Undecodable,
            false => GapReason::Trimmed,
        }
    }

    /// Shows up to `max` events after `position` to `visit`, which returns whether to continue.
    /// `more` refers to this page only. [`RingRead::Behind`] if the page begins after the position,
    /// which [`Pages::after`] never gives.
    pub(crate) fn read(
        &self,
        position: Sequence,
        max: usize,
        mut visit: impl FnMut(&RingEntry) -> bool,
    ) -> RingRead {
        if position < self.from {
            return RingRead::Behind;
        }
        let start = self
            .entries
            .partition_point(|entry| entry.sequence <= position);
        let mut through = position;
        for (seen, entry) in self.entries[start..].iter().enumerate() {
            if seen == max {
                let more = true;
                return RingRead::Read { through, more };
            }
            through = entry.sequence;
            if !visit(entry) {
                let more = through < self.through;
                return RingRead::Read { through, more };
            }
        }
        RingRead::Read {
            through: position.max(self.through),
            more: false,
        }
    }

    /// Approximate bytes in memory: the JSON of each event and the frame that its first reader
    /// encodes.
    fn bytes(&self) -> u32 {
        let bytes: usize = self.entries.iter().map(|entry| 2 * entry.bytes()).sum();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// It has nothing for a reader at `position`, but the log may have something by now.
    fn is_stale(&self, position: Sequence) -> bool {
        self.through <= position && (self.at_head || self.from == position)
    }
}

/// The identity of a page. A page of a log that was replaced is never requested again, because its
/// generation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    generation: u32,
    from: Sequence,
}

/// A read in progress. It continues while any reader waits for it, regardless of which one began
/// it.
type Flight = Shared<BoxFuture<'static, PageResult>>;

#[derive(Default)]
struct State {
    /// Increases when the log is replaced or put back.
    generation: u32,
    /// The log no longer has anything up to here.
    trimmed_through: Sequence,
    /// At most one per waiting reader.
    flights: HashMap<Key, (u64, WeakShared<BoxFuture<'static, PageResult>>)>,
    next_flight: u64,
}

/// Sizes of [`Pages`].
#[derive(Debug, Clone, Copy)]
struct PageBounds {
    /// Events per page; positions are aligned to it.
    events: usize,
    /// Maximum bytes of all cached pages together.
    bytes: u64,
    /// Time for which a page is cached.
    lifetime: Duration,
}

/// moka's own single flight is not used: there a read belongs to one of its waiters, restarts if
/// that waiter leaves, and panics in the others once 200 have left, which happens when a store
/// hangs and a balancer disconnects all clients.
pub(crate) struct Pages {
    log: Arc<dyn EventLog>,
    metrics: FanoutMetrics,
    bounds: PageBounds,
    read_permits: Semaphore,
    /// The edge's position in the log. Pages end there: the follower notices when the log is put back to
    /// before this position, and nothing would notice it for what lies beyond.
    followed: AtomicU64,
    cache: Cache<Key, Arc<LogPage>>,
    state: Mutex<State>,
}

impl Pages {
    pub(crate) fn new(log: Arc<dyn EventLog>, metrics: FanoutMetrics) -> Arc<Self> {
        let bounds = PageBounds {
            events: CATCH_UP_EVENTS,
            bytes: CATCH_UP_PAGE_BYTES,
            lifetime: CATCH_UP_PAGE_LIFETIME,
        };
        Self::bounded(log, metrics, bounds)
    }

    fn bounded(log: Arc<dyn EventLog>, metrics: FanoutMetrics, bounds: PageBounds) -> Arc<Self> {
        let cache = Cache::builder()
            .max_capacity(bounds.bytes)
            .weigher(|_, page: &Arc<LogPage>| page.bytes())
            .time_to_live(bounds.lifetime)
            // The default policy rejects new entries while the old ones are more popular: readers
            // that advance through the log would share nothing once the cache is full.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Arc::new(Self {
            log,
            metrics,
            bounds,
            read_permits: Semaphore::new(CATCH_UP_READS),
            followed: AtomicU64::new(u64::MAX),
            cache,
            state: Mutex::default(),
        })
    }

    /// A page with the events after `position`. If it has none (`through() <= position`), the log
    /// had none at that moment: pause before asking again.
    ///
    /// Has to be polled within a tokio runtime, on any thread; a worker does the reading. A caller
    /// that holds the page for long keeps its memory beyond the bound of [`CATCH_UP_PAGE_BYTES`].
    ///
    /// # Errors
    /// The log cannot be read within [`CALL_DEADLINE`], or was replaced meanwhile.
    pub(crate) async fn after(self: &Arc<Self>, position: Sequence) -> PageResult {
        let shared = self.shared_key(position);
        let exact = Key {
            from: position,
            ..shared
        };
        let mut page = self.page(shared, position).await?;
        if page.through <= position && !page.is_stale(position) {
            // Full before it reaches the position: the sequence numbers are denser, or the pages
            // shorter, than the alignment assumes.
            page = self.page(exact, position).await?;
        }
        if self.state.lock().generation != shared.generation {
            return Err(Arc::new(unavailable(
                "the log was replaced or put back".into(),
            )));
        }
        self.metrics.catch_up_page();
        Ok(page)
    }

    /// The page that readers around `position` share.
    fn shared_key(&self, position: Sequence) -> Key {
        let state = self.state.lock();
        let generation = state.generation;
        let from = if position < state.trimmed_through {
            // Whatever these readers missed, all of them continue with the oldest event that is
            // still there.
            Sequence::START
        } else {
            Sequence(position.0 - position.0 % self.bounds.events as u64)
        };
        Key { generation, from }
    }

    async fn page(self: &Arc<Self>, key: Key, position: Sequence) -> PageResult {
        let flight = {
            let mut state = self.state.lock();
            // A page that reached the log's head stays until a reader wants later events.
            let cached = self.cache.get(&key);
            if let Some(page) = cached.filter(|page| !page.is_stale(position)) {
                return Ok(page);
            }
            let flight = state.flights.get(&key);
            match flight.and_then(|(_, flight)| flight.upgrade()) {
                Some(flight) => flight,
                None => self.begin(key, &mut state),
            }
        };
        flight.await
    }

    fn begin(self: &Arc<Self>, key: Key, state: &mut State) -> Flight {
        let number = state.next_flight;
        state.next_flight += 1;
        let guard = ReadGuard {
            pages: Arc::clone(self),
            key,
            number,
        };
        let read = AbortOnDropHandle::new(tokio::spawn(guard.read()));
        let flight = read
            .map(|read| read.unwrap_or_else(|error| Err(Arc::new(unavailable(error.into())))))
            .boxed()
            .shared();
        if let Some(weak) = flight.downgrade() {
            state.flights.insert(key, (number, weak));
        }
        flight
    }

    /// Reads the log once a permit is free; up to [`CATCH_UP_READS`] reads run at once.
    ///
    /// # Errors
    /// The log does not answer within [`CALL_DEADLINE`], or cannot be read.
    pub(super) async fn read(&self, after: Sequence) -> Result<EventPage, EventLogError> {
        let permit = self.read_permits.acquire().await;
        self.metrics.catch_up_read();
        let read = self.log.read_after(after, self.bounds.events);
        let page = timeout(CALL_DEADLINE, read).await;
        drop(permit);
        page.unwrap_or_else(|elapsed| Err(unavailable(elapsed.into())))
    }

    /// The edge has every event up to here.
    pub(super) fn set_followed(&self, position: Sequence) {
        self.followed.store(position.0, Ordering::Release);
    }

    /// Drops all pages: the log was replaced or put back, and is of this generation now. A reader that
    /// waits for a page of an older one gets an error.
    pub(super) fn clear(&self, generation: u32) {
        let mut state = self.state.lock();
        state.generation = generation;
        state.trimmed_through = Sequence::START;
        state.flights.clear();
        self.cache.invalidate_all();
    }

    /// Frees the memory of expired pages. Otherwise they stay until the next read.
    pub(super) fn drop_expired(&self) {
        if self.cache.entry_count() > 0 {
            self.cache.run_pending_tasks();
        }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("cached", &self.cache.entry_count())
            .field("reads", &self.state.lock().flights.len())
            .finish_non_exhaustive()
    }
}

fn unavailable(source: ports::BoxError) -> EventLogError {
    EventLogError::Unavailable { op: "read", source }
}

/// Cleans up after a read, however it ends.
struct ReadGuard {
    pages: Arc<Pages>,
    key: Key,
    number: u64,
}

impl ReadGuard {
    async fn read(self) -> PageResult {
        // Before the read: entries up to here, as the log has them from now on, are known to the follower.
        let followed = Sequence(self.pages.followed.load(Ordering::Acquire));
        let page = self.pages.read(self.key.from).await.map_err(Arc::new)?;
        let page = Arc::new(LogPage::new(
            self.key.from,
            page,
            self.key.generation,
            followed,
        ));
        self.keep(&page);
        Ok(page)
    }

    fn keep(&self, page: &Arc<LogPage>) {
        let Pages { state, cache, .. } = &*self.pages;
        {
            let mut state = state.lock();
            if state.generation != self.key.generation {
                return;
            }
            // Before an undecodable entry the log still has events, so their readers have pages to share.
            let trimmed_through = page.resumes_after.filter(|_| !page.is_undecodable);
            state.trimmed_through = state
                .trimmed_through
                .max(trimmed_through.unwrap_or_default());
        }
        cache.insert(self.key, Arc::clone(page));
        // The bound must hold now, not a few inserts later.
        cache.run_pending_tasks();
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        let mut state = self.pages.state.lock();
        // An abandoned read may end after the next read of the same page has begun.
        let flights = &mut state.flights;
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.0 == self.number)
        {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
