//! Pages of the log, shared by many readers.
//!
//! Clients that reconnect at the same time read the same range of the log: one read serves them
//! all. A reader's position is aligned down, so that readers at slightly different positions ask
//! for the same page. While a page is being read, all readers that ask for it wait for that read.
//! Afterwards the page stays for a short time in a cache that is bounded in bytes. All pages together have a
//! bound too: a page that is being read, cached or held by a stream has its part of [`CATCH_UP_BYTES`], and
//! further reads wait until streams have given theirs back. A stream does so when its client does not read, so
//! such clients stop nobody. And whoever begins a read is charged for it, at the pace of its principal.

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
use model::Sequence;
use moka::{policy::EvictionPolicy, sync::Cache};
use parking_lot::Mutex;
use ports::{EventLog, EventLogError, EventPage, UndecodableEntry};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::ring::{RingEntry, RingRead, RingTag};
use crate::{
    limits::{
        CALL_DEADLINE, CATCH_UP_BYTES, CATCH_UP_EVENTS, CATCH_UP_PAGE_BYTES,
        CATCH_UP_PAGE_LIFETIME, CATCH_UP_READ_BYTES,
    },
    log_turns::{PageReader, ReservedRead},
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
    /// The entries of that part that do not decode.
    undecodable: Box<[UndecodableEntry]>,
    /// Its part of the bytes of all pages.
    _room: PageRoom,
}

