//! What loads cost together: reads of the store, and what is in memory at once.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize},
    time::Duration,
};

use async_trait::async_trait;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::future::join_all;
use model::{
    Epoch, FilterSet, LogPosition, RecordId, Sequence, SubscriptionId, SystemClock, Timestamp,
};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoreFailure, StoredRecord,
};
use serde_json::json;
use store_memory::MemorySessionStore;
use subscriptions::{
    ClientKey, Subscription, SubscriptionLife, SubscriptionLimits, SubscriptionTransport,
};

use super::*;

/// A store that takes its time, and counts changes, and reads of clients' subscriptions: all, and those at once.
#[derive(Debug)]
pub(in crate::subscriptions) struct SlowRecords {
    store: MemorySessionStore,
    reads: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    pub(in crate::subscriptions) changes: AtomicUsize,
    /// It does not answer.
    pub(in crate::subscriptions) is_away: AtomicBool,
}

impl SlowRecords {
    pub(in crate::subscriptions) fn new() -> Arc<Self> {
        Arc::new(Self {
            store: MemorySessionStore::new(Arc::new(SystemClock), 10_000),
            reads: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
        })
    }

    fn answers(&self) -> Result<(), StoreFailure> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(StoreFailure::unavailable("read", "it is away")),
            false => Ok(()),
        }
    }
}

pub(in crate::subscriptions) const READ_TIME: Duration = Duration::from_millis(10);

#[async_trait]
impl Records for SlowRecords {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        self.store.create(record, limits).await
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        Records::load(&self.store, key).await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        self.answers()?;
        tokio::time::sleep(READ_TIME).await;
        self.store.load_many(collection, ids).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        self.store.expires_at(key).await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(READ_TIME).await;
        self.store.replace(key, state, expected, life, limits).await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        Records::touch(&self.store, key, ttl).await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        Records::end(&self.store, key).await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        self.store.list(collection, owner, after, limit).await
    }

    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(READ_TIME).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.store.list_under(collection, under, after, limit).await
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        Records::check(&self.store, collection).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        self.answers()?;
        Records::time(&self.store).await
    }
}

struct World {
    store: Arc<SlowRecords>,
    loads: SubscriptionLoads,
}

impl World {
    fn new() -> Self {
        let store = SlowRecords::new();
        let records = SubscriptionRecords::new(store.clone());
        let loads = SubscriptionLoads::new(records);
        Self { store, loads }
    }

    async fn make(&self, owner: &PrincipalId, client: &ClientId, count: usize, bytes: usize) {
        make(&self.loads.records, (owner, client), count, bytes).await;
    }

    fn reads(&self) -> usize {
        self.store.reads.swap(0, Ordering::SeqCst)
    }
}

/// Makes subscriptions of so many bytes under a client's name.
pub(in crate::subscriptions) async fn make(
    records: &SubscriptionRecords,
    (owner, client): (&PrincipalId, &ClientId),
    count: usize,
    bytes: usize,
) {
    for n in 0..count {
        let since = LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(1),
            tag: None,
        };
        let text = json!("x".repeat(bytes));
        let made = Subscription {
            id: ClientKey::new(owner, client).id(&format!("{n:04}")),
            owner: owner.clone(),
            client: Some(client.clone()),
            filters: FilterSet::all(),
            transport: SubscriptionTransport::Sse,
            since,
            cursor: since,
            created_at: Timestamp::default(),
            life: SubscriptionLife::WhileUsed,
            fence: 0,
            session: None,
            named_at: None,
            metadata: [("text".to_owned(), text)].into_iter().collect(),
        };
        let limits = SubscriptionLimits::of(&PrincipalId::anonymous());
        let created = records.create(&made, Timestamp::default(), limits);
        created.await.unwrap();
    }
}

