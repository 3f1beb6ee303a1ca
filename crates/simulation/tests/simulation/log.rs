//! An event log that does to its readers whatever a real one may do: the log in memory, which goes back, is
//! replaced, and has entries that do not decode.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use model::{Clock, EntryTag, EventId, ManualClock, Sequence, Sequenced, StoredEvent, Timestamp};
use parking_lot::Mutex;
use ports::{
    AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogEntry, LogHead, SeekResult,
    UndecodableEntry,
};
use store_layers::{PageEntries, StoredLog};
use store_memory::MemoryLogStore;

use crate::{link::StoreLink, time::TrueClock};

/// More than any history has.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// The log of one history.
#[derive(Debug)]
pub(crate) struct SimulatedLog {
    /// Gives epochs.
    ids: ManualClock,
    clock: Arc<TrueClock>,
    stored: Mutex<KeptLog>,
}

#[derive(Clone, Debug)]
struct KeptLog {
    log: Arc<StoredLog<MemoryLogStore>>,
    /// Entries that do not decode, with the tags that the store tells of them.
    damaged: BTreeMap<Sequence, EntryTag>,
}

impl SimulatedLog {
    pub(crate) fn new(clock: &Arc<TrueClock>) -> Arc<Self> {
        let ids = ManualClock::default();
        let stored = Mutex::new(KeptLog::empty(&ids, clock));
        let clock = Arc::clone(clock);
        Arc::new(Self { ids, clock, stored })
    }

    fn stored(&self) -> KeptLog {
        self.stored.lock().clone()
    }

    /// The events that can be read.
    pub(crate) async fn events(&self) -> Vec<Sequenced<StoredEvent>> {
        let KeptLog { log, damaged } = self.stored();
        let page = log.read_after(Sequence::START, usize::MAX).await;
        let mut events = page.expect("memory answers").events;
        events.retain(|event| !damaged.contains_key(&event.sequence));
        events
    }

    pub(crate) async fn head(&self) -> LogHead {
        self.stored().log.head().await.expect("memory answers")
    }

    /// Removes what was received before a time; returns what is gone.
    pub(crate) async fn trim(&self, before: Timestamp) -> Vec<StoredEvent> {
        let events = self.events().await;
        let trimmed = self.stored().log.trim(before).await;
        trimmed.expect("memory answers");
        let through = self.head().await.trimmed_through;
        let gone = events.into_iter().filter(|event| event.sequence <= through);
        gone.map(|event| event.item).collect()
    }

    /// Puts the log back to before its last `count` entries: their sequences are given out again.
    pub(crate) async fn set_back(&self, count: u64) -> Vec<StoredEvent> {
        let head = self.head().await;
        let last = Sequence(head.last.0.saturating_sub(count)).max(head.trimmed_through);
        let mut stored = self.stored.lock();
        stored.damaged.retain(|damaged, _| *damaged <= last);
        let lost = stored.log.store().put_back(last);
        let event =
            |lost: LogEntry| proto::decode_event(lost.body).expect("an event of this build");
        lost.into_iter().map(event).collect()
    }

    /// Replaces the log by an empty one.
    pub(crate) async fn replace(&self) -> Vec<StoredEvent> {
        let lost = self.events().await;
        *self.stored.lock() = KeptLog::empty(&self.ids, &self.clock);
        lost.into_iter().map(|event| event.item).collect()
    }

    /// Another build adds entries that this one cannot read; `is_told` says whether the store tells their tags.
    pub(crate) async fn plant(&self, entries: Vec<StoredEvent>, is_told: bool) {
        let KeptLog { log, .. } = self.stored();
        let planted = log.append(entries).await.expect("memory answers");
        let tag = |entry: &AppendResult| tag_of(&entry.id, is_told);
        let planted = planted.iter().map(|entry| (entry.sequence, tag(entry)));
        self.stored.lock().damaged.extend(planted);
    }

    /// The event at this place among those that can be read does not decode any more; `is_told` says whether the
    /// store tells its tag.
    pub(crate) async fn damage(&self, place: usize, is_told: bool) -> Option<StoredEvent> {
        let damaged = self.events().await.into_iter().nth(place)?;
        let tag = tag_of(&damaged.item.facts.id, is_told);
        self.stored.lock().damaged.insert(damaged.sequence, tag);
        Some(damaged.item)
    }
}

/// What a store tells of an entry that does not decode.
fn tag_of(id: &EventId, is_told: bool) -> EntryTag {
    match is_told {
        true => EntryTag::of(id),
        false => EntryTag::UNDECODABLE,
    }
}

impl KeptLog {
    fn empty(ids: &ManualClock, clock: &Arc<TrueClock>) -> Self {
        let clock: Arc<dyn Clock> = Arc::<TrueClock>::clone(clock);
        Self {
            log: Arc::new(StoredLog::new(MemoryLogStore::with_clock(
                ids, CAPACITY, clock,
            ))),
            damaged: BTreeMap::new(),
        }
    }

    /// The page as an adapter answers it.
    fn legible(&self, page: EventPage) -> EventPage {
        if self.damaged.is_empty() {
            return page;
        }
        let mut read = PageEntries::default();
        let is_whole = page.events.into_iter().all(|event| {
            let item = match self.damaged.get(&event.sequence) {
                Some(tag) => Err(*tag),
                None => Ok(event.item),
            };
            read.push(event.sequence, item)
        });
        EventPage {
            through: read.last().unwrap_or(page.through),
            at_head: page.at_head && is_whole,
            resumes_after: read.undecodable_through().or(page.resumes_after),
            undecodable: read.undecodable,
            events: read.events,
        }
    }
}

/// The log as one node reaches it.
#[derive(Debug)]
pub(crate) struct LogHandle {
    pub(crate) log: Arc<SimulatedLog>,
    pub(crate) link: StoreLink,
}

#[async_trait]
impl EventLog for LogHandle {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        let work = async { self.log.stored().log.append(events).await };
        self.link.call("append", work).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let work = async {
            let stored = self.log.stored();
            let page = stored.log.read_after(after, limit).await?;
            Ok(stored.legible(page))
        };
        self.link.call("read", work).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let work = async {
            let KeptLog { log, damaged } = self.log.stored();
            let mut read = log.read_before(before, limit).await?;
            let unreadable = read
                .events
                .extract_if(.., |e| damaged.contains_key(&e.sequence));
            let unreadable = unreadable.map(|event| UndecodableEntry {
                sequence: event.sequence,
                tag: damaged[&event.sequence],
            });
            read.undecodable = unreadable.collect();
            Ok(read)
        };
        self.link.call("read", work).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        let work = async { self.log.stored().log.seek(time).await };
        self.link.call("seek", work).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        let work = async { self.log.stored().log.position_of(id).await };
        self.link.call("find an event", work).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        let work = async { Ok(self.log.head().await) };
        self.link.call("read the head", work).await
    }

    async fn trim(&self, before: Timestamp) -> Result<u64, EventLogError> {
        let work = async { self.log.stored().log.trim(before).await };
        self.link.call("trim", work).await
    }
}
