//! A mirror that is always at the log's end, and an edge with a cache that follows when it is told to.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use event_flow::follow::Followed;
use futures_util::poll;
use mirror_cache::{
    cache::{MirrorCache, MirrorCacheParts},
    limits::DEFAULT_MAX_BYTES,
    metrics::MirrorCacheMetrics,
};
use model::{
    Epoch, EventFacts, EventId, EventOrigin, EventType, FormerPlace, GithubIds, LogPosition,
    OwnerId, PlaceId, RepositoryId, ResourceId, ResourceType, ResourceUri, Sequence, Sequenced,
    StoredEvent, Timestamp, TraceContext,
};
use parking_lot::Mutex;
use ports::{
    AppendResult, BusMessage, EventLog, EventLogError, EventPage, EventsBefore, LogHead,
    MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorPage, MirrorProgress,
    MirrorReads, MirroredKind, MirroredState, MirroredStates, ResourceError, ResourceReader,
    ResourceState, SeekResult, SyncNews, SyncStatus,
};
use tokio::sync::Notify;

use crate::{
    listed::{ListedObject, ListedPlace, ListedRepository},
    metrics::SyncMetrics,
    mirror::{Mirror, ShownAs},
    reader::MirrorReader,
};

const LOGINS: [&str; 2] = ["acme", "beta"];
const NAMES: [&str; 2] = ["rocket", "van"];
const EPOCH: Epoch = Epoch(1);
const KINDS: [MirroredKind; 3] = [
    MirroredKind::Issue,
    MirroredKind::Milestone,
    MirroredKind::Repository,
];
const URI_KINDS: [&str; 3] = ["issues", "milestones", "projects"];

/// An event, by numbers that choose among few of each.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) names: (usize, usize),
    pub(super) ids: (Option<u64>, Option<u64>),
    pub(super) former: Option<(usize, usize)>,
    pub(super) kind: usize,
    pub(super) number: u64,
    pub(super) made_at: i64,
    pub(super) late: bool,
}

/// A question: kind, login, name, and number or order.
#[derive(Debug, Clone)]
pub(super) enum Question {
    Uri((usize, usize, usize, u64)),
    Many(Vec<(usize, usize, usize, u64)>),
    Page((usize, usize, Option<usize>, bool)),
}

/// What was answered; of a page, whether it goes on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answered {
    State(Option<ResourceState>),
    Many(Vec<Option<MirroredState>>),
    Page(Vec<MirroredState>, bool),
    Failed,
}

/// A log of which only the end is read.
#[derive(Debug)]
struct LogWithEnd(Mutex<Sequence>);

#[async_trait]
impl EventLog for LogWithEnd {
    async fn append(&self, _: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        unreachable!("only its end is read")
    }

    async fn read_after(&self, _: Sequence, _: usize) -> Result<EventPage, EventLogError> {
        unreachable!("only its end is read")
    }

    async fn read_before(&self, _: Sequence, _: usize) -> Result<EventsBefore, EventLogError> {
        unreachable!("only its end is read")
    }

    async fn seek(&self, _: Timestamp) -> Result<SeekResult, EventLogError> {
        unreachable!("only its end is read")
    }

    async fn position_of(&self, _: &EventId) -> Result<Option<Sequence>, EventLogError> {
        unreachable!("only its end is read")
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        Ok(LogHead {
            epoch: EPOCH,
            last: *self.0.lock(),
            trimmed_through: Sequence::START,
        })
    }

    async fn trim(&self, _: Timestamp) -> Result<u64, EventLogError> {
        unreachable!("only its end is read")
    }
}

/// A reader whose answers are on the way for as long as it is held.
#[derive(Debug)]
struct HeldReader {
    reader: MirrorReader,
    is_held: AtomicBool,
    arrives: Notify,
}

impl HeldReader {
    async fn travel<T>(&self, answer: T) -> T {
        if self.is_held.load(Ordering::Relaxed) {
            self.arrives.notified().await;
        }
        answer
    }
}

#[async_trait]
impl ResourceReader for HeldReader {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        let answer = self.reader.get_resource(uri, seen, trace).await;
        self.travel(answer).await
    }

    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        self.reader.status(trace).await
    }
}

#[async_trait]
impl MirrorReads for HeldReader {
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        let answer = self.reader.list(listing, seen, trace).await;
        self.travel(answer).await
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        let answer = self.reader.get_many(addresses, seen, trace).await;
        self.travel(answer).await
    }

    async fn holders(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        self.reader.holders(names, seen, trace).await
    }

    async fn progress(
        &self,
        trace: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError> {
        self.reader.progress(trace).await
    }

    async fn compare_now(
        &self,
        place: Option<&str>,
        trace: Option<TraceContext>,
    ) -> Result<bool, ResourceError> {
        self.reader.compare_now(place, trace).await
    }
}