fn owner(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_together_is_loaded_once() {
    let (world, ann, planner) = (World::new(), owner("ann"), client("planner"));
    world.make(&ann, &planner, 3, 100).await;
    world.make(&ann, &client("other"), 500, 100).await;
    let opens = (0..50).map(|_| world.loads.of_client(&ann, &planner));
    for loaded in join_all(opens).await {
        assert_eq!(loaded.unwrap().found.len(), 3);
    }
    assert_eq!(
        world.reads(),
        2,
        "the first, and one for those that came meanwhile"
    );
    // One that was made before somebody asks is never missing, though a load was running.
    let (first, second) = (world.loads.of_client(&ann, &planner), async {
        tokio::time::sleep(READ_TIME / 2).await;
        world.make(&ann, &client("third"), 1, 10).await;
        world.loads.of_client(&ann, &client("third")).await
    });
    let (_, second) = tokio::join!(first, second);
    assert_eq!(second.unwrap().found.len(), 1);
    // A client's load reads as much as the client has.
    world.reads();
    world.loads.of_client(&ann, &planner).await.unwrap();
    assert_eq!(world.reads(), 1);
    assert!(
        world
            .loads
            .clients
            .lock()
            .values()
            .all(|load| load.strong_count() == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn however_many_open_at_once_an_owner_has_one_large_load_in_memory() {
    let world = World::new();
    let large = SUBSCRIPTION_STEP_BYTES / SUBSCRIPTION_STEP_RECORDS + 100;
    let owners = ["ann", "bob", "eve"].map(owner);
    let names = ["one", "two", "three", "four"].map(client);
    for owner in &owners {
        for name in &names {
            world
                .make(owner, name, SUBSCRIPTION_STEP_RECORDS + 1, large)
                .await;
        }
    }
    let tiny = owner("tiny");
    world.make(&tiny, &names[0], 1, 10).await;
    // The first of each owner are kept: the others wait, and those of a third owner too.
    let keep = |n: usize| world.loads.of_client(&owners[n], &names[0]);
    let (ann, bob) = (keep(0).await.unwrap(), keep(1).await.unwrap());
    assert_eq!(world.loads.large.available_permits(), 0);
    for (n, name) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        let waiting = world.loads.of_client(&owners[n], &names[name]);
        let busy = waiting.await;
        assert!(
            matches!(busy, Err(EdgeError::SubscriptionsBusy)),
            "{busy:?}"
        );
    }
    // What is small waits for none of them.
    let small = timeout(READ_TIME * 2, world.loads.of_client(&tiny, &names[0]));
    assert_eq!(small.await.unwrap().unwrap().found.len(), 1);
    // With a turn of its own back, an owner goes on.
    drop(ann);
    let next = world.loads.of_client(&owners[0], &names[1]).await.unwrap();
    assert_eq!(next.found.len(), SUBSCRIPTION_STEP_RECORDS + 1);
    drop((next, bob));
    // All at once: however many there are, the reads at once are those of two large loads and the first steps.
    world.store.most.store(0, Ordering::SeqCst);
    let all = owners
        .iter()
        .flat_map(|owner| names.iter().map(move |name| (owner, name)));
    let all: Vec<_> = all.cycle().take(600).collect();
    let opened = join_all(all.into_iter().map(async |(owner, name)| {
        let loaded = world.loads.of_client(owner, name).await?;
        Ok::<_, EdgeError>(loaded.found.len())
    }));
    let opened = opened.await;
    assert!(
        opened.iter().all(|found| matches!(found, Ok(17))),
        "{opened:?}"
    );
    let most = world.store.most.load(Ordering::SeqCst);
    let bound = LARGE_SUBSCRIPTION_LOADS + SMALL_SUBSCRIPTION_LOADS_PER_OWNER * owners.len();
    assert!(most <= bound, "{most} reads at once");
    assert_eq!(
        world.loads.large.available_permits(),
        LARGE_SUBSCRIPTION_LOADS
    );
}

#[tokio::test(start_paused = true)]
async fn more_than_a_stream_can_follow_is_refused_with_what_helps() {
    let (world, all, many) = (World::new(), PrincipalId::anonymous(), client("many"));
    let record = 60 << 10;
    world
        .make(&all, &many, FOLLOWED_BYTES / record + 1, record)
        .await;
    let refused = world.loads.of_client(&all, &many).await;
    let Err(error @ EdgeError::TooMuchToFollow) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("several names"), "{error}");
    // The document says what the handler answers.
    let status = error.into_response().status();
    let document = crate::api::openapi_document("");
    let answers = &document["paths"]["/events/stream"]["get"]["responses"];
    assert!(answers[status.as_str()].is_object(), "{status}: {answers}");
    assert_eq!(
        world.loads.large.available_permits(),
        LARGE_SUBSCRIPTION_LOADS
    );
    let id = SubscriptionId::new("bare").unwrap();
    assert!(!ClientKey::new(&all, &many).is_of(&id));
}
