//! Fixtures for the fan-out's tests: events, a log whose answers the test releases, and a hub.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use access::NameDirectory;
use async_trait::async_trait;
use event_flow::follow::Followed;
use model::{
    Cursor, CursorKeys, CursorScope, EntryTag, Epoch, EventFacts, EventId, EventOrigin,
    EventSubscription, EventType, Filter, FilterSet, LogPosition, PrincipalId, RandomIds,
    ResourceId, ResourceType, Sequence, Sequenced, Session, SessionId, StoredEvent, SubscriptionId,
    SystemClock, Timestamp,
};
use parking_lot::Mutex;
use ports::{
    AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult,
    UndecodableEntry,
};
use service_kit::metrics::MetricsRegistry;
use store_layers::PageEntries;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    bounds::{MaxAge, StreamBound, StreamBounds},
    hub::{Hub, HubParts},
    interest::{InterestLog, StreamInterest},
    lag::LagLimits,
    ring::Ring,
    timeline::LogTimeline,
};
use crate::metrics::FanoutMetrics;

pub(crate) const EPOCH: Epoch = Epoch(7);
/// The log that replaces it.
pub(crate) const REPLACED: Epoch = Epoch(8);

/// An event of issue 1 in `octo/<repo>`; its JSON is about `bytes` long.
pub(crate) fn event(sequence: u64, repo: &str, bytes: usize) -> Sequenced<StoredEvent> {
    let facts = EventFacts {
        id: EventId::new(&format!("e{sequence}")).unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: Some("octo".to_owned()),
        repo: Some(repo.to_owned()),
        number: Some(1),
        ids: model::GithubIds::default(),
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    };
    let filler = "x".repeat(bytes);
    let json = format!(r#"{{"id":"e{sequence}","filler":"{filler}"}}"#).into();
    let item = StoredEvent {
        facts: facts.into(),
        json,
        trace: None,
    };
    Sequenced {
        sequence: Sequence(sequence),
        item,
    }
}

/// Events of one repository.
pub(crate) fn repo_filter(repo: &str) -> FilterSet {
    FilterSet::new(vec![Filter {
        repo: Some(repo.to_owned()),
        ..Filter::default()
    }])
    .unwrap()
}

/// A session without subscriptions.
pub(crate) fn session() -> Session {
    Session {
        id: SessionId::new("s").unwrap(),
        owner: PrincipalId::anonymous(),
        protocol_version: "2025-11-25".to_owned(),
        client_info: serde_json::Value::Null,
        client_capabilities: serde_json::Value::Null,
        initialized: true,
        created_at: Timestamp::default(),
        subscriptions: Vec::new(),
        resource_uris: std::collections::BTreeMap::new(),
        resource_numbers: std::collections::BTreeMap::new(),
        newest_subscription: 0,
        recent_subscriptions: Vec::new(),
        log_level: None,
        channel: None,
        has_streamed: true,
        streamed_subscription: None,
        stream_tag: 1,
        ends_with_stream: false,
        times: None,
        reader_sees: None,
        is_connection: false,
        broadcasts_through: Sequence::START,
    }
}

/// A session's interest: whole events by repository, and changes of resources, each after a
/// position.
pub(crate) fn interest(
    revision: u64,
    repos: &[(&str, u64)],
    uris: &[(&str, u64)],
) -> StreamInterest {
    let at = |since: u64| LogPosition {
        epoch: EPOCH,
        sequence: Sequence(since),
        tag: None,
    };
    let subscription = |(repo, since): &(&str, u64)| EventSubscription {
        id: SubscriptionId::new(&format!("{repo}-{since}")).unwrap(),
        filters: repo_filter(repo),
        since: at(*since),
        created_at: Timestamp::default(),
        number: 0,
        expires_at: None,
    };
    let session = Session {
        subscriptions: repos.iter().map(subscription).collect(),
        resource_uris: uris
            .iter()
            .map(|(uri, since)| ((*uri).to_owned(), at(*since)))
            .collect(),
        ..session()
    };
    let log = InterestLog {
        timeline: &LogTimeline::new(EPOCH, 0),
        names: &NameDirectory::default(),
    };
    StreamInterest::of_session(&session, revision, log)
}

/// The keys of edges without a key from the operator, for the log of the tests.
pub(crate) fn keys() -> CursorKeys {
    CursorKeys::new(&[], EPOCH, true)
}

/// Opens the id of an event, or another cursor, of the log or of the one that replaces it.
pub(crate) fn opened(id: &str) -> Cursor {
    let logs = [EPOCH, REPLACED].map(|epoch| keys().for_log(epoch));
    let opened = logs.iter().map(|keys| keys.open(id, scope()).unwrap());
    let mut of_log = opened.zip([EPOCH, REPLACED]);
    let found = of_log.find(|(cursor, epoch)| cursor.epoch == *epoch);
    found.expect("a cursor of one of both logs").0
}

pub(crate) fn scope() -> CursorScope {
    CursorScope::events(&PrincipalId::anonymous())
}

/// A hub that follows `log` from its head on.
pub(crate) fn hub(log: &Arc<GatedLog>, ring: Ring, max_streams: usize) -> Arc<Hub> {
    hub_with_age(log, ring, max_streams, MaxAge::new(0, 15))
}

/// Bounds that limit only the number of streams.
pub(crate) fn bounds(max_streams: usize) -> StreamBounds {
    StreamBounds {
        max_streams,
        bound: StreamBound::Configured,
        age: MaxAge::new(0, 15),
        lag: LagLimits::default(),
    }
}

/// As [`hub`], with a maximum age of streams.
pub(crate) fn hub_with_age(
    log: &Arc<GatedLog>,
    ring: Ring,
    max_streams: usize,
    age: MaxAge,
) -> Arc<Hub> {
    let bounds = StreamBounds {
        age,
        ..bounds(max_streams)
    };
    hub_with(log, ring, bounds)
}

/// The parts of a hub over this log.
pub(crate) fn parts(
    log: Arc<dyn EventLog>,
    metrics: FanoutMetrics,
    bounds: StreamBounds,
) -> HubParts {
    HubParts {
        log,
        names: Arc::default(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        metrics,
        bounds,
        cursor_keys: keys(),
        has_channels: true,
        draining: CancellationToken::new(),
    }
}

/// As [`hub`], with bounds of its own.
pub(crate) fn hub_with(log: &Arc<GatedLog>, ring: Ring, bounds: StreamBounds) -> Arc<Hub> {
    let metrics = FanoutMetrics::new(&mut MetricsRegistry::default());
    let log: Arc<dyn EventLog> = Arc::<GatedLog>::clone(log);
    Arc::new(Hub::with_ring(ring, parts(log, metrics, bounds)))
}

pub(crate) fn started(epoch: Epoch, position: u64) -> Followed {
    let position = Sequence(position);
    Followed::Started {
        epoch,
        position,
        head: position,
        tag: None,
    }
}

/// A log that holds its answers until the test releases them, and fails when the test says so.
#[derive(Debug)]
pub(crate) struct GatedLog {
    state: Mutex<State>,
    reads: Semaphore,
    fails: AtomicBool,
    begun: AtomicUsize,
    reads_back: AtomicBool,
    page_events: usize,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Sequenced<StoredEvent>>,
    /// Those that do not decode, with the tags that the log tells of them.
    damaged: BTreeMap<Sequence, EntryTag>,
    trimmed_through: Sequence,
}

impl State {
    fn last(&self) -> Sequence {
        self.events
            .last()
            .map_or(self.trimmed_through, |event| event.sequence)
    }
}

impl GatedLog {
    /// Reads return up to `page_events` events, and wait for [`GatedLog::let_reads`].
    pub(crate) fn new(page_events: usize) -> Arc<Self> {
        let (state, fails) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self {
            state,
            reads: Semaphore::new(0),
            fails,
            begun: AtomicUsize::new(0),
            reads_back: AtomicBool::new(false),
            page_events,
        })
    }

    /// A log that answers at once.
    pub(crate) fn open() -> Arc<Self> {
        let log = Self::new(256);
        log.let_reads(10_000);
        log
    }

    pub(crate) fn let_reads(&self, count: usize) {
        self.reads.add_permits(count);
    }

    /// Number of reads that have begun so far.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    async fn answer(&self, op: &'static str) -> Result<(), EventLogError> {
        self.reads.acquire().await.expect("never closed").forget();
        match self.fails.swap(false, Ordering::SeqCst) {
            true => Err(EventLogError::Unavailable {
                op,
                source: "told to".into(),
            }),
            false => Ok(()),
        }
    }

    /// Allows reads backwards, which most tests must not need.
    pub(crate) fn let_read_back(&self) {
        self.reads_back.store(true, Ordering::SeqCst);
    }

    pub(crate) fn fail_next(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    pub(crate) fn push(&self, event: Sequenced<StoredEvent>) {
        self.state.lock().events.push(event);
    }

    /// Replaces this log by another one.
    pub(crate) fn replace(&self, events: Vec<Sequenced<StoredEvent>>) {
        *self.state.lock() = State {
            events,
            ..State::default()
        };
    }

    /// The entry at a position does not decode, and the log tells this tag of it.
    pub(crate) fn damage(&self, sequence: u64, tag: EntryTag) {
        self.state.lock().damaged.insert(Sequence(sequence), tag);
    }

    pub(crate) fn last(&self) -> Sequence {
        self.state.lock().last()
    }

    pub(crate) fn trimmed_through(&self) -> Sequence {
        self.state.lock().trimmed_through
    }

    /// Removes up to `count` events from the front.
    pub(crate) fn trim_front(&self, count: usize) {
        let mut state = self.state.lock();
        let count = count.min(state.events.len());
        if let Some(last) = state.events.drain(..count).last() {
            state.trimmed_through = last.sequence;
        }
    }
}

#[async_trait]
impl EventLog for GatedLog {
    async fn append(&self, _: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        unreachable!("the fan-out never appends")
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.answer("read").await?;
        let state = self.state.lock();
        let resumes_after = (after < state.trimmed_through).then_some(state.trimmed_through);
        let from = after.max(state.trimmed_through);
        let rest = state.events.iter().filter(|event| event.sequence > from);
        let mut read = PageEntries::default();
        for event in rest.take(limit.min(self.page_events)) {
            let item = match state.damaged.get(&event.sequence) {
                Some(tag) => Err(*tag),
                None => Ok(event.item.clone()),
            };
            if !read.push(event.sequence, item) {
                break;
            }
        }
        let through = read.last().unwrap_or(from);
        Ok(EventPage {
            through,
            at_head: through >= state.last(),
            resumes_after: read.undecodable_through().or(resumes_after),
            undecodable: read.undecodable,
            events: read.events,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        assert!(
            self.reads_back.load(Ordering::SeqCst),
            "this test reads forward"
        );
        self.answer("read backwards").await?;
        let state = self.state.lock();
        let older = state.events.iter().rev();
        let older = older.filter(|event| event.sequence < before).take(limit);
        let mut read = EventsBefore::default();
        for event in older {
            match state.damaged.get(&event.sequence) {
                Some(tag) => read.undecodable.push(UndecodableEntry {
                    sequence: event.sequence,
                    tag: *tag,
                }),
                None => read.events.push(event.clone()),
            }
        }
        Ok(read)
    }

    async fn seek(&self, _: Timestamp) -> Result<SeekResult, EventLogError> {
        self.answer("seek").await?;
        let state = self.state.lock();
        Ok(SeekResult {
            position: state.trimmed_through,
            truncated: false,
            read_bytes: 0,
        })
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.answer("find an event").await?;
        let state = self.state.lock();
        let mut events = state.events.iter();
        let found = events.find(|event| event.item.facts.id == *id);
        Ok(found.map(|event| event.sequence))
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.answer("look").await?;
        let state = self.state.lock();
        let (trimmed_through, last) = (state.trimmed_through, state.last());
        Ok(LogHead {
            epoch: EPOCH,
            trimmed_through,
            last,
        })
    }

    async fn trim(&self, _: Timestamp) -> Result<u64, EventLogError> {
        unreachable!("the fan-out never trims")
    }
}