/// The world.
pub(super) struct CachedWorld {
    log: Arc<LogWithEnd>,
    mirror: Arc<Mirror>,
    reader: Arc<HeldReader>,
    cache: Arc<MirrorCache>,
    /// What the edge has yet to follow.
    reports: VecDeque<Followed>,
    events: u64,
    under_way: Option<Pin<Box<dyn Future<Output = Answered> + Send>>>,
}

impl CachedWorld {
    pub(super) fn new() -> Self {
        let log = Arc::new(LogWithEnd(Mutex::new(Sequence::START)));
        let mirror = Arc::new(Mirror::new(1000, SyncMetrics::default()));
        let deadline = Duration::from_secs(1);
        let metrics = SyncMetrics::default();
        let reader = MirrorReader::new(Arc::clone(&mirror), log.clone(), deadline, metrics);
        let reader = Arc::new(HeldReader {
            reader,
            is_held: AtomicBool::new(false),
            arrives: Notify::new(),
        });
        let cache = MirrorCache::over(MirrorCacheParts {
            resources: reader.clone(),
            mirror: reader.clone(),
            log: log.clone(),
            max_bytes: DEFAULT_MAX_BYTES,
            metrics: MirrorCacheMetrics::default(),
        });
        for apply in [true, false] {
            let started = Followed::Started {
                epoch: EPOCH,
                position: Sequence::START,
                head: Sequence::START,
                tag: None,
            };
            match apply {
                true => mirror.apply(started),
                false => cache.apply(&started),
            }
        }
        Self {
            log,
            mirror,
            reader,
            cache,
            reports: VecDeque::new(),
            events: 0,
            under_way: None,
        }
    }

    /// An event is in the log, and in the mirror.
    pub(super) fn happens(&mut self, happened: &Happened) {
        self.events += 1;
        let sequence = {
            let mut last = self.log.0.lock();
            *last = last.next();
            *last
        };
        let item = event(happened, self.events);
        let report = || {
            Followed::Events(vec![Sequenced {
                sequence,
                item: item.clone(),
            }])
        };
        self.mirror.apply(report());
        self.reports.push_back(report());
    }

    pub(super) fn follow(&mut self, reports: usize) {
        let count = reports.min(self.reports.len());
        for report in self.reports.drain(..count) {
            self.cache.apply(&report);
        }
    }

    /// The log ends earlier now. The edge learns of it in its order.
    pub(super) fn put_back(&mut self, lost: u64) {
        let (was, resumes_after) = {
            let mut last = self.log.0.lock();
            let was = *last;
            *last = Sequence(was.0.saturating_sub(lost));
            (was, *last)
        };
        let report = || Followed::SetBack {
            was,
            resumes_after,
            tag: None,
            head: resumes_after,
        };
        self.mirror.apply(report());
        // Its follower notices before it passes on what came after.
        self.follow(usize::MAX);
        self.cache.apply(&report());
    }

    /// A comparison shows a state; its hint arrives at once.
    pub(super) fn show(&mut self, repository: u64, number: u64, at: i64) {
        let index = usize::try_from(repository - 10).unwrap();
        let owner_id = OwnerId(1 + repository % 2);
        let place = ListedPlace {
            owner: LOGINS[index / 2].to_owned(),
            owner_id,
            repository: Some(ListedRepository {
                name: NAMES[index % 2].to_owned(),
                id: RepositoryId(repository),
            }),
        };
        let object = ListedObject {
            kind: MirroredKind::Issue,
            number,
            node_id: node(number),
            updated_at: time(at),
            json: format!("{{\"listed\":{at}}}").into(),
            whole: true,
        };
        self.mirror
            .show(&place, &object, time(at), ShownAs::compared);
        let news = SyncNews::Mirrored(MirroredStates {
            replica: 1,
            place: place.name().to_string(),
            ids: GithubIds {
                owner: Some(owner_id),
                repository: Some(RepositoryId(repository)),
                resource: None,
            },
        });
        self.cache.apply(&Followed::Other(BusMessage::Sync(news)));
    }

    /// The answers with and without the cache.
    pub(super) async fn read_both(&self, question: &Question) -> (Answered, Answered) {
        let cached = ask(
            self.cache.clone(),
            self.cache.clone(),
            question,
            self.seen(),
        )
        .await;
        let reader = self.reader.clone();
        let uncached = ask(reader.clone(), reader, question, self.seen()).await;
        (cached, uncached)
    }

