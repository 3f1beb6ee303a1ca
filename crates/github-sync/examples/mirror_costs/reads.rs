//! Reads of the mirror: in the process of the sync role, over gRPC, and over gRPC through the cache of an edge.
//! `cargo run --release -p github-sync --example cached_reads`.
//!
//! The workload: 50 agents read issues of one repository, one after the other, while 5 events a second happen there. Of 2,000 issues,
//! the n-th is read and changed 1/n times as often as the first (Zipf), and each second read is of the issue of the newest event.

use std::{
    net::Ipv4Addr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use event_flow::follow::{FollowOptions, follow};
use github_sync::{RunningSync, SyncConfig, SyncDeps, SyncService, client};
use mirror_cache::{
    cache::{MirrorCache, MirrorCacheParts},
    limits::DEFAULT_MAX_BYTES,
    metrics::MirrorCacheMetrics,
};
use model::{
    EventFacts, EventId, EventOrigin, EventType, GithubIds, LogPosition, OwnerId, RandomIds,
    RepositoryId, ResourceId, ResourceType, ResourceUri, Sequence, Sequenced, StoredEvent,
    Timestamp,
};
use ports::{Bus, BusMessage, EventHint, EventLog, ResourceReader, Topic};
use role_keys::RoleTrust;
use service_kit::{
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore};
use tokio::{
    net::TcpListener,
    time::{Instant, interval},
};

const ISSUES: u64 = 2_000;
const AGENTS: u64 = 50;
const EVENTS_PER_SECOND: u64 = 5;
const LASTING: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of text in an issue.
const TEXT_BYTES: usize = 1_500;
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// Numbers from 1 on, the n-th 1/n times as often as the first.
struct Zipf {
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=u32::try_from(ISSUES).expect("few")).map(|n| 1.0 / f64::from(n));
        let sums = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self {
            sums: sums.collect(),
            state: seed * 2 + 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let last = self.sums.last().copied().unwrap_or_default();
        let at = f64::from(u32::try_from(self.state >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        self.sums.partition_point(|sum| *sum < at * last) as u64 + 1
    }
}

/// The log, and what happens.
#[derive(Clone)]
struct World {
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    newest: Arc<AtomicU64>,
}

impl World {
    async fn happens(&self, number: u64, n: u64) -> Result<()> {
        let item = event(number, n);
        let appended = self.log.append(vec![item.clone()]).await?;
        let sequence = appended.first().context("one event")?.sequence;
        let hint = EventHint {
            epoch: self.log.head().await?.epoch,
            events: vec![Sequenced { sequence, item }],
        };
        let message = BusMessage::Events(Arc::new(hint));
        self.bus.publish(&Topic::Broadcast, message, None).await?;
        self.newest.store(number, Ordering::Relaxed);
        Ok(())
    }

    async fn keep_happening(self) -> Result<()> {
        let (mut numbers, mut n) = (Zipf::new(99), 2 * ISSUES);
        let mut ticks = interval(Duration::from_millis(1000 / EVENTS_PER_SECOND));
        loop {
            ticks.tick().await;
            n += 1;
            self.happens(numbers.next(), n).await?;
        }
    }

    /// Reads of one agent, in microseconds.
    async fn agent(self, reader: Arc<dyn ResourceReader>, seed: u64) -> Result<Vec<u64>> {
        let head = self.log.head().await?;
        let seen = LogPosition {
            epoch: head.epoch,
            sequence: Sequence::START,
            tag: None,
        };
        let (mut numbers, mut took) = (Zipf::new(seed), Vec::new());
        let end = Instant::now() + LASTING;
        while Instant::now() < end {
            let number = match took.len() % 2 {
                0 => numbers.next(),
                _ => self.newest.load(Ordering::Relaxed),
            };
            let uri = ResourceUri::parse(&format!("github://issues/octo/cat/{number}"))?;
            let began = Instant::now();
            let state = reader.get_resource(&uri, Some(seen), None).await?;
            took.push(u64::try_from(began.elapsed().as_micros())?);
            state.context("an issue")?;
        }
        Ok(took)
    }

    async fn measure(&self, name: &str, reader: Arc<dyn ResourceReader>) -> Result<()> {
        let happening = tokio::spawn(self.clone().keep_happening());
        let agents = (0..AGENTS).map(|seed| self.clone().agent(Arc::clone(&reader), seed));
        let agents: Vec<_> = agents.map(tokio::spawn).collect();
        let mut all = Vec::new();
        for agent in agents {
            all.extend(agent.await??);
        }
        happening.abort();
        all.sort_unstable();
        let at = |of_hundred: usize| all[(all.len() - 1) * of_hundred / 100];
        println!(
            "{name}: {} reads/s, p50 {} µs, p99 {} µs",
            all.len() as u64 / LASTING.as_secs(),
            at(50),
            at(99)
        );
        Ok(())
    }
}

fn event(number: u64, n: u64) -> StoredEvent {
    let at = Timestamp::from_unix_millis(1_795_168_800_000 + i64::try_from(n).unwrap_or_default());
    let node = format!("I_{number}");
    let facts = EventFacts {
        id: EventId::new(&format!("e{n}")).expect("visible ASCII"),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new(&node).expect("visible ASCII"),
        owner: Some("octo".to_owned()),
        repo: Some("cat".to_owned()),
        number: Some(number),
        ids: GithubIds {
            owner: Some(OwnerId(1)),
            repository: Some(RepositoryId(2)),
            resource: Some(1_000_000 + number),
        },
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: at,
        received_at: at,
    };
    let json = serde_json::json!({
        "id": facts.id.as_str(),
        "data": { "node_id": node, "updated_at": at.to_string(), "n": n, "body": "x".repeat(TEXT_BYTES) },
        "metadata": { "event": "issues" },
    });
    StoredEvent {
        json: json.to_string().into(),
        facts: facts.into(),
        trace: None,
    }
}

/// A sync role that follows the log, and its address.
async fn start(world: &World, lifecycle: &Lifecycle) -> Result<(RunningSync, String)> {
    let deps = SyncDeps {
        log: Arc::clone(&world.log),
        bus: Arc::clone(&world.bus),
        ids: Arc::new(RandomIds),
        trust: RoleTrust::none(),
        github: None,
        records: None,
    };
    let service = SyncService::build(
        &SyncConfig::default(),
        deps,
        &mut MetricsRegistry::default(),
    )?;
    let running = service.spawn(lifecycle);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let served = running.clone();
    lifecycle.spawn("grpc", OnExit::MayFinish, async move {
        served
            .serve_grpc(listener, 100)
            .await
            .expect("the server runs");
    });
    Ok((running, endpoint))
}

/// The cache of an edge that follows the log.
fn cache(world: &World, endpoint: &str, lifecycle: &Lifecycle) -> Result<Arc<MirrorCache>> {
    let cache = MirrorCache::over(MirrorCacheParts {
        resources: client::connect(endpoint, DEADLINE, RoleTrust::none())?,
        mirror: client::connect_mirror(endpoint, DEADLINE, RoleTrust::none())?,
        log: Arc::clone(&world.log),
        max_bytes: DEFAULT_MAX_BYTES,
        metrics: MirrorCacheMetrics::default(),
    });
    let followed = Arc::clone(&cache);
    let following = follow(
        Arc::clone(&world.log),
        Arc::clone(&world.bus),
        None,
        FollowOptions::default(),
        lifecycle.draining(),
        move |item| followed.apply(&item),
    );
    lifecycle.spawn("edge", OnExit::MayFinish, following);
    Ok(cache)
}

#[tokio::main]
async fn main() -> Result<()> {
    let world = World {
        log: Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, CAPACITY))),
        bus: Arc::new(InProcessBus::new(CAPACITY)),
        newest: Arc::new(AtomicU64::new(1)),
    };
    for number in 1..=ISSUES {
        world.happens(number, number).await?;
    }
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let (running, endpoint) = start(&world, &lifecycle).await?;
    while !running.reader().status(None).await?.caught_up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.measure("in process", running.reader()).await?;
    let remote = client::connect(&endpoint, DEADLINE, RoleTrust::none())?;
    world.measure("over gRPC", remote).await?;
    let cache = cache(&world, &endpoint, &lifecycle)?;
    world
        .measure("over gRPC, cached", Arc::<MirrorCache>::clone(&cache))
        .await?;
    println!("the cache: {}", cache.view());
    Ok(())
}
