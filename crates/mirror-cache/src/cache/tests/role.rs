//! A sync role that counts its calls, behind a cache, and a log.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use event_flow::follow::Followed;
use model::{
    EventFacts, EventId, EventOrigin, EventType, FormerPlace, GithubIds, LogPosition, OwnerId,
    PlaceId, RandomIds, RepositoryId, ResourceId, ResourceType, ResourceUri, Sequence, StoredEvent,
    Timestamp, TraceContext,
};
use parking_lot::Mutex;
use ports::{
    EventLog, MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorPage, MirrorProgress,
    MirrorReads, MirroredKind, MirroredState, ResourceError, ResourceReader, ResourceState,
    SyncStatus,
};
use store_layers::StoredLog;
use store_memory::MemoryLogStore;
use tokio::time::sleep;

use super::super::{MirrorCache, MirrorCacheParts};
use crate::metrics::MirrorCacheMetrics;

/// An issue that is not there.
pub(super) const MISSING: u64 = 404;
/// Time that a call takes.
const CALL: Duration = Duration::from_millis(10);

/// The sync role.
#[derive(Debug, Default)]
pub(super) struct CountingRole {
    calls: AtomicUsize,
    fails: AtomicBool,
    json_bytes: AtomicUsize,
    /// The numbers of each call for many.
    asked: Mutex<Vec<Vec<u64>>>,
}

impl CountingRole {
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    pub(super) fn set_json_bytes(&self, bytes: usize) {
        self.json_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn asked(&self) -> Vec<Vec<u64>> {
        self.asked.lock().clone()
    }

    async fn call(&self) -> Result<(), ResourceError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        sleep(CALL).await;
        match self.fails.load(Ordering::Relaxed) {
            true => Err(ResourceError::Behind),
            false => Ok(()),
        }
    }

    fn json(&self) -> bytes::Bytes {
        vec![b'x'; self.json_bytes.load(Ordering::Relaxed)].into()
    }

    fn state(&self, number: u64) -> Option<MirroredState> {
        (number != MISSING).then(|| MirroredState {
            address: MirrorAddress {
                owner: "Octo".to_owned(),
                repo: Some("Cat".to_owned()),
                ..address(number)
            },
            node_id: node(number),
            ids: ids(20),
            json: self.json(),
            updated_at: Timestamp::default(),
            deleted: false,
        })
    }
}

#[async_trait]
impl ResourceReader for CountingRole {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        _seen: Option<LogPosition>,
        _trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        self.call().await?;
        let is_there = *uri != self::uri(MISSING);
        Ok(is_there.then(|| ResourceState {
            uri: uri.clone(),
            ids: ids(20),
            json: self.json(),
            event_id: EventId::new("e").unwrap(),
            sequence: Sequence(1),
            updated_at: Timestamp::default(),
            deleted: false,
        }))
    }

    async fn status(&self, _: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        Err(ResourceError::Behind)
    }
}

#[async_trait]
impl MirrorReads for CountingRole {
    async fn list(
        &self,
        _: &MirrorListing,
        _seen: Option<LogPosition>,
        _trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        self.call().await?;
        Ok(MirrorPage {
            states: [7, 8].into_iter().filter_map(|it| self.state(it)).collect(),
            ..MirrorPage::default()
        })
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        _seen: Option<LogPosition>,
        _trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        self.call().await?;
        let numbers: Vec<_> = addresses.iter().map(|address| address.number).collect();
        if numbers.len() > MirrorListing::MAX_LIMIT {
            return Err(ResourceError::Refused {
                field: "addresses",
                problem: "too many".to_owned(),
            });
        }
        let states = numbers.iter().map(|number| self.state(*number)).collect();
        self.asked.lock().push(numbers);
        Ok(states)
    }

    async fn holders(
        &self,
        names: &[String],
        _: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        Ok(vec![None; names.len()])
    }

    async fn progress(
        &self,
        _: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError> {
        Ok(Vec::new())
    }

    async fn compare_now(
        &self,
        _: Option<&str>,
        _: Option<TraceContext>,
    ) -> Result<bool, ResourceError> {
        Ok(false)
    }
}

/// The role behind a cache.
pub(super) struct CachedRole {
    pub(super) role: Arc<CountingRole>,
    pub(super) cache: Arc<MirrorCache>,
    log: Arc<dyn EventLog>,
    start: LogPosition,
}

impl CachedRole {
    /// With an edge that has followed the log to its end, and seen an event of the place.
    pub(super) async fn new(max_bytes: u64) -> Self {
        let world = Self::without_follower(max_bytes).await;
        world.start();
        world.happens(1).await;
        world.follow().await;
        world
    }