    /// Begins a read whose answer arrives later, unless the cache has it.
    pub(super) async fn begin(&mut self, question: Question) {
        self.arrive().await;
        self.reader.is_held.store(true, Ordering::Relaxed);
        let (cache, seen) = (self.cache.clone(), self.seen());
        let mut reading = Box::pin(async move {
            let lists = cache.clone();
            ask(cache, lists, &question, seen).await
        });
        let begun = poll!(&mut reading);
        self.reader.is_held.store(false, Ordering::Relaxed);
        if begun.is_pending() {
            self.under_way = Some(reading);
        }
    }

    /// The answer that is under way arrives, and is kept if it may be.
    pub(super) async fn arrive(&mut self) {
        if let Some(reading) = self.under_way.take() {
            self.reader.arrives.notify_one();
            reading.await;
        }
    }

    /// The answers that came from the cache.
    pub(super) fn hits(&self) -> u64 {
        self.cache.view()["hits"].as_u64().unwrap()
    }

    fn seen(&self) -> LogPosition {
        LogPosition {
            epoch: EPOCH,
            sequence: Sequence::START,
            tag: None,
        }
    }
}

async fn ask(
    resources: Arc<dyn ResourceReader>,
    mirror: Arc<dyn MirrorReads>,
    question: &Question,
    seen: LogPosition,
) -> Answered {
    let seen = Some(seen);
    match question {
        Question::Uri(asked) => match resources.get_resource(&uri(*asked), seen, None).await {
            Ok(state) => Answered::State(state),
            Err(_) => Answered::Failed,
        },
        Question::Many(asked) => {
            let addresses: Vec<_> = asked.iter().map(|asked| address(*asked)).collect();
            match mirror.get_many(&addresses, seen, None).await {
                Ok(states) => Answered::Many(states),
                Err(_) => Answered::Failed,
            }
        }
        Question::Page(asked) => match mirror.list(&listing(*asked), seen, None).await {
            Ok(page) => Answered::Page(page.states, page.next.is_some()),
            Err(_) => Answered::Failed,
        },
    }
}

fn uri((kind, login, name, number): (usize, usize, usize, u64)) -> ResourceUri {
    let (kind, login) = (URI_KINDS[kind], LOGINS[login]);
    let uri = match kind {
        "projects" => format!("github://projects/{login}/{number}"),
        kind => format!("github://{kind}/{login}/{}/{number}", NAMES[name]),
    };
    ResourceUri::parse(&uri).unwrap()
}

fn address((kind, login, name, number): (usize, usize, usize, u64)) -> MirrorAddress {
    MirrorAddress {
        kind: KINDS[kind],
        owner: LOGINS[login].to_uppercase(),
        repo: Some(NAMES[name].to_owned()),
        number,
    }
}

fn listing((kind, login, name, descending): (usize, usize, Option<usize>, bool)) -> MirrorListing {
    MirrorListing {
        kind: KINDS[kind],
        owner: LOGINS[login].to_owned(),
        repo: name.map(|name| NAMES[name].to_owned()),
        filter: MirrorFilter::default(),
        order: match descending {
            true => MirrorOrder::Updated,
            false => MirrorOrder::Number,
        },
        descending,
        limit: 2,
        after: None,
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_168_800_000 + seconds * 1000)
}

fn node(number: u64) -> ResourceId {
    ResourceId::new(&format!("N_{number}")).unwrap()
}

fn event(happened: &Happened, n: u64) -> StoredEvent {
    let Happened {
        names: (login, name),
        ids: (owner, repository),
        former,
        kind,
        number,
        made_at,
        late,
    } = happened;
    let (kind, repo) = match kind {
        0 | 1 => (ResourceType::ISSUE, Some(*name)),
        2 => (ResourceType::MILESTONE, Some(*name)),
        3 => (ResourceType::REPOSITORY, Some(*name)),
        _ => (ResourceType::PROJECT, None),
    };
    let node_id = node(*number);
    let repo_former = |(login, name): (usize, usize)| FormerPlace {
        owner: Some(LOGINS[login].to_owned()),
        repo: repo.map(|_| NAMES[name].to_owned()),
    };
    let facts = EventFacts {
        id: EventId::new(&format!("e{n}")).unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: kind,
        resource_id: node_id.clone(),
        owner: Some(LOGINS[*login].to_owned()),
        repo: repo.map(|name| NAMES[name].to_owned()),
        number: Some(*number),
        ids: GithubIds {
            owner: owner.map(OwnerId),
            repository: repository.filter(|_| repo.is_some()).map(RepositoryId),
            resource: None,
        },
        former: former.map(|former| Box::new(repo_former(former))),
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: time(*made_at),
        received_at: time(*made_at),
    };
    let json = serde_json::json!({
        "id": facts.id.as_str(),
        "data": { "node_id": node_id.as_str(), "updated_at": time(*made_at).to_string(), "n": n },
        "metadata": { "event": "issues", "late": late },
    });
    StoredEvent {
        facts: Arc::new(facts),
        json: json.to_string().into(),
        trace: None,
    }
}