impl LogPage {
    /// The page as it was read; of the part after `followed` only that there is more, and the same of what
    /// does not fit into `room`. The first event always fits.
    fn new(
        from: Sequence,
        (page, mut room): (EventPage, PageRoom),
        generation: u32,
        followed: Sequence,
    ) -> Self {
        let known = followed.max(page.resumes_after.unwrap_or(from));
        let (mut through, mut at_head) = (page.through.min(known), page.through > known);
        at_head |= page.at_head;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for event in page.events {
            if event.sequence > followed {
                break;
            }
            let entry = RingEntry::new(event, generation);
            bytes += page_bytes(&entry);
            if bytes > room.bytes() && !entries.is_empty() {
                bytes -= page_bytes(&entry);
                (through, at_head) = (last_of(&entries, through), false);
                break;
            }
            entries.push(entry);
        }
        room.shrink_to(bytes);
        Self {
            entries: entries.into(),
            from,
            through,
            at_head,
            resumes_after: page.resumes_after,
            undecodable: page.undecodable.into(),
            _room: room,
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

    /// The tag of the entry at a position. Whatever comes after the page is [`RingTag::Absent`]: nothing shows
    /// that the entry that a reader had there still is.
    pub(crate) fn tag_at(&self, sequence: Sequence) -> RingTag {
        if sequence <= self.trimmed_through().unwrap_or(self.from) {
            return RingTag::Outside;
        }
        let entries = &self.entries;
        if let Ok(found) = entries.binary_search_by_key(&sequence, |entry| entry.sequence) {
            return RingTag::Known(entries[found].tag);
        }
        let mut undecodable = self.undecodable.iter();
        let found = undecodable.find(|entry| entry.sequence == sequence);
        found.map_or(RingTag::Absent, |entry| RingTag::Known(entry.tag))
    }

    /// The position up to which everything after `from` was trimmed.
    fn trimmed_through(&self) -> Option<Sequence> {
        match self.undecodable.first() {
            Some(first) => Some(first.sequence.previous().max(self.from)),
            None => self.resumes_after,
        }
    }

    /// The reason for the gap, if there is one.
    pub(crate) fn gap_reason(&self) -> GapReason {
        match self.undecodable.is_empty() {
            true => GapReason::Trimmed,
            false => GapReason::Undecodable,
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

    /// Approximate bytes in memory.
    fn bytes(&self) -> u32 {
        let bytes: usize = self.entries.iter().map(page_bytes).sum();
        let undecodable = size_of_val(&*self.undecodable);
        u32::try_from(bytes + undecodable).unwrap_or(u32::MAX)
    }

    /// It has nothing for a reader at `position`, but the log may have something by now.
    fn is_stale(&self, position: Sequence) -> bool {
        self.through <= position && (self.at_head || self.from == position)
    }
}

/// Approximate bytes of an event in a page: its JSON, and the frame that its first reader encodes.
fn page_bytes(entry: &RingEntry) -> usize {
    2 * entry.bytes()
}

fn last_of(entries: &[RingEntry], otherwise: Sequence) -> Sequence {
    entries.last().map_or(otherwise, |entry| entry.sequence)
}

/// A page's part of the bytes of all pages, in units of 1 KiB; given back when it is dropped.
#[derive(Debug)]
struct PageRoom {
    units: OwnedSemaphorePermit,
    all_bytes: Gauge,
}

impl PageRoom {
    const UNIT_BYTES: usize = 1 << 10;

    fn units(bytes: usize) -> usize {
        bytes.div_ceil(Self::UNIT_BYTES)
    }

    fn new(units: OwnedSemaphorePermit, all_bytes: Gauge) -> Self {
        all_bytes.inc_by(Self::bytes_of(&units));
        Self { units, all_bytes }
    }

    fn bytes_of(units: &OwnedSemaphorePermit) -> i64 {
        i64::try_from(units.num_permits() * Self::UNIT_BYTES).unwrap_or(i64::MAX)
    }

    fn bytes(&self) -> usize {
        self.units.num_permits() * Self::UNIT_BYTES
    }

    fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.units.num_permits().saturating_sub(Self::units(bytes));
        if let Some(surplus) = self.units.split(surplus) {
            self.all_bytes.dec_by(Self::bytes_of(&surplus));
        }
    }
}

impl Drop for PageRoom {
    fn drop(&mut self) {
        self.all_bytes.dec_by(Self::bytes_of(&self.units));
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

/// What there is of a page.
enum KnownPage {
    There(Arc<LogPage>),
    BeingRead(Flight),
    Unknown,
}

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
    /// Bytes that one read may need.
    read_bytes: usize,
    /// Maximum bytes of all pages: those that are being read, cached and held by streams.
    all_bytes: usize,
}

/// moka's own single flight is not used: there a read belongs to one of its waiters, restarts if
/// that waiter leaves, and panics in the others once 200 have left, which happens when a store
/// hangs and a balancer disconnects all clients.
pub(crate) struct Pages {
    log: Arc<dyn EventLog>,
    metrics: FanoutMetrics,
    bounds: PageBounds,
    room: Arc<Semaphore>,
    /// The edge's position in the log. Pages end there: the follower notices when the log is put back to
    /// before this position, and nothing would notice it for what lies beyond.
    followed: AtomicU64,
    cache: Cache<Key, Arc<LogPage>>,
    state: Mutex<State>,
    /// A read has begun: readers that wait to begin one of their own may share it.
    begun: Notify,
}

impl Pages {
    pub(crate) fn new(log: Arc<dyn EventLog>, metrics: FanoutMetrics) -> Arc<Self> {
        let bounds = PageBounds {
            events: CATCH_UP_EVENTS,
            bytes: CATCH_UP_PAGE_BYTES,
            lifetime: CATCH_UP_PAGE_LIFETIME,
            read_bytes: CATCH_UP_READ_BYTES,
            all_bytes: CATCH_UP_BYTES,
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
            room: Arc::new(Semaphore::new(PageRoom::units(bounds.all_bytes))),
            followed: AtomicU64::new(u64::MAX),
            cache,
            state: Mutex::default(),
            begun: Notify::new(),
        })
    }

    /// A page with the events after `position`. If it has none (`through() <= position`), the log
    /// had none at that moment: pause before asking again.
    ///
    /// Has to be polled within a tokio runtime, on any thread; a worker does the reading. A page that a caller
    /// holds counts towards [`CATCH_UP_BYTES`]: a caller that waits for a client gives it back.
    ///
    /// # Errors
    /// The log cannot be read within [`CALL_DEADLINE`], or was replaced meanwhile.
    pub(crate) async fn after(
        self: &Arc<Self>,
        position: Sequence,
        reader: &PageReader,
    ) -> PageResult {
        let shared = self.shared_key(position);
        let exact = Key {
            from: position,
            ..shared
        };
        let mut page = self.page(shared, position, reader).await?;
        if page.through <= position && !page.is_stale(position) {
            // Full before it reaches the position: the sequence numbers are denser, or the pages
            // shorter, than the alignment assumes.
            page = self.page(exact, position, reader).await?;
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

    async fn page(
        self: &Arc<Self>,
        key: Key,
        position: Sequence,
        reader: &PageReader,
    ) -> PageResult {
        // Whoever begins a read pays for it, and waits alone until its principal may read.
        let mut reserved = None;
        let flight = loop {
            // Before the look, so that no beginning is missed.
            let begun = self.begun.notified();
            {
                let mut state = self.state.lock();
                match (self.known_in(&state, key, position), reserved.take()) {
                    (KnownPage::There(page), _) => return Ok(page),
                    (KnownPage::BeingRead(flight), _) => break flight,
                    (KnownPage::Unknown, Some(reserved)) => {
                        break self.begin(key, &mut state, reserved);
                    }
                    (KnownPage::Unknown, None) => {}
                }
            }
            tokio::select! {
                biased;
                page = reader.reserve_page() => reserved = Some(page),
                () = begun => {}
            }
        };
        flight.await
    }

    /// What there is of a page.
    fn known_in(&self, state: &State, key: Key, position: Sequence) -> KnownPage {
        // A page that reached the log's head stays until a reader wants later events.
        let cached = self.cache.get(&key);
        if let Some(page) = cached.filter(|page| !page.is_stale(position)) {
            return KnownPage::There(page);
        }
        let flight = state.flights.get(&key);
        match flight.and_then(|(_, flight)| flight.upgrade()) {
            Some(flight) => KnownPage::BeingRead(flight),
            None => KnownPage::Unknown,
        }
    }

    fn begin(self: &Arc<Self>, key: Key, state: &mut State, reserved: ReservedRead) -> Flight {
        let number = state.next_flight;
        state.next_flight += 1;
        let guard = ReadGuard {
            pages: Arc::clone(self),
            key,
            number,
            reserved,
        };
        let read = AbortOnDropHandle::new(tokio::spawn(guard.read()));
        let flight = read
            .map(|read| read.unwrap_or_else(|error| Err(Arc::new(unavailable(error.into())))))
            .boxed()
            .shared();
        if let Some(weak) = flight.downgrade() {
            state.flights.insert(key, (number, weak));
        }
        self.begun.notify_waiters();
        flight
    }

    /// Reads the log once there is room for what the read may bring.
    ///
    /// # Errors
    /// The log does not answer within [`CALL_DEADLINE`], or cannot be read.
    async fn read(&self, after: Sequence) -> Result<(EventPage, PageRoom), EventLogError> {
        let units = u32::try_from(PageRoom::units(self.bounds.read_bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units).await;
        let room = room.map_err(|closed| unavailable(closed.into()))?;
        let room = PageRoom::new(room, self.metrics.catch_up_bytes.clone());
        self.metrics.catch_up_read();
        let read = self.log.read_after(after, self.bounds.events);
        let page = timeout(CALL_DEADLINE, read).await;
        let page = page.unwrap_or_else(|elapsed| Err(unavailable(elapsed.into())))?;
        Ok((page, room))
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

    /// Bytes of the pages that are being read, cached or held.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let free = self.room.available_permits();
        (PageRoom::units(self.bounds.all_bytes) - free) * PageRoom::UNIT_BYTES
    }

    /// Frees the memory of expired pages. Otherwise they stay until the next read. The cache drops some pages
    /// later than it removes them, so it is asked as long as any has a part of the bytes.
    pub(super) fn drop_expired(&self) {
        let is_used = self.room.available_permits() < PageRoom::units(self.bounds.all_bytes);
        if is_used || self.cache.entry_count() > 0 {
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
    reserved: ReservedRead,
}

impl ReadGuard {
    async fn read(mut self) -> PageResult {
        // Before the read: entries up to here, as the log has them from now on, are known to the follower.
        let followed = Sequence(self.pages.followed.load(Ordering::Acquire));
        let page = self.pages.read(self.key.from).await.map_err(Arc::new)?;
        self.reserved.read(&page.0);
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
            let trimmed_through = page.resumes_after.filter(|_| page.undecodable.is_empty());
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