    pub(super) async fn without_follower(max_bytes: u64) -> Self {
        let role = Arc::<CountingRole>::default();
        let capacity = NonZeroUsize::new(100).unwrap();
        let log = Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, capacity)));
        let head = log.head().await.unwrap();
        let cache = MirrorCache::over(MirrorCacheParts {
            resources: role.clone(),
            mirror: role.clone(),
            log: log.clone(),
            max_bytes,
            metrics: MirrorCacheMetrics::default(),
        });
        Self {
            role,
            cache,
            log,
            start: LogPosition {
                epoch: head.epoch,
                sequence: head.last,
                tag: None,
            },
        }
    }

    /// The edge finds the log.
    pub(super) fn start(&self) {
        self.cache.apply(&Followed::Started {
            epoch: self.start.epoch,
            position: self.start.sequence,
            head: self.start.sequence,
            tag: None,
        });
        self.cache.apply(&Followed::CaughtUp {
            through: self.start.sequence,
        });
    }

    pub(super) fn seen(&self) -> LogPosition {
        self.start
    }

    pub(super) async fn resource(&self, number: u64) -> Option<ResourceState> {
        let uri = uri(number);
        let read = self.cache.get_resource(&uri, Some(self.start), None);
        read.await.unwrap()
    }

    pub(super) async fn states(&self, numbers: &[u64]) -> Vec<Option<MirroredState>> {
        let addresses: Vec<_> = numbers.iter().copied().map(address).collect();
        let read = self.cache.get_many(&addresses, Some(self.start), None);
        read.await.unwrap()
    }

    pub(super) async fn page(&self) -> MirrorPage {
        let listing = listing();
        let read = self.cache.list(&listing, Some(self.start), None);
        read.await.unwrap()
    }

    /// An event about an issue is in the log.
    pub(super) async fn happens(&self, number: u64) {
        self.append(ResourceType::ISSUE, Some(number), None).await;
    }

    /// The repository was renamed to what it is called now.
    pub(super) async fn renamed(&self) {
        let former = FormerPlace {
            owner: None,
            repo: Some("dog".to_owned()),
        };
        self.append(ResourceType::REPOSITORY, None, Some(former))
            .await;
    }

    async fn append(&self, kind: ResourceType, number: Option<u64>, former: Option<FormerPlace>) {
        let n = self.log.head().await.unwrap().last.0;
        let facts = EventFacts {
            id: EventId::new(&format!("e{n}")).unwrap(),
            event_type: EventType::UPDATED,
            action: None,
            resource_type: kind,
            resource_id: node(number.unwrap_or_default()),
            owner: Some("Octo".to_owned()),
            repo: Some("Cat".to_owned()),
            number,
            ids: ids(20),
            former: former.map(Box::new),
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        };
        let event = StoredEvent {
            facts: Arc::new(facts),
            json: "{}".into(),
            trace: None,
        };
        self.log.append(vec![event]).await.unwrap();
    }

    /// The edge follows the log to its end.
    pub(super) async fn follow(&self) {
        let page = self.log.read_after(Sequence::START, 100).await.unwrap();
        self.cache.apply(&Followed::Events(page.events));
    }
}

pub(super) fn ids(repository: u64) -> GithubIds {
    GithubIds {
        owner: Some(OwnerId(5)),
        repository: Some(RepositoryId(repository)),
        resource: None,
    }
}

fn node(number: u64) -> ResourceId {
    ResourceId::new(&format!("I_{number}")).unwrap()
}

pub(super) fn uri(number: u64) -> ResourceUri {
    ResourceUri::parse(&format!("github://issues/octo/cat/{number}")).unwrap()
}

pub(super) fn address(number: u64) -> MirrorAddress {
    MirrorAddress {
        kind: MirroredKind::Issue,
        owner: "octo".to_owned(),
        repo: Some("cat".to_owned()),
        number,
    }
}

pub(super) fn listing() -> MirrorListing {
    MirrorListing {
        kind: MirroredKind::Issue,
        owner: "octo".to_owned(),
        repo: Some("cat".to_owned()),
        filter: MirrorFilter::default(),
        order: MirrorOrder::Number,
        descending: false,
        limit: 10,
        after: None,
    }
}
