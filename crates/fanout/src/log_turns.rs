//! Turns at the log. A query that the ring cannot answer reads the log page by page, and every page costs
//! the store a read and this process the decoding. So few are read at once: a query waits for its turn, and
//! those of one principal hold only a part of the turns, so that a client with many queries delays itself
//! and not others. The first pages have more turns than the further ones: a query that needs one page does
//! not wait for those that search the whole log. And each principal reads at a pace ([`ReadPace`]), its streams behind
//! the ring included.
//!
//! tokio's semaphores hand out their permits in the order of the requests. Since a query takes a turn of its
//! principal before it asks for a turn of the edge, a newcomer waits behind the few turns that each other
//! principal may have, however many queries that one has waiting.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{EventId, PrincipalId, Sequence, Sequenced, StoredEvent, Timestamp};
use parking_lot::Mutex;
use ports::{
    AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, MAX_PAGE_BYTES,
    SeekResult,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use self::pace::ReadPace;
use crate::limits::{
    ENTRY_READ_BYTES, FIRST_PAGE_TURNS, FURTHER_PAGE_TURNS, READ_BURST, READ_BYTES_PER_SECOND,
    SEEK_READ_BYTES, WOKEN_TURNS,
};

mod pace;

/// The turns of one kind: of the edge or, as a part of them, of a principal.
#[derive(Debug, Clone)]
struct PageTurns {
    first: Arc<Semaphore>,
    further: Arc<Semaphore>,
    woken: Arc<Semaphore>,
}

impl PageTurns {
    /// The turns of the edge, or one of `parts` of them.
    fn new(parts: usize) -> Self {
        let turns = |all: usize| Arc::new(Semaphore::new((all / parts).max(1)));
        Self {
            first: turns(FIRST_PAGE_TURNS),
            further: turns(FURTHER_PAGE_TURNS),
            woken: turns(WOKEN_TURNS),
        }
    }
}

/// A turn, which is over when this is dropped.
#[derive(Debug)]
struct LogTurn {
    _of_principal: OwnedSemaphorePermit,
    _of_edge: OwnedSemaphorePermit,
}

async fn permit(turns: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(turns).acquire_owned();
    permit.await.expect("turns are never closed")
}

async fn take(of_principal: &Arc<Semaphore>, of_edge: &Arc<Semaphore>) -> LogTurn {
    LogTurn {
        _of_principal: permit(of_principal).await,
        _of_edge: permit(of_edge).await,
    }
}

/// The turns and the pace of a principal, and the number of its queries: without queries it is forgotten, once
/// nothing that it read counts any more.
#[derive(Debug)]
struct OwnTurns {
    turns: PageTurns,
    pace: Arc<ReadPace>,
    queries: usize,
}

/// The turns of all queries of one edge.
#[derive(Debug)]
pub(crate) struct LogTurns {
    log: Arc<dyn EventLog>,
    all: PageTurns,
    by_principal: Mutex<HashMap<PrincipalId, OwnTurns>>,
}

impl LogTurns {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Arc<Self> {
        Arc::new(Self {
            log,
            all: PageTurns::new(1),
            by_principal: Mutex::default(),
        })
    }

    /// The log for one query of this principal, once it is its turn; `None` if that takes longer than
    /// `wait`. Without authentication all clients are one principal, which may have all turns.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        principal: &PrincipalId,
        wait: Duration,
    ) -> Option<LogInTurns> {
        let own = self.own(principal);
        let first = async {
            own.pace.ready().await;
            take(&own.turns.first, &self.all.first).await
        };
        let first = timeout(wait, first).await.ok()?;
        Some(LogInTurns {
            own,
            first: Mutex::new(Some(first)),
        })
    }

    /// The turn of a call that an event has woken.
    pub(crate) async fn woken(self: &Arc<Self>, principal: &PrincipalId) -> WokenTurn {
        let own = self.own(principal);
        let turn = take(&own.turns.woken, &self.all.woken).await;
        WokenTurn {
            _turn: turn,
            _own: own,
        }
    }

    /// The pace at which the streams of a principal read pages, which is that of its queries too.
    pub(crate) fn pace_of(self: &Arc<Self>, principal: &PrincipalId) -> PageReader {
        PageReader(Arc::new(self.own(principal)))
    }

    fn own(self: &Arc<Self>, principal: &PrincipalId) -> QueryOfPrincipal {
        let parts = match *principal == PrincipalId::anonymous() {
            true => 1,
            false => 2,
        };
        let mut by_principal = self.by_principal.lock();
        if !by_principal.contains_key(principal) {
            by_principal.retain(|_, own| own.queries > 0 || !own.pace.is_even());
        }
        let own = by_principal.entry(principal.clone());
        let own = own.or_insert_with(|| OwnTurns {
            turns: PageTurns::new(parts),
            pace: Arc::new(ReadPace::new(
                2 * READ_BYTES_PER_SECOND / parts as u64,
                READ_BURST,
            )),
            queries: 0,
        });
        own.queries += 1;
        QueryOfPrincipal {
            all: Arc::clone(self),
            principal: principal.clone(),
            turns: own.turns.clone(),
            pace: Arc::clone(&own.pace),
        }
    }

    /// The number of queries.
    #[cfg(test)]
    fn queries(&self) -> usize {
        let by_principal = self.by_principal.lock();
        by_principal.values().map(|own| own.queries).sum()
    }
}

/// A query, or a reader of pages, that is counted while this exists.
#[derive(Debug)]
struct QueryOfPrincipal {
    all: Arc<LogTurns>,
    principal: PrincipalId,
    turns: PageTurns,
    pace: Arc<ReadPace>,
}

impl Drop for QueryOfPrincipal {
    fn drop(&mut self) {
        let mut by_principal = self.all.by_principal.lock();
        if let Some(own) = by_principal.get_mut(&self.principal) {
            own.queries -= 1;
            if own.queries == 0 && own.pace.is_even() {
                by_principal.remove(&self.principal);
            }
        }
    }
}

/// A reader of pages that many readers share: whoever begins to read one is charged for it.
#[derive(Debug, Clone)]
pub(crate) struct PageReader(Arc<QueryOfPrincipal>);

impl PageReader {
    /// Finds a time in the log, once the principal may read it.
    pub(crate) async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        let mut reserved = self.reserve(SEEK_READ_BYTES).await;
        // Whoever gives up has made the store search.
        reserved.read_bytes = SEEK_READ_BYTES;
        let found = self.0.all.log.seek(time).await;
        reserved.read_bytes = seek_bytes(&found);
        found
    }

    /// Waits for the principal's turn to read a page of the log.
    pub(crate) async fn reserve_page(&self) -> ReservedRead {
        self.reserve(MAX_PAGE_BYTES).await
    }

    async fn reserve(&self, reserved_bytes: usize) -> ReservedRead {
        self.0.pace.reserve(reserved_bytes).await;
        ReservedRead {
            reader: self.clone(),
            reserved_bytes,
            read_bytes: 0,
        }
    }
}

/// What may be read now. When this is dropped, its principal is charged for what was read.
#[derive(Debug)]
pub(crate) struct ReservedRead {
    reader: PageReader,
    reserved_bytes: usize,
    read_bytes: usize,
}

impl ReservedRead {
    /// Notes what was read.
    pub(crate) fn read(&mut self, page: &EventPage) {
        self.read_bytes = read_bytes(&page.events, page.undecodable.len());
    }
}

impl Drop for ReservedRead {
    fn drop(&mut self) {
        let pace = &self.reader.0.pace;
        pace.settle(self.reserved_bytes, self.read_bytes);
    }
}

/// Bytes that a search for a time counts for. One that fails was work too.
fn seek_bytes(found: &Result<SeekResult, EventLogError>) -> usize {
    SEEK_READ_BYTES + found.as_ref().map_or(0, |found| found.read_bytes)
}

/// Bytes that a read counts for.
fn read_bytes(events: &[Sequenced<StoredEvent>], undecodable: usize) -> usize {
    let bytes = events.iter().map(|event| event.item.json.len());
    bytes.sum::<usize>() + ENTRY_READ_BYTES * (events.len() + undecodable)
}

/// The turn of a call that an event has woken, which is over when this is dropped.
#[derive(Debug)]
pub struct WokenTurn {
    _turn: LogTurn,
    /// After the turn: a principal is forgotten with the last of these.
    _own: QueryOfPrincipal,
}

/// The log as one query reads it: each page in a turn.
#[derive(Debug)]
pub(crate) struct LogInTurns {
    own: QueryOfPrincipal,
    /// The turn with which the query began, until its first page is read.
    first: Mutex<Option<LogTurn>>,
}

impl LogInTurns {
    fn log(&self) -> &dyn EventLog {
        &*self.own.all.log
    }

    /// The turn for the next page.
    async fn turn(&self) -> LogTurn {
        let first = self.first.lock().take();
        match first {
            Some(first) => first,
            None => {
                self.own.pace.ready().await;
                take(&self.own.turns.further, &self.own.all.all.further).await
            }
        }
    }

    fn charge(&self, events: &[Sequenced<StoredEvent>], undecodable: usize) {
        self.own.pace.charge(read_bytes(events, undecodable));
    }
}

#[async_trait]
impl EventLog for LogInTurns {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.log().append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let _turn = self.turn().await;
        let page = self.log().read_after(after, limit).await?;
        self.charge(&page.events, page.undecodable.len());
        Ok(page)
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let _turn = self.turn().await;
        let page = self.log().read_before(before, limit).await?;
        self.charge(&page.events, page.undecodable.len());
        Ok(page)
    }

    /// In the turn of the page that follows it.
    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        let found = self.log().seek(time).await;
        self.own.pace.charge(seek_bytes(&found));
        found
    }

    /// In the turn of the read that follows it.
    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.log().position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.log().head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.log().trim(time).await
    }
}

#[cfg(test)]
mod tests;
